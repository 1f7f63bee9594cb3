import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { Garbage } from "../memory.ts";
import { checkPack, openFrame } from "./pack_check.ts";
import type { Job, JobResult } from "./pool.ts";

// The other end of pool.ts: what costs processor time, off the main thread. A file of its own because
// import.meta.main is true in a worker as well.
const scope = self as unknown as Worker;
const settings = {
  // Level 3: 335 MB/s, and a third smaller than level 1 on rows of text (`deno task bench`).
  params: { [constants.ZSTD_c_compressionLevel]: 3 },
  // One piece of output for each frame, instead of a hundred that wait for the garbage collector.
  chunkSize: (2 << 20) + (64 << 10),
};
const garbage = new Garbage(16 << 20);
const zeros = new Uint8Array(1 << 20);

scope.onmessage = ({ data }: MessageEvent<{ id: number; job: Job }>) => {
  let result: JobResult;
  try {
    result = work(data.job);
  } catch (error) {
    result = { failure: error instanceof Error ? error.message : String(error) };
  }
  garbage.add(result.bytes ? data.job.bytes.length + result.bytes.length : data.job.bytes.length >> 2);
  const buffers = [result.bytes, result.hashes, result.spare].filter((part) => part !== undefined).map((part) =>
    part.buffer
  );
  scope.postMessage({ id: data.id, result }, [...new Set(buffers)] as ArrayBuffer[]);
};

function work(job: Job): JobResult {
  switch (job.kind) {
    case "hash":
      return { hashes: hashBlocks(job.bytes.subarray(0, job.size), job.blockSize), spare: job.bytes };
    case "compress":
      return { bytes: own(zstdCompressSync(job.bytes.subarray(0, job.size), settings)), spare: job.bytes };
    case "open":
      return open(job);
    case "check":
      return { check: checkPack(job.bytes, { ...job, opened: (bytes) => garbage.add(bytes) }) };
  }
}

/** 16 bytes for each block; all zeros for a block of zeros. */
function hashBlocks(bytes: Uint8Array, blockSize: number): Uint8Array {
  const count = Math.ceil(bytes.length / blockSize);
  const hashes = new Uint8Array(count * 16);
  for (let i = 0; i < count; i++) {
    const block = bytes.subarray(i * blockSize, (i + 1) * blockSize);
    if (isZero(block)) continue;
    const digest = hash("sha256", block, "hex");
    for (let k = 0; k < 16; k++) hashes[i * 16 + k] = byteAt(digest, k);
  }
  return hashes;
}

/** One byte of a hash in hex, which costs a third of a hash as bytes: no object for each page. */
function byteAt(hex: string, index: number): number {
  return nibble(hex.charCodeAt(index * 2)) << 4 | nibble(hex.charCodeAt(index * 2 + 1));
}

function nibble(code: number): number {
  return code < 58 ? code - 48 : code - 87; // 0 to 9, a to f
}

function isZero(block: Uint8Array): boolean {
  return block[0] === 0 && block[block.length - 1] === 0 &&
    Buffer.compare(block, zeros.subarray(0, block.length)) === 0;
}

/** Decompresses a frame, never to more than it declares, and checks each block. */
function open({ bytes, rawSize, sizes, hashes }: Extract<Job, { kind: "open" }>): JobResult {
  const raw = own(openFrame(bytes, rawSize));
  if (raw.length !== rawSize) return { failure: `a frame has ${raw.length} bytes instead of ${rawSize}` };
  let at = 0;
  for (let i = 0; i < sizes.length; i++) {
    const digest = hash("sha256", raw.subarray(at, at + sizes[i]!), "hex");
    for (let k = 0; k < 16; k++) {
      if (byteAt(digest, k) !== hashes[i * 16 + k]) {
        return { failure: "a block does not have the content that was stored" };
      }
    }
    at += sizes[i]!;
  }
  return { bytes: raw };
}

/** A copy whose memory is not shared with anything, when it is not so already: it will be handed over. */
function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  return whole ? bytes as Uint8Array<ArrayBuffer> : new Uint8Array(bytes);
}
