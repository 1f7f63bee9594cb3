import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * The whole heap is looked through, twice, and packed: 10 ms for a small one, whatever V8 documents of smaller collections.
 */
type Collect = () => void;

/** V8's collector; undefined in a runtime that does not hand it out: V8 then collects when it sees fit. */
function collector(): Collect | undefined {
  try {
    setFlagsFromString("--expose-gc");
    return runInNewContext("gc") as Collect;
  } catch {
    return undefined;
  }
}

/**
 * Counts bytes that have been used up, and has them collected when there are many: V8 alone lets tens of megabytes wait in
 * every thread. For what can be given back by free() that is better: collecting buffers of 560 MB took a third of all
 * processor time of a snapshot. (Making glibc give memory back at once, by mallopt or malloc_trim, brought 10 to 20 MB more
 * and cost a third more time.)
 */
export class Garbage {
  readonly #collect?: Collect;
  #bytes = 0;

  /** @param limit Bytes after which is collected. */
  constructor(private readonly limit: number) {
    this.#collect = collector();
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < this.limit) return;
    this.#bytes = 0;
    this.#collect?.();
  }
}

/** The heap may grow by so much before it is looked through. */
const heapGrowth = 12 << 20;

/**
 * Keeps the heap near what is in use: V8 alone lets it grow to four times that before it looks through all of it. With
 * 100,000 files that was 230 MB for 55 that were in use.
 */
export class Heap {
  readonly #collect = collector();
  #limit: number;

  /** @param growth Bytes after which it is looked through. */
  constructor(private readonly growth: number = heapGrowth) {
    this.#limit = getHeapStatistics().used_heap_size + growth;
  }

  /** To be called now and then in what makes many objects; takes 50 ms when there is much. */
  tend(): void {
    if (getHeapStatistics().used_heap_size < this.#limit) return;
    this.#collect?.();
    this.#limit = getHeapStatistics().used_heap_size + this.growth;
  }
}

/** Gives a buffer's memory back at once. Nobody may use it any more. */
export function free({ buffer, byteLength }: Uint8Array): void {
  // Small ones share their memory with others.
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0);
}
