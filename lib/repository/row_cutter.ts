/** Where blocks of rows may end: not before so many bytes, and not behind so many. */
export const rowBlockSizes = { least: 2 << 10, most: 64 << 10 };

/** One row in so many ends a block, once it is long enough. */
const every = 16;

/** Bytes of a row's beginning, and of its end, that decide. A row's key stands in front, and seldom changes. */
const headSize = 48;
const tailSize = 16;

const lineEnd = 10;

/**
 * Cuts rows of COPY's text form into blocks, at row ends that depend on the rows themselves: rows that come and go shift
 * what follows, and the same blocks are found again behind them. A row that is longer than a block is cut in its middle.
 */
export class RowCutter {
  #scanned = 0; // bytes of the block that have been looked at
  #row = 0; // where the row begins that is being looked at
  /** Row ends seen so far. */
  rows = 0;

  /**
   * The next block's size among `bytes`, which begin where the last block ended; undefined when more bytes are needed.
   *
   * @param isEnd Nothing follows.
   */
  next(bytes: Uint8Array, isEnd: boolean): number | undefined {
    while (this.#scanned < bytes.length) {
      const end = bytes.indexOf(lineEnd, this.#scanned);
      if (end < 0 || end >= rowBlockSizes.most) {
        if (bytes.length >= rowBlockSizes.most) return this.#cut(this.#row > 0 ? this.#row : rowBlockSizes.most);
        this.#scanned = bytes.length;
        break;
      }
      this.#scanned = end + 1;
      this.rows++;
      const isLong = end + 1 >= rowBlockSizes.least;
      if (isLong && isChosen(bytes, this.#row, end)) return this.#cut(end + 1);
      this.#row = end + 1;
    }
    return isEnd && bytes.length > 0 ? this.#cut(bytes.length) : undefined;
  }

  /** What was looked at behind the cut is looked at again, but its rows are not counted twice. */
  #cut(size: number): number {
    this.#scanned = Math.max(0, this.#scanned - size);
    this.#row = 0;
    return size;
  }
}

/** FNV-1a over a row's beginning and its end. */
function isChosen(bytes: Uint8Array, from: number, end: number): boolean {
  let hash = 0x811c9dc5;
  const headEnd = Math.min(from + headSize, end);
  for (let i = from; i < headEnd; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  for (let i = Math.max(headEnd, end - tailSize); i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % every === 0;
}
