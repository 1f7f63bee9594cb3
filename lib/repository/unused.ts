import { AmberError } from "../errors.ts";
import type { ObjectStore, StoredObject } from "../stores/store.ts";
import { fileOf, type ListedFile, readSnapshotFile, sortListed } from "./listed_file.ts";
import { packName } from "./pack.ts";
import type { PruneOptions } from "./prune.ts";
import { idOf, readName, type Snapshot } from "./snapshot_file.ts";

/** How long packs stay that only a forgotten snapshot names, or nothing. */
const graceMs = 24 * 3_600_000;

const callsAtOnce = 16;

/** How often the lists are read again when a listed file is gone before it is read. */
const attempts = 5;

export interface UnusedOptions extends PruneOptions {
  /** Snapshots that were read already: spares reading their files again. */
  known?: Iterable<Snapshot>;
  /** A time of the store's clock from before this call; it is asked when absent. An older one removes less. */
  nowMs?: number;
  /** Names of snapshots that were forgotten just before; with `plan`, that would be. */
  forgetting?: Iterable<string>;
}

/** What was removed; with `plan`, what would be. */
export interface Removed {
  /** How many were removed. */
  packs: number;
  /** Their bytes. */
  bytes: number;
  /** Names of forgotten snapshots of which now nothing is left. */
  forgotten: string[];
  /** Results of drills of snapshots that are gone. */
  drills: number;
  /** What only forgotten snapshots still name: it can be removed when they were forgotten a day ago. */
  waiting: { packs: number; bytes: number };
}

/**
 * Removes packs that no snapshot names, and the last of snapshots that were forgotten a day ago.
 *
 * @throws {AmberError} OBJECT_DAMAGED, REPOSITORY_NEWER when a snapshot file cannot be read: then it may need any pack,
 * and nothing is removed. STORE_FAILED when the store lists files that it does not have.
 */
export async function removeUnused(store: ObjectStore, options: UnusedOptions = {}): Promise<Removed> {
  const { nowMs, names, used, held, copies } = await readUsage(store, options);
  const isOld = ({ timeMs }: StoredObject) => nowMs - timeMs > graceMs;
  const packs = packsIn(await store.list("packs/"));
  const unused = packs.filter((pack) => !used.has(pack.hash) && !held.has(pack.hash) && isOld(pack));
  const waiting = packs.filter(({ hash }) => held.has(hash) && !used.has(hash));
  // One that is among the snapshots as well was brought back, or is being forgotten: then the age of a copy says nothing.
  const ended = [...copies].filter(([name, files]) => !names.has(name) && files.every(isOld));
  const drills = ended.length === 0 ? [] : await drillsOf(store, ended.map(([name]) => name), names);
  // The copies last: while packs are being removed, they tell that it is too late to bring the snapshot back.
  const lastOf = ended.flatMap(([_, files]) => files);
  if (!options.plan) await removeInOrder(store, [unused, drills, lastOf], options);
  return {
    packs: unused.length,
    bytes: bytesOf(unused),
    forgotten: ended.map(([name]) => name),
    drills: drills.length,
    waiting: { packs: waiting.length, bytes: bytesOf(waiting) },
  };
}

function packsIn(listed: readonly StoredObject[]): (StoredObject & { hash: string })[] {
  return listed.map((object) => ({ ...object, hash: object.name.slice(-64) })).filter(({ name, hash }) =>
    /^[0-9a-f]{64}$/.test(hash) && name === packName(hash)
  );
}

function bytesOf(objects: readonly StoredObject[]): number {
  return objects.reduce((sum, { size }) => sum + size, 0);
}

/** Each group when the one before it is gone. */
async function removeInOrder(store: ObjectStore, groups: StoredObject[][], options: PruneOptions): Promise<void> {
  const total = groups.flat().length;
  let done = 0;
  for (const group of groups) {
    await inChunks(group, options, async ({ name, size }) => {
      await store.remove(name);
      options.report?.({ type: "removed", object: name, size, done: ++done, total });
    });
  }
}

/** `drills/<snapshot>-<utc>.json` of snapshots of which nothing is left. */
async function drillsOf(store: ObjectStore, ended: string[], kept: ReadonlySet<string>): Promise<StoredObject[]> {
  const listed = await store.list("drills/");
  const isOf = (drill: string, snapshot: string) => {
    const { hash } = readName(snapshot)!;
    return [snapshot, hash, idOf({ hash })].some((one) => drill.startsWith(`drills/${one}-`));
  };
  return listed.filter(({ name }) =>
    ended.some((snapshot) => isOf(name, snapshot)) && ![...kept].some((snapshot) => isOf(name, snapshot))
  );
}

interface Usage {
  /** The store's time before anything was listed. */
  nowMs: number;
  /** Names of the snapshots. */
  names: Set<string>;
  /** Hashes of packs that they name. */
  used: Set<string>;
  /** Hashes of packs that those name which were forgotten less than a day ago. */
  held: Set<string>;
  /** All that is in `forgotten/`, by the snapshot's name. */
  copies: Map<string, ListedFile[]>;
}

/** Which packs are in use: see the rules in prune.ts. */
async function readUsage(store: ObjectStore, options: UnusedOptions): Promise<Usage> {
  const nowMs = options.nowMs ?? await store.time();
  const known = new Map([...options.known ?? []].map(({ name, packs }) => [name, packs.map(({ hash }) => hash)]));
  for (let attempt = 1;; attempt++) {
    const { usage, gone } = await tryToReadUsage(store, { ...options, nowMs }, known);
    if (gone.length === 0) return usage;
    // Most likely a running snapshot took it back after writing the next one, and that one must be seen.
    if (attempt < attempts) continue;
    throw new AmberError("STORE_FAILED", {
      message: `Cannot remove unused packs: the store lists "${gone[0]}" and does not have it`,
      where: store.where,
      hint: "Nothing was removed. Run the same command again later.",
    });
  }
}

/** @param known The packs that files name, by the name of the snapshot; what is read is added. */
async function tryToReadUsage(
  store: ObjectStore,
  options: UnusedOptions & { nowMs: number },
  known: Map<string, string[]>,
): Promise<{ usage: Usage; gone: string[] }> {
  const { nowMs } = options;
  // Snapshots twice, around the other list: a file that moves meanwhile from one folder to the other is seen in one.
  const first = await store.list("snapshots/");
  const forgotten = sortListed("forgotten", await store.list("forgotten/"));
  const present = sortListed("snapshots", [...first, ...await store.list("snapshots/")]);
  const isYoung = ({ timeMs }: StoredObject) => nowMs - timeMs <= graceMs;
  for (const { name } of [...present.others, ...forgotten.others.filter(isYoung)]) throw foreign(name);
  const copies = Map.groupBy(forgotten.files, ({ snapshot }) => snapshot);
  const forgetting = new Set(options.forgetting);
  const names = new Set(present.files.map(({ snapshot }) => snapshot).filter((name) => !forgetting.has(name)));
  const held = Map.groupBy(forgotten.files.filter(({ wasDamaged }) => !wasDamaged), ({ snapshot }) => snapshot);
  const young = [...held.keys()].filter((name) => !names.has(name) && held.get(name)!.some(isYoung));
  const usage: Usage = { nowMs, names, used: new Set(), held: new Set(), copies };
  const gone: string[] = [];
  const note = async (name: string, packs: Set<string>) => {
    const forgotten = (held.get(name) ?? []).map((copy) => copy.name);
    const objects = names.has(name) ? [fileOf(name), ...forgotten] : [...forgotten, fileOf(name)];
    const isForgotten = forgetting.has(name);
    for (const object of objects) {
      const read = known.get(name) ?? await packsOf(store, name, object, { ignoreDamage: isForgotten && options.plan });
      if (read) known.set(name, read);
    }
    // One that we have just forgotten and that has no copy was damaged, or that was a day ago after all: the clock leapt.
    const isOver = isForgotten && (forgotten.length === 0 || options.plan);
    if (!known.has(name) && !isOver) gone.push(objects[0]!);
    for (const hash of known.get(name) ?? []) packs.add(hash);
  };
  await inChunks([...names], options, (name) => note(name, usage.used));
  await inChunks([...new Set([...forgetting, ...young])], options, (name) => note(name, usage.held));
  return { usage, gone };
}

async function packsOf(
  store: ObjectStore,
  name: string,
  object: string,
  { ignoreDamage }: { ignoreDamage?: boolean },
): Promise<string[] | undefined> {
  try {
    return (await readSnapshotFile(store, name, object))?.snapshot.packs.map(({ hash }) => hash);
  } catch (error) {
    if (!(error instanceof AmberError) || !["OBJECT_DAMAGED", "REPOSITORY_NEWER"].includes(error.code)) throw error;
    if (ignoreDamage && error.code === "OBJECT_DAMAGED") return undefined;
    const hint = error.code === "REPOSITORY_NEWER"
      ? "Use that newer amber."
      : object === fileOf(name)
      ? `amber prune --remove ${idOf(readName(name)!)} takes it out; its packs go a day later.`
      : "A day after it was forgotten it no longer counts.";
    throw new AmberError(error.code, {
      message: `Cannot remove unused packs: ${error.message.replace(/^Cannot read/, "cannot read")}`,
      where: object,
      hint: `Nothing was removed. ${hint}`,
      cause: error,
    });
  }
}

function foreign(name: string): AmberError {
  return new AmberError("OBJECT_DAMAGED", {
    message: `Cannot remove unused packs: "${name}" is no snapshot file by its name, and it may have been one`,
    where: name,
    hint: "Nothing was removed. Give it its name back, or move it away.",
  });
}

async function inChunks<T>(
  items: readonly T[],
  { stop }: PruneOptions,
  act: (item: T) => Promise<void>,
): Promise<void> {
  for (let i = 0; i < items.length; i += callsAtOnce) {
    stop?.throwIfAborted();
    await Promise.all(items.slice(i, i + callsAtOnce).map(act));
  }
}
