import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { WrittenHash } from "../../lib/capture/written_hash.ts";
import { random, runSeed } from "../support/random.ts";
import { tempFolder } from "../support/temp_folder.ts";

const mb = 1 << 20;
const stop = new AbortController().signal;

/** Cuts a content at random places; some parts become holes. */
function cut(bytes: Uint8Array, dice: ReturnType<typeof random>): { at: number; size: number; isHole: boolean }[] {
  const parts = [];
  for (let at = 0; at < bytes.length;) {
    const size = Math.min(bytes.length - at, dice.pick([1, 4096, 4096, 65_536, mb, 2 * mb, dice.int(1, 3 * mb)]));
    const isHole = dice.chance(0.2);
    if (isHole) bytes.fill(0, at, at + size);
    parts.push({ at, size, isHole });
    at += size;
  }
  return parts;
}

Deno.test("the hash of a file that is written in any order is that of its bytes", async () => {
  await using folder = await tempFolder();
  const dice = random(runSeed());
  for (let round = 0; round < 60; round++) {
    const size = dice.pick([0, 1, 4096, mb, mb + 1, 3 * mb, dice.int(1, 9 * mb)]);
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i += 61) bytes[i] = dice.int(0, 255);
    const parts = cut(bytes, dice);
    // In order, in reverse, at random, or in order but for a few: as an edited database comes.
    const key = new Map(
      parts.map((part, i) => [part, dice.chance([0, 1, 1, 0.1][round % 4]!) ? dice.next() * 100 : i]),
    );
    const order = round % 4 === 1 ? parts.toReversed() : parts.toSorted((a, b) => key.get(a)! - key.get(b)!);
    using file = Deno.openSync(folder.path(`${round}`), { read: true, write: true, createNew: true });
    file.truncateSync(size);
    const hash = new WrittenHash(file, size);
    for (const [i, { at, size, isHole }] of order.entries()) {
      assert.equal(hash.digest(), undefined, `round ${round}: after ${i} of ${order.length}`);
      const part = isHole ? undefined : bytes.subarray(at, at + size);
      if (part) {
        file.seekSync(at, Deno.SeekMode.Start);
        for (let done = 0; done < size;) done += file.writeSync(part.subarray(done));
      }
      hash.add(at, size, part);
      await hash.catchUp(stop);
    }
    assert.equal(hash.digest(), createHash("sha256").update(bytes).digest("hex"), `seed ${dice.seed}, round ${round}`);
  }
});
