import { AmberError } from "../../errors.ts";
import type { KeptFile } from "./kept_files.ts";
import { type WalIndex, walIndexPart } from "./wal_index.ts";

/** A page, from 0, and the frame that has it, from 1. */
export interface PageFrame {
  page: number;
  frame: number;
}

/**
 * Which pages are in the write-ahead log, and in which frame last. 8 bytes a frame: a log of 4 GB with pages of 4 KiB
 * has a million.
 */
export class FrameMap {
  /** Two words each, in order of pages: frame, page (from 1). */
  private constructor(private readonly words: Uint32Array, readonly count: number) {}

  /** Reads the page numbers of the frames that are not in the main file yet, from the `-shm`; they stay while pinned. */
  static read(shm: Pick<KeptFile, "read">, index: WalIndex): FrameMap {
    const first = index.backfilled + 1;
    const sorted = new BigUint64Array(index.lastFrame - index.backfilled);
    const words = new Uint32Array(sorted.buffer);
    for (let frame = first; frame <= index.lastFrame;) {
      const { firstFrame, frames, offset } = walIndexPart(frame);
      const numbers = new Uint32Array(Math.min(firstFrame + frames - frame, index.lastFrame - frame + 1));
      const bytes = new Uint8Array(numbers.buffer);
      if (shm.read(offset + (frame - firstFrame) * 4, bytes) < bytes.length) throw broken("it was cut off");
      for (let at = 0; at < numbers.length; at++) {
        if (numbers[at] === 0) throw broken(`frame ${frame + at} has no page`);
        words[2 * (frame + at - first)] = frame + at;
        words[2 * (frame + at - first) + 1] = numbers[at]!;
      }
      frame += numbers.length;
    }
    // Little-endian, as every machine that Deno runs on: the page is the upper half of each number.
    sorted.sort();
    let count = 0;
    for (let at = 0; at < sorted.length; at++) {
      const page = words[2 * at + 1]!;
      if (page > index.pages) break; // the database has shrunk since
      if (count > 0 && words[2 * count - 1] === page) count--;
      words[2 * count] = words[2 * at]!;
      words[2 * count + 1] = page;
      count++;
    }
    return new FrameMap(words, count);
  }

  /** The pages of a range that are in the log, in order. */
  within(firstPage: number, count: number): PageFrame[] {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.words[2 * middle + 1]! - 1 < firstPage) low = middle + 1;
      else high = middle;
    }
    const found: PageFrame[] = [];
    for (let at = low; at < this.count; at++) {
      const page = this.words[2 * at + 1]! - 1;
      if (page >= firstPage + count) break;
      found.push({ page, frame: this.words[2 * at]! });
    }
    return found;
  }
}

function broken(why: string): AmberError {
  return new AmberError("DATABASE_UNREADABLE", {
    message: `Cannot read a database's -shm file: ${why}`,
    hint: "Run this once more.",
  });
}
