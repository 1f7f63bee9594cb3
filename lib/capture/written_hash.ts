import { createHash } from "node:crypto";
import { fill } from "../stores/file_calls.ts";
import type { StagedFile } from "./restore_calls.ts";

/** What is read back at once. */
const chunkSize = 1 << 20;
const zeros = new Uint8Array(chunkSize);
const chunkBytes = new Uint8Array(chunkSize);

/**
 * The SHA-256 of a file that is being written in any order, each byte once: from its beginning on, as far as it is
 * complete. What comes in order is hashed from memory, the rest is read back from the file when its turn comes.
 */
export class WrittenHash {
  readonly #hash = createHash("sha256");
  readonly #early = new Map<number, number>(); // chunk → bytes of it that were written before their turn to be hashed
  #done = 0; // bytes hashed
  #zeros = 0; // that follow

  constructor(private readonly file: StagedFile, private readonly size: number) {}

  /** Takes note of bytes that are being written, or, without any, of zeros that need not be; catchUp() follows. */
  add(at: number, size: number, bytes: Uint8Array | undefined): void {
    if (at !== this.#done) this.#note(at, size);
    else if (bytes) this.#update(bytes);
    else this.#zeros = size;
  }

  /** Hashes what is complete. What was added must stand in the file. */
  async catchUp(stop: AbortSignal): Promise<void> {
    for (let count = 1; this.#step(); count++) {
      // A hole of 50 GB takes half a minute: others get their turn meanwhile.
      if (count % 64 !== 0) continue;
      await new Promise<void>((resolve) => setImmediate(resolve));
      stop.throwIfAborted();
    }
  }

  /** 64 hex digits; undefined when not all of it was written. */
  digest(): string | undefined {
    return this.#done === this.size ? this.#hash.digest("hex") : undefined;
  }

  #note(at: number, size: number): void {
    for (let from = at; from < at + size;) {
      const chunk = Math.floor(from / chunkSize);
      const end = Math.min(at + size, (chunk + 1) * chunkSize);
      this.#early.set(chunk, (this.#early.get(chunk) ?? 0) + end - from);
      from = end;
    }
  }

  /** Hashes one chunk; false when the next one is not complete. */
  #step(): boolean {
    if (this.#zeros > 0) {
      const part = zeros.subarray(0, Math.min(this.#zeros, zeros.length));
      this.#zeros -= part.length;
      this.#update(part);
      return true;
    }
    const chunk = Math.floor(this.#done / chunkSize);
    const end = Math.min(this.size, (chunk + 1) * chunkSize);
    if (end === this.#done || this.#early.get(chunk) !== end - this.#done) return false;
    this.#early.delete(chunk);
    this.file.seekSync(this.#done, Deno.SeekMode.Start);
    this.#update(fill(this.file, chunkBytes.subarray(0, end - this.#done)));
    return true;
  }

  #update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#done += bytes.length;
  }
}
