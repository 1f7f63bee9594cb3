import assert from "node:assert/strict";
import { digest as whole, filesDigest, sha256 } from "../../lib/migrations/digest.ts";
import type { HistoryRow } from "../../lib/migrations/history_row.ts";
import type { MigrationFile } from "../../lib/migrations/migration.ts";
import { file, row } from "./made.ts";

const files = () => [file("1_a", "one"), file("2_b", "two")];
const rows = () => [row("1_a"), row("2_b")];

const digest = async (files: MigrationFile[], rows: HistoryRow[]) => await whole(await filesDigest(files), rows);

Deno.test("the digest is the same for the same files and rows, whatever the order of the rows", async () => {
  const known = await digest(files(), rows());
  assert.match(known, /^[0-9a-f]{64}$/);
  assert.equal(await digest(files(), rows()), known);
  assert.equal(await digest(files(), rows().reverse()), known);
});

Deno.test("the digest does not depend on itself, nor on the path of the folder or on when and by whom", async () => {
  const known = await digest(files(), rows());
  const elsewhere = files().map((one) => ({ ...one, path: one.path.replace("m/", "/srv/app/migrations/") }));
  assert.equal(await digest(elsewhere, rows()), known);
  const later = rows().map((one) => ({
    ...one,
    digest: known,
    appliedAt: "2030-01-01",
    appliedBy: "bo@x",
    durationMs: 9,
  }));
  assert.equal(await digest(files(), later), known);
});

const changes: {
  name: string;
  files?: (all: MigrationFile[]) => MigrationFile[];
  rows?: (all: HistoryRow[]) => HistoryRow[];
}[] = [
  { name: "a byte of a file", files: ([a, b]) => [a!, file(b!.name, "twO")] },
  { name: "a byte more", files: ([a, b]) => [a!, file(b!.name, "two ")] },
  { name: "a byte moved from one file to the next", files: () => [file("1_a", "on"), file("2_b", "etwo")] },
  { name: "a file's name", files: ([a]) => [a!, file("2_c", "two")] },
  { name: "a file's ending", files: ([a]) => [a!, file("2_b.ts", "two")] },
  { name: "a file more", files: (all) => [...all, file("3_c", "")] },
  { name: "a file less", files: ([a]) => [a!] },
  { name: "two files' contents swapped", files: () => [file("1_a", "two"), file("2_b", "one")] },
  { name: "a row's name", rows: ([a]) => [a!, row("2_c")] },
  { name: "a row's checksum", rows: ([a, b]) => [a!, { ...b!, checksum: "d" }] },
  { name: "a row's raw hash", rows: ([a, b]) => [a!, { ...b!, rawHash: "r" }] },
  { name: "a row's state", rows: ([a, b]) => [a!, { ...b!, state: "running" }] },
  { name: "a row more", rows: (all) => [...all, row("3_c")] },
  { name: "a row less", rows: ([a]) => [a!] },
  { name: "no row", rows: () => [] },
];

for (const change of changes) {
  Deno.test(`the digest changes with ${change.name}`, async () => {
    const changed = await digest(change.files?.(files()) ?? files(), change.rows?.(rows()) ?? rows());
    assert.notEqual(changed, await digest(files(), rows()));
  });
}

Deno.test("sha256() is SHA-256, of texts as UTF-8", async () => {
  assert.equal(await sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert.equal(await sha256("ä"), await sha256(new Uint8Array([0xc3, 0xa4])));
});
