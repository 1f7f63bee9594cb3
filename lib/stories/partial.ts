import type { Packer } from "../repository/packer.ts";
import { forget } from "../repository/prune.ts";
import type { Repository } from "../repository/repository.ts";
import { countBlocks, partOf } from "../repository/run_list.ts";
import { encodeSnapshot, type PackRef, type Snapshot, type SnapshotFacts } from "../repository/snapshot_file.ts";
import { blockCount, type FileEntry } from "../repository/tree.ts";
import { isSettledFile, type KnownContent } from "./known_content.ts";
import { type StoredEntry, type StoredFile, storeTree } from "./stored_tree.ts";

export interface PartialOptions {
  repository: Repository;
  packer: Packer;
  known: KnownContent;
  /** ISO 8601: the instant. */
  time: string;
  facts: Omit<SnapshotFacts, "tree" | "stored">;
  /** Bytes stored, and time, after which the next one is written. */
  everyBytes: number;
  everyMs?: number;
  /** When the store was known to have the parent, and the time of the parent's file: the store's clock, ms. */
  seenMs: number;
  parentMs?: number;
  /** Names of this run's partial snapshots, those of earlier attempts among them; kept up to date. */
  ours: Set<string>;
  now: () => number;
}

const hourMs = 3_600_000;

/** Packs that were named so long ago may have been taken by prune meanwhile. */
const staleMs = 12 * hourMs;

/** Writing one costs what the tree costs: it is worth it when so many times as much has been stored since the last one. */
const worthwhile = 20;

/** It has to be done once more, from the beginning: packs that were relied on are gone, or may be. */
export class StartOver extends Error {}

/**
 * The trace that a running snapshot leaves: snapshot files of kind partial, each replacing the one before. They name every
 * pack that the run relies on, so that prune leaves them alone, and they are the parent of the next run when this one is
 * killed: what is stored is not stored again.
 */
export class Partials {
  #namedMs: number;
  #storedThen = 0;
  #cost = 0; // bytes that the last one took
  #writtenMs: number;

  constructor(private readonly options: PartialOptions) {
    this.#writtenMs = options.now();
    this.#namedMs = options.seenMs;
  }

  /** Writes one when it is time. `begun` is a file whose beginning is stored. @throws {StartOver} */
  async note(entries: readonly StoredEntry[], begun?: StoredFile): Promise<void> {
    const { packer, everyBytes, everyMs = hourMs, now } = this.options;
    const isWorthIt = packer.taken - this.#storedThen >= Math.max(everyBytes, this.#cost * worthwhile);
    if (isWorthIt || now() - this.#writtenMs >= everyMs) await this.#write(entries, begun);
  }

  /**
   * Writes a snapshot file, and makes sure that nobody can have removed packs that it names: since they were named last no
   * 12 hours have passed, and the parent is still the file that was seen, or was forgotten since. Looked at before and
   * after: a machine may be suspended anywhere in between. What came too late is withdrawn.
   *
   * (The 12 hours alone lose packs: 115 of 64,000 interleavings with leaps of 30 h; with all of this none did, see
   * tests/repository/prune_race_test.ts.)
   *
   * @throws {StartOver}
   */
  async commit(bytes: Uint8Array): Promise<Snapshot> {
    const { repository, time } = this.options;
    const begunMs = await repository.store.time();
    await this.#refuseStale(begunMs);
    const snapshot = await repository.commit(bytes, time);
    try {
      // Asked anew: the time of the file may be from before a pause in the middle of storing it.
      await this.#refuseStale(await repository.store.time());
    } catch (error) {
      await repository.withdraw(snapshot.name);
      throw error;
    }
    this.#namedMs = begunMs;
    return snapshot;
  }

  async #refuseStale(nowMs: number): Promise<void> {
    if (nowMs - this.#namedMs > staleMs) throw new StartOver("it was interrupted for hours");
    if (!await this.#isParentHeld()) throw new StartOver("the snapshot that it built on has gone");
  }

  /** Whether the parent's packs stay: it is still the file that was seen, or was forgotten since then. */
  async #isParentHeld(): Promise<boolean> {
    const { repository: { store }, known, parentMs, seenMs } = this.options;
    const name = known.reader?.snapshot.name;
    if (name === undefined) return true;
    const file = (await store.list("snapshots/")).find((one) => one.name === `snapshots/${name}.json`);
    if (file?.timeMs === parentMs) return true;
    const copies = (await store.list("forgotten/")).filter((one) => one.name.startsWith(`forgotten/${name}.`));
    return copies.length > 0 && copies.every(({ timeMs }) => timeMs >= seenMs - hourMs);
  }

  /** The snapshot itself exists: takes all of them out. */
  async end(): Promise<void> {
    await this.#forget([...this.options.ours]);
  }

  /** Forgotten, not withdrawn: another run may have one of them as its parent, and its packs stay for a day more. */
  async #forget(names: readonly string[]): Promise<void> {
    await forget(this.options.repository.store, names);
    for (const name of names) this.options.ours.delete(name);
  }

  async #write(done: readonly StoredEntry[], begun: StoredFile | undefined): Promise<void> {
    const { packer, known, time, facts, ours } = this.options;
    await packer.flush();
    const before = packer.stored;
    const entries = [...done, ...await this.#rest(done.at(-1)?.path, begun)];
    const tree = await storeTree(entries, known, packer);
    await packer.flush();
    const parent = known.reader?.snapshot;
    const { name } = await this.commit(encodeSnapshot({
      kind: "partial",
      time,
      parent: parent?.hash,
      packs: this.#packs(),
      facts: { ...facts, files: entries.filter(({ type }) => type === "file").length, tree, stored: packer.stored },
    }));
    const old = [...ours];
    ours.add(name);
    await this.#forget(old.filter((one) => one !== name));
    this.#cost = packer.stored - before;
    this.#storedThen = packer.stored;
    this.#writtenMs = this.options.now();
  }

  /** All of the parent's, also those of which nothing is in use so far: what comes may be a copy of what lies there. */
  #packs(): PackRef[] {
    const { known, packer } = this.options;
    const parents = known.reader?.snapshot.packs.filter(({ number }) => known.hasPack(number)) ?? [];
    return [...parents, ...packer.packs];
  }

  /** What the parent has behind a path: the next run goes on with that as well. */
  async #rest(path: string | undefined, begun: StoredFile | undefined): Promise<StoredEntry[]> {
    const { known } = this.options;
    const rest: StoredEntry[] = begun ? [begun] : [];
    const parentMs = Date.parse(known.reader?.snapshot.time ?? "");
    for await (const entry of known.reader?.entries() ?? []) {
      if (path !== undefined && entry.path <= path) continue;
      if (entry.type === "file" && !known.isWhole(entry.runs)) continue;
      if (begun && entry.path <= begun.path) {
        if (entry.path === begun.path && entry.type === "file") rest[0] = withParentsEnd(begun, entry, known);
        continue;
      }
      if (entry.type !== "file") rest.push(entry);
      else {
        // Too fresh for the parent is too fresh for its children, whose time says nothing of it.
        const inode = isSettledFile(entry, parentMs) ? entry.inode : 0;
        rest.push({ ...entry, inode, runs: known.pending(entry.runs) });
      }
    }
    return rest;
  }
}

/** Behind what is stored of a file so far, the blocks that the parent has there: most of a large database stays as it is. */
function withParentsEnd(begun: StoredFile, parent: FileEntry, known: KnownContent): StoredFile {
  if (parent.blockSize !== begun.blockSize) return begun;
  const from = countBlocks(begun.runs);
  // Rows have no place that they keep: what the parent has may follow anywhere.
  const end = blockCount(begun.blockSize === 0 ? parent : { ...begun, runs: parent.runs });
  function* joined() {
    yield* begun.runs;
    yield* known.pending({ [Symbol.iterator]: () => partOf(parent.runs, from, end) });
  }
  return { ...begun, runs: { [Symbol.iterator]: joined } };
}
