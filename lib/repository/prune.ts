/**
 * What takes snapshots out of a repository, without a lock. Four rules make it sound:
 *
 * - A snapshot file is copied to `forgotten/` before it leaves `snapshots/`, and a day passes by the store's clock before
 *   packs that only it names are removed. A running snapshot that relies on them commits within 12 hours, or starts over.
 * - The store's clock is read before anything is listed. What is a day old by that time and named by nothing in the lists
 *   is not going to be named any more; what comes later is younger (unused.ts).
 * - No copy in `forgotten/` is written twice, and all of them stay while the snapshot file is there. So when packs are
 *   being removed, a copy of a day ago is there to tell, and the snapshot is not brought back.
 * - Whoever may have paused (a suspended machine) asks the store's clock afterwards, and takes back what came too late.
 */
import { formatDuration } from "../duration.ts";
import { AmberError } from "../errors.ts";
import type { ObjectStore } from "../stores/store.ts";
import { copyOf, fileOf, hasHashOfName, type ListedFile, readSnapshotFile, sortListed } from "./listed_file.ts";
import { packName } from "./pack.ts";
import { idOf, readName, type Snapshot } from "./snapshot_file.ts";

export { type Removed, removeUnused, type UnusedOptions } from "./unused.ts";

const hourMs = 3_600_000;

/** How long a forgotten snapshot can be brought back; its packs stay four hours longer, so that it has the time. */
const undoMs = 20 * hourMs;

/** When bringing back has come too late: near the end of the day, somebody may have decided already. */
const tooLateMs = 22 * hourMs;

/** When a copy in `forgotten/` is older than this before the snapshot file goes, another one is made. */
const staleMs = hourMs;

export type PruneEvent =
  | { type: "forgotten"; name: string }
  /** Somebody else forgot it meanwhile. */
  | { type: "already forgotten"; name: string }
  /** An object went: the `done`-th of `total`. */
  | { type: "removed"; object: string; size: number; done: number; total: number };

export interface PruneOptions {
  report?: (event: PruneEvent) => void;
  stop?: AbortSignal;
  /** Only say what would be done: nothing is written, and with `nowMs` the store's clock is not even asked. */
  plan?: boolean;
}

export interface ForgetOptions extends PruneOptions {
  /** Also those whose file is damaged: somebody named them. */
  damaged?: boolean;
}

/**
 * Takes snapshots out: copies each file to `forgotten/`, then removes it from `snapshots/`.
 *
 * @returns The names of those that were there.
 * @throws {AmberError} OBJECT_DAMAGED for a file that does not have the hash of its name, unless `damaged` is set; STORE_*
 */
export async function forget(
  store: ObjectStore,
  names: Iterable<string>,
  options: ForgetOptions = {},
): Promise<string[]> {
  const { report, stop, plan, damaged = false } = options;
  const copies = plan ? [] : sortListed("forgotten", await store.list("forgotten/")).files;
  const done: string[] = [];
  for (const name of names) {
    stop?.throwIfAborted();
    const before = copies.filter(({ snapshot }) => snapshot === name);
    const isDone = plan
      ? await look(store, name, damaged) !== undefined
      : await moveOut(store, name, { damaged, before });
    if (isDone) done.push(name);
    report?.({ type: isDone ? "forgotten" : "already forgotten", name });
  }
  return done;
}

async function look(store: ObjectStore, name: string, damaged: boolean): Promise<Uint8Array | undefined> {
  const bytes = await store.get(fileOf(name));
  if (bytes && !damaged && !hasHashOfName(name, bytes)) throw notForgotten(name);
  return bytes;
}

/**
 * Gives whether the file was there. The copy's time is where the day begins, so it must be fresh when the file goes. (A
 * pause just then is noticed by running snapshots: the copy is older than the moment at which they saw the file.)
 *
 * @param before Copies from when it was forgotten before and brought back, or from one who is forgetting it just now.
 */
async function moveOut(
  store: ObjectStore,
  name: string,
  { damaged, before }: { damaged: boolean; before: ListedFile[] },
): Promise<boolean> {
  const own: string[] = [];
  for (;;) {
    const begunMs = await store.time();
    const bytes = await look(store, name, damaged);
    if (bytes === undefined) return false; // somebody else was first
    const copy = copyOf(name, begunMs, !hasHashOfName(name, bytes));
    // Read back, since the file that it was copied from goes next. After a pause it may be gone already.
    await store.put(copy, bytes);
    const stored = await store.get(copy);
    if (stored && !isEqual(stored, bytes)) throw unsound(store, copy);
    if (stored && await store.time() - begunMs <= staleMs) {
      await store.remove(fileOf(name));
      // From now on older copies would only shorten the time in which it can be brought back.
      const old = before.filter(({ timeMs }) => begunMs - timeMs > 2 * staleMs).map((file) => file.name);
      for (const one of [...old, ...own]) await store.remove(one);
      return true;
    }
    own.push(copy);
  }
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function unsound(store: ObjectStore, object: string): AmberError {
  return new AmberError("STORE_FAILED", {
    message: `Cannot store "${object}": it does not read back as it was written`,
    where: store.where,
    hint: "Is the store sound? amber verify reads all that is there.",
  });
}

function notForgotten(name: string): AmberError {
  return new AmberError("OBJECT_DAMAGED", {
    message: `Cannot forget the snapshot "${
      idOf(readName(name)!)
    }": its file does not have the hash that its name says`,
    where: fileOf(name),
    hint: `If it is to go all the same: amber prune --remove ${idOf(readName(name)!)}`,
  });
}

export interface Undone {
  snapshot: Snapshot;
  /** It was among the snapshots already, and nothing was done. */
  wasThere: boolean;
}

/**
 * Brings back a forgotten snapshot. Its copies in `forgotten/` stay, for whoever is just forgetting it once more.
 *
 * @param id The beginning of its id.
 * @throws {AmberError} SNAPSHOT_UNKNOWN when there is none, or it was forgotten too long ago, SNAPSHOT_AMBIGUOUS,
 * OBJECT_MISSING when packs of it are gone, OBJECT_DAMAGED
 */
export async function undo(
  store: ObjectStore,
  id: string,
  options: Pick<PruneOptions, "plan"> & { nowMs?: number } = {},
): Promise<Undone> {
  const copy = findForgotten(id, sortListed("forgotten", await store.list("forgotten/")).files, store.where);
  const name = copy.snapshot;
  const ask = async () => options.plan ? options.nowMs ?? await store.time() : await store.time();
  refuseAfter(undoMs, copy, await ask());
  const read = await readSnapshotFile(store, name, copy.name);
  if (read === undefined) throw tooLate(copy, await ask()); // its day has ended just now
  const { snapshot, bytes } = read;
  await checkPacks(store, snapshot);
  const present = sortListed("snapshots", await store.list("snapshots/")).files;
  if (present.some((one) => one.snapshot === name)) return { snapshot, wasThere: true };
  if (options.plan) return { snapshot, wasThere: false };
  refuseAfter(undoMs, copy, await ask());
  await store.put(fileOf(name), bytes);
  // Whoever lists the snapshots before the day ends sees it and leaves its packs. After a pause it may have come too late
  // for that, and then it must not stand for packs that are being removed.
  const doneMs = await ask();
  if (doneMs - copy.timeMs >= tooLateMs) await store.remove(fileOf(name));
  refuseAfter(tooLateMs, copy, doneMs);
  const stored = await store.get(fileOf(name));
  if (stored === undefined) throw notKept(name);
  if (!hasHashOfName(name, stored)) {
    await store.remove(fileOf(name));
    throw unsound(store, fileOf(name));
  }
  return { snapshot, wasThere: false };
}

/** The oldest copy of the one forgotten snapshot whose id begins so. */
function findForgotten(id: string, files: ListedFile[], where: string): ListedFile {
  const bySnapshot = Map.groupBy(files, ({ snapshot }) => readName(snapshot)!.hash);
  const wanted = id.toLowerCase();
  const hashes = /^[0-9a-f]+$/.test(wanted)
    ? bySnapshot.keys().filter((hash) => hash.startsWith(wanted)).toArray()
    : [];
  const list = (some: string[]) => some.slice(-5).map((hash) => idOf({ hash })).join(", ");
  if (hashes.length === 1) return bySnapshot.get(hashes[0]!)!.toSorted((a, b) => a.timeMs - b.timeMs)[0]!;
  if (hashes.length > 1) {
    throw new AmberError("SNAPSHOT_AMBIGUOUS", {
      message: `Cannot tell which forgotten snapshot "${id}" is: ${hashes.length} ids begin like that`,
      where,
      hint: `Write more of it: ${list(hashes)}`,
    });
  }
  throw new AmberError("SNAPSHOT_UNKNOWN", {
    message: `Cannot bring back "${id}": no forgotten snapshot has an id that begins like that`,
    where,
    hint: files.length > 0
      ? `These were forgotten not long ago: ${list([...bySnapshot.keys()])}`
      : "None was forgotten in the last day.",
  });
}

function notKept(name: string): AmberError {
  return new AmberError("STORE_FAILED", {
    message: `Cannot bring back "${idOf(readName(name)!)}": somebody has forgotten it again meanwhile`,
    where: fileOf(name),
    hint: "Run the same command again when no other prune runs.",
  });
}

function refuseAfter(limitMs: number, copy: ListedFile, nowMs: number): void {
  if (nowMs - copy.timeMs >= limitMs) throw tooLate(copy, nowMs);
}

async function checkPacks(store: ObjectStore, { name, packs }: Snapshot): Promise<void> {
  const sizes = new Map((await store.list("packs/")).map((object) => [object.name, object.size]));
  const gone = packs.filter(({ hash, size }) => sizes.get(packName(hash)) !== size);
  if (gone.length === 0) return;
  const [first] = gone;
  const found = sizes.get(packName(first!.hash));
  throw new AmberError("OBJECT_MISSING", {
    message: `Cannot bring back "${idOf(readName(name)!)}": ${gone.length} of its ${packs.length} packs are ` +
      (found === undefined ? "gone" : `not as it left them (${found} bytes instead of ${first!.size})`),
    where: packName(first!.hash),
    hint: "It cannot be restored any more. Take another one: amber snapshots",
  });
}

function tooLate({ snapshot, name, timeMs }: ListedFile, nowMs: number): AmberError {
  return new AmberError("SNAPSHOT_UNKNOWN", {
    message:
      `Cannot bring back "${idOf(readName(snapshot)!)}": it was forgotten ${formatDuration(nowMs - timeMs)} ago, ` +
      `and only for ${formatDuration(undoMs)} its packs are sure to be there`,
    where: name,
    hint: "Take another one: amber snapshots",
  });
}
