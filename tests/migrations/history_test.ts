import assert from "node:assert/strict";
import type { Engine } from "../../lib/engines/engine.ts";
import {
  createHistory,
  deleteRow,
  readHistory,
  updateRow,
  writeDigest,
  writeRow,
} from "../../lib/migrations/history.ts";
import type { HistoryRow } from "../../lib/migrations/history_row.ts";
import { refuseOtherTool } from "../../lib/migrations/other_tools.ts";
import { appTables, hasRows } from "../../lib/migrations/rows.ts";
import { initialTables, tableExists } from "../../lib/migrations/initial.ts";
import { open } from "../engines/contract.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { file, row } from "./made.ts";

/** On a new database of each engine, in the transaction of its lock. */
function onBoth(name: string, body: (engine: Engine, dialect: Engine["dialect"]) => Promise<void>): void {
  Deno.test(`SQLite: ${name}`, async () => {
    await using folder = await tempFolder();
    await using engine = await open(`sqlite:${folder.path("app.db")}`, { create: true });
    await engine.lock({ journaled: false });
    await engine.begin();
    await body(engine, "sqlite");
  });
  testWith("postgres", `Postgres: ${name}`, async () => {
    await using database = await (await sharedPostgres()).database();
    await using engine = await open(database.url);
    await engine.lock({ journaled: false });
    await engine.begin();
    await body(engine, "postgres");
  });
}

const full: HistoryRow = row('0001_it\'s \\ 漢字 "quoted"', {
  checksum: "a".repeat(64),
  hashes: "00000000 ffffffff",
  done: 2,
  statements: 2,
  doneHash: "d",
  begun: '{"statement":1,"text":"it\'s \\\\ here"}',
  checkpoint: '{"0":"s\\\\x"}',
  snapshot: "snap-1",
  down: "-- migrate:down\ninsert into a values (E'\\\\', 'x''y');\n",
  digest: "e",
});

onBoth("a row comes back as it was written", async (engine) => {
  assert.equal(await readHistory(engine).catch(() => undefined), undefined);
  await engine.rollback();
  await engine.begin();
  await createHistory(engine);
  await createHistory(engine);
  assert.deepEqual(await readHistory(engine), []);
  const plain = row("0002_b");
  await writeRow(engine, full);
  await writeRow(engine, plain);
  const rows = (await readHistory(engine))!.sort((a, b) => (a.name < b.name ? -1 : 1));
  assert.deepEqual(rows, [full, plain]);
});

onBoth("an applied row is never written over, a half-done one is", async (engine) => {
  await createHistory(engine);
  await writeRow(engine, row("1_a", { state: "running" }));
  await writeRow(engine, row("1_a", { durationMs: 7 }));
  await assert.rejects(writeRow(engine, row("1_a", { durationMs: 8 })), { code: "LOCK_LOST" });
  assert.equal((await readHistory(engine))![0]!.durationMs, 7);
});

onBoth("updateRow() and deleteRow() change one row, and complain when it is gone", async (engine) => {
  await createHistory(engine);
  await writeRow(engine, full);
  await writeRow(engine, row("2_b"));
  await updateRow(engine, full.name, { state: "reverting", begun: null, done: 1, down: "it's" });
  const [changed] = (await readHistory(engine))!.filter((one) => one.name === full.name);
  assert.deepEqual(changed, { ...full, state: "reverting", begun: null, done: 1, down: "it's" });
  await deleteRow(engine, full.name);
  assert.deepEqual((await readHistory(engine))!.map((one) => one.name), ["2_b"]);
  await assert.rejects(deleteRow(engine, full.name), { code: "LOCK_LOST" });
  await assert.rejects(updateRow(engine, full.name, { done: 1 }), { code: "LOCK_LOST" });
});

onBoth("the digest stands in one row", async (engine) => {
  await createHistory(engine);
  for (const name of ["1_a", "2_b", "3_c"]) await writeRow(engine, row(name));
  const where = async () =>
    (await readHistory(engine))!.filter((one) => one.digest !== null).map((one) => `${one.name} ${one.digest}`);
  await writeDigest(engine, "2_b", "first");
  assert.deepEqual(await where(), ["2_b first"]);
  await writeDigest(engine, "3_c", "second");
  assert.deepEqual(await where(), ["3_c second"]);
});

onBoth("columns of a newer amber are left alone", async (engine) => {
  await createHistory(engine);
  await engine.run([{ text: `alter table ${engine.history} add column of_tomorrow text default 'x'` }]);
  await writeRow(engine, full);
  assert.deepEqual(await readHistory(engine), [full]);
});

onBoth("another tool's history is found by its table", async (engine, dialect) => {
  const tables: [string, string, RegExp][] = [
    ["schema_migrations (version text)", "dbmate", /amber adopt dbmate/],
    ["schema_migrations (version bigint, dirty boolean)", "golang-migrate", /--fake NAME/],
    ["django_migrations (id integer, app text, name text)", "Django", /--fake NAME/],
    ["_sqlx_migrations (version bigint)", "sqlx", /--fake NAME/],
    ["goose_db_version (id integer)", "goose", /--fake NAME/],
    ["flyway_schema_history (installed_rank integer)", "Flyway", /--fake NAME/],
    ["_prisma_migrations (id text)", "Prisma", /--fake NAME/],
    ['"SequelizeMeta" (name text)', "Sequelize", /--fake NAME/],
    ["alembic_version (version_num text)", "Alembic", /--fake NAME/],
    ["knex_migrations (id integer)", "Knex", /--fake NAME/],
  ];
  await refuseOtherTool(engine);
  for (const [table, tool, hint] of tables) {
    await engine.run([{ text: `create table ${table}` }]);
    const bare = table.split(" (")[0];
    await assert.rejects(refuseOtherTool(engine), { code: "HISTORY_FOREIGN", hint: /that table is empty/ });
    await engine.run([{ text: `insert into ${bare} default values` }]);
    await assert.rejects(refuseOtherTool(engine), {
      code: "HISTORY_FOREIGN",
      message: new RegExp(`migrated by ${tool} `),
      hint,
    });
    await engine.run([{ text: `drop table ${bare}` }]);
  }
  if (dialect === "postgres") {
    await engine.run([{ text: "create schema drizzle; create table drizzle.__drizzle_migrations (id int)" }]);
    await assert.rejects(refuseOtherTool(engine), { message: /migrated by Drizzle / });
    await engine.run([{ text: "drop schema drizzle cascade" }, {
      text: "create schema other; create table other.schema_migrations (x int)",
    }]);
    await refuseOtherTool(engine); // a schema that is not in the search path is another app's
  }
});

onBoth("hasRows() sees the app's rows, and neither the system's nor amber's", async (engine, dialect) => {
  await createHistory(engine);
  await writeRow(engine, full);
  assert.equal(await hasRows(engine), false);
  for (let i = 0; i < 130; i++) await engine.run([{ text: `create table "t ""${i}" (x integer)` }]);
  assert.equal((await appTables(engine)).length, 130);
  assert.equal(await hasRows(engine), false);
  await engine.run([{ text: 'insert into "t ""129" values (1)' }]);
  assert.equal(await hasRows(engine), true);
  if (dialect === "postgres") {
    await engine.run([{ text: 'delete from "t ""129"' }, {
      text: "create schema other; create table other.t as select 1 as x",
    }]);
    assert.equal(await hasRows(engine), true, "another schema of the same database");
  }
});

onBoth("tableExists() finds a table as a statement would", async (engine, dialect) => {
  await engine.run([{ text: "create table plain (x integer)" }, { text: 'create table "Mixed" (x integer)' }]);
  assert.equal(await tableExists(engine, { name: "plain" }), true);
  assert.equal(await tableExists(engine, { name: "gone" }), false);
  assert.equal(await tableExists(engine, { name: "it's" }), false);
  assert.equal(await tableExists(engine, { name: "mixed" }), dialect === "sqlite");
  if (dialect === "postgres") {
    await engine.run([{ text: "create schema other; create table other.t (x int)" }]);
    assert.equal(await tableExists(engine, { name: "t" }), false);
    assert.equal(await tableExists(engine, { schema: "other", name: "t" }), true);
  }
});

Deno.test("initialTables() lists what a first migration creates for good", () => {
  const text = `create table a (x integer);
    CREATE TABLE IF NOT EXISTS "B b" (x integer);
    create table app.c (x integer);
    create temp table t (x integer);
    create index i on a (x);
    create view v as select 1;
    insert into a values (1);`;
  const names = initialTables(file("1_a", text), "postgres").map(({ schema, name }) =>
    `${schema ? `${schema}.` : ""}${name}`
  );
  assert.deepEqual(names, ["a", "B b", "app.c"]);
  const virtual = initialTables(file("1_a", "create virtual table s using fts5 (x);"), "sqlite");
  assert.deepEqual(virtual.map((one) => one.name), ["s"]);
});
