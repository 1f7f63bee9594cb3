/** Rows are cut into blocks where the rows say, so that what is shifted is found again. */
import assert from "node:assert/strict";
import { rowBlockSizes, RowCutter } from "../../lib/repository/row_cutter.ts";
import { type Random, random, runSeed } from "../support/random.ts";

function cut(text: Uint8Array, dice?: Random): { blocks: Uint8Array[]; rows: number } {
  const cutter = new RowCutter();
  const blocks: Uint8Array[] = [];
  let from = 0;
  let to = dice ? 0 : text.length;
  for (;;) {
    const size = cutter.next(text.subarray(from, to), to === text.length);
    if (size !== undefined) {
      assert.ok(size > 0 && size <= rowBlockSizes.most);
      blocks.push(text.subarray(from, from + size));
      from += size;
    } else if (to === text.length) break;
    else to = Math.min(text.length, to + dice!.int(1, 100_000));
  }
  assert.equal(from, text.length);
  return { blocks, rows: cutter.rows };
}

const bytesOf = (rows: readonly string[]) => new TextEncoder().encode(rows.map((row) => `${row}\n`).join(""));
const row = (id: number, more = "") =>
  `${id}\tname ${id * 7919 % 10_007}\t2026-01-01 00:00:00\t${"x".repeat(id % 90)}${more}`;

Deno.test("rows: however the bytes arrive, they are cut alike, at row ends, and each row is counted once", () => {
  const dice = random(runSeed());
  const rows = Array.from({ length: 20_000 }, (_, i) => row(i));
  const text = bytesOf(rows);
  const whole = cut(text);
  assert.equal(whole.rows, rows.length, `seed ${dice.seed}`);
  for (const block of whole.blocks) assert.equal(block.at(-1), 10);
  const mean = text.length / whole.blocks.length;
  assert.ok(mean > 2_500 && mean < 8_000, `${mean} bytes a block`);
  for (let round = 0; round < 5; round++) {
    const again = cut(text, dice);
    assert.deepEqual(again.blocks.map((block) => block.length), whole.blocks.map((block) => block.length));
    assert.equal(again.rows, rows.length);
  }
});

Deno.test("rows: one that comes, goes or changes touches a block or two", () => {
  const rows = Array.from({ length: 20_000 }, (_, i) => row(i));
  const keys = (some: readonly string[]) => cut(bytesOf(some)).blocks.map((block) => new TextDecoder().decode(block));
  const before = new Set(keys(rows));
  for (
    const changed of [
      [...rows.slice(0, 7_000), row(99_999), ...rows.slice(7_000)],
      [...rows.slice(0, 7_000), ...rows.slice(7_001)],
      rows.map((one, i) => (i === 12_345 ? row(i, "changed") : one)),
      [...rows, row(20_000)],
    ]
  ) {
    const fresh = keys(changed).filter((block) => !before.has(block));
    assert.ok(fresh.length <= 2, `${fresh.length} new blocks`);
  }
});

Deno.test("rows: those longer than a block are cut in their middle, and equal ones end a block all the same", () => {
  const long = bytesOf([row(1), "y".repeat(3 * rowBlockSizes.most + 5), row(2), row(3)]);
  assert.equal(cut(long).rows, 4);
  const equal = bytesOf(Array.from({ length: 50_000 }, () => "the same\tin each"));
  const { blocks, rows } = cut(equal);
  assert.equal(rows, 50_000);
  assert.ok(blocks.every((block) => block.at(-1) === 10));
  assert.deepEqual(cut(new Uint8Array(0)), { blocks: [], rows: 0 });
});
