import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { imageCheck } from "../../../lib/engines/sqlite/check_image.ts";
import { makeDatabase } from "../../support/data_tree.ts";
import { tempFolder } from "../../support/temp_folder.ts";

/** What lets a test write a schema that SQLite would not. */
const forging = { enableForeignKeyConstraints: false, defensive: false };

Deno.test("imageCheck() counts the tables that are asked for, and leaves nothing beside the image", async () => {
  await using folder = await tempFolder();
  const image = folder.path("image");
  makeDatabase(image, { journal: "wal", rows: 42 });
  const check = await imageCheck(image, { tables: ["notes", "gone"] });
  assert.deepEqual(check, {
    integrity: [],
    foreignKeys: { count: 0, tables: [] },
    rows: { notes: 42, gone: "missing" },
  });
  assert.deepEqual(await folder.list(), ["image"]);
});

Deno.test("imageCheck() finds a damaged index and rows that refer to missing ones", async () => {
  await using folder = await tempFolder();
  const image = folder.path("image");
  const database = new DatabaseSync(image, forging);
  database.exec(`create table a (id integer primary key);
    create table b (a integer references a (id));
    create index b_a on b (a);
    insert into b values (1), (2), (null);
    create table indexed (x, y);
    create index y on indexed (y);
    insert into indexed values (1, 1), (2, 2);
    pragma writable_schema = on;
    update sqlite_schema set sql = 'CREATE INDEX y on indexed (x)' where name = 'y';
    pragma writable_schema = off`);
  database.exec("update indexed set x = 9");
  database.close();
  const { integrity, foreignKeys } = await imageCheck(image, { tables: [] });
  assert.deepEqual(foreignKeys, { count: 2, tables: ["b"] });
  assert.ok(integrity.length > 0 && integrity.length <= 20, JSON.stringify(integrity));
});

Deno.test("imageCheck() trusts nothing of a forged image: no view is counted, no function called", async () => {
  await using folder = await tempFolder();
  const image = folder.path("image");
  const database = new DatabaseSync(image, forging);
  database.exec(`create table t (x);
    create view endless as with recursive n (i) as (select 1 union all select i + 1 from n) select i from n;
    create table indexed (x);
    pragma writable_schema = on;
    insert into sqlite_schema values ('index', 'i', 'indexed', 2, 'CREATE INDEX i ON indexed (only_the_app_has_this(x))')`);
  database.close();
  const { rows, integrity } = await imageCheck(image, { tables: ["endless", "t", 'ind"ex', "sqlite_schema"] });
  assert.equal(rows.endless, "missing");
  assert.equal(rows['ind"ex'], "missing");
  // What cannot be checked is said, and does not stop the rest.
  assert.ok(rows.t === 0 || typeof rows.t === "object", JSON.stringify(rows));
  assert.ok(integrity.length > 0);
});

Deno.test("imageCheck() says what is wrong with a file that is no database", async () => {
  await using folder = await tempFolder({ image: "SQLite format 3\0" + "x".repeat(5000) });
  const { integrity, rows } = await imageCheck(folder.path("image"), { tables: ["t"] }).catch((error) => ({
    integrity: [error.message],
    rows: {},
  }));
  assert.match(integrity[0]!, /malformed|not a database|encrypted/);
  assert.notEqual((rows as Record<string, unknown>).t, 0);
});
