import { AmberError } from "../errors.ts";
import type { ObjectStore } from "../stores/store.ts";
import { BlocksHash } from "./content_hash.ts";
import type { HeldFrame } from "./frame_cache.ts";
import { hashSize } from "./pack.ts";
import { PackReader } from "./pack_reader.ts";
import type { BlockPool } from "./pool.ts";
import { countBlocks } from "./run_list.ts";
import type { Run, Snapshot } from "./snapshot_file.ts";
import { type Entry, type FileEntry, isHashedByBlocks, readTree } from "./tree.ts";

/** A part of a file's content, `size` bytes from `from`; without bytes it is a hole, all zeros. */
export interface Piece {
  from: number;
  size: number;
  bytes?: Uint8Array;
}

/** What one frame gives to a file; without bytes: holes. */
export interface Part {
  /** Triples, since a database may have a million: bytes from the file's beginning, from the frame's, and how many. */
  segments: readonly number[];
  /** The opened frame. */
  bytes?: Uint8Array;
}

/** Blocks of one frame that stand in a row, in a file and in the frame. */
interface Stretch {
  /** Bytes from the file's beginning. */
  from: number;
  size: number;
  /** Absent: a hole. */
  source?: { pack: number; frame: number; from: number };
}

/** How many frames are being opened before, and while, one is in use: enough to keep both workers at it. */
const framesAhead = 4;

/** A fragmented file is put together in parts of so many bytes: each frame that a part needs is opened once for it. */
const windowSize = 24 << 20;

/** Reads what is in one snapshot; each block is checked against its hash before anybody sees it. */
export class SnapshotReader {
  readonly packs: PackReader;

  constructor(store: ObjectStore, readonly snapshot: Snapshot, pool: BlockPool) {
    this.packs = new PackReader(store, pool, snapshot.packs);
  }

  /** Every path, in order. @throws {AmberError} OBJECT_MISSING, OBJECT_DAMAGED */
  async *entries(): AsyncGenerator<Entry> {
    yield* readTree(this.#treeBlocks());
  }

  async *#treeBlocks(): AsyncGenerator<Uint8Array> {
    for (const { count, pack, index } of this.snapshot.facts.tree) {
      if (pack === 0) throw damagedTree(this.snapshot, "a part of it is nowhere");
      const toc = await this.packs.toc(pack);
      for (let i = index; i < index + count; i++) {
        const { frame, from, size } = this.packs.locate(toc, pack, i);
        using held = await this.packs.frame(pack, frame);
        yield held.bytes.subarray(from, from + size);
      }
    }
  }

  /**
   * A file's content, frame by frame in the order in which the file needs them: however fragmented it is, each frame is
   * opened once. The bytes are not to be changed, and are there until the next part is asked for.
   */
  async *parts(entry: FileEntry): AsyncGenerator<Part> {
    await this.#vouch(entry);
    const parts = new Map<string | number, { source?: Stretch["source"]; segments: number[] }>();
    for await (const { from, size, source } of this.#stretches(entry)) {
      const key = source ? frameKey(source) : from;
      if (!parts.has(key)) parts.set(key, { source, segments: [] });
      parts.get(key)!.segments.push(from, source?.from ?? 0, size);
    }
    for await (const [{ segments }, bytes] of this.#withFrames([...parts.values()])) {
      yield { segments, ...(bytes ? { bytes } : {}) };
    }
  }

  /**
   * A file's content in order, from its beginning to its end, holes among it. The bytes are not to be changed, and are
   * there until the next piece is asked for.
   */
  async *pieces(entry: FileEntry): AsyncGenerator<Piece> {
    await this.#vouch(entry);
    let window: Stretch[] = [];
    let size = 0;
    let whole = new Uint8Array(0);
    const memory = (size: number) => {
      if (whole.length < size) whole = new Uint8Array(size);
      return whole.subarray(0, size);
    };
    for await (const stretch of this.#stretches(entry)) {
      window.push(stretch);
      size += stretch.source ? stretch.size : 0;
      if (size >= windowSize) {
        yield* this.#windowPieces(window, memory);
        window = [];
        size = 0;
      }
    }
    yield* this.#windowPieces(window, memory);
  }

  /** Whichever is cheaper: frame after frame as they come, or each frame once and its blocks put where they belong. */
  async *#windowPieces(window: readonly Stretch[], memory: (size: number) => Uint8Array): AsyncGenerator<Piece> {
    const sourced = window.filter(({ source }) => source);
    const frames = new Set(sourced.map(({ source }) => frameKey(source!)));
    yield* sourced.length <= frames.size * 2 ? this.#inOrder(window) : this.#putTogether(window, memory);
  }

  async *#inOrder(window: readonly Stretch[]): AsyncGenerator<Piece> {
    for await (const [{ from, size, source }, bytes] of this.#withFrames(window)) {
      yield { from, size, ...(bytes ? { bytes: bytes.subarray(source!.from, source!.from + size) } : {}) };
    }
  }

  async *#putTogether(window: readonly Stretch[], memory: (size: number) => Uint8Array): AsyncGenerator<Piece> {
    for (const part of withoutHoles(window)) {
      const first = part[0]!;
      const size = part.reduce((sum, one) => sum + one.size, 0);
      if (!first.source) {
        yield { from: first.from, size };
        continue;
      }
      const whole = memory(size);
      const groups = [...Map.groupBy(part, ({ source }) => frameKey(source!)).values()];
      const sourced = groups.map((group) => ({ group, source: group[0]!.source }));
      for await (const [{ group }, bytes] of this.#withFrames(sourced)) {
        for (const { from, size, source } of group) {
          whole.set(bytes!.subarray(source!.from, source!.from + size), from - first.from);
        }
      }
      yield { from: first.from, size, bytes: whole };
    }
  }

  /** Each of them, in order, with the bytes of its frame, there until the next one is asked for; none for a hole. */
  async *#withFrames<Item extends { source?: Stretch["source"] }>(
    items: readonly Item[],
  ): AsyncGenerator<[Item, Uint8Array | undefined]> {
    const waiting: (Promise<HeldFrame> | undefined)[] = [];
    try {
      for (const [i, item] of items.entries()) {
        while (waiting.length < framesAhead && i + waiting.length < items.length) {
          waiting.push(this.#startFrame(items[i + waiting.length]!.source));
        }
        using frame = await waiting.shift();
        yield [item, frame?.bytes];
      }
    } finally {
      for (const frame of waiting) frame?.then((held) => held[Symbol.dispose](), () => {});
    }
  }

  #startFrame(source: Stretch["source"]): Promise<HeldFrame> | undefined {
    const frame = source && this.packs.frame(source.pack, source.frame);
    frame?.catch(() => {}); // heard when its turn comes
    return frame;
  }

  async *#stretches({ blockSize, size: fileSize, path, runs, contentHash }: FileEntry): AsyncGenerator<Stretch> {
    let at = 0;
    for (const { count, pack, index } of runs) {
      if (pack === 0) {
        const size = Math.min(count * blockSize, fileSize - at);
        yield { from: at, size };
        at += size;
        continue;
      }
      const toc = await this.packs.toc(pack);
      let stretch: Stretch | undefined;
      for (let i = index; i < index + count; i++) {
        const { frame, from, size } = this.packs.locate(toc, pack, i);
        const isFit = blockSize === 0
          ? at + size <= fileSize || contentHash === undefined
          : size === Math.min(blockSize, fileSize - at);
        if (!isFit) throw misfit(path, size);
        const source = stretch?.source;
        if (source && source.frame === frame && source.from + stretch!.size === from) stretch!.size += size;
        else {
          if (stretch) yield stretch;
          stretch = { from: at, size, source: { pack, frame, from } };
        }
        at += size;
      }
      if (stretch) yield stretch;
    }
    if (at !== fileSize && contentHash !== undefined) throw misfit(path, fileSize - at);
  }

  /** Whether blocks that a hash stands for are those that were recorded. Each one's content is checked when its frame is opened. */
  async isWhole(entry: FileEntry): Promise<boolean> {
    const { contentHash, runs } = entry;
    if (!isHashedByBlocks(entry) || contentHash === undefined) return true;
    const whole = new BlocksHash();
    for (const { count, pack, index } of runs) {
      if (pack === 0) whole.addHoles(count);
      else {
        const toc = await this.packs.toc(pack);
        this.packs.locate(toc, pack, index + count - 1); // is it there at all?
        whole.add(toc.hashes.subarray(index * hashSize, (index + count) * hashSize));
      }
    }
    return whole.digest() === contentHash;
  }

  async #vouch(entry: FileEntry): Promise<void> {
    if (await this.isWhole(entry)) return;
    throw new AmberError("OBJECT_DAMAGED", {
      message: `Cannot read "${entry.path}" from the snapshot: its blocks do not have the hash that was recorded`,
      where: entry.path,
      hint: "amber verify says what else is damaged. Other snapshots can still be restored: amber snapshots",
    });
  }

  /** The hashes of blocks, 16 bytes each, from the tables of contents; zeros for holes. */
  async hashes(runs: Iterable<Run>): Promise<Uint8Array> {
    const all = new Uint8Array(countBlocks(runs) * hashSize);
    let at = 0;
    for (const { count, pack, index } of runs) {
      if (pack !== 0) {
        const toc = await this.packs.toc(pack);
        this.packs.locate(toc, pack, index + count - 1); // is it there at all?
        all.set(toc.hashes.subarray(index * hashSize, (index + count) * hashSize), at);
      }
      at += count * hashSize;
    }
    return all;
  }
}

function frameKey({ pack, frame }: { pack: number; frame: number }): string {
  return `${pack}/${frame}`;
}

/** Stretches in parts, each of holes alone or without any. */
function* withoutHoles(window: readonly Stretch[]): Generator<Stretch[]> {
  let part: Stretch[] = [];
  for (const stretch of window) {
    if (part.length > 0 && !part[0]!.source !== !stretch.source) {
      yield part;
      part = [];
    }
    part.push(stretch);
  }
  if (part.length > 0) yield part;
}

function misfit(path: string, size: number): AmberError {
  return new AmberError("OBJECT_DAMAGED", {
    message: `Cannot read "${path}" from the snapshot: a block has ${size} bytes, which does not fit the file`,
    where: path,
    hint: "amber verify says what else is damaged. Other snapshots can still be restored: amber snapshots",
  });
}

function damagedTree(snapshot: Snapshot, why: string): AmberError {
  return new AmberError("OBJECT_DAMAGED", {
    message: `Cannot read the snapshot's list of files: ${why}`,
    where: `snapshots/${snapshot.name}.json`,
    hint: "Other snapshots can still be restored: amber snapshots",
  });
}
