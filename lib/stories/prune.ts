import { AmberError } from "../errors.ts";
import { readDrills } from "../repository/drills.ts";
import type { KeepPolicy } from "../repository/keep_policy.ts";
import { forget, type PruneEvent, type Removed, removeUnused, undo, type UnusedOptions } from "../repository/prune.ts";
import { Repository } from "../repository/repository.ts";
import { decideRetention } from "../repository/retention.ts";
import { idOf, type Kind, readName, type Snapshot } from "../repository/snapshot_file.ts";
import type { ObjectStore } from "../stores/store.ts";
import type { ProgressEvent } from "./progress.ts";
import { type ShownSnapshot, showSnapshot } from "./snapshots.ts";

export interface PruneStoryOptions {
  store: ObjectStore;
  /** Absent: no snapshot is forgotten but traces of ended runs. */
  policy?: KeepPolicy;
  /** Snapshots with one of these tags stay. */
  keepTags?: readonly string[];
  /** Take out these, by the beginnings of their ids, and judge none of the others. */
  remove?: readonly string[];
  /** Only say what would be done. */
  plan?: boolean;
  /** Asked before anything is taken out by `remove`; false: nothing is done. */
  confirm?: (removed: readonly JudgedSnapshot[]) => boolean;
  stop: AbortSignal;
  report: (event: ProgressEvent | { type: "note"; message: string }) => void;
}

/** What becomes of a snapshot, and why. */
export interface JudgedSnapshot {
  /** The beginning of its hash. */
  id: string;
  /** 64 hex digits. */
  hash: string;
  /** ISO 8601. */
  time: string;
  /** Absent: its file cannot be read. */
  kind?: Kind;
  /** Words that it was taken with. */
  tags: string[];
  /** Whether it stays. */
  keep: boolean;
  /** Why, for people. */
  reasons: string[];
}

/** What was done, or would be. */
export interface PruneResult {
  /** Every snapshot, the oldest first. */
  snapshots: JudgedSnapshot[];
  /** Ids of those that were taken out; with `plan`, that would be. */
  forgotten: string[];
  /** What was removed from the store; with `plan`, what would be. */
  removed: Removed;
  /** Asked, and the answer was no. */
  declined?: boolean;
}

/**
 * Forgets what the policy does not keep, then removes packs that nothing needs. No lock is taken: it may run beside
 * snapshots and other prunes.
 *
 * @throws {AmberError} REPOSITORY_*, SNAPSHOT_UNKNOWN, SNAPSHOT_AMBIGUOUS, OBJECT_DAMAGED when a snapshot file cannot be
 * read, which may need any pack; STORE_*
 */
export async function prune(options: PruneStoryOptions): Promise<PruneResult> {
  const { store, plan, stop } = options;
  const repository = (await Repository.open(store)).require("pruner");
  const nowMs = await store.time();
  const listed = new Map((await store.list("snapshots/")).map(({ name, timeMs }) => [name, timeMs]));
  const damaged: AmberError[] = [];
  const snapshots = await repository.snapshots({ damaged: (error) => damaged.push(error) });
  const known = snapshots.filter(({ name }) => listed.has(fileOf(name)));
  const judged = options.remove
    ? await judgeByIds(options.remove, repository, known)
    : judgeByPolicy(options, await timed(store, known, listed), nowMs);
  const leaving = judged.filter(({ keep }) => !keep);
  if (!options.remove) refuseDamaged(damaged);
  const none = { packs: 0, bytes: 0, forgotten: [], drills: 0, waiting: { packs: 0, bytes: 0 } };
  if (options.remove && !plan && options.confirm && !options.confirm(leaving)) {
    return { snapshots: judged, forgotten: [], removed: none, declined: true };
  }
  const report = (event: PruneEvent) => {
    if (event.type !== "removed") return;
    const { done, total } = event;
    options.report({ type: "progress", what: "removing", done, total, unit: "objects" });
  };
  const names = leaving.map(({ name }) => name);
  await forget(store, names, { report, stop, plan, damaged: options.remove !== undefined });
  const others = damaged.filter(({ where }) => !names.some((name) => where?.endsWith(fileOf(name))));
  for (const { message } of others) {
    options.report({ type: "note", message: `no pack is removed, since any may be needed: ${message}` });
  }
  const removed = others.length > 0 ? none : await tryToRemove(names, {
    ...{ store, plan, stop, report },
    known: snapshots,
    nowMs,
    tell: (message) => options.report({ type: "note", message }),
  }) ?? none;
  return {
    snapshots: judged.map(({ name: _, ...one }) => one),
    forgotten: leaving.map(({ id }) => id),
    removed,
  };
}

/**
 * Removes what nothing needs; undefined when a snapshot that was just given up cannot be read: its packs may be any, so all
 * stay for the day in which it could be brought back.
 */
async function tryToRemove(
  names: readonly string[],
  { store, tell, ...options }: Omit<UnusedOptions, "forgetting"> & {
    store: ObjectStore;
    tell: (message: string) => void;
  },
): Promise<Removed | undefined> {
  try {
    return await removeUnused(store, { ...options, forgetting: names });
  } catch (error) {
    if (!(error instanceof AmberError) || !["OBJECT_DAMAGED", "REPOSITORY_NEWER"].includes(error.code)) throw error;
    const isGivenUp = error.where?.startsWith("forgotten/") || names.some((name) => error.where === fileOf(name));
    if (!isGivenUp) throw error;
    tell(`no pack is removed for a day: ${error.message}`);
    return undefined;
  }
}

type Judged = JudgedSnapshot & { name: string };

const fileOf = (name: string) => `snapshots/${name}.json`;

/** With the store's times, and what drills found. */
async function timed(store: ObjectStore, snapshots: readonly Snapshot[], listed: ReadonlyMap<string, number>) {
  const drills = await readDrills(store);
  return snapshots.map((one) => ({
    ...one,
    storedMs: listed.get(fileOf(one.name))!,
    ...(drills.get(one.hash)?.ok === false ? { good: false } : {}),
  }));
}

function judgeByPolicy(
  { policy, keepTags }: PruneStoryOptions,
  snapshots: Awaited<ReturnType<typeof timed>>,
  nowMs: number,
): Judged[] {
  return decideRetention(snapshots, { policy, keepTags, nowMs }).map(({ snapshot, keep, reasons }) =>
    describe(snapshot, keep, reasons)
  );
}

async function judgeByIds(ids: readonly string[], repository: Repository, all: readonly Snapshot[]): Promise<Judged[]> {
  const names = new Set<string>();
  for (const id of ids) names.add(await nameOfId(id, repository));
  const unreadable = [...names].filter((name) => !all.some((one) => one.name === name));
  return [
    ...all.map((one) => describe(one, !names.has(one.name), [names.has(one.name) ? "asked for" : "not asked for"])),
    ...unreadable.map((name) => ({
      ...{ name, hash: readName(name)!.hash, id: idOf(readName(name)!), time: readName(name)!.time, tags: [] },
      ...{ keep: false, reasons: ["asked for; its file cannot be read"] },
    })),
  ].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
}

/** What is damaged can be taken out as well: its name is enough. */
async function nameOfId(id: string, repository: Repository): Promise<string> {
  try {
    return (await repository.find(id)).name;
  } catch (error) {
    const isUnreadable = error instanceof AmberError && ["OBJECT_DAMAGED", "REPOSITORY_NEWER"].includes(error.code);
    const name = (await repository.names()).find((one) => readName(one)!.hash.startsWith(id.toLowerCase()));
    if (!isUnreadable || name === undefined) throw error;
    return name;
  }
}

function describe(snapshot: Snapshot, keep: boolean, reasons: string[]): Judged {
  const { name, hash, time, kind, facts: { tags } } = snapshot;
  return { name, id: idOf(snapshot), hash, time, kind, tags, keep, reasons };
}

/** Nothing is forgotten either: what cannot be read may be the newest good one. */
function refuseDamaged(damaged: readonly AmberError[]): void {
  const [error] = damaged;
  if (error === undefined) return;
  const ids = damaged.map(({ where }) => /-([0-9a-f]{10})[0-9a-f]{54}\.json$/.exec(where ?? "")?.[1]);
  const isLost = damaged.every(({ code }) => code === "OBJECT_DAMAGED") && ids.every((id) => id !== undefined);
  throw new AmberError(error.code, {
    message: `Cannot prune: ${error.message.replace(/^Cannot read/, "cannot read")}`,
    where: error.where,
    hint: isLost
      ? `Nothing was forgotten or removed. To give up what is damaged: amber prune ${
        ids.slice(0, 10).map((id) => `--remove ${id}`).join(" ")
      }`
      : `Nothing was forgotten or removed. ${error.hint ?? ""}`.trimEnd(),
    cause: error,
  });
}

export interface UndoResult {
  snapshot: ShownSnapshot;
  /** It was among the snapshots already. */
  wasThere: boolean;
}

/** Brings back a snapshot that was forgotten less than 20 hours ago. @throws {AmberError} see undo() in the repository */
export async function undoForget(
  { store, id, plan }: { store: ObjectStore; id: string; plan?: boolean },
): Promise<UndoResult> {
  (await Repository.open(store)).require("pruner");
  const { snapshot, wasThere } = await undo(store, id, { plan });
  return { snapshot: showSnapshot(snapshot), wasThere };
}
