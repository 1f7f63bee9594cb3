/** Postgres in a snapshot, and back: the same instant, the same id, and no client tools. pg_dump is the oracle. */
import assert from "node:assert/strict";
import { command } from "../support/command.ts";
import { type PostgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { findProgram } from "../support/programs.ts";
import { testWith } from "../support/skip.ts";
import { makeRoles, tortured, tortureTexts } from "../engines/postgres/torture.ts";
import { type DataApp, dataApp } from "./data_app.ts";

/** All of a database as pg_dump writes it, rows too. */
async function dump({ url }: PostgresDatabase): Promise<string> {
  const { code, stdout, stderr } = await command(findProgram("pg_dump")!, [url], { cwd: "/" });
  assert.equal(code, 0, stderr);
  return stdout.replace(/^\\(un)?restrict .*\n/gm, "");
}

async function appOn(database: PostgresDatabase): Promise<DataApp> {
  return await dataApp({ "data/uploads/cat.txt": "meow" }, { DATABASE_URL: database.url });
}

/** Every built-in type with the values that are easily lost. */
const typesSql = `
  create table values_of_types (
    id int primary key, b boolean, i2 smallint, i4 int, i8 bigint, n numeric, r real, d double precision, m money,
    c char(5), v varchar(20), t text, y bytea, ts timestamp, tz timestamptz, da date, ti time, tt timetz, iv interval,
    u uuid, j json, jb jsonb, x xml, ip inet, ci cidr, ma macaddr, m8 macaddr8, bi bit(3), vb varbit, p point, l line,
    ls lseg, bo box, pa path, po polygon, cr circle, tv tsvector, tq tsquery, i4r int4range, ia int[], ta text[][],
    o oid, rc regclass, doubled bigint generated always as (i4::bigint * 2) stored);
  insert into values_of_types values
    (1, true, -32768, -2147483648, -9223372036854775808, 'NaN', 'Infinity', '-Infinity', '-12.34', 'ab', '', E'\\t\\n\\\\ \\r',
     '\\x00ff0a5c', '-infinity', 'infinity', 'infinity', '23:59:59.999999', '24:00:00-15:59', '-1 year 2 mons -3 days 00:00:00.000001',
     '00000000-0000-0000-0000-000000000001', '{"a": 1,  "a": 2}', '{"a": 2}', '<a>ä</a>', '::1/64', '10.0.0.0/8',
     '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '101', '', '(1e300,-1e-300)', '{1,-1,0}', '[(0,0),(1,1)]', '(1,1),(0,0)',
     '[(0,0),(1,1)]', '((0,0),(1,1),(2,0))', '<(0,0),1>', 'a:1A b', 'a & !b', '[1,5)', '{1,NULL,3}', '{{"a,b","NULL"},{"\\"",""}}',
     4294967295, 'values_of_types'),
    (2, null, 32767, 2147483, 9223372036854775807, '1e-1000', 'NaN', '0.1', null, null, null, '漢😀', '', '0001-01-01 00:00:00 BC',
     '2026-02-29 12:00:00.123456+00'::timestamptz - interval '0', 'epoch', null, null, null, null, null, null, null, null, null, null, null,
     null, null, null, null, null, null, null, null, null, null, null, 'empty', '{}', null, null, null);`
  .replace("'2026-02-29 12", "'2026-02-28 12");

testWith(
  ["postgres", "pg_dump"],
  "values of every built-in type come back, into the same database and into an empty one",
  async () => {
    const server = await sharedPostgres();
    await using original = await server.database();
    await using empty = await server.database();
    await original.sql(`${typesSql}
    create table empty (id bigint generated always as identity primary key, text text);
    create table parent (id int primary key, child int); create table child (id int primary key, parent int references parent);
    alter table parent add constraint to_child foreign key (child) references child deferrable initially deferred;
    begin; insert into parent values (1, 2); insert into child values (2, 1); commit;
    create sequence odd increment -7 minvalue -1000 maxvalue 1000 start 500 cycle; select nextval('odd'); select nextval('odd');
    create table audit (what text); create function audit() returns trigger language plpgsql as
      'begin insert into audit values (tg_op); return null; end';
    create trigger audited after insert or update or delete on child for each row execute function audit();
    create trigger off after insert on parent for each row execute function audit(); alter table parent disable trigger off;
    create table secret (id int); insert into secret values (7); alter table secret enable row level security, force row level security;
    create table "weird ""name"".x/y" ("a\\b" int, "ü" text); insert into "weird ""name"".x/y" values (1, 'z');
    select lo_from_bytea(4711, decode(repeat('00ff', 300000), 'hex')); select lo_create(4712);
    create materialized view sums as select sum(i4) from values_of_types;`);
    const before = await dump(original);
    await using app = await appOn(original);
    const taken = await app.result("snapshot");
    assert.deepEqual([taken.coversDatabase, taken.files], [true, 2]);
    const { rows } = taken.postgres as { rows: Record<string, number> };
    assert.equal(rows["public.values_of_types"], 2);
    assert.equal(rows[`public."weird ""name"".x/y"`], 1);

    await original.sql(`delete from child; delete from parent where id = 1; update values_of_types set t = 'lost';
    insert into empty (text) values ('new'); select nextval('odd'); select lo_unlink(4711); truncate audit; drop table if exists none`);
    assert.notEqual(await dump(original), before);
    await app.ends(0, ["restore", String(taken.id), "--yes"]);
    assert.equal(await dump(original), before);

    const into = { env: { DATABASE_URL: empty.url } };
    const refused = await app.ends(1, ["restore", String(taken.id), "--database", "--yes"], into);
    assert.match(refused.stderr, /RESTORE_BLOCKED/);
    await app.ends(0, ["restore", String(taken.id), "--database", "--yes", "--schema"], into);
    assert.equal(await dump(empty), before);
  },
);

testWith(["postgres", "pg_dump"], "a schema with everything in it round-trips with its rows", async () => {
  const server = await sharedPostgres();
  await using original = await tortured(server);
  await using empty = await server.database();
  await using app = await appOn(original);
  const before = await dump(original);
  const id = await app.take();
  await app.ends(0, ["restore", id, "--yes"]);
  assert.equal(await dump(original), before, "rows exchanged");
  await app.ends(0, ["restore", id, "--database", "--yes", "--schema"], { env: { DATABASE_URL: empty.url } });
  assert.equal(await dump(empty), before, "made by schema.sql");
});

testWith(
  "postgres",
  "an empty database is filled by the app's own migrations, and a killed one is not taken for a filled one",
  async () => {
    const server = await sharedPostgres();
    await using original = await server.database();
    await using empty = await server.database();
    await using app = await appOn(original);
    const { folder } = app;
    await folder.write({
      "migrations/0001_notes.sql":
        "create table notes (id int primary key, text text not null); insert into notes values (0, 'seed')",
      "migrations/0002_more.sql": "alter table notes add column more text",
    });
    await app.ends(0, ["migrate"]);
    await original.sql("insert into notes select i, 'note ' || i from generate_series(1, 500) i");
    await app.take();
    await folder.write({ "migrations/0003_later.sql": "create table later (id int primary key)" });
    const env = { DATABASE_URL: empty.url };
    const planned = await app.ends(0, ["restore", "latest", "--database", "--plan"], { env });
    assert.match(planned.stdout, /made by the migrations up to there/);
    // As one that was killed in the middle leaves it.
    await empty.sql("create table amber_restore (id text primary key); insert into amber_restore values ('replaying')");
    await app.ends(0, ["migrate", "0001"], { env });
    const { stdout } = await app.ends(0, ["restore", "latest", "--if-empty"], { env });
    assert.match(stdout, /The database stands at migration 0002_more; amber migrate brings it up to date/);
    assert.deepEqual(await empty.sql("select count(*)::int as n, min(id) as first from notes"), [{ n: 501, first: 0 }]);
    assert.deepEqual(await empty.sql("select to_regclass('amber_restore')::text as marker"), [{ marker: null }]);
    const again = await app.ends(0, ["restore", "latest", "--if-empty"], { env });
    assert.match(again.stdout, /Nothing to do/);
    await app.ends(0, ["migrate"], { env });
    assert.deepEqual(await empty.sql("select count(*)::int as n from later"), [{ n: 0 }]);
    const differs = await app.ends(1, ["restore", "latest", "--database", "--yes"], { env });
    assert.match(differs.stderr, /its schema is not the snapshot.s: .*table public\.later is not in the snapshot/);
  },
);

testWith(["postgres", "pg_dump"], "a schema with everything in it comes back by the app's migrations", async () => {
  const server = await sharedPostgres();
  await makeRoles(server);
  await using original = await server.database();
  await using empty = await server.database();
  await using app = await appOn(original);
  const texts = tortureTexts(server.major);
  const names = texts.map((_, i) => `migrations/${String(i + 1).padStart(4, "0")}_part.sql`);
  await app.folder.write(Object.fromEntries(texts.map((text, i) => [names[i]!, text])));
  await app.ends(0, ["migrate"]);
  const before = await dump(original);
  const id = await app.take();
  const { stdout } = await app.ends(0, ["restore", id, "--database"], { env: { DATABASE_URL: empty.url } });
  assert.match(stdout, /made by the migrations up to there/);
  assert.equal(await dump(empty), before);
});

testWith(
  "postgres",
  "an app that has a Postgres and no files: the snapshot is of the database, and a note says that data/ is empty",
  async () => {
    const server = await sharedPostgres();
    await using database = await server.database();
    await database.sql("create table notes (id int primary key); insert into notes values (1)");
    await using app = await dataApp({}, { DATABASE_URL: database.url, AMBER_DATA: "none" });
    const { stdout, stderr } = await app.ends(0, ["snapshot"]);
    assert.match(stdout, /1 table, 1 row/);
    assert.match(stderr, /the data folder "none" does not exist/);
  },
);
