import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { migrate } from "../../mod.ts";
import { tempFolder } from "../support/temp_folder.ts";

/** Runs a folder on a new SQLite file; what is applied, told and there afterwards, and how it ended. */
async function run(folder: Awaited<ReturnType<typeof tempFolder>>, signal?: AbortSignal) {
  const told: string[] = [];
  const ended = await migrate({
    database: `sqlite:${folder.path("app.db")}`,
    migrations: folder.path("migrations"),
    report: (event) => {
      if (event.type === "applied") told.push(event.name);
    },
    signal,
  }).then(() => "done", (error) => error.code ?? String(error));
  const database = new DatabaseSync(folder.path("app.db"));
  const names = (sql: string) => database.prepare(sql).all().map((row) => String(row.name));
  const seen = {
    ended,
    told,
    applied: names("select name from amber_migrations order by name"),
    tables: names("select name from sqlite_schema where type = 'table' and name like 't%' order by name"),
  };
  database.close();
  return seen;
}

const three = {
  "migrations/0001_a.sql": "create table t1 (id integer primary key);",
  "migrations/0002_b.sql": "create table t2 (id integer primary key); insert into t2 values (1);",
};

Deno.test("SQLite: of migrations that are committed together a bad one is undone alone", async () => {
  await using folder = await tempFolder({
    ...three,
    "migrations/0003_c.sql":
      "create table t3 (id integer primary key); insert into t3 values (1); insert into t3 values (1);",
    "migrations/0004_d.sql": "create table t4 (id integer primary key);",
  });
  assert.deepEqual(await run(folder), {
    ended: "STATEMENT_FAILED",
    told: ["0001_a", "0002_b"],
    applied: ["0001_a", "0002_b"],
    tables: ["t1", "t2"],
  });
  await folder.write({ "migrations/0003_c.sql": "create table t3 (id integer primary key);" });
  const { ended, told } = await run(folder);
  assert.deepEqual([ended, told], ["done", ["0003_c", "0004_d"]]);
});

Deno.test("SQLite: a statement that rolls everything back takes those before it along, and none is told or recorded", async () => {
  await using folder = await tempFolder({
    ...three,
    "migrations/0003_c.sql": "create table t3 (id integer primary key on conflict rollback); " +
      "insert into t3 values (1); insert into t3 values (1);",
  });
  const seen = await run(folder);
  assert.deepEqual(seen, { ended: "STATEMENT_FAILED", told: [], applied: [], tables: [] });
  await folder.write({ "migrations/0003_c.sql": "create table t3 (id integer primary key);" });
  assert.deepEqual((await run(folder)).applied, ["0001_a", "0002_b", "0003_c"]);
});

Deno.test("SQLite: what is not only additive has a commit of its own, in order with the rest", async () => {
  await using folder = await tempFolder({
    ...three,
    "migrations/0003_c.sql": "update t2 set id = 2;",
    "migrations/0004_d.sql": "create table t4 (id integer primary key);",
    "migrations/0005_e.sql": "create table t5 (id integer primary key); insert into t5 select id from t2 where id = 2;",
    "migrations/0006_f.sql": "-- migrate:up transaction:false\ncreate table t6 (id integer primary key);",
    "migrations/0007_g.sql": "create table t7 (id integer primary key);",
  });
  const names = ["0001_a", "0002_b", "0003_c", "0004_d", "0005_e", "0006_f", "0007_g"];
  assert.deepEqual(await run(folder), {
    ended: "done",
    told: names,
    applied: names,
    tables: ["t1", "t2", "t4", "t5", "t6", "t7"],
  });
});
