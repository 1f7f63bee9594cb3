/** `amber diff`, `ls` and `cat` on snapshots that have a Postgres database. */
import assert from "node:assert/strict";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { dataApp } from "./data_app.ts";

testWith("postgres", "diff tells a Postgres database as one: its tables, other rows, objects, sequences", async () => {
  await using database = await (await sharedPostgres()).database();
  await database.sql(`
    create table same (id int primary key); insert into same values (1);
    create table other (id int primary key, text text); insert into other values (1, 'a'), (2, 'b');
    create table "More.Rows" (id int); create table gone (id int); create sequence steps; create view old as select 1;
    select lo_from_bytea(4711, 'abc')`);
  await using app = await dataApp({ "data/a.txt": "a" }, { DATABASE_URL: database.url });
  const first = await app.take();
  const again = await app.take();
  assert.deepEqual((await differences(app, first, again)).lines, []);

  await database.sql(`
    update other set text = 'c' where id = 2; insert into "More.Rows" values (1), (2); drop table gone;
    create table fresh (id int); select nextval('steps'); alter table same add note text; drop view old;
    select lo_put(4711, 0, 'x')`);
  const changed = await app.take();
  const { lines, text } = await differences(app, again, changed);
  assert.deepEqual(lines, [{
    type: "difference",
    path: "/postgres/",
    change: "changed",
    tables: [
      { table: 'public."More.Rows"', before: 0, after: 2 },
      { table: "public.fresh", after: 0 },
      { table: "public.gone", before: 0 },
      { table: "public.other", before: 2, after: 2 },
      { table: "public.same", before: 1, after: 1 },
    ],
    objects: [
      { kind: "table", name: "public.fresh", change: "new" },
      { kind: "table", name: "public.gone", change: "gone" },
      { kind: "view", name: "public.old", change: "gone" },
      { kind: "table", name: "public.same", change: "changed" },
    ],
    parts: ["sequences", "large-objects"],
  }]);
  assert.match(text, /^M \/postgres\/ {2}the Postgres database$/m);
  assert.match(text, /^ {6}table public\.gone {2}gone$/m);
  assert.match(text, /^ {6}public\."More\.Rows" {2}0 → 2 rows \(\+2\)$/m);
  assert.match(text, /^ {6}public\.other {2}2 rows, not the same ones$/m);
  assert.match(text, /^ {6}large objects {2}changed$/m);

  await database.sql("create role differed; grant select on other to differed");
  try {
    const { lines } = await differences(app, changed, await app.take());
    const objects = [{ kind: "table", name: "public.other", change: "attributes" }];
    assert.deepEqual(lines, [{ type: "difference", path: "/postgres/", change: "attributes", tables: [], objects }]);
  } finally {
    await database.sql("revoke all on other from differed; drop role differed");
  }

  const { stdout } = await app.ends(0, ["ls", "latest", "/postgres/tables"]);
  assert.match(stdout, / \/postgres\/tables\/public\/More%2ERows\n/);
  const rows = await app.ends(0, ["cat", "latest", "/postgres/tables/public/other"]);
  assert.equal(rows.stdout, "1\ta\n2\tc\n");
  assert.match((await app.ends(0, ["cat", "latest", "/postgres/schema.sql"])).stdout, /CREATE TABLE public\.fresh/i);
  assert.match((await app.ends(2, ["cat", "latest", "/postgres/../x"])).stderr, /USAGE/);
  assert.match((await app.ends(2, ["cat", "latest", "/postgres/tables/public/othr"])).stderr, /Did you mean/);
});

testWith("postgres", "diff against a snapshot without Postgres: all of it is new, or gone", async () => {
  await using database = await (await sharedPostgres()).database();
  await database.sql("create table notes (id int); insert into notes values (1), (2)");
  await using app = await dataApp({ "data/a.txt": "a" });
  const without = await app.take();
  await app.ends(0, ["snapshot"], { env: { DATABASE_URL: database.url } });
  const one = { type: "difference", path: "/postgres/", change: "new", tables: [{ table: "public.notes", after: 2 }] };
  assert.deepEqual((await differences(app, without, "latest")).lines.filter(isPostgres), [one]);
  const gone = { ...one, change: "gone", tables: [{ table: "public.notes", before: 2 }] };
  assert.deepEqual((await differences(app, "latest", without)).lines.filter(isPostgres), [gone]);
});

function isPostgres({ path }: Record<string, unknown>): boolean {
  return path === "/postgres/";
}

async function differences({ ends }: Awaited<ReturnType<typeof dataApp>>, before: string, after: string) {
  const { stdout: text } = await ends(0, ["diff", before, after]);
  const { json } = await ends(0, ["diff", before, after, "--json"]);
  return { text, lines: json.filter(({ type }) => type === "difference") as Record<string, unknown>[] };
}
