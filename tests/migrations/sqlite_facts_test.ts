import assert from "node:assert/strict";
import { lex } from "../../lib/migrations/lexer.ts";
import {
  isAdditive,
  noteCreated,
  outsideKind,
  pragma,
  reopens,
  skippedPragma,
  type Touch,
  touches,
  transactionWord,
} from "../../lib/migrations/sqlite_facts.ts";
import { sameName, type Statement, words } from "../../lib/migrations/words.ts";

function statement(text: string): Statement {
  const tokens = [...lex(text, "sqlite")].filter(({ kind }) => kind !== "space" && kind !== "comment");
  return { text, tokens };
}

function check<Fact>(fact: (statement: Statement) => Fact, cases: Iterable<readonly [string, Fact]>): void {
  for (const [text, expected] of cases) assert.deepEqual(fact(statement(text)), expected, text);
}

/** The statements of a text with one on each line, all with the same fact. */
function all<Fact>(expected: Fact, lines: string): (readonly [string, Fact])[] {
  return lines.trim().split("\n").map((line) => [line.trim(), expected] as const);
}

/** What a statement touches, without the empty lists and without `names`. */
function touched(one: Statement): Partial<Touch> {
  const found = Object.entries(touches(one)).filter(([key, value]) =>
    key !== "names" && !(Array.isArray(value) && value.length === 0)
  );
  return Object.fromEntries(found);
}

Deno.test("qualifiedName() takes all four ways to quote", () => {
  check((one) => words(one, "sqlite").qualifiedName(), [
    ["Users", { name: "Users" }],
    ['"my.Users"', { name: "my.Users" }],
    ["[Users a] . `b``c`", { schema: "Users a", name: "b`c" }],
    ["main.'it''s'", { schema: "main", name: "it's" }],
    ["1", undefined],
  ]);
  assert.equal(sameName("Users", "uSERS", "sqlite"), true);
  assert.equal(sameName("É", "é", "sqlite"), false);
});

Deno.test("pragma() reads both spellings of a value", () => {
  check(pragma, [
    ["PRAGMA foreign_keys = OFF;", { name: "foreign_keys", value: "OFF" }],
    ["pragma Main.Journal_Mode('wal')", { schema: "Main", name: "journal_mode", value: "wal" }],
    ['pragma "cache_size" = -2000', { name: "cache_size", value: "-2000" }],
    ["pragma /* how */ table_info([a b])", { name: "table_info", value: "a b" }],
    ["pragma user_version", { name: "user_version" }],
    ["select 1", undefined],
  ]);
});

Deno.test("skippedPragma() does not skip what has an effect inside a transaction", () => {
  assert.equal(skippedPragma("Foreign_Keys"), true);
  assert.equal(skippedPragma("synchronous"), true);
  assert.equal(skippedPragma("defer_foreign_keys"), false);
  assert.equal(skippedPragma("user_version"), false);
  assert.equal(skippedPragma("journal_mode"), false);
});

Deno.test("outsideKind() finds what does nothing or fails inside a transaction", () => {
  check(outsideKind, [
    ...all(
      { kind: "again" as const },
      `
      VACUUM
      vacuum main into '/x'
      PRAGMA journal_mode = WAL
      pragma main.journal_mode(delete)
      pragma page_size = 8192
      pragma auto_vacuum = full
      pragma encoding = 'UTF-16'
      pragma wal_checkpoint
      pragma wal_checkpoint(truncate)`,
    ),
    ...all(
      undefined,
      `
      pragma journal_mode
      pragma page_size
      pragma user_version = 3
      pragma foreign_keys = off
      attach 'x' as y
      detach y
      create table vacuum_log (a)
      reindex
      select 'vacuum'`,
    ),
  ]);
});

Deno.test("transactionWord() sees whole transactions only", () => {
  check(transactionWord, [
    ...all(
      "begin" as const,
      `
      BEGIN
      begin immediate transaction;
      Begin /* now */ Exclusive`,
    ),
    ...all(
      "commit" as const,
      `
      COMMIT
      end transaction`,
    ),
    ...all(
      "rollback" as const,
      `
      ROLLBACK
      rollback transaction`,
    ),
    ...all(
      undefined,
      `
      rollback to a
      rollback transaction to savepoint a
      savepoint a
      release a
      create table "begin" (a)`,
    ),
  ]);
});

Deno.test("touches() tells the tables that are created, dropped, renamed and altered", () => {
  check(touched, [
    ["create table Users (a)", { creates: ["users"] }],
    ["CREATE TABLE main.[My Users] (a)", { creates: ["my users"] }],
    ["create table 'a.b' (a)", { creates: ["a.b"] }],
    ["create table /* new */ if not exists `users` (a)", { createsMissing: ["users"] }],
    ["create temp table users (a)", { creates: ["temp.users"] }],
    ["create table Aux.users (a)", { creates: ["aux.users"] }],
    ["create virtual table if not exists docs using fts5(a)", { createsMissing: ["docs"] }],
    ["create virtual table docs using fts5(a)", { creates: ["docs"] }],
    ["create unique index i on users (a)", {}],
    ["create view v as select * from users", {}],
    [
      "create table b as select * from a",
      { creates: ["b"], inserts: [{ table: "b", fromTables: ["a"], filtered: false }] },
    ],
    ['DROP TABLE IF EXISTS Main."Users"', { drops: ["users"] }],
    ["drop view users", {}],
    ["alter table Users rename to People", { renames: [{ from: "users", to: "people" }] }],
    ["alter table temp.a rename to 'B'", { renames: [{ from: "temp.a", to: "temp.b" }] }],
    ["alter table users rename a to b", { alters: ["users"] }],
    ["alter table users rename column a to b", { alters: ["users"] }],
    ["alter table users add column to_x text", { alters: ["users"] }],
    ["alter table users drop column a", { alters: ["users"] }],
    ["pragma table_info(users)", {}],
    ["explain delete from users", {}],
    ["explain query plan drop table users", {}],
  ]);
});

Deno.test("touches() tells the tables whose rows go or change", () => {
  const values = { table: "users", fromTables: [], filtered: true };
  check(touched, [
    ["delete from Users where a = 1", { deletes: ["users"] }],
    ["with a as (select 1) delete from main.users where b in a", { deletes: ["users"] }],
    ["WITH RECURSIVE a(x) AS NOT MATERIALIZED (select 1), b as (select 2) Delete From [users]", { deletes: ["users"] }],
    ["update Users set a = 1", { updates: ["users"] }],
    ["with a as (select 1) update users set b = 1 from a", { updates: ["users"] }],
    ["update or replace users set a = 1", { updates: ["users"], replaces: ["users"] }],
    ["update or ignore users set a = 1", { updates: ["users"], ignores: ["users"] }],
    ["replace into users values (1)", { replaces: ["users"], inserts: [values] }],
    ["insert /* or */ or REPLACE into users (a) values (1)", { replaces: ["users"], inserts: [values] }],
    ["with a as (select 1) replace into users values (1)", { replaces: ["users"], inserts: [values] }],
    ["insert or ignore into users default values", { ignores: ["users"], inserts: [values] }],
    ["insert or abort into users values (1)", { inserts: [values] }],
    ["insert into users values (1) on conflict do nothing", { ignores: ["users"], inserts: [values] }],
    ["insert into users as u (a) values (1) on conflict (a) do update set a = 2", {
      updates: ["users"],
      inserts: [values],
    }],
    [
      "create trigger if not exists main.T after delete on Users begin delete from posts; end",
      { trigger: { name: "t", table: "users" } },
    ],
    [
      "create temp trigger t instead of update of a, b on v begin select 1; end",
      { trigger: { name: "t", table: "v" } },
    ],
  ]);
});

Deno.test("touches() tells whether an INSERT takes over all rows", () => {
  const inserts = (one: Statement) => touches(one).inserts;
  const from = (filtered: boolean, ...fromTables: string[]) => [{ table: "b", fromTables, filtered }];
  check(inserts, [
    ["insert into b select * from Old", from(false, "old")],
    ["insert into b (x, y) select x, (select max(z) from c where c.x = o.x) from main.old as o", from(false, "old")],
    ["insert or ignore into b select x from 'old' order by x", from(false, "old")],
    ["insert into b select x from old where true on conflict do nothing", from(false, "old")],
    ["insert into b select x from old where 1 on conflict (x) do update set x = 1 where x > 3", from(false, "old")],
    ["insert into b select x from (select * from old)", from(false, "old")],
    ["insert into b select x from (old)", from(false, "old")],
    ["with o as (select * from old) insert into b select x from o", from(false, "old")],
    ["insert into b with o(x) as (select * from old) select x from O", from(false, "old")],
    ["insert into b select x from main.o", from(false, "o")],
    ["insert into b select a is not distinct from c, max(a, c) from old", from(false, "old")],
    ["insert into b select sum(x) over (order by x) from old", from(false, "old")],
    ["insert into b select x, row_number() over w from old window w as (order by x)", from(false, "old")],
    ["insert into b select x from old returning x", from(false, "old")],
    ["insert into b values ((select x from old))", from(true)],
    ["insert into b select 1, 2", from(false)],
    ["insert into b select x from old where x > 1", from(true, "old")],
    ["insert into b select x from old where true and x > 1", from(true, "old")],
    ["insert into b select x from old limit 10", from(true, "old")],
    ["insert into b select distinct x from old", from(true, "old")],
    ["insert into b select x from old group by x", from(true, "old")],
    ["insert into b select x from old having x > 1", from(true, "old")],
    ["insert into b select max(x) from old", from(true, "old")],
    ["insert into b select coalesce(count(*), 0) from old", from(true, "old")],
    ["insert into b select x from old, c", from(true, "old", "c")],
    ["insert into b select x from old o left join main.c as d on o.x = d.x", from(true, "old", "c")],
    ["insert into b select x from (old natural join c)", from(true, "old", "c")],
    ["insert into b select x from old union all select x from c", from(true, "old", "c")],
    ["insert into b select x from old except select x from c", from(true, "old", "c")],
    ["insert into b select x from (select x from old where x > 1) as o", from(true, "old")],
    ["with o as (select * from old limit 5) insert into b select x from o", from(true, "old")],
    ["with recursive n(x) as (select 1 union select x + 1 from n) insert into b select x from n", from(true)],
    ["insert into b select value from json_each('[1]')", from(true)],
    ["insert into b select x from old indexed by i where x = 2", from(true, "old")],
  ]);
});

Deno.test("touches() names everything that a statement mentions", () => {
  const mentions = (text: string, name: string) => touches(statement(text)).names.includes(name);
  const cases: [boolean, string, string][] = [
    [true, "create trigger t after insert on a begin delete from Posts; end", "posts"],
    [true, "select * from [My.Posts]", "my.posts"],
    [true, "delete from 'Posts'", "posts"],
    [true, "create table a (b references `posts`)", "posts"],
    [true, "drop table main.posts", "posts"],
    [true, "create table a as select * from 'posts'", "posts"],
    [false, "insert into a values ('posts')", "posts"],
    [false, "select 1 /* posts */", "posts"],
  ];
  for (const [expected, text, name] of cases) assert.equal(mentions(text, name), expected, text);
});

Deno.test("reopens() sees what stays in the connection", () => {
  check(reopens, [
    ...all(
      true,
      `
      attach database 'x' as y
      detach y
      create temp table a (b)
      CREATE TEMPORARY VIEW a as select 1
      create temp trigger t after insert on a begin select 1; end
      create table if not exists Temp.a (b)
      create virtual table temp.a using fts5(b)
      pragma legacy_alter_table = on
      PRAGMA Recursive_Triggers(1)
      pragma main.writable_schema = 1
      pragma defer_foreign_keys = on
      pragma unheard_of = 1`,
    ),
    ...all(
      false,
      `
      create table a (b)
      create table template (b)
      create index temp_i on a (b)
      pragma foreign_keys = off
      pragma cache_size(100)
      pragma user_version = 3
      pragma journal_mode = wal
      pragma table_info(a)
      pragma legacy_alter_table
      insert into temp.a values (1)`,
    ),
  ]);
});

Deno.test("isAdditive() knows what removes and changes no row", () => {
  check(
    (one) => isAdditive(one, new Set()),
    all(
      true,
      `
    create table users (a references b on delete cascade)
    create table if not exists users (a)
    create table users as select * from old
    create trigger t after insert on users begin delete from posts; end
    create virtual table docs using fts5(a)
    ALTER TABLE main.users ADD COLUMN b
    alter table users add b text default ''
    alter table users alter column a set not null
    insert into users (a) values (1)
    insert or ignore into users values (1)
    insert into users select * from old on conflict do nothing
    with a as (select 1) insert into users select * from a
    select * from users
    with a as (select 1) select * from a
    pragma user_version = 3
    pragma journal_mode = wal
    pragma foreign_keys = off
    pragma legacy_alter_table = on
    pragma writable_schema
    attach 'x' as y
    vacuum into '/x'
    analyze
    reindex
    explain delete from users
    begin
    savepoint a`,
    ),
  );
});

Deno.test("isAdditive() takes everything else for risky", () => {
  check(
    (one) => isAdditive(one, new Set()),
    all(
      false,
      `
    drop table users
    drop index if exists i
    update users set a = 1
    delete from users
    with a as (select 1) delete from users where b in a
    with a as (select 1) update users set b = 1
    replace into users values (1)
    insert or replace into users values (1)
    with a as (select 1) insert or replace into users select * from a
    insert into users values (1) on conflict (a) do update set a = 2
    insert into Docs(docs, rowid, a) values ('delete', 1, 'x')
    alter table users rename to people
    alter table users rename column a to b
    alter table users drop column a
    alter table users drop constraint c
    pragma writable_schema = on
    pragma schema_version = 7
    pragma unheard_of = 1
    vacuum
    nonsense`,
    ),
  );
});

Deno.test("isAdditive() lets a migration change what it created itself", () => {
  const last = (text: string) => {
    const created = new Set<string>();
    const statements = text.split(";").map(statement);
    statements.slice(0, -1).forEach((one) => noteCreated(one, created));
    return isAdditive(statements.at(-1)!, created);
  };
  const cases: [boolean, string][] = [
    [true, "create table Users (a); update USERS set a = 1"],
    [true, "create table users (a); delete from main.[users]"],
    [true, "create table main.users (a); insert or replace into users values (1)"],
    [true, "create temp table users (a); drop table users"],
    [true, "create temp table users (a); drop table temp.users"],
    [true, "create table a (a); alter table a rename to b; drop table b"],
    [true, "create view v as select 1; drop view v"],
    [true, "create index i on users (a); drop index main.i"],
    [true, "create table a (a); alter table a drop column b"],
    [true, "create table a (a); with b as (select 1) update or replace a set a = 1"],
    [false, "create table if not exists users (a); drop table users"],
    [false, "create temp table users (a); delete from main.users"],
    [false, "create temp table users (a); drop table users; delete from users"],
    [false, "create table a (a); alter table a rename to b; delete from a"],
    [false, "create table aux.users (a); delete from users"],
    [false, "create table users_new (a); drop table users"],
  ];
  for (const [expected, text] of cases) assert.equal(last(text), expected, text);
});
