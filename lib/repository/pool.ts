import type { StoredFrame } from "./frame.ts";

/**
 * Work on bytes that a worker does. The memory handed in is gone for the caller until it comes back as `spare`: it is to be
 * used again, for what the garbage collector has not taken yet counts as ours.
 */
export type Job =
  /** 16 bytes of hash for each block of `blockSize` in the first `size` bytes, all zeros for a block of zeros. */
  | { kind: "hash"; bytes: Uint8Array; size: number; blockSize: number }
  /** 16 bytes of hash for each block of these sizes, which stand one after the other. */
  | { kind: "hash rows"; bytes: Uint8Array; sizes: Uint32Array }
  /** The first `size` bytes as a zstd frame. */
  | { kind: "compress"; bytes: Uint8Array; size: number }
  /** What is in a zstd frame, each block checked against its hash; comes back as the beginning of `sink`. */
  | ({ kind: "open"; sink: Uint8Array } & StoredFrame)
  /** Whether several frames can be opened: where each is in the bytes, and what it should hold. */
  | { kind: "check"; bytes: Uint8Array; frames: (Omit<StoredFrame, "bytes"> & { from: number; size: number })[] };

export interface JobResult {
  bytes?: Uint8Array;
  hashes?: Uint8Array;
  /** What is wrong with each frame; undefined: nothing. */
  problems?: (string | undefined)[];
  /** What was handed in. */
  spare?: Uint8Array;
  /** Why it could not be done: the input is not what it should be. */
  failure?: string;
  /** A mistake in the worker: `run()` throws it. */
  broken?: string;
}

/** So many jobs one worker does: 1 or 2 MiB each. */
const fewJobs = 24;

/** Workers beside a database's driver, whose memory is that of a worker: pg_dump takes three times as long all the same. */
export const besideDriver = 1;

/** The workers that hash and compress: two, since the machines that amber runs on have few processors. */
export class BlockPool implements Disposable {
  readonly #workers: { worker: Worker; jobs: number }[] = [];
  readonly #waiting = new Map<number, PromiseWithResolvers<JobResult>>();
  #nextId = 1;

  constructor(private readonly size = 2) {}

  /** Done in turn by whichever worker has least to do. */
  async run(job: Job): Promise<JobResult> {
    const chosen = this.#choose();
    const id = this.#nextId++;
    const answer = Promise.withResolvers<JobResult>();
    this.#waiting.set(id, answer);
    chosen.jobs++;
    const handedOver = [job.bytes, ...job.kind === "open" ? [job.sink] : []].filter(isWhole);
    chosen.worker.postMessage({ id, job }, handedOver.map(({ buffer }) => buffer));
    try {
      const result = await answer.promise;
      if (result.broken !== undefined) throw new Error(`a worker failed: ${result.broken}`);
      return result;
    } finally {
      chosen.jobs--;
    }
  }

  #choose(): { worker: Worker; jobs: number } {
    const [first, ...others] = this.#workers;
    if (!first) return this.#start();
    const least = others.reduce((least, one) => (one.jobs < least.jobs ? one : least), first);
    // Another one takes 20 MB: worth it where work piles up, and goes on.
    const isWorthIt = least.jobs >= 2 && this.#nextId > fewJobs;
    return isWorthIt && this.#workers.length < this.size ? this.#start() : least;
  }

  #start(): { worker: Worker; jobs: number } {
    const worker = new Worker(new URL("./block_worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<{ id: number; result: JobResult }>) => {
      this.#waiting.get(data.id)?.resolve(data.result);
      this.#waiting.delete(data.id);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      for (const { reject } of this.#waiting.values()) reject(new Error(event.message));
      this.#waiting.clear();
    };
    const started = { worker, jobs: 0 };
    this.#workers.push(started);
    return started;
  }

  [Symbol.dispose](): void {
    for (const { worker } of this.#workers) worker.terminate();
    this.#workers.length = 0;
    for (const { reject } of this.#waiting.values()) reject(new Error("the pool is closed"));
    this.#waiting.clear();
  }
}

/** Only memory that belongs to these bytes alone can be handed over; the rest is copied. */
function isWhole(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength;
}
