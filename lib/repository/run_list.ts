import type { Run } from "./snapshot_file.ts";

/** Numbers of a run: count, pack, index. */
const width = 3;

/**
 * The runs of a large file, 12 bytes each. As objects each takes 56, and a fragmented database of 1 GB has 260,000 of them,
 * those of the parent and those of the new snapshot at once.
 */
export class RunList implements Iterable<Run> {
  // 64 bits each as soon as one number needs them: holes can be that long, and a tree is input.
  #numbers: Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer> = new Uint32Array(16 * width);
  #used = 0;

  /** How many runs it has. */
  get length(): number {
    return this.#used / width;
  }

  /** Adds a run, joined with the last one where it goes on from it. */
  push({ count, pack, index }: Run): void {
    const last = this.#used - width;
    if (
      last >= 0 &&
      goesOn(
        { count: this.#numbers[last]!, pack: this.#numbers[last + 1]!, index: this.#numbers[last + 2]! },
        pack,
        index,
      )
    ) {
      count += this.#numbers[last]!;
      this.#makeRoom(count);
      this.#numbers[last] = count;
      return;
    }
    this.#makeRoom(Math.max(count, pack, index));
    this.#numbers[this.#used++] = count;
    this.#numbers[this.#used++] = pack;
    this.#numbers[this.#used++] = index;
  }

  *[Symbol.iterator](): Generator<Run> {
    for (let at = 0; at < this.#used; at += width) {
      yield { count: this.#numbers[at]!, pack: this.#numbers[at + 1]!, index: this.#numbers[at + 2]! };
    }
  }

  /** For one more run whose largest number is this. */
  #makeRoom(largest: number): void {
    if (largest > 0xffff_ffff && this.#numbers instanceof Uint32Array) this.#numbers = new Float64Array(this.#numbers);
    if (this.#used + width <= this.#numbers.length) return;
    const { buffer, length, BYTES_PER_ELEMENT: size } = this.#numbers;
    const longer = buffer.transfer(Math.ceil(length / width * 1.5) * width * size); // leaves nothing to collect
    this.#numbers = size === 4 ? new Uint32Array(longer) : new Float64Array(longer);
  }
}

/** Whether a run that begins there goes on where this one ends. */
export function goesOn(last: Run, pack: number, index: number): boolean {
  return last.pack === pack && (pack === 0 || last.index + last.count === index);
}

/** Blocks of all these runs. */
export function countBlocks(runs: Iterable<{ count: number }>): number {
  let blocks = 0;
  for (const { count } of runs) blocks += count;
  return blocks;
}

/** The runs of a file's blocks in `from` … `to`, the last one not included. */
export function* partOf(runs: Iterable<Run>, from: number, to: number): Generator<Run> {
  let at = 0;
  for (const { count, pack, index } of runs) {
    if (at >= to) return;
    const [first, last] = [Math.max(at, from), Math.min(at + count, to)];
    if (first < last) yield { count: last - first, pack, index: pack === 0 ? 0 : index + first - at };
    at += count;
  }
}

/** The numbers of runs, count, pack, index, … */
export function numbersOf(runs: Iterable<Run>): number[] {
  const numbers: number[] = [];
  for (const { count, pack, index } of runs) numbers.push(count, pack, index);
  return numbers;
}

/** The numbers of runs, cut so that each part has `blocks` blocks, the last one what is left. */
export function* cutRuns(runs: Iterable<Run>, blocks: number): Generator<number[]> {
  let part: number[] = [];
  let room = blocks;
  for (let { count, pack, index } of runs) {
    while (count > 0) {
      const taken = Math.min(count, room);
      part.push(taken, pack, index);
      count -= taken;
      room -= taken;
      if (pack !== 0) index += taken;
      if (room === 0) {
        yield part;
        part = [];
        room = blocks;
      }
    }
  }
  if (part.length > 0) yield part;
}
