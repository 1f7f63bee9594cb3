/** `amber export` of a Postgres database: tar unpacks it, psql loads it, pg_dump calls it the same. */
import assert from "node:assert/strict";
import { command } from "../support/command.ts";
import { type PostgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { findProgram } from "../support/programs.ts";
import { testWith } from "../support/skip.ts";
import { dataApp } from "./data_app.ts";

testWith(
  ["postgres", "pg_dump", "psql", "tar"],
  "tar unpacks it and psql loads it: pg_dump sees no difference",
  async () => {
    const server = await sharedPostgres();
    await using original = await server.database();
    await using loaded = await server.database();
    await original.sql(`
    create table parent (id int primary key, child int); create table child (id int primary key, parent int references parent);
    alter table parent add constraint to_child foreign key (child) references child deferrable initially deferred;
    begin; insert into parent values (1, 2); insert into child values (2, 1); commit;
    create table "weird ""it's"".x/y" ("a\\b" int, "ü" text, twice int generated always as ("a\\b" * 2) stored);
    insert into "weird ""it's"".x/y" ("a\\b", "ü") values (1, E'z\\n\\t\\\\.\\n'), (2, '\\.');
    create table numbers (id bigserial primary key); insert into numbers default values; insert into numbers default values;
    create table none (); insert into none default values; insert into none default values;
    create materialized view sums as select sum(id) from numbers;
    select lo_from_bytea(4711, decode(repeat('00ff', 300000), 'hex')); select lo_create(4712)`);
    await using app = await dataApp({ "data/database/own.txt": "in the way" }, { DATABASE_URL: original.url });
    const { folder } = app;
    await app.take();
    const { stderr } = await app.ends(0, ["export", "latest", "-o", "data.tar"]);
    assert.match(stderr, /the configured database is "database-2" in the tar/);
    const unpacked = await command("tar", ["-xvf", "data.tar"], { cwd: folder.root });
    assert.deepEqual({ code: unpacked.code, stderr: unpacked.stderr }, { code: 0, stderr: "" });
    const names = unpacked.stdout.trim().split("\n").filter((name) => name.startsWith("database-2/"));
    assert.deepEqual(names.filter((name) => !name.includes("/tables/")), [
      "database-2/large-objects.copy",
      "database-2/schema.jsonl",
      "database-2/schema.sql",
      "database-2/sequences.copy",
      "database-2/load.sql",
    ]);
    assert.equal(await folder.read("database-2/tables/public/parent.copy"), "1\t2\n");
    const psql = ["-X", "-q", "-f", "load.sql", loaded.url];
    const said = await command(findProgram("psql")!, psql, { cwd: folder.path("database-2") });
    assert.deepEqual({ code: said.code, out: said.stdout + said.stderr }, { code: 0, out: "" });
    assert.equal(await dump(loaded), await dump(original));
  },
);

async function dump({ url }: PostgresDatabase): Promise<string> {
  const { code, stdout, stderr } = await command(findProgram("pg_dump")!, [url], { cwd: "/" });
  assert.equal(code, 0, stderr);
  return stdout.replace(/^\\(un)?restrict .*\n/gm, "");
}
