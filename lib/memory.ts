import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Options of glibc's mallopt (malloc.h): from which size on memory is mapped, and given back when freed; arenas. */
const mmapThreshold = -3;
const arenaMax = -8;
const mappedFrom = 128 << 10; // bytes

/**
 * Makes the C library give large pieces of memory back as soon as they are freed. By itself it keeps them once some were
 * freed, for each thread: a worker that compresses grew by 75 MB, and by 40 with this. Without that library nothing is
 * changed.
 */
export function giveMemoryBack(): void {
  if (Deno.build.os !== "linux") return;
  try {
    const library = Deno.dlopen("libc.so.6", { mallopt: { parameters: ["i32", "i32"], result: "i32" } });
    library.symbols.mallopt(mmapThreshold, mappedFrom);
    library.symbols.mallopt(arenaMax, 2);
    library.close();
  } catch {
    // another C library: the memory is only used less well
  }
}

type Collect = (options?: { type: "minor" }) => void;

/**
 * Counts bytes that have become garbage outside V8's heap, and collects them when there are many: V8 alone lets tens of
 * megabytes of buffers wait in every thread.
 */
export class Garbage {
  readonly #collect?: Collect;
  #bytes = 0;

  constructor(private readonly limit: number) {
    try {
      setFlagsFromString("--expose-gc");
      this.#collect = runInNewContext("gc") as Collect;
    } catch {
      // not in this runtime: V8 does it when it sees fit
    }
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < this.limit) return;
    this.#bytes = 0;
    this.#collect?.({ type: "minor" });
  }
}
