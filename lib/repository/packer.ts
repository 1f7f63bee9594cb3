import { createHash } from "node:crypto";
import { free } from "../memory.ts";
import type { ObjectStore } from "../stores/store.ts";
import { encodeToc, type Frame, frameTarget, hashSize, packBlocks, packName, packTarget } from "./pack.ts";
import type { PendingRun, Place } from "./pending_runs.ts";
import type { BlockPool } from "./pool.ts";
import type { PackRef } from "./snapshot_file.ts";

/** How many frames may wait to be compressed or stored: bounds the memory. */
const framesInFlight = 3;

/** Most bytes of a compressed frame: one that could not be compressed, and some. */
const frameLimit = frameTarget + (64 << 10);

/** Collects new blocks into frames, compresses them in the pool and stores full packs. */
export class Packer {
  /** Packs that are stored, in order. */
  readonly packs: PackRef[] = [];
  /** Bytes stored. */
  stored = 0;
  #frame: Uint8Array = new Uint8Array(frameTarget);
  #used = 0;
  #sizes: number[] = [];
  #hashes = new Uint8Array(hashSize * 256);
  #place: Place = { pack: 0, first: 0 };
  #inFlight = 0;
  #wake?: () => void;
  #tail: Promise<void> = Promise.resolve();
  #failure: unknown;

  readonly #spare: Uint8Array[] = []; // buffers of frames that are done
  #pack = new Uint8Array(packTarget + frameLimit); // the pack that is being filled
  #other = new Uint8Array(0); // the one before it
  #storing: Promise<void> = Promise.resolve(); // of that one
  #storingSize = 0;
  #open: Frame[] = []; // its frames
  #openSize = 0;
  #openBlocks = 0;
  #number: number;

  /** @param options.firstNumber The number of the first pack that is stored. */
  constructor(
    private readonly store: ObjectStore,
    private readonly pool: BlockPool,
    private readonly options: { firstNumber: number; random: (size: number) => Uint8Array },
  ) {
    this.#number = options.firstNumber;
  }

  /** Bytes stored, and those that wait until a pack of them is full. */
  get taken(): number {
    return this.stored + this.#storingSize + this.#openSize;
  }

  /** Takes a block; its bytes are copied. Call `room()` now and then: it waits while too much is under way. */
  add(bytes: Uint8Array, hash: Uint8Array): PendingRun & { at: Place } {
    const isFull = this.#used + bytes.length > frameTarget || this.#sizes.length === packBlocks;
    if (this.#used > 0 && isFull) this.#closeFrame();
    this.#frame.set(bytes, this.#used);
    this.#used += bytes.length;
    const index = this.#sizes.length;
    if ((index + 1) * hashSize > this.#hashes.length) {
      const larger = new Uint8Array(this.#hashes.length * 2);
      larger.set(this.#hashes);
      this.#hashes = larger;
    }
    this.#hashes.set(hash.subarray(0, hashSize), index * hashSize);
    this.#sizes.push(bytes.length);
    return { at: this.#place, index, count: 1 };
  }

  /** Waits until there is room for more. @throws what a store threw. */
  async room(): Promise<void> {
    while (this.#inFlight >= framesInFlight && this.#failure === undefined) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits until every place is known, so that the runs of all that was added can be settled. */
  async settle(): Promise<void> {
    if (this.#used > 0) this.#closeFrame();
    await this.#tail;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Stores everything that was added. */
  async flush(): Promise<void> {
    await this.settle();
    await this.#closePack();
    await this.#storing;
  }

  #closeFrame(): void {
    const place = this.#place;
    const sizes = this.#sizes;
    const hashes = this.#hashes.slice(0, sizes.length * hashSize);
    const compressed = this.pool.run({ kind: "compress", bytes: this.#frame, size: this.#used });
    compressed.catch(() => {}); // heard below, in its turn
    this.#frame = this.#spare.pop() ?? new Uint8Array(frameTarget);
    this.#used = 0;
    this.#sizes = [];
    this.#place = { pack: 0, first: 0 };
    this.#inFlight++;
    this.#tail = this.#tail.then(async () => {
      try {
        if (this.#failure !== undefined) return;
        const { bytes, spare, failure } = await compressed;
        if (!bytes) throw new Error(failure);
        if (spare) this.#spare.push(spare);
        await this.#placeFrame(bytes, { stored: bytes.length, sizes, hashes }, place);
        free(bytes);
      } catch (error) {
        this.#failure = error;
      } finally {
        this.#inFlight--;
        this.#wake?.();
      }
    });
  }

  async #placeFrame(bytes: Uint8Array, frame: Frame, place: Place): Promise<void> {
    const isFull = this.#openSize + bytes.length > packTarget || this.#openBlocks + frame.sizes.length > packBlocks;
    if (isFull) await this.#closePack();
    place.pack = this.#number;
    place.first = this.#openBlocks;
    this.#pack.set(bytes, this.#openSize);
    this.#open.push(frame);
    this.#openSize += bytes.length;
    this.#openBlocks += frame.sizes.length;
  }

  /** Begins to store the pack, when the one before it is stored; the next one can be filled meanwhile. */
  async #closePack(): Promise<void> {
    if (this.#open.length === 0) return;
    const toc = encodeToc(this.#open, this.options.random(16));
    if (this.#openSize + toc.length > this.#pack.length) {
      const larger = new Uint8Array(this.#openSize + toc.length);
      larger.set(this.#pack.subarray(0, this.#openSize));
      this.#pack = larger;
    }
    this.#pack.set(toc, this.#openSize);
    const bytes = this.#pack.subarray(0, this.#openSize + toc.length);
    const ref = { number: this.#number++, size: bytes.length, tocSize: toc.length, blocks: this.#openBlocks };
    this.#open = [];
    this.#openSize = this.#openBlocks = 0;
    await this.#storing;
    const filled = this.#pack;
    this.#pack = this.#other.length > 0 ? this.#other : new Uint8Array(packTarget + frameLimit);
    this.#other = filled;
    this.#storing = this.#store(bytes, ref);
    this.#storing.catch((error) => this.#failure ??= error); // also heard by flush(), and before the next one
  }

  async #store(bytes: Uint8Array, ref: Omit<PackRef, "hash">): Promise<void> {
    this.#storingSize = bytes.length;
    const hash = createHash("sha256").update(bytes).digest("hex");
    await this.store.put(packName(hash), bytes);
    this.packs.push({ ...ref, hash });
    this.stored += ref.size;
    this.#storingSize = 0;
  }
}
