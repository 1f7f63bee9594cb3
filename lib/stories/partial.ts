import type { Packer } from "../repository/packer.ts";
import type { Repository } from "../repository/repository.ts";
import { encodeSnapshot, type PackRef, type Run, type SnapshotFacts } from "../repository/snapshot_file.ts";
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
  /** When the store was known to have the parent: the store's clock, ms. */
  seenMs: number;
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
  #latest?: string;
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
    const isWorthIt = packer.stored - this.#storedThen >= Math.max(everyBytes, this.#cost * worthwhile);
    if (isWorthIt || now() - this.#writtenMs >= everyMs) await this.#write(entries, begun);
  }

  /** Before the snapshot file is written: so late it would have to be taken back at once. @throws {StartOver} */
  async refuseLate(): Promise<void> {
    this.#refuse(await this.options.repository.store.time(), this.#namedMs);
  }

  /**
   * Makes sure that a snapshot file which was just written came in time: since the last one named its packs nobody can
   * have removed them. Withdraws it otherwise.
   *
   * @throws {StartOver}
   */
  async accept(name: string): Promise<void> {
    const { repository, seenMs } = this.options;
    const times = new Map((await repository.store.list("snapshots/")).map((one) => [one.name, one.timeMs]));
    const timeOf = (name: string) => times.get(`snapshots/${name}.json`);
    const writtenMs = timeOf(name) ?? await repository.store.time();
    // One that somebody took out names nothing any more.
    const isThere = this.#latest !== undefined && timeOf(this.#latest) !== undefined;
    try {
      this.#refuse(writtenMs, isThere ? this.#namedMs : seenMs);
    } catch (error) {
      await repository.withdraw(name);
      throw error;
    }
    this.#namedMs = writtenMs;
  }

  #refuse(nowMs: number, namedMs: number): void {
    if (nowMs - namedMs > staleMs) throw new StartOver("it was interrupted for hours");
  }

  /** Takes all of them back: the snapshot itself exists. */
  async end(): Promise<void> {
    for (const name of this.options.ours) await this.#withdraw(name);
    this.#latest = undefined;
  }

  async #withdraw(name: string): Promise<void> {
    await this.options.repository.withdraw(name);
    this.options.ours.delete(name);
  }

  async #write(done: readonly StoredEntry[], begun: StoredFile | undefined): Promise<void> {
    const { repository, packer, known, time, facts, ours } = this.options;
    await packer.flush();
    const before = packer.stored;
    const entries = [...done, ...await this.#rest(done.at(-1)?.path, begun)];
    const tree = await storeTree(entries, known, packer);
    await packer.flush();
    const parent = known.reader?.snapshot;
    const { name } = await repository.commit(
      encodeSnapshot({
        kind: "partial",
        time,
        parent: parent?.hash,
        packs: this.#packs(),
        facts: { ...facts, files: entries.filter(({ type }) => type === "file").length, tree, stored: packer.stored },
      }),
      time,
    );
    await this.accept(name);
    ours.add(name);
    this.#latest = name;
    for (const old of ours) if (old !== name) await this.#withdraw(old);
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
  const from = begun.runs.reduce((sum, { count }) => sum + count, 0);
  const end = partOf(parent.runs, from, blockCount(begun));
  return { ...begun, runs: [...begun.runs, ...known.pending(end)] };
}

/** The runs of a file's blocks in `from` … `to`, the last one not included. */
function partOf(runs: readonly Run[], from: number, to: number): Run[] {
  const part: Run[] = [];
  let at = 0;
  for (const { count, pack, index } of runs) {
    const [first, last] = [Math.max(at, from), Math.min(at + count, to)];
    if (first < last) part.push({ count: last - first, pack, index: pack === 0 ? 0 : index + first - at });
    at += count;
  }
  return part;
}
