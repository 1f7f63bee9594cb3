import type { Toc } from "./pack.ts";

/**
 * What verify keeps of a pack: the sizes of its blocks, in stretches of equal ones, since a database's pages are all of
 * one size; and which blocks cannot be read.
 */
export class PackContents {
  /** Where each stretch ends: the index of the block after it. */
  readonly #ends: Uint32Array;
  readonly #sizes: Uint32Array;

  /** @param bad Blocks that cannot be read. */
  constructor({ sizes }: Pick<Toc, "sizes">, private readonly bad: readonly Stretch[] = []) {
    const ends: number[] = [];
    for (let i = 1; i <= sizes.length; i++) if (sizes[i] !== sizes[i - 1]) ends.push(i);
    this.#ends = new Uint32Array(ends);
    this.#sizes = this.#ends.map((end) => sizes[end - 1]!);
  }

  /** How many blocks it has. */
  get blocks(): number {
    return this.#ends.at(-1) ?? 0;
  }

  /** Whether all these blocks, which it has, have this size. */
  haveSize(first: number, count: number, size: number): boolean {
    const end = first + count;
    for (let i = this.#stretchOf(first), at = first; at < end; at = this.#ends[i++]!) {
      if (this.#sizes[i] !== size) return false;
    }
    return true;
  }

  /** Whether one of these blocks cannot be read. */
  hasBad(first: number, count: number): boolean {
    return this.bad.some((one) => one.firstBlock < first + count && first < one.firstBlock + one.blocks);
  }

  #stretchOf(block: number): number {
    let [low, high] = [0, this.#ends.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ends[middle]! > block) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

interface Stretch {
  firstBlock: number;
  blocks: number;
}
