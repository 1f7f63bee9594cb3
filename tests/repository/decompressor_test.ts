import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { Decompressor } from "../../lib/repository/decompressor.ts";
import { openFrame, type StoredFrame } from "../../lib/repository/frame.ts";
import { random, runSeed } from "../support/random.ts";

function frameOf(content: Uint8Array, blockSize: number): StoredFrame {
  const count = Math.ceil(content.length / blockSize);
  const hashes = new Uint8Array(count * 16);
  const sizes = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    const block = content.subarray(i * blockSize, (i + 1) * blockSize);
    hashes.set(createHash("sha256").update(block).digest().subarray(0, 16), i * 16);
    sizes[i] = block.length;
  }
  const params = { [constants.ZSTD_c_compressionLevel]: 3 };
  return { bytes: new Uint8Array(zstdCompressSync(content, { params })), rawSize: content.length, sizes, hashes };
}

function text(size: number, seed: number): Uint8Array {
  const chance = random(seed);
  return Uint8Array.from({ length: size }, () => 97 + chance.int(0, 7));
}

Deno.test("a decompressor opens many frames one after the other, of all sizes, also after damaged ones", () => {
  const chance = random(runSeed());
  const decompressor = new Decompressor();
  for (let round = 0; round < 60; round++) {
    const content = text(chance.pick([1, 511, 4096, 70_000, 300_000]), chance.int(0, 1e9));
    const frame = frameOf(content, 4096);
    const sink = new Uint8Array(content.length);
    if (round % 3 === 0) {
      const damaged = { ...frame, bytes: frame.bytes.slice() };
      damaged.bytes[chance.int(0, damaged.bytes.length - 1)]! ^= 1 << chance.int(0, 7);
      // A bit of the header that changes nothing of the content is found by the hash of the whole pack.
      try {
        openFrame(damaged, sink, decompressor);
        assert.deepEqual(sink, content, `seed ${chance.seed}`);
      } catch (error) {
        assert.match((error as Error).message, /^a (frame|block) /, `seed ${chance.seed}`);
      }
    }
    openFrame(frame, sink.fill(0), decompressor);
    assert.deepEqual(sink, content, `seed ${chance.seed}`);
  }
});

Deno.test("a frame that is not as long as it says is refused, and fills no more than its sink", () => {
  const frame = frameOf(text(100_000, 1), 4096);
  const decompressor = new Decompressor();
  const open = (size: number) => openFrame({ ...frame, rawSize: size }, new Uint8Array(size), decompressor);
  assert.throws(() => open(99_999), /a frame cannot be opened/);
  assert.throws(() => open(100_001), /has 100000 bytes instead of 100001/);
  assert.throws(
    () => openFrame({ ...frame, bytes: frame.bytes.subarray(0, -50) }, new Uint8Array(100_000), decompressor),
    /a frame cannot be opened/,
  );
  open(100_000);
});

Deno.test("node:zlib has inside what the decompressor uses: without it everything works, seven times as slowly", () => {
  for (const size of [1, 1_000, 100_000, 131_072, 140_000]) {
    const content = text(size, 2);
    const sink = new Uint8Array(size);
    assert.equal(new Decompressor().fill(frameOf(content, 4096).bytes, sink), true, `${size} bytes`);
    assert.deepEqual(sink, content);
  }
});
