import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import { readFolder } from "../../lib/migrations/folder.ts";
import { type Files, tempFolder } from "../support/temp_folder.ts";

Deno.test("readFolder() gives the files of an engine in order, and notes what is for one engine only", async () => {
  await using folder = await tempFolder({
    "10_b.sql": "b",
    "9_a.sqlite.sql": "lite",
    "9_a.postgres.sql": "post",
    "11_c.ts": "c",
    "12_d.sqlite.sql": "d",
    "README.md": "",
    "_helper.ts": "",
    "data/": "",
  });
  const lite = readFolder(folder.root, "sqlite");
  assert.deepEqual(lite.files.map(({ name, kind, number }) => `${number} ${name} ${kind}`), [
    "9 9_a sql",
    "10 10_b sql",
    "11 11_c code",
    "12 12_d sql",
  ]);
  assert.equal(lite.files[0]!.path, folder.path("9_a.sqlite.sql"));
  assert.equal(new TextDecoder().decode(lite.files[0]!.bytes), "lite");
  assert.deepEqual(lite.oneEngine, [{ name: "12_d", has: "sqlite" }]);
  assert.throws(() => readFolder(folder.root, "postgres"), {
    code: "MIGRATION_VARIANT_MISSING",
    message: /Cannot run "12_d" on postgres/,
    hint: /12_d\.postgres\.sql/,
  });
  await Deno.remove(folder.path("12_d.sqlite.sql"));
  assert.equal(new TextDecoder().decode(readFolder(`${folder.root}/`, "postgres").files[0]!.bytes), "post");
});

const refused: { name: string; files: Files; code: string; says: RegExp }[] = [
  { name: "an empty folder", files: {}, code: "MIGRATIONS_MISSING", says: /has none/ },
  {
    name: "a folder without migrations",
    files: { "README.md": "", "sub/0001_a.sql": "" },
    code: "MIGRATIONS_MISSING",
    says: /has none/,
  },
  {
    name: "one migration twice",
    files: { "1_a.sql": "", "1_a.ts": "" },
    code: "MIGRATION_NAME",
    says: /"1_a\.sql" and "1_a\.ts" are both/,
  },
  {
    name: "one for all and one for an engine",
    files: { "1_a.sql": "", "1_a.sqlite.sql": "" },
    code: "MIGRATION_NAME",
    says: /NAME\.sqlite\.sql and NAME\.postgres\.sql/,
  },
  {
    name: "a name without a number",
    files: { "1_a.sql": "", "more.sql": "" },
    code: "MIGRATION_NAME",
    says: /more\.sql/,
  },
];

for (const { name, files, code, says } of refused) {
  Deno.test(`readFolder() refuses ${name}`, async () => {
    await using folder = await tempFolder(files);
    assert.throws(() => readFolder(folder.root, "sqlite"), (error) => {
      assert.ok(error instanceof AmberError);
      assert.equal(error.code, code);
      assert.match(`${error.message}\n${error.hint}`, says);
      return true;
    });
  });
}

Deno.test("readFolder() refuses what is no folder", async () => {
  await using folder = await tempFolder({ "file": "" });
  assert.throws(() => readFolder(folder.path("gone"), "sqlite"), {
    code: "MIGRATIONS_MISSING",
    message: /there is no such folder/,
    where: folder.path("gone"),
  });
  assert.throws(() => readFolder(folder.path("file"), "sqlite"), { code: "MIGRATIONS_MISSING" });
});
