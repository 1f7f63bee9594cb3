import { Buffer } from "node:buffer";
import { createHash, type Hash, hash } from "node:crypto";
import { hashSize } from "./pack.ts";
import type { FileEntry } from "./tree.ts";

/** Of so many blocks in a row that are holes the hashes are taken in at once. */
const zeroHashes = new Uint8Array(4096 * hashSize);
const zeros = new Uint8Array(1 << 20);

/**
 * The hash that a tree records of a database: SHA-256 over the first 16 bytes of each block's own, zeros for a block of
 * zeros. The blocks' hashes are known where a snapshot is taken and in tables of contents, so that nothing of 1 GB is
 * hashed twice.
 */
export class BlocksHash {
  readonly #hash = createHash("sha256");

  /** The hashes of blocks, 16 bytes each, in order. */
  add(hashes: Uint8Array): void {
    this.#hash.update(hashes);
  }

  addHoles(count: number): void {
    for (let left = count * hashSize; left > 0; left -= zeroHashes.length) {
      this.#hash.update(zeroHashes.subarray(0, Math.min(left, zeroHashes.length)));
    }
  }

  /** 64 hex digits. */
  digest(): string {
    return this.#hash.digest("hex");
  }
}

/**
 * The same from a content's bytes, or, of what is no database, SHA-256 of them as they are. Not for what is cut where rows
 * end, whose blocks only a repository knows.
 */
export class ContentHash {
  readonly #hash: BlocksHash | Hash;
  readonly #blockSize: number;

  constructor({ database, blockSize }: Pick<FileEntry, "database" | "blockSize">) {
    this.#hash = database ? new BlocksHash() : createHash("sha256");
    this.#blockSize = blockSize;
  }

  /** @param bytes The next ones; of a database whole blocks, but for its end. */
  update(bytes: Uint8Array): void {
    const hashing = this.#hash;
    if (!(hashing instanceof BlocksHash)) return void hashing.update(bytes);
    for (let at = 0; at < bytes.length; at += this.#blockSize) {
      const block = bytes.subarray(at, at + this.#blockSize);
      if (isZero(block)) hashing.addHoles(1);
      else hashing.add(hash("sha256", block, "buffer").subarray(0, hashSize));
    }
  }

  /** 64 hex digits. */
  digest(): string {
    return this.#hash instanceof BlocksHash ? this.#hash.digest() : this.#hash.digest("hex");
  }
}

/** Whether a block is all zeros: such a block is a hole, stored nowhere. */
export function isZero(block: Uint8Array): boolean {
  if (block[0] !== 0 || block[block.length - 1] !== 0) return false;
  for (let at = 0; at < block.length; at += zeros.length) {
    const part = block.subarray(at, at + zeros.length);
    if (Buffer.compare(part, zeros.subarray(0, part.length)) !== 0) return false;
  }
  return true;
}
