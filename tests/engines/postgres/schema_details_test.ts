/** What a schema says of tables, what it names as left out, and what is said of `public`. */
import assert from "node:assert/strict";
import { fingerprint } from "../../../lib/engines/postgres/schema/fingerprint.ts";
import type { SchemaTable } from "../../../lib/engines/postgres/schema/schema_object.ts";
import { schemaSql } from "../../../lib/engines/postgres/schema/schema_sql.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { testWith } from "../../support/skip.ts";
import { connected, pgDump, pgDumpFor, runSql, schemaOf } from "./schema_databases.ts";
import { makeRoles } from "./torture.ts";

testWith("postgres", "tables are told with what a dump of their rows wants to know", async () => {
  await using database = await (await sharedPostgres()).database();
  await database.sql(`create schema "S 1";
    create table "S 1"."T 1" (id bigint generated always as identity primary key, "B" text, gone int,
      up text generated always as (upper("B")) stored, n serial);
    alter table "S 1"."T 1" drop column gone;
    create unlogged table u (t bigint references "S 1"."T 1");
    create table p (id int) partition by list (id);
    create table p_1 partition of p for values in (1);
    create table child (x int) inherits (u);
    create materialized view filled as select 1 as a;
    create materialized view empty as select 1 as a with no data;
    create foreign data wrapper w; create server s foreign data wrapper w; create foreign table f (a int) server s;
    create sequence alone;
    create view v as select 1 as a; create type c as (a int);
    create temp table t (x int);`);
  const { tables, sequences } = await schemaOf(database.url);
  const of = (quoted: string) => tables.find((one) => one.quoted === quoted)!;
  const { oid, ...first } = of('"S 1"."T 1"');
  assert.ok(oid >= 16384);
  assert.deepEqual(
    first,
    {
      schema: "S 1",
      name: "T 1",
      quoted: '"S 1"."T 1"',
      kind: "table",
      persistence: "permanent",
      columns: [
        { name: "id", quoted: "id", type: "bigint" },
        { name: "B", quoted: '"B"', type: "text" },
        { name: "n", quoted: "n", type: "integer" },
      ],
      identity: ["id"],
      sequences: ['"S 1"."T 1_id_seq"', '"S 1"."T 1_n_seq"'],
      isPartition: false,
      isChild: false,
      isPopulated: true,
      foreignKeys: [],
    } satisfies Omit<SchemaTable, "oid">,
  );
  const facts = tables.map(({ quoted, kind, persistence, isPartition, isChild, isPopulated }) =>
    [quoted, kind, persistence, isPartition && "partition", isChild && "child", isPopulated || "empty"].filter((one) =>
      one !== false && one !== true
    ).join(" ")
  );
  assert.deepEqual(facts, [
    '"S 1"."T 1" table permanent',
    "public.child table permanent child",
    "public.empty materialized view permanent empty",
    "public.f foreign table permanent",
    "public.filled materialized view permanent",
    "public.p partitioned table permanent",
    "public.p_1 table permanent partition child",
    "public.u table unlogged",
  ]);
  assert.deepEqual(of("public.u").foreignKeys, [{
    name: "u_t_fkey",
    references: '"S 1"."T 1"',
    sql: 'ALTER TABLE ONLY public.u ADD CONSTRAINT u_t_fkey FOREIGN KEY (t) REFERENCES "S 1"."T 1"(id);',
  }]);
  assert.deepEqual(sequences.map(({ quoted, ownedBy }) => [quoted, ownedBy]), [
    ['"S 1"."T 1_id_seq"', { table: '"S 1"."T 1"', column: "id" }],
    ['"S 1"."T 1_n_seq"', { table: '"S 1"."T 1"', column: "n" }],
    ["public.alone", undefined],
  ]);
});

testWith("postgres", "a table that an extension marks as holding users' rows is told, and not made", async () => {
  await using database = await (await sharedPostgres()).database();
  // As pg_extension_config_dump() does in an extension's own script.
  await database.sql(`create extension hstore;
    create table settings (name text primary key, own boolean); create index on settings (own);
    create table inside (x int);
    alter extension hstore add table settings; alter extension hstore add table inside;
    update pg_extension set extconfig = array['settings'::regclass], extcondition = array['where own']
      where extname = 'hstore';
    comment on table settings is 'of the extension';
    create table mine (s text references settings);`);
  const { tables, objects, notes } = await schemaOf(database.url);
  const told = tables.find(({ name }) => name === "settings");
  assert.deepEqual(told?.extension, { name: "hstore", where: "where own" });
  assert.equal(tables.find(({ name }) => name === "inside"), undefined);
  assert.deepEqual(objects.map(({ kind, name }) => `${kind} ${name}`), [
    "extension hstore",
    "table public.mine",
    "foreign key mine_s_fkey ON public.mine",
  ]);
  assert.deepEqual(notes, []);
});

testWith("postgres", "nothing is left out in silence", async () => {
  const server = await sharedPostgres();
  await using database = await server.database();
  await database.sql(`create table t (x int); insert into t values (1), (1);
    create materialized view one as select 1 as a; create materialized view two as select a from one;
    refresh materialized view one with no data;
    create foreign data wrapper w; create server s foreign data wrapper w options (host 'h', api_token 'hush7');
    create user mapping for public server s options (user 'u', password 'hush7');
    create table p (a int, g int generated always as (a + 1) stored); create table c (x int) inherits (p); alter table p add z int;`);
  await assert.rejects(connected(database.url, (one) => one.query("create unique index concurrently broken on t (x)")));
  // A subscription is never connected here; without its slot it can be dropped with its database.
  await database.sql("create subscription sub connection 'dbname=none' publication none with (connect = false)");
  await database.sql("alter subscription sub set (slot_name = none)");
  try {
    const schema = await schemaOf(database.url);
    assert.deepEqual(schema.notes, [
      "index public.broken on public.t is left out: its building failed or has not ended",
      "materialized view public.two stays empty: one that it reads is empty",
      "server s: the option api_token is left out",
      "subscription sub is not covered",
      "table public.c: made from this text, its inherited columns come first",
      "user mapping FOR PUBLIC SERVER s: the option password is left out",
    ]);
    const text = schemaSql(schema);
    for (const note of schema.notes) assert.ok(text.includes(`-- Note: ${note}\n`), note);
    assert.match(text, /^-- Not covered: roles, tablespaces, other databases of the server, subscriptions, /m);
    assert.doesNotMatch(text, /hush7/);
    await using made = await server.database();
    await runSql(made.url, text);
  } finally {
    await database.sql("drop subscription sub");
  }
});

testWith("postgres", "the label of a security provider is printed", async () => {
  await using database = await (await sharedPostgres()).database();
  await database.sql(`create table t (x int); set allow_system_table_mods = on;
    insert into pg_seclabel values ('t'::regclass, 'pg_class'::regclass, 1, 'Dummy', 'it''s secret'),
      ('t'::regclass, 'pg_class'::regclass, 0, 'Dummy', 'all');`);
  const { objects } = await schemaOf(database.url);
  assert.deepEqual(objects.map(({ sql }) => sql.split("\n").slice(-2)), [[
    `SECURITY LABEL FOR "Dummy" ON TABLE public.t IS 'all';`,
    `SECURITY LABEL FOR "Dummy" ON COLUMN public.t.x IS 'it''s secret';`,
  ]]);
});

const publics: [name: string, sql: string][] = [
  ["as it is born", "select 1"],
  ["of another owner", "alter schema public owner to torture_owner"],
  ["shut to everybody", "revoke all on schema public from public"],
  ["for one role", "revoke all on schema public from public; grant usage on schema public to torture_reader"],
  ["without a comment", "comment on schema public is null"],
  [
    "made anew, with rights",
    "drop schema public; create schema public; grant usage on schema public to torture_reader",
  ],
  ["renamed", "alter schema public rename to private; create table private.t (x int)"],
  ["gone", "drop schema public"],
];

testWith("postgres", "public is what it was, whatever was done to it", async () => {
  const server = await sharedPostgres();
  await makeRoles(server);
  const program = await pgDumpFor(server);
  for (const [name, sql] of publics) {
    await using original = await server.database();
    await using made = await server.database();
    await original.sql(sql);
    const read = await schemaOf(original.url);
    await runSql(made.url, schemaSql(read));
    const again = await schemaOf(made.url);
    assert.deepEqual(fingerprint(again.objects), fingerprint(read.objects), name);
    if (name === "as it is born") assert.deepEqual(read.objects, []);
    const isGone = /^(renamed|gone)/.test(name);
    assert.deepEqual(read.notes, isGone ? ["schema public is gone; a new database has one"] : [], name);
    // pg_dump takes one that was made anew, or has another name now, for the one of every database.
    if (program && !isGone && !name.startsWith("made anew")) {
      assert.equal(await pgDump(program, made.url), await pgDump(program, original.url), name);
    }
  }
});

testWith("postgres", "a schema that changes while it is read is read whole, or refused", async () => {
  await using database = await (await sharedPostgres()).database();
  await database.sql(`create table kept (x int);
    do $$ begin for i in 1..200 loop execute format('create view v_%s as select x from kept', i); end loop; end $$`);
  const counts = { whole: 0, refused: 0 };
  let isOver = false;
  const changer = connected(database.url, async (connection) => {
    for (let i = 0; !isOver; i++) {
      await connection.query(`drop view if exists v_${1 + i % 200}; drop function if exists f(int)`);
      await connection.query(`create or replace view v_${1 + i % 200} as select x from kept`);
      await connection.query("create function f(int) returns int language sql as 'select 1'");
    }
  });
  try {
    for (let i = 0; i < 25; i++) {
      try {
        const text = schemaSql(await schemaOf(database.url));
        assert.doesNotMatch(text, /^\s*(null|undefined);?$/m);
        assert.equal(text.match(/SELECT kept\.x\n|SELECT x\n/g)?.length, text.match(/^CREATE VIEW/gm)?.length);
        counts.whole++;
      } catch (error) {
        assert.equal((error as { code?: string }).code, "DATABASE_BUSY", String(error));
        counts.refused++;
      }
    }
  } finally {
    isOver = true;
    await changer;
  }
  assert.equal(counts.whole + counts.refused, 25);
});

testWith("postgres", "a catalog that may not be read is an error that names it", async () => {
  const server = await sharedPostgres();
  await using database = await server.database();
  const role = `shut_${crypto.randomUUID().slice(0, 8)}`;
  await database.sql(`create role ${role} login; revoke select on pg_catalog.pg_proc from public`);
  await assert.rejects(schemaOf(server.url(database.name, { user: role })), {
    code: "DATABASE_FORBIDDEN",
    message: "Cannot read the schema: permission denied for table pg_proc",
  });
  await database.sql(`drop role ${role}`);
});
