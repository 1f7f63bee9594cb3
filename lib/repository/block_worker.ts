import { hash } from "node:crypto";
import { free, Garbage } from "../memory.ts";
import { Compressor } from "./compressor.ts";
import { isZero } from "./content_hash.ts";
import { Decompressor } from "./decompressor.ts";
import { byteAt, openFrame } from "./frame.ts";
import { frameTarget } from "./pack.ts";
import type { Job, JobResult } from "./pool.ts";

// The other end of pool.ts: what costs processor time, off the main thread. A file of its own because
// import.meta.main is true in a worker as well.
const scope = self as unknown as Worker;
const garbage = new Garbage(24 << 20);
let compressor: Compressor | undefined;
const decompressor = new Decompressor();
let sink: Uint8Array = new Uint8Array(0); // for frames that are only checked

scope.onmessage = ({ data }: MessageEvent<{ id: number; job: Job }>) => {
  let result: JobResult;
  try {
    result = work(data.job);
  } catch (error) {
    // What is wrong with a frame is said by an Error and nothing more special: the rest is a mistake of ours.
    const isAboutInput = error instanceof Error && error.constructor === Error;
    result = isAboutInput ? { failure: error.message } : { broken: String(error) };
  }
  garbage.add(blocksOf(data.job) << 10);
  const buffers = [result.bytes, result.hashes, result.spare].filter((part) => part !== undefined).map((part) =>
    part.buffer
  );
  scope.postMessage({ id: data.id, result }, [...new Set(buffers)] as ArrayBuffer[]);
};

function work(job: Job): JobResult {
  switch (job.kind) {
    case "hash":
      return { hashes: hashBlocks(job.bytes.subarray(0, job.size), job.blockSize), spare: job.bytes };
    case "hash rows":
      return { hashes: hashRows(job), spare: job.bytes };
    case "compress":
      compressor ??= new Compressor();
      return { bytes: compressor.frame(job.bytes.subarray(0, job.size)), spare: job.bytes };
    case "open":
      return open(job);
    case "check":
      return check(job);
  }
}

/** How many blocks are hashed: V8 and the hash function leave about 1 kB behind for each. */
function blocksOf(job: Job): number {
  switch (job.kind) {
    case "compress":
      return 0;
    case "hash":
      return Math.ceil(job.size / job.blockSize);
    case "hash rows":
      return job.sizes.length * 3; // collected more often: beside them stand a driver and what its socket gives
    case "open":
      return job.sizes.length;
    case "check":
      return job.frames.reduce((sum, { sizes }) => sum + sizes.length, 0);
  }
}

/** 16 bytes for each block; all zeros for a block of zeros. */
function hashBlocks(bytes: Uint8Array, blockSize: number): Uint8Array {
  const count = Math.ceil(bytes.length / blockSize);
  const hashes = new Uint8Array(count * 16);
  for (let i = 0; i < count; i++) {
    const block = bytes.subarray(i * blockSize, (i + 1) * blockSize);
    if (isZero(block)) continue;
    putHash(hashes, i, block);
  }
  return hashes;
}

function hashRows({ bytes, sizes }: Extract<Job, { kind: "hash rows" }>): Uint8Array {
  const hashes = new Uint8Array(sizes.length * 16);
  let from = 0;
  for (const [i, size] of sizes.entries()) {
    putHash(hashes, i, bytes.subarray(from, from + size));
    from += size;
  }
  return hashes;
}

function putHash(hashes: Uint8Array, index: number, block: Uint8Array): void {
  const digest = hash("sha256", block, "hex");
  for (let k = 0; k < 16; k++) hashes[index * 16 + k] = byteAt(digest, k);
}

function open(frame: Extract<Job, { kind: "open" }>): JobResult {
  const bytes = frame.sink.subarray(0, frame.rawSize);
  openFrame(frame, bytes, decompressor);
  free(frame.bytes);
  return { bytes };
}

/** As open, but keeps nothing. */
function check({ bytes, frames }: Extract<Job, { kind: "check" }>): JobResult {
  const problems = frames.map(({ from, size, ...frame }) => {
    if (sink.length < frame.rawSize) sink = new Uint8Array(Math.max(frame.rawSize, frameTarget));
    const stored = { ...frame, bytes: bytes.subarray(from, from + size) };
    try {
      openFrame(stored, sink.subarray(0, frame.rawSize), decompressor);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  });
  free(bytes);
  return { problems };
}
