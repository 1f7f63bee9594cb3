import { hash } from "node:crypto";
import { BlocksHash, ContentHash } from "../repository/content_hash.ts";
import { hashSize, sameHash } from "../repository/pack.ts";
import type { Packer } from "../repository/packer.ts";
import { PendingList, type PendingRun, type Place } from "../repository/pending_runs.ts";
import type { BlockPool } from "../repository/pool.ts";
import type { Run } from "../repository/snapshot_file.ts";
import type { FileEntry } from "../repository/tree.ts";
import type { KnownContent } from "./known_content.ts";

/** Something to be stored: a file, or a database's image. */
export interface Content {
  blockSize: number;
  /** Its hash is then one over those of its blocks. */
  database: boolean;
  /** Fills the buffer with the next bytes: all of it, or as many whole blocks as fit, until the end; 0 then. */
  read(buffer: Uint8Array): number;
}

export interface StoredContent {
  runs: Iterable<PendingRun>;
  contentHash: string;
  size: number;
}

export interface ContentStore {
  packer: Packer;
  pool: BlockPool;
  known: KnownContent;
  stop: AbortSignal;
  /** Bytes read, for the progress. */
  read: (bytes: number) => void;
  /** Told in the middle of a long content how far it has come. */
  begun?: (runs: Iterable<PendingRun>) => Promise<void>;
}

/** Bytes that are read at once, and how many such buffers may be with the workers. */
const bufferSize = 1 << 20;
const buffersInFlight = 4;

/** Stores a small file, one block or none, whose bytes are all here. */
export async function storeSmall(
  bytes: Uint8Array,
  parent: FileEntry | undefined,
  to: ContentStore,
): Promise<StoredContent> {
  const digest = hash("sha256", bytes, "buffer"); // leaves less behind than createHash: of 100,000 files 10 MB
  const contentHash = digest.toString("hex");
  const done = (runs: Iterable<PendingRun>) => ({ runs, contentHash, size: bytes.length });
  to.read(bytes.length);
  if (bytes.length === 0) return done([]);
  if (parent?.contentHash === contentHash) return done(to.known.pending(parent.runs));
  const elsewhere = await to.known.find(contentHash);
  if (elsewhere) return done(elsewhere);
  const runs = [bytes.every((byte) => byte === 0) ? { index: 0, count: 1 } : to.packer.add(bytes, digest)];
  to.known.add(contentHash, bytes.length, runs);
  await to.packer.room();
  return done(runs);
}

/**
 * Stores a content block by block: a block that is in the parent's file at the same place costs nothing, a block of zeros
 * is a hole, the rest goes to the packer. Hashing blocks is the workers' work; a file's whole hash is made here meanwhile.
 */
export async function storeBlocks(
  content: Content,
  parent: FileEntry | undefined,
  to: ContentStore,
): Promise<StoredContent> {
  const { blockSize, database } = content;
  const whole = database ? new BlocksHash() : new ContentHash(content);
  const runs = new PendingList();
  const base = new KnownBlocks(parent?.blockSize === blockSize ? parent : undefined, to.known);
  const waiting: { job: ReturnType<BlockPool["run"]>; size: number }[] = [];
  const buffers: Uint8Array[] = [];
  let size = 0;
  const take = async () => {
    const { job, size } = waiting.shift()!;
    const { spare: bytes, hashes, failure } = await job;
    if (!bytes || !hashes) throw new Error(failure ?? "a worker gave nothing back");
    if (whole instanceof BlocksHash) whole.add(hashes);
    const count = hashes.length / hashSize;
    const known = await base.next(count);
    for (let i = 0; i < count; i++) {
      const at = i * hashSize;
      const place = known.places[i];
      if (isHole(hashes, at)) runs.push(undefined, 0);
      else if (place && sameHash(hashes, at, known.hashes, at)) runs.push(place, known.indexes[i]!);
      else {
        const block = bytes.subarray(i * blockSize, Math.min(size, (i + 1) * blockSize));
        const { at: place, index } = to.packer.add(block, hashes.subarray(at, at + hashSize));
        runs.push(place, index);
        if (i % 64 === 63) await to.packer.room();
      }
    }
    await to.packer.room();
    buffers.push(bytes);
    await to.begun?.(runs);
  };
  for (;;) {
    to.stop.throwIfAborted();
    const bytes = buffers.pop() ?? new Uint8Array(bufferSize);
    const count = content.read(bytes);
    if (count === 0) break;
    if (whole instanceof ContentHash) whole.update(bytes.subarray(0, count));
    size += count;
    to.read(count);
    const job = to.pool.run({ kind: "hash", bytes, size: count, blockSize });
    job.catch(() => {}); // heard in its turn
    waiting.push({ job, size: count });
    if (waiting.length >= buffersInFlight) await take();
  }
  while (waiting.length > 0) await take();
  return { runs, contentHash: whole.digest(), size };
}

/** The hash of a content, as storing it would give. */
export async function hashContent(content: Content, { stop }: Pick<ContentStore, "stop">): Promise<string> {
  const whole = new ContentHash(content);
  const bytes = new Uint8Array(bufferSize);
  for (let count; (count = content.read(bytes)) > 0;) {
    whole.update(bytes.subarray(0, count));
    await new Promise<void>((resolve) => setImmediate(resolve)); // lets a signal in
    stop.throwIfAborted();
  }
  return whole.digest();
}

function isHole(hashes: Uint8Array, at: number): boolean {
  for (let i = 0; i < hashSize; i++) if (hashes[at + i] !== 0) return false;
  return true;
}

/** The parent's blocks of a window: their hashes, and where each lies; a hole lies nowhere. */
interface Window {
  hashes: Uint8Array;
  places: (Place | undefined)[];
  indexes: number[];
}

/** The blocks of the parent's file in order, a window at a time, whatever the file's size. */
class KnownBlocks {
  readonly #runs: Iterator<Run>;
  #run?: Run; // the one that is being taken; undefined: there are no more
  #taken = 0; // blocks of that run

  constructor(parent: FileEntry | undefined, private readonly known: KnownContent) {
    this.#runs = (parent?.runs ?? [])[Symbol.iterator]();
    this.#advance();
  }

  /** The next blocks, at most so many. */
  async next(count: number): Promise<Window> {
    const window: Window = { hashes: new Uint8Array(0), places: [], indexes: [] };
    const runs: Run[] = [];
    for (let room = count; this.#run && room > 0;) {
      const run = this.#run;
      const taken = Math.min(room, run.count - this.#taken);
      const index = run.index + this.#taken;
      const place = run.pack === 0 ? undefined : this.known.place(run.pack);
      runs.push({ count: taken, pack: run.pack, index });
      for (let i = 0; i < taken; i++) {
        window.places.push(place);
        window.indexes.push(index + i);
      }
      room -= taken;
      this.#taken += taken;
      if (this.#taken === run.count) this.#advance();
    }
    if (runs.length > 0) window.hashes = await this.known.reader!.hashes(runs);
    return window;
  }

  #advance(): void {
    const { value, done } = this.#runs.next();
    this.#run = done ? undefined : value;
    this.#taken = 0;
  }
}
