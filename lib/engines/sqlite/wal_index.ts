/** What the header of a `-shm` file says: how far the write-ahead log is committed, and how much of it is in the main file. */
export interface WalIndex {
  /** The last committed frame; 0: the log is empty. Frames count from 1. */
  lastFrame: number;
  /** Frames up to this one have been copied into the main file. */
  backfilled: number;
  /** Pages of the database after the last committed frame, and bytes of each. */
  pages: number;
  pageSize: number;
  /** What each valid frame carries, 8 bytes as they stand in the log. */
  salts: Uint8Array;
}

/** Bytes from the file's beginning that `readWalIndex` needs: two copies of the header, then what checkpoints share. */
export const walIndexSize = 136;

const headerSize = 48;
const format = 3_007_000;
const isLittle = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1; // the file is in this machine's byte order

/** Reads the header; undefined when it is being written, was left half written, or is of another format. */
export function readWalIndex(bytes: Uint8Array): WalIndex | undefined {
  if (bytes.length < walIndexSize) return undefined;
  for (let index = 0; index < headerSize; index++) if (bytes[index] !== bytes[headerSize + index]) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, walIndexSize);
  const at = (offset: number) => view.getUint32(offset, isLittle);
  let first = 0;
  let second = 0;
  for (let offset = 0; offset < 40; offset += 8) {
    first = (first + at(offset) + second) >>> 0;
    second = (second + at(offset + 4) + first) >>> 0;
  }
  if (first !== at(40) || second !== at(44)) return undefined;
  const isInitialized = bytes[12] === 1;
  if (at(0) !== format || !isInitialized) return undefined;
  const size = view.getUint16(14, isLittle);
  return {
    lastFrame: at(16),
    backfilled: at(96),
    pages: at(20),
    pageSize: size === 1 ? 65_536 : size,
    salts: bytes.slice(32, 40),
  };
}

/** Frames in a 32 KiB part of the file; the first part has the header in front. */
const framesInFirst = 4_062;
const framesInOther = 4_096;
export const walIndexPartSize = 32_768;

/** Which part of the file has a frame's page number, and which frames the part has: where they begin, in bytes. */
export function walIndexPart(frame: number): { part: number; firstFrame: number; frames: number; offset: number } {
  if (frame <= framesInFirst) return { part: 0, firstFrame: 1, frames: framesInFirst, offset: walIndexSize };
  const part = 1 + Math.floor((frame - framesInFirst - 1) / framesInOther);
  return {
    part,
    firstFrame: framesInFirst + 1 + (part - 1) * framesInOther,
    frames: framesInOther,
    offset: part * walIndexPartSize,
  };
}
