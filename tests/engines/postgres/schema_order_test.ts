/** The order of a schema depends on nothing but what is in it. */
import assert from "node:assert/strict";
import type { Found } from "../../../lib/engines/postgres/schema/found.ts";
import { type Edge, order } from "../../../lib/engines/postgres/schema/order.ts";
import { schemaSql } from "../../../lib/engines/postgres/schema/schema_sql.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { testWith } from "../../support/skip.ts";
import { connected, schemaOf } from "./schema_databases.ts";

/** An object `table a` or `index a`, with parts `default a.x`. */
function found(text: string, parts: string[] = [], section: Found["section"] = "pre-data"): Found {
  const at = text.lastIndexOf(" ");
  return {
    id: text,
    kind: text.slice(0, at),
    name: text.slice(at + 1),
    section,
    parts: parts.map((part) => ({ id: part, kind: part.split(" ")[0]!, name: part.split(" ")[1]!, later: "" })),
    make: () => "",
  };
}

/** `a b > c d`: a b comes after c d. */
function edges(...texts: string[]): Edge[] {
  return texts.map((text) => {
    const [from = "", to = ""] = text.split(" > ");
    return { from, to };
  });
}

function ordered(founds: Found[], needs: Edge[]): string[] {
  return order(founds, needs).placed.map(({ found, part, section }) =>
    `${part ? part.id : found.id}${section === "post-data" ? " *" : ""}`
  );
}

const cases: [name: string, founds: Found[], needs: Edge[], expected: string[]][] = [
  ["kinds, then names", [found("view b"), found("table b"), found("table a"), found("schema z")], [], [
    "schema z",
    "table a",
    "table b",
    "view b",
  ]],
  ["what it needs comes first", [found("table a"), found("function z")], edges("function z > table a"), [
    "table a",
    "function z",
  ]],
  [
    "a default is made later when it closes a circle",
    [found("table t", ["default t.x"]), found("function f")],
    edges(
      "function f > table t",
      "default t.x > function f",
    ),
    ["table t", "function f", "default t.x"],
  ],
  [
    "one that closes none stays inside",
    [found("table t", ["default t.x", "default t.y"]), found("function f"), found("function g")],
    edges("function f > table t", "default t.x > function f", "default t.y > function g"),
    ["function g", "table t", "function f", "default t.x"],
  ],
  [
    "a view's query is made later when nothing else opens the circle",
    [found("view v", ["view#query v"]), found("function f")].map(
      (one) => ({ ...one, parts: one.parts?.map((part) => ({ ...part, kind: "view query" })) }),
    ),
    edges("function f > view v", "view#query v > function f"),
    ["view v", "function f", "view#query v"],
  ],
  [
    "a key that a view needs is made before the rows",
    [found("view v"), found("table t"), found("primary#key k", [], "post-data"), found("index i", [], "post-data")].map(
      (
        one,
      ) => ({ ...one, kind: one.kind.replace("#", " ") }),
    ),
    edges("view v > primary#key k", "primary#key k > table t", "index i > table t"),
    ["table t", "primary#key k", "view v", "index i *"],
  ],
];

for (const [name, founds, needs, expected] of cases) {
  Deno.test(`order(): ${name}`, () => {
    assert.deepEqual(ordered(founds, needs), expected);
    // Nor does it matter in which order they were found.
    assert.deepEqual(ordered(founds.toReversed(), needs.toReversed()), expected);
  });
}

Deno.test("order(): a circle that nothing opens names its objects, and not those behind it", () => {
  const founds = [found("function a"), found("function b"), found("table c")];
  const needs = edges("function a > function b", "function b > function a", "table c > function a");
  assert.throws(() => order(founds, needs), /in a circle: function a, function b$/);
});

Deno.test("order(): a materialized view is filled after those it reads, and not when one of them is empty", () => {
  const views = ["c", "b", "a"].map((name) => found(`materialized view ${name}`));
  const refresh = (name: string): Found => ({
    ...found(`refresh ${name}`, [], "post-data"),
    after: [`materialized view ${name}`],
  });
  const needs = edges("materialized view a > view between", "view between > materialized view b");
  const all = [...views, found("view between"), refresh("a"), refresh("b"), refresh("c")];
  assert.deepEqual(ordered(all, needs).slice(-3), ["refresh b *", "refresh a *", "refresh c *"]);
  const { placed, unfilled } = order(all.filter(({ id }) => id !== "refresh b"), needs);
  assert.deepEqual(unfilled, ["a"]);
  assert.deepEqual(placed.at(-1)!.found.id, "refresh c");
});

const statements = [
  "create schema s",
  "create type s.mood as enum ('a', 'b')",
  "create domain s.small as int check (value < 10)",
  "create table s.a (id int primary key, m s.mood default 'a', n s.small)",
  "create table s.b (id int primary key, a int references s.a)",
  "create table s.c (b int references s.b, a int unique references s.a)",
  "create table public.a (id serial)",
  "create table public.b (id int generated always as identity)",
  "create index a_m on s.a (m)",
  "create index b_a on s.b (a)",
  "create view s.v as select id from s.a",
  "create view s.w as select v.id from s.v join s.b using (id)",
  "create materialized view s.m as select count(*) as n from s.w",
  "create function s.f() returns int language sql as 'select 1'",
  "create function s.f(int) returns int language sql as 'select 1'",
  "create function s.of(s.a) returns s.mood language sql as 'select $1.m'",
  "create function s.touch() returns trigger language plpgsql as 'begin return new; end'",
  "create trigger t before insert on s.a for each row execute function s.touch()",
  "create trigger t before insert on s.b for each row execute function s.touch()",
  "create sequence s.seq",
  "create table s.parted (id int) partition by list (id)",
  "create table s.parted_1 partition of s.parted for values in (1)",
  "create table s.parted_2 partition of s.parted for values in (2)",
  "create index parted_id on s.parted (id)",
  "create policy p on s.a using (true)",
  "create rule r as on delete to s.a do instead nothing",
  "create statistics s.st on id, m from s.a",
  "comment on table s.b is 'b'",
  "grant select on s.a to public",
  "create extension hstore schema public",
  'create collation s.c from "C"',
  "create cast (int as s.mood) with inout",
  "create aggregate s.sum_of(int) (sfunc = int4pl, stype = int)",
  "create operator s.=== (function = int4eq, leftarg = int, rightarg = int)",
];

testWith("postgres", "the same objects made in any order give the same text", async () => {
  const server = await sharedPostgres();
  const texts = new Set<string>();
  for (let seed = 1; seed <= 6; seed++) {
    await using database = await server.database();
    await connected(database.url, async (connection) => {
      await connection.query("begin");
      // What cannot be made yet is tried again when others are there.
      let waiting = shuffled(statements, seed);
      for (let round = 0; waiting.length > 0; round++) {
        assert.ok(round < 20, waiting.join("\n"));
        const refused: string[] = [];
        for (const statement of waiting) {
          await connection.query("savepoint s");
          // Oids of what is gone in between.
          if (seed % 2) await connection.query("create table gone (x int); drop table gone");
          await connection.query(statement).catch(async () => {
            refused.push(statement);
            await connection.query("rollback to s");
          });
        }
        waiting = refused;
      }
      await connection.query("commit");
    });
    texts.add(schemaSql(await schemaOf(database.url)));
  }
  assert.equal(texts.size, 1, [...texts].slice(0, 2).join("\n=====\n"));
});

/** In an order that the seed decides. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  const left = [...items];
  const taken: T[] = [];
  let state = seed;
  while (left.length > 0) {
    state = (state * 1103515245 + 12345) % 2147483648;
    taken.push(...left.splice(Math.floor(state / 65536) % left.length, 1));
  }
  return taken;
}
