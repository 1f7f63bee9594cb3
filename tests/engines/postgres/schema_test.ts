/** A schema that is read, printed and made again is the same one: to amber, and to pg_dump. */
import assert from "node:assert/strict";
import { compareFingerprints, fingerprint } from "../../../lib/engines/postgres/schema/fingerprint.ts";
import { readSchema, readSettings } from "../../../lib/engines/postgres/schema/read_schema.ts";
import { schemaParts, schemaSql } from "../../../lib/engines/postgres/schema/schema_sql.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { testWith } from "../../support/skip.ts";
import { dropSql } from "./drop_sql.ts";
import { connected, pgDump, pgDumpFor, runSql, schemaOf } from "./schema_databases.ts";
import { tortured } from "./torture.ts";

const same = { onlyHere: [], onlyThere: [], structure: [], rights: [] };

// pg_dump's text has no word about it for children.
const columnOrder = `select attrelid::regclass::text as name, string_agg(attname, ',' order by attnum) as columns
  from pg_attribute join pg_class on pg_class.oid = attrelid
  where attnum > 0 and not attisdropped and relkind in ('r', 'p', 'v', 'm', 'f', 'c') and pg_class.oid >= 16384
    and relnamespace not in ('pg_toast'::regnamespace) group by attrelid order by 1`;

testWith("postgres", "a database made from the printed schema is the one that was read", async () => {
  const server = await sharedPostgres();
  await using original = await tortured(server);
  await using made = await server.database();
  const read = await schemaOf(original.url);
  assert.ok(read.objects.length > 250, `${read.objects.length} objects`);
  await runSql(made.url, schemaSql(read));
  const again = await schemaOf(made.url);
  assert.deepEqual(compareFingerprints(fingerprint(read.objects), fingerprint(again.objects)), same);
  assert.deepEqual(fingerprint(again.objects), fingerprint(read.objects));
  assert.deepEqual(again.objects, read.objects);
  assert.equal(schemaSql(again), schemaSql(read));
  assert.deepEqual(await made.sql(columnOrder), await original.sql(columnOrder));
  const program = await pgDumpFor(server);
  // npm's servers come without a pg_dump; there, reading both is all that can be compared.
  if (program !== undefined) assert.equal(await pgDump(program, made.url), await pgDump(program, original.url));
});

testWith("postgres", "the halves of a schema are made one after the other, and the rows come in between", async () => {
  const server = await sharedPostgres();
  await using original = await server.database();
  await using made = await server.database();
  await original.sql(`create table a (id int primary key, b int, check (id > 0));
    create table b (id int primary key, a int references a);
    alter table a add foreign key (b) references b;
    create materialized view sums as select sum(id) as n from a;
    create function stop() returns trigger language plpgsql as 'begin raise exception ''stop''; end';
    create trigger stopped before insert on a for each row execute function stop();`);
  const { head, preData, postData } = schemaParts(await schemaOf(original.url));
  await runSql(made.url, head + preData);
  // Against both foreign keys, and past the trigger.
  await made.sql("insert into public.a values (1, 2); insert into public.b values (2, 1)");
  await runSql(made.url, head + postData);
  assert.deepEqual(await made.sql("select n from public.sums"), [{ n: "1" }]);
  await assert.rejects(made.sql("insert into public.a values (3)"), /stop/);
});

testWith("postgres", "each object that is missing is named, whatever its kind", async () => {
  const server = await sharedPostgres();
  await using original = await tortured(server);
  const read = await schemaOf(original.url);
  const before = fingerprint(read.objects);
  const kinds = new Map(read.objects.filter(({ kind }) => kind !== "refresh").map((object) => [object.kind, object]));
  assert.ok(kinds.size >= 45, [...kinds.keys()].join(", "));
  await connected(original.url, async (connection) => {
    await connection.query("set client_min_messages = warning");
    for (const object of kinds.values()) {
      await connection.query(`begin isolation level repeatable read; ${readSettings}`);
      await connection.query(dropSql(object));
      const after = await readSchema((sql) => connection.query(sql));
      await connection.query("rollback");
      const difference = compareFingerprints(before, fingerprint(after.objects));
      const { kind, name } = object;
      const named = [...difference.onlyHere, ...difference.structure, ...difference.rights];
      assert.ok(named.some((one) => one.kind === kind && one.name === name), `${kind} ${name} is not named`);
      assert.deepEqual(difference.onlyThere.filter((one) => one.kind === kind), [], `${kind} ${name}`);
    }
  });
});

const changes: [
  name: string,
  sql: string,
  named: { structure?: string; rights?: string; here?: string; there?: string },
][] = [
  ["a column's type", "alter table app.nothing add x int; ", { structure: "table app.nothing" }],
  ["a column's place", `alter table app.hen drop egg cascade; alter table app.hen add egg int`, {
    here: "foreign key hen_egg_fkey ON app.hen",
  }],
  ["a default", "alter table app.base alter kind set default 'y'", { structure: "table app.base" }],
  ["a comment", "comment on column app.account.email is 'else'", { structure: "table app.account" }],
  ["an owner", "alter table app.hen owner to torture_owner", { rights: "table app.hen" }],
  ["a right", "grant delete on app.hen to torture_reader", { rights: "table app.hen" }],
  ["a right on a column", "grant update (id) on app.hen to torture_reader", { rights: "table app.hen" }],
  ["a label", "alter type app.mood rename value 'ok' to 'fine'", { structure: "enum app.mood" }],
  [
    "a function's body",
    "create or replace function app.touch() returns trigger language plpgsql as 'begin return old; end'",
    {
      structure: "function app.touch()",
    },
  ],
  ["a view's query", "create or replace view app.invoker_like as select 1 as a", { there: "view app.invoker_like" }],
  ["whether a trigger is on", "alter table app.note enable trigger touched", {
    structure: "trigger touched ON app.note",
  }],
  ["a policy", "alter policy everybody on app.note using (false)", { structure: "policy everybody ON app.note" }],
  ["a sequence", "alter sequence app.odd increment by 3 minvalue 1 start 5 restart 5", {
    structure: "sequence app.odd",
  }],
  ["a partition's bounds", "alter table app.event detach partition app.event_rest", {
    here: "partition app.event_rest",
  }],
  ["row-level security", "alter table app.hen disable row level security", { here: "row-level security app.hen" }],
  ["an index's settings", "alter index app.account_expr set (fillfactor = 61)", {
    structure: "index app.account_expr",
  }],
  ["a storage setting", "alter table app.scratch reset (fillfactor)", { structure: "table app.scratch" }],
  ["a sequence's owner", "alter sequence app.plain owned by none", { here: "sequence owned by app.plain" }],
];

testWith("postgres", "each change is named", async () => {
  const server = await sharedPostgres();
  await using original = await tortured(server);
  const before = fingerprint((await schemaOf(original.url)).objects);
  await connected(original.url, async (connection) => {
    await connection.query("set client_min_messages = warning");
    for (const [what, sql, named] of changes) {
      await connection.query(`begin isolation level repeatable read; ${readSettings}`);
      await connection.query(sql);
      const after = fingerprint((await readSchema((text) => connection.query(text))).objects);
      await connection.query("rollback");
      const difference = compareFingerprints(before, after);
      const lists = {
        structure: difference.structure,
        rights: difference.rights,
        here: difference.onlyHere,
        there: difference.onlyThere,
      };
      for (const [list, expected] of Object.entries(named)) {
        const found = lists[list as keyof typeof lists].map(({ kind, name }) => `${kind} ${name}`);
        assert.ok(found.includes(expected), `${what}: ${JSON.stringify(difference)}`);
      }
      assert.equal(after.structure === before.structure, "rights" in named, what);
      if ("rights" in named) {
        assert.deepEqual([difference.structure, difference.onlyHere, difference.onlyThere], [[], [], []], what);
        assert.notEqual(after.rights, before.rights, what);
      }
    }
  });
});

testWith("postgres", "a role without rights reads the same schema, and is told what it is not shown", async () => {
  const server = await sharedPostgres();
  await using original = await tortured(server);
  const url = server.url(original.name, { user: await loginRole(server) });
  await original.sql("create user mapping for postgres server far options (user 'me', password 'hush7')");
  const [all, seen] = [await schemaOf(original.url), await schemaOf(url)];
  const difference = compareFingerprints(fingerprint(all.objects), fingerprint(seen.objects));
  assert.deepEqual({ ...difference, structure: [] }, same);
  assert.deepEqual(difference.structure.map(({ kind, name }) => `${kind} ${name}`), [
    "user mapping FOR PUBLIC SERVER far",
    "user mapping FOR postgres SERVER far",
  ]);
  assert.deepEqual(seen.notes, [
    "user mapping FOR PUBLIC SERVER far: its options are not shown to this role",
    "user mapping FOR postgres SERVER far: its options are not shown to this role",
    "user mapping FOR torture_owner SERVER far: its options are not shown to this role",
  ]);
  assert.deepEqual(all.notes, ["user mapping FOR postgres SERVER far: the option password is left out"]);
  assert.doesNotMatch(schemaSql(all), /hush7/);
});

testWith("postgres", "the owner of a database, no superuser, makes it again without owners and rights", async () => {
  const server = await sharedPostgres();
  const user = await loginRole(server);
  await using original = await server.database();
  await using made = await server.database();
  for (const { name } of [original, made]) await server.sql("postgres", `alter database ${name} owner to ${user}`);
  await runSql(
    server.url(original.name, { user }),
    `create schema app; create table app.a (id serial primary key, b text);
    create view app.v as select id from app.a; grant select on app.v to public; create extension pg_trgm schema app;
    create index on app.a using gin (b app.gin_trgm_ops);`,
  );
  const read = await schemaOf(server.url(original.name, { user }));
  assert.equal(schemaSql(read), schemaSql(await schemaOf(original.url)));
  await runSql(server.url(made.name, { user }), schemaSql(read, { rights: false }));
  const [here, there] = [fingerprint(read.objects), fingerprint((await schemaOf(made.url)).objects)];
  assert.equal(there.structure, here.structure);
  assert.deepEqual(compareFingerprints(here, there).rights, [{ kind: "view", name: "app.v" }]);
});

async function loginRole(server: Awaited<ReturnType<typeof sharedPostgres>>): Promise<string> {
  const name = `login_${crypto.randomUUID().slice(0, 8)}`;
  await server.sql("postgres", `create role ${name} login`);
  return name;
}
