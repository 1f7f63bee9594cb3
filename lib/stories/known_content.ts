import { Buffer } from "node:buffer";
import { Heap } from "../memory.ts";
import { hashSize, packBlockLimit } from "../repository/pack.ts";
import type { PendingRun, Place } from "../repository/pending_runs.ts";
import type { SnapshotReader } from "../repository/reader.ts";
import type { Run } from "../repository/snapshot_file.ts";
import { type Entry, fileBlockSize, type FileEntry, isHashedByBlocks } from "../repository/tree.ts";

/**
 * What the parent of a snapshot has stored already: its paths, asked for in order, and its contents, wherever they lie
 * now.
 */
export class KnownContent {
  readonly #places = new Map<number, Place>();
  readonly #contents = new Map<string, Iterable<PendingRun> | number>(); // a number: one block of the parent, see blockNumber()
  readonly #sizes = new Set<number>(); // of files of more than one block
  #isIndexed = false;
  #entries?: AsyncGenerator<Entry>;
  #next?: Entry;

  /** @param options.without Packs that have vanished from the store: what lies in them is not known any more. */
  constructor(
    readonly reader: SnapshotReader | undefined,
    private readonly options: { without: ReadonlySet<number> },
  ) {}

  /** The parent's entry for a path; paths are asked for in ascending order. */
  async at(path: string): Promise<Entry | undefined> {
    if (!this.reader) return undefined;
    if (!this.#entries) {
      this.#entries = this.reader.entries();
      await this.#advance();
    }
    while (this.#next && this.#next.path < path) await this.#advance();
    return this.#next?.path === path && this.#canRely(this.#next) ? this.#next : undefined;
  }

  async #advance(): Promise<void> {
    const { value, done } = await this.#entries!.next();
    this.#next = done ? undefined : value;
  }

  #canRely(entry: Entry): boolean {
    return entry.type !== "file" || this.isWhole(entry.runs);
  }

  /** Whether all of it is still in the store. */
  isWhole(runs: Iterable<Run>): boolean {
    if (this.options.without.size === 0) return true;
    for (const { pack } of runs) if (!this.hasPack(pack)) return false;
    return true;
  }

  /** Whether a pack of the parent is still in the store, as far as is known. */
  hasPack(number: number): boolean {
    return !this.options.without.has(number);
  }

  /** Where a whole content lies, when any file of the parent or of this run has it. */
  async find(contentHash: string): Promise<Iterable<PendingRun> | undefined> {
    if (!this.#isIndexed) await this.#index();
    const found = this.#contents.get(keyOf(contentHash));
    return typeof found === "number"
      ? this.pending([{ count: 1, pack: Math.floor(found / packBlockLimit), index: found % packBlockLimit }])
      : found;
  }

  /** Whether a file of more than one block and of this size is known: only then it pays to hash one before storing it. */
  async hasSize(size: number): Promise<boolean> {
    if (!this.#isIndexed) await this.#index();
    return this.#sizes.has(size);
  }

  /** Notes where this run has stored a content. */
  add(contentHash: string, size: number, runs: Iterable<PendingRun>): void {
    this.#contents.set(keyOf(contentHash), runs);
    if (size > fileBlockSize) this.#sizes.add(size);
  }

  /** Everything is found that was to be found: gives the memory back. */
  end(): void {
    this.#contents.clear();
    this.reader?.packs.rest();
  }

  /** One walk through the parent's tree, made when a path is new or changed: it may be an old one's content. */
  async #index(): Promise<void> {
    this.#isIndexed = true;
    if (!this.reader) return;
    const heap = new Heap();
    for await (const entry of this.reader.entries()) {
      // A database moves by its pages, and a table by its rows: no file has their hash, and their runs can be many.
      if (entry.type !== "file" || entry.contentHash === undefined || isHashedByBlocks(entry)) continue;
      if (!this.#canRely(entry)) continue;
      const key = keyOf(entry.contentHash);
      if (!this.#contents.has(key)) this.#contents.set(key, blockNumber(entry.runs) ?? this.pending(entry.runs));
      if (entry.size > fileBlockSize) this.#sizes.add(entry.size);
      if (this.#contents.size % 4096 === 0) heap.tend();
    }
  }

  /** Runs of the parent, among those of this run: a few as an array, many without a copy of them. */
  pending(runs: Iterable<Run>): Iterable<PendingRun> {
    return Array.isArray(runs) ? Array.from(this.#pending(runs)) : { [Symbol.iterator]: () => this.#pending(runs) };
  }

  *#pending(runs: Iterable<Run>): Generator<PendingRun> {
    for (const { count, pack, index } of runs) {
      yield pack === 0 ? { index: 0, count } : { at: this.place(pack), index, count };
    }
  }

  /** A pack of the parent, as a place: the same one each time. */
  place(pack: number): Place {
    let place = this.#places.get(pack);
    if (!place) this.#places.set(pack, place = { pack, first: 0 });
    return place;
  }
}

/** A single block as one number: of 100,000 small files an array of runs each would take 10 MB. */
function blockNumber(runs: Iterable<Run>): number | undefined {
  const [run, another] = runs;
  const isOne = run?.count === 1 && run.pack !== 0 && another === undefined;
  return isOne ? run.pack * packBlockLimit + run.index : undefined;
}

/** As much of the hash as blocks are told apart by, a byte for a character: with 100,000 files this memory counts. */
function keyOf(contentHash: string): string {
  return Buffer.from(contentHash.slice(0, hashSize * 2), "hex").toString("latin1");
}

/** Whether a file is what it was by size, time and inode, and was old enough then for that to mean something. */
export function isUnchanged(
  parent: Pick<FileEntry, "size" | "mtimeMs" | "inode">,
  now: { size: number; mtimeMs: number; inode: number },
  parentTimeMs: number,
): boolean {
  return isSettledFile(parent, parentTimeMs) && parent.inode !== 0 &&
    parent.inode === now.inode &&
    parent.size === now.size && parent.mtimeMs === now.mtimeMs;
}

/** Written within the clock's grain of the snapshot itself, it could have been written again without looking different. */
export function isSettledFile({ mtimeMs }: Pick<FileEntry, "mtimeMs">, snapshotMs: number): boolean {
  return mtimeMs < snapshotMs - 2_000;
}
