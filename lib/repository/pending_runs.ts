import { goesOn, RunList } from "./run_list.ts";
import type { Run } from "./snapshot_file.ts";

/** Where a frame's blocks end up: known once it has been compressed and has its place in a pack. */
export interface Place {
  pack: number;
  /** Index of the frame's first block in the pack. */
  first: number;
}

/** Some blocks of one place in a row; `at` undefined is a hole. Becomes a Run when the packer has settled. */
export interface PendingRun {
  at?: Place;
  index: number;
  count: number;
}

/** Pending runs of a file, as small as a RunList, and as often gone through as one likes. */
export class PendingList implements Iterable<PendingRun> {
  readonly #runs = new RunList(); // a place stands as its number from 1
  readonly #places: Place[] = [];
  readonly #numbers = new Map<Place, number>();

  /** Adds one block, or `count` of them, joined where it goes on from the last one. No place: a hole. */
  push(at: Place | undefined, index: number, count = 1): void {
    this.#runs.push({ count, pack: at ? this.#numberOf(at) : 0, index });
  }

  *[Symbol.iterator](): Generator<PendingRun> {
    for (const { count, pack, index } of this.#runs) yield { at: this.#places[pack - 1], index, count };
  }

  #numberOf(place: Place): number {
    let number = this.#numbers.get(place);
    if (number === undefined) this.#numbers.set(place, number = this.#places.push(place));
    return number;
  }
}

/** The runs of settled places, made anew each time that they are gone through. */
export function settle(pending: Iterable<PendingRun>): Iterable<Run> {
  return { [Symbol.iterator]: () => settling(pending) };
}

function* settling(pending: Iterable<PendingRun>): Generator<Run> {
  let last: Run | undefined;
  for (const { at, index, count } of pending) {
    const run = at ? { count, pack: at.pack, index: at.first + index } : { count, pack: 0, index: 0 };
    if (last && goesOn(last, run.pack, run.index)) last.count += count;
    else {
      if (last) yield last;
      last = run;
    }
  }
  if (last) yield last;
}
