import { AmberError } from "../errors.ts";

/** Bytes of a block's hash: the first 16 of the SHA-256 of its content. */
export const hashSize = 16;

/**
 * What one frame holds before it is compressed, at most. On rows of text 2 MiB are stored in 0.277 of their size, 1 MiB in
 * 0.320, 4 MiB in 0.264 (`deno task bench`); smaller is quicker to read a part of.
 */
export const frameTarget = 2 << 20;

/**
 * A pack is closed before it has more bytes stored, or more blocks: its table of contents is read as a whole. Two are in
 * memory at once: one is being stored while the next one is filled.
 */
export const packTarget = 8 << 20;
export const packBlocks = 1 << 16;

/** No pack of this format is larger: bytes, and blocks. A repository is input, and these are read as a whole. */
export const packLimit = 64 << 20;
export const packBlockLimit = 1 << 18;

/** Bounds on what a table of contents may claim, before anything is allocated. */
const limits = { block: 1 << 20, frame: 4 << 20, blocks: packBlockLimit };

/** The magic of a skippable frame, which stock zstd passes over (RFC 8878, 3.1.2). */
const magic = 0x184d2a5a;
const header = 8; // bytes: magic, payload's size
const randomSize = 16;

/** A compressed frame and the blocks in it. */
export interface Frame {
  /** Bytes of the zstd frame. */
  stored: number;
  /** Bytes of each block, in order. */
  sizes: readonly number[];
  /** 16 bytes for each block. */
  hashes: Uint8Array;
}

/** Where a frame is in its pack. */
export interface FrameInfo {
  from: number;
  size: number;
  /** Bytes when opened. */
  rawSize: number;
  /** Index of its first block in the pack, and how many it has. */
  firstBlock: number;
  blocks: number;
}

/** A pack's table of contents. */
export interface Toc {
  frames: FrameInfo[];
  /** Bytes of each block. */
  sizes: Uint32Array;
  /** Where each block begins in its opened frame. */
  offsets: Uint32Array;
  /** 16 bytes for each block. */
  hashes: Uint8Array;
}

/**
 * The table of contents as it stands at a pack's end, all numbers little-endian, 32 bits: a skippable frame whose payload
 * is 16 random bytes; how many frames; how many blocks; for each frame its stored size, opened size and blocks; each
 * block's size; each block's hash, 16 bytes; the size of the whole skippable frame.
 */
export function encodeToc(frames: readonly Frame[], random: Uint8Array): Uint8Array {
  const blocks = frames.reduce((sum, frame) => sum + frame.sizes.length, 0);
  const size = header + randomSize + 8 + frames.length * 12 + blocks * (4 + hashSize) + 4;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const put = (value: number) => {
    view.setUint32(at, value, true);
    at += 4;
  };
  put(magic);
  put(size - header);
  bytes.set(random.subarray(0, randomSize), at);
  at += randomSize;
  put(frames.length);
  put(blocks);
  for (const { stored, sizes } of frames) {
    put(stored);
    put(sizes.reduce((sum, one) => sum + one, 0));
    put(sizes.length);
  }
  for (const { sizes } of frames) for (const one of sizes) put(one);
  for (const { hashes } of frames) {
    bytes.set(hashes, at);
    at += hashes.length;
  }
  put(size);
  return bytes;
}

/**
 * Reads a table of contents.
 *
 * @param bytes The last `tocSize` bytes of the pack.
 * @param packSize Bytes of the pack in all.
 * @throws {AmberError} OBJECT_DAMAGED when anything in it does not fit: a pack is input.
 */
export function decodeToc(bytes: Uint8Array, packSize: number, where: string): Toc {
  const fail = (why: string): never => {
    throw damagedPack(where, `its table of contents is damaged: ${why}`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const least = header + randomSize + 8 + 4;
  if (bytes.length < least) fail("it is cut off");
  const get = (at: number) => view.getUint32(at, true);
  if (get(0) !== magic) fail("its beginning is not there");
  if (get(4) !== bytes.length - header || get(bytes.length - 4) !== bytes.length) fail("its size is another one");
  const frameCount = get(header + randomSize);
  const blockCount = get(header + randomSize + 4);
  if (blockCount > limits.blocks || frameCount > blockCount) fail("it claims too much");
  if (least + frameCount * 12 + blockCount * (4 + hashSize) !== bytes.length) fail("its counts do not fit its size");

  let at = header + randomSize + 8;
  const frames: FrameInfo[] = [];
  let from = 0;
  let firstBlock = 0;
  for (let i = 0; i < frameCount; i++, at += 12) {
    const [size, rawSize, blocks] = [get(at), get(at + 4), get(at + 8)];
    if (rawSize > limits.frame || blocks === 0) fail("a frame claims too much");
    frames.push({ from, size, rawSize, firstBlock, blocks });
    from += size;
    firstBlock += blocks;
  }
  if (from !== packSize - bytes.length || firstBlock !== blockCount) fail("its frames do not fill the pack");
  const sizes = new Uint32Array(blockCount);
  const offsets = new Uint32Array(blockCount);
  for (const frame of frames) {
    let offset = 0;
    for (let i = frame.firstBlock; i < frame.firstBlock + frame.blocks; i++, at += 4) {
      const size = get(at);
      if (size > limits.block || size === 0) fail("a block claims too much");
      sizes[i] = size;
      offsets[i] = offset;
      offset += size;
    }
    if (offset !== frame.rawSize) fail("its blocks do not fill their frame");
  }
  return { frames, sizes, offsets, hashes: bytes.slice(at, at + blockCount * hashSize) };
}

/** The frame that has this block: an index into `toc.frames`. */
export function frameOf(toc: Toc, block: number): number {
  let [low, high] = [0, toc.frames.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (toc.frames[middle]!.firstBlock <= block) low = middle;
    else high = middle - 1;
  }
  return low;
}

export function packName(hash: string): string {
  return `packs/${hash.slice(0, 2)}/${hash}`;
}

export function damagedPack(where: string, why: string): AmberError {
  return new AmberError("OBJECT_DAMAGED", {
    message: `Cannot read the pack "${where}": ${why}`,
    where,
    hint: "amber verify says which snapshots it touches. The others can still be restored: amber snapshots",
  });
}

/** Whether the hashes at these places are equal. */
export function sameHash(a: Uint8Array, at: number, b: Uint8Array, bAt: number): boolean {
  for (let i = 0; i < hashSize; i++) if (a[at + i] !== b[bAt + i]) return false;
  return true;
}
