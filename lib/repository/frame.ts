import { hash } from "node:crypto";
import type { Decompressor } from "./decompressor.ts";
import { hashSize } from "./pack.ts";

/** A zstd frame and what it should hold. */
export interface StoredFrame {
  bytes: Uint8Array;
  /** Bytes when opened. */
  rawSize: number;
  /** Bytes of each of its blocks, and 16 bytes of hash for each. */
  sizes: Uint32Array;
  hashes: Uint8Array;
}

/**
 * Opens a frame into a sink of its size, and checks each block.
 *
 * @throws {Error} that says what is wrong with it.
 */
export function openFrame(frame: StoredFrame, sink: Uint8Array, decompressor: Decompressor): void {
  if (decompressor.fill(frame.bytes, sink) && isSound(frame, sink)) return;
  try {
    decompressor.fillSlowly(frame.bytes, sink);
  } catch (error) {
    throw new Error(`a frame cannot be opened: ${(error as Error).message}`);
  }
  if (!isSound(frame, sink)) throw new Error("a block does not have the content that was stored");
}

function isSound({ sizes, hashes }: StoredFrame, raw: Uint8Array): boolean {
  let at = 0;
  for (let i = 0; i < sizes.length; i++) {
    if (!hasHash(raw.subarray(at, at + sizes[i]!), hashes, i * hashSize)) return false;
    at += sizes[i]!;
  }
  return true;
}

function hasHash(block: Uint8Array, hashes: Uint8Array, at: number): boolean {
  const digest = hash("sha256", block, "hex");
  for (let k = 0; k < hashSize; k++) if (byteAt(digest, k) !== hashes[at + k]) return false;
  return true;
}

/** One byte of a hash in hex, which costs a third of a hash as bytes: no object for each page. */
export function byteAt(hex: string, index: number): number {
  return nibble(hex.charCodeAt(index * 2)) << 4 | nibble(hex.charCodeAt(index * 2 + 1));
}

function nibble(code: number): number {
  return code < 58 ? code - 48 : code - 87; // 0 to 9, a to f
}
