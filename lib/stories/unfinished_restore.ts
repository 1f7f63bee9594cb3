import { checkStaged } from "../capture/interrupted.ts";
import { putBack } from "../capture/put_back.ts";
import { restoreCalls } from "../capture/restore_calls.ts";
import { type Decision, readDecision, unfinishable } from "../capture/restore_decision.ts";
import { explainFailure } from "../capture/restore_failure.ts";
import { type Item, outsidePlace, selectItems } from "../capture/restore_items.ts";
import { RestoreLock } from "../capture/restore_lock.ts";
import { removeIfThere, TargetFolder } from "../capture/target_folder.ts";
import { AmberError } from "../errors.ts";
import { statOrNone } from "../fs.ts";
import { besideDriver, BlockPool } from "../repository/pool.ts";
import { SnapshotReader } from "../repository/reader.ts";
import { idLength, readName, type Snapshot } from "../repository/snapshot_file.ts";
import { outlinesOf } from "./restore_look.ts";
import { postgresOf } from "./restore_with_postgres.ts";
import { ownTarget, type RestoreTarget } from "./restore_target.ts";
import type { RestorePlaces, RestoreResult } from "./restore_types.ts";

/** A restore that was decided and has not been finished: the data folder is partly old and partly new. */
export interface UnfinishedRestore {
  /** The snapshot's id. */
  snapshot: string;
  /** When it was decided, ISO 8601. */
  time: string;
  safety?: string;
  /** For people: what it means and what to do. */
  message: string;
}

/**
 * For commands that only read: they report it and go on.
 *
 * @throws {AmberError} RESTORE_UNFINISHED when its plan cannot be read.
 */
export function unfinishedRestore(scratch: string): UnfinishedRestore | undefined {
  const decision = readDecision(`${scratch}/restore`, restoreCalls);
  if (!decision) return undefined;
  const { time, safety } = decision;
  const snapshot = decision.snapshot.slice(0, idLength);
  return {
    snapshot,
    time,
    ...(safety === undefined ? {} : { safety }),
    message:
      `a restore of snapshot ${snapshot} was interrupted: some of data/ is old, some new. The next command that writes finishes it, amber restore ${snapshot} too`,
  };
}

/**
 * For commands that write, before anything else: waits for a restore that runs, finishes one that was interrupted, and
 * keeps others from beginning until it is disposed of.
 *
 * @param places Asked for only when there is something to finish.
 * @throws {AmberError} RESTORE_RUNNING, RESTORE_UNFINISHED, and what putBack() throws.
 */
export async function guardAgainstRestore(
  scratch: string,
  options: Pick<RestorePlaces, "stop" | "report"> & { waitMs: number },
  places: () => Promise<RestorePlaces>,
): Promise<Disposable> {
  const folder = `${scratch}/restore`;
  for (;;) {
    const shared = await RestoreLock.take(scratch, { ...options, for: "write" });
    if (!shared) return { [Symbol.dispose]: () => {} };
    // Nobody restores: what lies there was left by one that was killed.
    if (!statOrNone(folder)) return shared;
    shared[Symbol.dispose]();
    using _alone = await RestoreLock.take(scratch, { ...options, for: "restore" });
    const decision = readDecision(folder, restoreCalls);
    if (decision) {
      const found = await places();
      await finishRestore(found, decision, ownTarget(found));
    } else removeIfThere(folder, restoreCalls);
  }
}

/**
 * Goes on with a restore where another process was stopped. Whoever calls holds the lock.
 *
 * @throws {AmberError} RESTORE_UNFINISHED when it cannot be: the snapshot is gone, or it was for another place.
 */
export async function finishRestore(
  places: RestorePlaces,
  decision: Decision,
  target: RestoreTarget,
): Promise<RestoreResult> {
  const { calls = restoreCalls, stop, report, replace = false, waitMs = 5_000 } = places;
  const snapshot = await snapshotOf(places, decision, target);
  const id = decision.snapshot.slice(0, idLength);
  report({ type: "note", message: `finishing the restore of snapshot ${id} that was interrupted` });
  using pool = new BlockPool(snapshot.facts.postgres ? besideDriver : undefined);
  const contents = new SnapshotReader(places.repository!.store, snapshot, pool);
  const items = await itemsOf(snapshot, contents, decision, target);
  refuseOtherPlace(decision, items, target);
  const { root, folder, database } = target;
  const postgres = postgresOf(places, decision, contents, target);
  const common = {
    ...{ calls, folder, decision, items, root, stop, report, replace, waitMs },
    ...(database === undefined ? {} : { database }),
    ...(postgres === undefined ? {} : { postgres }),
    isKept: target.isKept,
  };
  try {
    await checkStaged(common, contents);
    const put = await putBack({
      ...common,
      progress: (what, done, total) =>
        report({ type: "progress", what, done, total, unit: what === "writing databases" ? "databases" : "files" }),
    });
    return {
      state: "finished",
      snapshot: { id, hash: snapshot.hash, time: snapshot.time, kind: snapshot.kind },
      ...(decision.safety === undefined ? {} : { safety: decision.safety }),
      ...put,
      unchanged: 0,
      target: root,
      notes: [],
    };
  } catch (error) {
    throw explainFailure(error, "decided");
  }
}

async function snapshotOf(
  { repository }: RestorePlaces,
  { name, snapshot: hash }: Decision,
  { folder }: RestoreTarget,
): Promise<Snapshot> {
  const id = hash.slice(0, idLength);
  if (!repository) throw unfinishable(folder, `there is no repository, and snapshot ${id} is needed`);
  if (readName(name)?.hash !== hash) throw unfinishable(folder, "it names no snapshot");
  try {
    return await repository.read(name);
  } catch (cause) {
    if (!(cause instanceof AmberError) || cause.code !== "OBJECT_MISSING") throw cause;
    throw unfinishable(folder, `the repository "${repository.store.where}" has no snapshot ${id}`, cause);
  }
}

/** What comes, by the words of the decision; what it has staged comes also where it would be left out by now. */
async function itemsOf(
  { facts }: Snapshot,
  contents: SnapshotReader,
  { asked: { selection }, names }: Decision,
  target: RestoreTarget,
): Promise<Item[]> {
  const staged = new Set(names);
  const { items } = selectItems({
    outlines: await outlinesOf(contents),
    databases: facts.databases,
    selection,
    ...(target.place === undefined ? {} : { place: target.place }),
    isKept: (place, isFolder) => staged.has(place) ? target.isOwn(place, isFolder) : target.isKept(place, isFolder),
  });
  return items;
}

/** Where it was meant for and where this would go must be the same; what the plan says is never gone by. */
function refuseOtherPlace(
  decision: Decision,
  items: readonly Item[],
  { root, database, folder, isElsewhere }: RestoreTarget,
): void {
  if (decision.target !== root) {
    throw unfinishable(folder, `it was for the folder "${decision.target}", and "${root}" is configured now`);
  }
  const hasConfigured = items.some((item) => item.configured && decision.names.includes(item.path));
  if (!isElsewhere && hasConfigured && decision.database !== database) {
    throw unfinishable(folder, `it was for the database "${decision.database}", and "${database}" is configured now`);
  }
}

/** What was dropped. */
export interface DiscardResult {
  /** The snapshot's id; absent when the plan could not be read, or there was none. */
  snapshot?: string;
  safety?: string;
  /** Whether there was anything. */
  discarded: boolean;
}

/** Drops a restore that was decided: nothing more of it is done, and nothing is undone. */
export async function discardRestore(places: RestorePlaces): Promise<DiscardResult> {
  const { calls = restoreCalls, stop, report, waitMs = 5_000 } = places;
  const target = ownTarget(places);
  if (!statOrNone(target.folder)) return { discarded: false };
  using _lock = await RestoreLock.take(target.scratch, { stop, report, waitMs, for: "restore" });
  let decision: Decision | undefined;
  try {
    decision = readDecision(target.folder, calls);
  } catch (error) {
    if (!(error instanceof AmberError) || error.code !== "RESTORE_UNFINISHED") throw error;
  }
  if (decision) await dropMarkers(decision, places, target);
  removeIfThere(`${target.folder}/plan.json`, calls);
  removeIfThere(target.folder, calls);
  return {
    discarded: true,
    ...(decision ? { snapshot: decision.snapshot.slice(0, idLength) } : {}),
    ...(decision?.safety === undefined ? {} : { safety: decision.safety }),
  };
}

/** Databases that were written already have the marker still. */
async function dropMarkers({ id, databases }: Decision, places: RestorePlaces, target: RestoreTarget): Promise<void> {
  const { calls = restoreCalls, stop, waitMs = 5_000 } = places;
  const folder = new TargetFolder({ ...target, calls, gone: `${target.folder}/gone`, id });
  for (const place of databases) {
    if (place === outsidePlace && target.place !== place) continue;
    const trusted = place === target.place;
    if (!folder.look(place)?.isFile) continue;
    if (calls.lookAtLive(folder.full(place), { trusted }).marker !== id) continue;
    await calls.dropMarker(folder.full(place), id, { waitMs, stop, isWal: false });
  }
}
