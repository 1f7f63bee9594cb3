import { Buffer } from "node:buffer";
import { Garbage } from "../memory.ts";
import { BlocksHash } from "../repository/content_hash.ts";
import { hashSize, packBlockLimit } from "../repository/pack.ts";
import { PendingList, type Place } from "../repository/pending_runs.ts";
import type { BlockPool } from "../repository/pool.ts";
import { RowCutter } from "../repository/row_cutter.ts";
import { countBlocks, partOf } from "../repository/run_list.ts";
import type { FileEntry } from "../repository/tree.ts";
import type { KnownContent } from "./known_content.ts";
import type { ContentStore, StoredContent } from "./store_content.ts";

/** Bytes that are cut at once, and how many such buffers may be with the workers. */
const bufferSize = 1 << 20;
const buffersInFlight = 4;

/** Blocks of the parent that are looked through together, and how many such parts are kept in mind: about 300 MB of rows. */
const partBlocks = 8192;
const partsKept = 8;

/** So many blocks that are new in a row: what follows is perhaps in another part of the parent. */
const lostAfter = 1024;

/**
 * Stores rows in COPY's text form: a block that the parent has, wherever in this table, costs nothing. Gives how many rows
 * there were.
 */
export async function storeRows(
  chunks: AsyncIterable<Uint8Array>,
  parent: FileEntry | undefined,
  to: ContentStore,
): Promise<StoredContent & { rows: number }> {
  const storing = new RowStoring(parent, to);
  const garbage = new Garbage(16 << 20); // what a socket gives is used once
  for await (const chunk of chunks) {
    to.stop.throwIfAborted();
    to.read(chunk.length);
    await storing.add(chunk);
    garbage.add(chunk.length);
  }
  return await storing.end();
}

class RowStoring {
  readonly #cutter = new RowCutter();
  readonly #whole = new BlocksHash();
  readonly #runs = new PendingList();
  readonly #waiting: { job: ReturnType<BlockPool["run"]>; sizes: Uint32Array }[] = [];
  readonly #spare: Uint8Array[] = [];
  readonly #known: KnownRows;
  #bytes: Uint8Array = new Uint8Array(bufferSize);
  #used = 0;
  #size = 0;

  constructor(parent: FileEntry | undefined, private readonly to: ContentStore) {
    this.#known = new KnownRows(parent?.blockSize === 0 ? parent : undefined, to.known);
  }

  async add(chunk: Uint8Array): Promise<void> {
    for (let from = 0; from < chunk.length;) {
      const part = chunk.subarray(from, from + bufferSize - this.#used);
      this.#bytes.set(part, this.#used);
      this.#used += part.length;
      from += part.length;
      if (this.#used === bufferSize) await this.#cut(false);
    }
  }

  async end(): Promise<StoredContent & { rows: number }> {
    await this.#cut(true);
    while (this.#waiting.length > 0) await this.#take();
    return { runs: this.#runs, contentHash: this.#whole.digest(), size: this.#size, rows: this.#cutter.rows };
  }

  /** Hands what is whole to a worker; the beginning of a block goes to the next buffer. */
  async #cut(isEnd: boolean): Promise<void> {
    const bytes = this.#bytes;
    const sizes: number[] = [];
    let end = 0;
    for (let size; (size = this.#cutter.next(bytes.subarray(end, this.#used), isEnd)) !== undefined;) {
      sizes.push(size);
      end += size;
    }
    this.#bytes = this.#spare.pop() ?? new Uint8Array(bufferSize);
    this.#bytes.set(bytes.subarray(end, this.#used));
    this.#used -= end;
    if (end === 0) return;
    this.#size += end;
    const blocks = new Uint32Array(sizes);
    const job = this.to.pool.run({ kind: "hash rows", bytes, sizes: blocks });
    job.catch(() => {}); // heard in its turn
    this.#waiting.push({ job, sizes: blocks });
    if (this.#waiting.length >= buffersInFlight) await this.#take();
  }

  async #take(): Promise<void> {
    const { packer, begun } = this.to;
    const { job, sizes } = this.#waiting.shift()!;
    const { spare: bytes, hashes, failure } = await job;
    if (!bytes || !hashes) throw new Error(failure ?? "a worker gave nothing back");
    this.#whole.add(hashes);
    let from = 0;
    for (const [i, size] of sizes.entries()) {
      const hash = hashes.subarray(i * hashSize, (i + 1) * hashSize);
      const known = await this.#known.find(hash);
      const { at, index } = known ?? packer.add(bytes.subarray(from, from + size), hash);
      this.#runs.push(at, index);
      from += size;
      if (i % 64 === 63) await packer.room();
    }
    await packer.room();
    this.#spare.push(bytes);
    await begun?.(this.#runs);
  }
}

/** The parent's blocks of the same table, found by their hash: a part of them at a time, whatever the table's size. */
class KnownRows {
  readonly #parts: Map<string, number>[] = []; // in order; the number is a block: pack * packBlockLimit + index
  readonly #blocks: number; // of the parent
  #next = 0; // its first block that is in no part yet
  #isRead = false; // all of it is in parts
  #missed = 0; // blocks in a row that were not found

  constructor(private readonly parent: FileEntry | undefined, private readonly known: KnownContent) {
    this.#blocks = countBlocks(parent?.runs ?? []);
  }

  async find(hash: Uint8Array): Promise<{ at: Place; index: number } | undefined> {
    if (this.#blocks === 0) return undefined;
    while (this.#parts.length < partsKept && !this.#isRead) await this.#advance();
    const key = keyOf(hash, 0);
    for (let i = this.#parts.length - 1; i >= 0; i--) {
      const block = this.#parts[i]!.get(key);
      if (block === undefined) continue;
      this.#missed = 0;
      // So that there is as much before what is being found as behind it.
      if (i > partsKept / 2 && !this.#isRead) await this.#advance();
      return { at: this.known.place(Math.floor(block / packBlockLimit)), index: block % packBlockLimit };
    }
    if (++this.#missed >= lostAfter && !this.#isRead) {
      this.#missed = 0;
      await this.#advance();
    }
    return undefined;
  }

  /** Takes in the next part and lets the oldest go; behind the last one the first one follows again. */
  async #advance(): Promise<void> {
    const part = new Map<string, number>();
    const runs = [...partOf(this.parent!.runs, this.#next, this.#next + partBlocks)];
    const hashes = await this.known.reader!.hashes(runs);
    let at = 0;
    for (const { count, pack, index } of runs) {
      for (let i = 0; i < count; i++, at += hashSize) part.set(keyOf(hashes, at), pack * packBlockLimit + index + i);
    }
    this.#parts.push(part);
    if (this.#parts.length > partsKept) this.#parts.shift();
    this.#next += partBlocks;
    if (this.#next < this.#blocks) return;
    this.#isRead = this.#blocks <= partsKept * partBlocks;
    this.#next = 0;
  }
}

function keyOf(hashes: Uint8Array, at: number): string {
  return Buffer.from(hashes.buffer, hashes.byteOffset + at, hashSize).toString("latin1");
}
