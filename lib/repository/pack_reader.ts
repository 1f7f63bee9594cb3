import { AmberError } from "../errors.ts";
import { free } from "../memory.ts";
import type { ObjectStore } from "../stores/store.ts";
import { FrameCache, type HeldFrame } from "./frame_cache.ts";
import { damagedPack, decodeToc, type FrameInfo, frameOf, hashSize, packName, type Toc } from "./pack.ts";
import type { BlockPool } from "./pool.ts";
import type { PackRef } from "./snapshot_file.ts";

/** How much is kept: tables of contents and opened frames, bytes. */
const tocBudget = 12 << 20;
const frameBudget = 8 << 20;

/** A read table of contents takes 24 bytes for a block instead of 20: it also says where each begins in its frame. */
const tocGrowth = 1.2;

/** Reads packs of one snapshot: tables of contents and frames, each only once as long as they are in use. */
export class PackReader {
  readonly #packs: ReadonlyMap<number, PackRef>;
  readonly #tocs = new Recent<number, Promise<Toc>>(tocBudget);
  readonly #frames = new FrameCache(frameBudget);

  constructor(private readonly store: ObjectStore, private readonly pool: BlockPool, packs: readonly PackRef[]) {
    this.#packs = new Map(packs.map((pack) => [pack.number, pack]));
  }

  pack(number: number): PackRef {
    const pack = this.#packs.get(number);
    if (pack) return pack;
    throw damagedPack(String(number), "a snapshot names a pack that is not in its own list");
  }

  /** Forgets the frames that it keeps: between two readings that are far apart. */
  rest(): void {
    this.#frames.clear();
  }

  /** @throws {AmberError} OBJECT_MISSING, OBJECT_DAMAGED */
  async toc(number: number): Promise<Toc> {
    const { hash, size, tocSize } = this.pack(number);
    return await this.#tocs.get(number, tocSize * tocGrowth, async () => {
      const bytes = await this.#read(hash, size - tocSize, tocSize);
      const toc = decodeToc(bytes, size, packName(hash));
      free(bytes);
      return toc;
    });
  }

  /** An opened frame, each of its blocks checked. Its bytes are not to be changed: others may read it too. */
  async frame(number: number, index: number): Promise<HeldFrame> {
    const toc = await this.toc(number);
    const info = toc.frames[index]!;
    return await this.#frames.hold(
      `${number}/${index}`,
      info.rawSize,
      (sink) => this.#openFrame(number, toc, info, sink),
    );
  }

  /** Which frame has a block, and where in it. @throws {AmberError} OBJECT_DAMAGED when the pack has no such block. */
  locate(toc: Toc, number: number, block: number): { frame: number; from: number; size: number } {
    if (block >= toc.sizes.length) {
      throw damagedPack(packName(this.pack(number).hash), `a snapshot names block ${block}, which it does not have`);
    }
    return { frame: frameOf(toc, block), from: toc.offsets[block]!, size: toc.sizes[block]! };
  }

  async #openFrame(
    number: number,
    toc: Toc,
    { from, size, rawSize, firstBlock, blocks }: FrameInfo,
    sink: Uint8Array,
  ): Promise<Uint8Array> {
    const { hash } = this.pack(number);
    const stored = await this.#read(hash, from, size);
    const { bytes, failure } = await this.pool.run({
      kind: "open",
      bytes: stored,
      sink,
      rawSize,
      sizes: toc.sizes.slice(firstBlock, firstBlock + blocks),
      hashes: toc.hashes.slice(firstBlock * hashSize, (firstBlock + blocks) * hashSize),
    });
    if (bytes) return bytes;
    throw damagedPack(packName(hash), failure ?? "a frame cannot be opened");
  }

  async #read(hash: string, from: number, size: number): Promise<Uint8Array> {
    const name = packName(hash);
    const bytes = await this.store.get(name, { from, size });
    if (bytes === undefined) throw missingPack(name);
    if (bytes.length !== size) throw damagedPack(name, "it is shorter than the snapshot says");
    return bytes;
  }
}

export function missingPack(name: string): AmberError {
  return new AmberError("OBJECT_MISSING", {
    message: `Cannot read the pack "${name}": it is not there`,
    where: name,
    hint: "amber verify says which snapshots it touches. The others can still be restored: amber snapshots",
  });
}

/** Values by key, the least recently used forgotten first when their sizes exceed the budget. */
class Recent<Key, Value extends Promise<unknown>> {
  readonly #kept = new Map<Key, { value: Value; size: number }>();
  #size = 0;

  constructor(private readonly budget: number) {}

  get(key: Key, size: number, make: () => Value): Value {
    const known = this.#kept.get(key);
    if (known) {
      this.#kept.delete(key);
      this.#kept.set(key, known);
      return known.value;
    }
    const value = make();
    value.catch(() => this.#forget(key));
    this.#kept.set(key, { value, size });
    this.#size += size;
    for (const [oldest] of this.#kept) {
      if (this.#size <= this.budget || oldest === key) break;
      this.#forget(oldest);
    }
    return value;
  }

  clear(): void {
    for (const key of [...this.#kept.keys()]) this.#forget(key);
  }

  #forget(key: Key): void {
    this.#size -= this.#kept.get(key)?.size ?? 0;
    this.#kept.delete(key);
  }
}
