import type { PendingRun, Place } from "../repository/packer.ts";
import type { SnapshotReader } from "../repository/reader.ts";
import type { Run } from "../repository/snapshot_file.ts";
import type { Entry, FileEntry } from "../repository/tree.ts";

/**
 * What the parent of a snapshot has stored already: its paths, asked for in order, and its contents, wherever they lie
 * now.
 */
export class KnownContent {
  readonly #places = new Map<number, Place>();
  readonly #contents = new Map<string, PendingRun[]>();
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
  isWhole(runs: readonly Run[]): boolean {
    return !runs.some((run) => this.options.without.has(run.pack));
  }

  /** Where a whole content lies, when any file of the parent or of this run has it. */
  async find(sha256: string): Promise<PendingRun[] | undefined> {
    if (!this.#isIndexed) await this.#index();
    return this.#contents.get(keyOf(sha256));
  }

  /** Notes where this run has stored a content. */
  add(sha256: string, runs: PendingRun[]): void {
    this.#contents.set(keyOf(sha256), runs);
  }

  /** One walk through the parent's tree, made when a path is new or changed: it may be an old one's content. */
  async #index(): Promise<void> {
    this.#isIndexed = true;
    if (!this.reader) return;
    for await (const entry of this.reader.entries()) {
      // A database moves by its pages; its runs can be long.
      if (entry.type !== "file" || entry.sha256 === undefined || entry.database || !this.#canRely(entry)) continue;
      if (!this.#contents.has(keyOf(entry.sha256))) this.#contents.set(keyOf(entry.sha256), this.pending(entry.runs));
    }
  }

  /** Runs of the parent, among those of this run. */
  pending(runs: readonly Run[]): PendingRun[] {
    return runs.map((
      { count, pack, index },
    ) => (pack === 0 ? { index: 0, count } : { at: this.place(pack), index, count }));
  }

  /** A pack of the parent, as a place: the same one each time. */
  place(pack: number): Place {
    let place = this.#places.get(pack);
    if (!place) this.#places.set(pack, place = { pack, first: 0 });
    return place;
  }
}

/** 96 bits of the hash, as the shortest string: with 100,000 files the memory of this map counts. */
function keyOf(sha256: string): string {
  return sha256.slice(0, 24);
}

/** Whether a file is what it was by size, time and inode, and was old enough then for that to mean something. */
export function isUnchanged(
  parent: Pick<FileEntry, "size" | "mtimeMs" | "inode" | "sha256">,
  now: { size: number; mtimeMs: number; inode: number },
  parentTimeMs: number,
): boolean {
  // Written within the clock's grain of the snapshot itself, it could have been written again without looking different.
  const isSettled = parent.mtimeMs < parentTimeMs - 2_000;
  return parent.sha256 !== undefined && isSettled && parent.inode !== 0 && parent.inode === now.inode &&
    parent.size === now.size && parent.mtimeMs === now.mtimeMs;
}
