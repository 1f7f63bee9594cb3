import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { isDatabaseHeader, superJournalIn, superJournalOf } from "../../../lib/engines/sqlite/inspect_file.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { Locker } from "./talking.ts";

const encode = (text: string) => new TextEncoder().encode(text);

Deno.test("a database is known by its first 16 bytes", () => {
  assert.ok(isDatabaseHeader(encode("SQLite format 3\0 and more")));
  assert.ok(!isDatabaseHeader(encode("SQLite format 3 ")));
  assert.ok(!isDatabaseHeader(encode("SQLite format 3")));
  assert.ok(!isDatabaseHeader(new Uint8Array()));
});

Deno.test("superJournalOf() finds the name that SQLite wrote at the end of a journal", async () => {
  await using folder = await tempFolder();
  const [first, second] = [folder.path("first.db"), folder.path("sécond.db")];
  for (const path of [first, second]) {
    const database = new DatabaseSync(path);
    database.exec("create table c (n); insert into c values (0)");
    database.close();
  }
  assert.equal(superJournalOf(first), undefined, "there is no journal");
  await using writer = new Locker(first, second);
  await writer.pair();
  // It is there while both are being committed.
  const deadline = performance.now() + 30_000;
  let name: string | undefined;
  while (name === undefined && performance.now() < deadline) name = superJournalOf(second);
  assert.match(name ?? "none was seen", /^.*first\.db-mj/);
});

for (
  const [what, name, expected] of [
    ["a path", "/data/app.db-mj1A2B", "/data/app.db-mj1A2B"],
    ["a path that is not ASCII, as C's signed chars", "/dätä", "/dätä"],
    ["no name", "", undefined],
  ] as const
) {
  Deno.test(`superJournalIn() of ${what}`, () => assert.equal(superJournalIn(tail(name, -1)), expected));
}

Deno.test("superJournalIn() takes unsigned chars too, and no name whose sum or length is wrong", () => {
  assert.equal(superJournalIn(tail("/dätä", 0)), "/dätä");
  const good = tail("/data/x", -1);
  for (const at of [0, 3, good.length - 9, good.length - 13, good.length - 1]) {
    const bad = good.slice();
    bad[at]! ^= 1;
    assert.equal(superJournalIn(bad), undefined, `byte ${at}`);
  }
  const long = good.slice();
  new DataView(long.buffer).setUint32(long.length - 16, 1_000_000);
  assert.equal(superJournalIn(long), undefined);
  assert.equal(superJournalIn(good.subarray(-15)), undefined);
});

/** … name, length, sum, magic number; the sum of signed chars (-1), or unsigned (0). */
function tail(name: string, sign: -1 | 0): Uint8Array {
  const bytes = encode(name);
  const out = new Uint8Array(bytes.length + 16);
  out.set(bytes);
  const view = new DataView(out.buffer);
  view.setUint32(bytes.length, bytes.length);
  view.setUint32(bytes.length + 4, bytes.reduce((sum, byte) => sum + byte + (byte > 127 ? 256 * sign : 0), 0) >>> 0);
  out.set([0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7], bytes.length + 8);
  return out;
}
