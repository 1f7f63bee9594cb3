import assert from "node:assert/strict";
import { lex } from "../../lib/migrations/lexer.ts";
import {
  addsEnumValue,
  isAdditive,
  isCallOrDo,
  lockNeed,
  mayChangeSession,
  noteCreated,
  onlySets,
  outsideKind,
  setsLockTimeout,
  settings,
  transactionWord,
  turnsOffStandardStrings,
} from "../../lib/migrations/postgres_facts.ts";
import { sameName, type Statement, words } from "../../lib/migrations/words.ts";

function statement(text: string): Statement {
  const tokens = [...lex(text, "postgres")].filter(({ kind }) => kind !== "space" && kind !== "comment");
  return { text, tokens };
}

function check<Fact>(fact: (statement: Statement) => Fact, cases: Iterable<readonly [string, Fact]>): void {
  for (const [text, expected] of cases) assert.deepEqual(fact(statement(text)), expected, text);
}

/** The statements of a text with one on each line, all with the same fact. */
function all<Fact>(expected: Fact, lines: string): (readonly [string, Fact])[] {
  return lines.trim().split("\n").map((line) => [line.trim(), expected] as const);
}

Deno.test("qualifiedName() gives back names as Postgres stores them", () => {
  check((one) => words(one, "postgres").qualifiedName(), [
    ["Users", { name: "users" }],
    ['"Users"', { name: "Users" }],
    ["App . Users;", { schema: "app", name: "users" }],
    ['"my.app"."a""b"', { schema: "my.app", name: 'a"b' }],
    ["db.App.users", { schema: "app", name: "users" }],
    ["ÉTÉ", { name: "ÉtÉ" }],
    ['U&"d\\0061t\\+000061"', { name: "data" }],
    ["U&\"d!0061ta!!\" UESCAPE '!'", { name: "data!" }],
    ["a".repeat(70), { name: "a".repeat(63) }],
    [`"${"a".repeat(62)}é"`, { name: "a".repeat(62) }],
    ["'text'", undefined],
    ["", undefined],
  ]);
  assert.equal(sameName("users", "Users", "postgres"), false);
});

Deno.test("outsideKind() names the object that a concurrent index build, drop or detach leaves behind", () => {
  const users = { name: "users" };
  check(outsideKind, [
    ["CREATE INDEX CONCURRENTLY i ON users (a)", {
      kind: "createIndex",
      name: { name: "i" },
      table: users,
      ifNotExists: false,
    }],
    [
      'create /* a */ unique -- b\nindex concurrently IF NOT EXISTS "My.I" on only App."Users" using gin (a);',
      {
        kind: "createIndex",
        name: { schema: "app", name: "My.I" },
        table: { schema: "app", name: "Users" },
        ifNotExists: true,
      },
    ],
    ["create index concurrently on users(a)", { kind: "createIndex", table: users, ifNotExists: false }],
    ["create index concurrently on only (users) (a)", { kind: "createIndex", table: users, ifNotExists: false }],
    ["drop index concurrently i", { kind: "dropIndex", names: [{ name: "i" }], ifExists: false }],
    [
      'DROP INDEX CONCURRENTLY IF EXISTS app.i, "I" RESTRICT',
      { kind: "dropIndex", names: [{ schema: "app", name: "i" }, { name: "I" }], ifExists: true },
    ],
    [
      "alter table if exists only app.events detach partition events_2020 concurrently",
      { kind: "detachPartition", parent: { schema: "app", name: "events" }, partition: { name: "events_2020" } },
    ],
  ]);
});

Deno.test("outsideKind() names databases, tablespaces, subscriptions and prepared transactions", () => {
  const again = { kind: "again" } as const;
  const subscription = { kind: "createSubscription", name: "s" } as const;
  check(outsideKind, [
    ["CREATE DATABASE Shop OWNER me", { kind: "createDatabase", name: "shop" }],
    ['drop database if exists "Shop" with (force)', { kind: "dropDatabase", name: "Shop" }],
    ["create tablespace fast location '/x'", { kind: "createTablespace", name: "fast" }],
    ["DROP TABLESPACE IF EXISTS fast", { kind: "dropTablespace", name: "fast" }],
    ["create subscription s connection 'dbname=a' publication p", subscription],
    ["create subscription s connection 'x' publication p, q with (copy_data = false)", subscription],
    ["create subscription s connection 'x' publication p with (create_slot = true)", subscription],
    ["create subscription s connection 'x' publication p with (connect = false)", undefined],
    [
      "create subscription s connection 'x' publication p with (enabled, CREATE_SLOT = 'off', slot_name = z)",
      undefined,
    ],
    ["DROP SUBSCRIPTION IF EXISTS s CASCADE", { kind: "dropSubscription", name: "s" }],
    ["alter subscription s refresh publication with (copy_data = false)", again],
    ["alter subscription s set publication p, q", again],
    ["alter subscription s set publication p with (refresh = false)", undefined],
    [
      "alter subscription S add publication P, q",
      { kind: "changePublications", change: "add", subscription: "s", publications: ["p", "q"] },
    ],
    [
      "alter subscription s drop publication p with (copy_data = false)",
      { kind: "changePublications", change: "drop", subscription: "s", publications: ["p"] },
    ],
    ["alter subscription s drop publication p with (refresh = 0)", undefined],
    ["alter subscription s set (failover = true)", again],
    ["alter subscription s set (slot_name = none)", undefined],
    ["alter subscription s disable", undefined],
    ["COMMIT PREPARED 'it''s'", { kind: "endPrepared", id: "it's" }],
    ["rollback prepared $$one$$", { kind: "endPrepared", id: "one" }],
  ]);
});

Deno.test("outsideKind() lets what may run twice run again", () => {
  const again = { kind: "again" } as const;
  const table = { schema: "app", name: "T" };
  check(outsideKind, [
    ...all(
      again,
      `
      VACUUM
      vacuum full users
      vacuum (full, analyze) users
      CLUSTER
      cluster verbose;
      cluster (verbose)
      alter system set work_mem = '1MB'
      ALTER SYSTEM RESET ALL
      alter database shop set tablespace fast
      DISCARD ALL`,
    ),
    ["reindex index concurrently i", {
      kind: "again",
      target: { kind: "index", name: { name: "i" }, isConcurrent: true },
    }],
    ['REINDEX (VERBOSE, CONCURRENTLY) TABLE app."T"', {
      kind: "again",
      target: { kind: "table", name: table, isConcurrent: true },
    }],
    ["reindex (concurrently true) schema app", {
      kind: "again",
      target: { kind: "schema", name: { name: "app" }, isConcurrent: true },
    }],
    ["reindex schema app", { kind: "again", target: { kind: "schema", name: { name: "app" }, isConcurrent: false } }],
    ["reindex system", { kind: "again", target: { kind: "system", isConcurrent: false } }],
    ["reindex database concurrently", { kind: "again", target: { kind: "database", isConcurrent: true } }],
  ]);
});

Deno.test("outsideKind() leaves inside what may be inside", () => {
  check(
    outsideKind,
    all(
      undefined,
      `
    create index i on users (a)
    create index "concurrently" on users (a)
    create unique index if not exists i on users (a)
    create table concurrently_built (a int)
    drop index i
    alter table events detach partition events_2020
    alter table events detach partition events_2020 finalize
    alter table users add column concurrently text
    reindex table users
    reindex (verbose) index i
    reindex (concurrently false) table users
    cluster users using i
    cluster verbose users
    analyze users
    alter database shop set work_mem = '1MB'
    alter type mood add value 'calm'
    discard plans
    commit
    rollback to savepoint a
    comment on table users is 'create index concurrently'
    refresh materialized view concurrently v`,
    ),
  );
});

Deno.test("addsEnumValue() names the type and the value", () => {
  check(addsEnumValue, [
    ["alter type mood add value 'calm'", { type: { name: "mood" }, value: "calm" }],
    [
      "ALTER TYPE app.\"Mood\" ADD VALUE IF NOT EXISTS 'it''s' BEFORE 'calm'",
      { type: { schema: "app", name: "Mood" }, value: "it's" },
    ],
    ["alter type mood add attribute a int", undefined],
    ["alter type mood rename value 'a' to 'b'", undefined],
  ]);
});

Deno.test("transactionWord() sees whole transactions only", () => {
  check(transactionWord, [
    ...all(
      "begin" as const,
      `
      BEGIN
      begin work
      Begin /* now */ transaction isolation level serializable;
      START TRANSACTION READ ONLY`,
    ),
    ...all(
      "commit" as const,
      `
      COMMIT
      commit work
      END
      end transaction
      commit and no chain`,
    ),
    ...all(
      "rollback" as const,
      `
      ROLLBACK
      abort
      rollback transaction and chain`,
    ),
    ["prepare transaction 'one'", "prepare"],
    ...all(
      undefined,
      `
      rollback to a
      rollback work to savepoint a
      rollback prepared 'one'
      commit prepared 'one'
      savepoint a
      release a
      prepare one as select 1
      create table "begin" (a int)
      start_it`,
    ),
  ]);
});

Deno.test("isCallOrDo() sees procedures and DO blocks", () => {
  check(isCallOrDo, [
    ["CALL app.fill(1)", true],
    ["do language plpgsql $$ begin end $$", true],
    ['"do"', false],
    ["select fill(1)", false],
  ]);
});

Deno.test("lockNeed() is exclusive where others queue behind the statement", () => {
  check(
    lockNeed,
    all(
      "exclusive" as const,
      `
    alter table users add column a int
    ALTER TABLE IF EXISTS ONLY app.users ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES b NOT VALID
    alter table users alter column a set default array[1, 2], validate constraint c
    alter table users alter column a set not null
    alter table events attach partition events_2020 for values in (1)
    alter table events detach partition events_2020
    alter table users owner to me
    alter foreign table f add column a int
    alter type mood add value 'calm'
    alter index i rename to j
    alter sequence s restart
    alter view v rename to w
    alter extension pg_trgm update
    drop table if exists users
    drop index i
    drop trigger t on users
    truncate users
    lock table users in share mode
    create index i on users (a)
    create unique index on users (a)
    create trigger t after insert on users execute function f()
    create or replace trigger t after insert on users execute function f()
    create constraint trigger t after insert on users execute function f()
    create policy p on users
    create rule r as on insert to users do nothing
    create or replace view v as select 1
    create table posts (author int references users)
    create table posts (author int, foreign key (author) references users)
    create table events_2021 partition of events for values in (2)
    refresh materialized view v
    vacuum full users
    vacuum (full) users
    cluster users using i
    reindex table users
    reindex (concurrently false) index i
    do $$ begin alter table users add a int; exception when others then null; end $$`,
    ),
  );
});

Deno.test("lockNeed() is none where waiting harms nobody", () => {
  check(
    lockNeed,
    all(
      "none" as const,
      `
    create index concurrently i on users (a)
    drop index concurrently i
    alter table events detach partition events_2020 concurrently
    reindex index concurrently i
    reindex (concurrently) table users
    alter table users validate constraint c
    alter table users alter column a set statistics 100, alter b set (n_distinct = 5), validate constraint c
    alter table users set (fillfactor = 70)
    refresh materialized view concurrently v
    vacuum users
    vacuum (full false, analyze) users
    analyze users
    update users set a = 1
    delete from users
    insert into users values (1)
    select 1 from users for update
    copy users from stdin
    with a as (delete from users returning *) insert into b select * from a
    create table posts (author int)
    create temp table posts as select * from users
    create unlogged table posts (author int)
    create view v as select 1
    create or replace function f() returns int language sql return 1
    create type mood as enum ('references')
    create schema app
    create sequence s
    create extension pg_trgm
    create statistics s on a, b from users
    comment on column users.a is 'drop'
    grant references on users to me
    set lock_timeout = 0
    alter role me set work_mem = '1MB'
    alter database shop set work_mem = '1MB'
    alter default privileges grant select on tables to me
    drop database shop
    drop role me
    call fill(1)
    do $$ begin update users set a = 1; end $$`,
    ),
  );
});

Deno.test("settings() names what SET, RESET and set_config change", () => {
  check(settings, [
    ["SET Search_Path TO app, public", [{ name: "search_path", value: "app" }]],
    ["set schema 'app'", [{ name: "search_path", value: "app" }]],
    ["set session my.setting = 'x'", [{ name: "my.setting", value: "x" }]],
    ["set local time zone 'UTC'", [{ name: "timezone", value: "UTC" }]],
    ["set work_mem to default", [{ name: "work_mem" }]],
    ["reset all", [{ name: "all" }]],
    ["set role me", [{ name: "role", value: "me" }]],
    ["set role to me", [{ name: "role", value: "me" }]],
    ["SET LOCAL ROLE NONE", [{ name: "role", value: "NONE" }]],
    ["reset role", [{ name: "role" }]],
    ["set session authorization 'me'", [{ name: "session_authorization", value: "me" }]],
    ["set local session authorization default", [{ name: "session_authorization" }]],
    ["reset session authorization", [{ name: "session_authorization" }]],
    ["reset time zone", [{ name: "timezone" }]],
    ["set session characteristics as transaction read only", [{ name: "default_transaction" }]],
    ["set constraints all deferred", []],
    ["set transaction isolation level serializable", []],
    ["select set_config('a.b', x, true), pg_catalog.set_config(e'C', '1', false)", [{ name: "a.b" }, {
      name: "c",
      value: "1",
    }]],
    ["update users set lock_timeout = 1", []],
  ]);
});

Deno.test("onlySets() is true for what may be run again to set up the session", () => {
  check(onlySets, [
    ...all(
      true,
      `
      set search_path = app
      RESET ALL
      set local role me
      select pg_catalog.set_config('search_path', '', false) as a, set_config('a.b', lower('X'), true);`,
    ),
    ...all(
      false,
      `
      set transaction read only
      insert into a select set_config('a.b', '1', false)
      select set_config('a.b', '1', false), fill()
      select set_config('a.b', fill(), false)
      select set_config('a.b', '1', false) from users
      select 1
      do $$ begin set work_mem = 1; end $$`,
    ),
  ]);
});

Deno.test("setsLockTimeout() sees the author's own lock_timeout", () => {
  check(setsLockTimeout, [
    ...all(
      true,
      `
      set lock_timeout = '2s'
      SET LOCAL lock_timeout TO 0
      set session "lock_timeout" = default
      SELECT pg_catalog.set_config('lock_timeout', '2s', true)
      reset lock_timeout`,
    ),
    ...all(
      false,
      `
      set statement_timeout = 0
      select 'set lock_timeout = 1'
      alter role me set lock_timeout = '1s'
      create function f() returns int language sql set lock_timeout = 1 as 'select 1'`,
    ),
  ]);
});

Deno.test("turnsOffStandardStrings() sees every way to write off", () => {
  check(turnsOffStandardStrings, [
    ...all(
      true,
      `
      set standard_conforming_strings = off
      SET SESSION Standard_Conforming_Strings TO 'OFF'
      set local standard_conforming_strings = false
      set standard_conforming_strings = 0
      select set_config('standard_conforming_strings', 'off', false)`,
    ),
    ...all(
      false,
      `
      SET standard_conforming_strings = on;
      set standard_conforming_strings to 'True'
      set standard_conforming_strings = 1
      reset standard_conforming_strings
      set escape_string_warning = off
      select 'set standard_conforming_strings = off'`,
    ),
  ]);
});

Deno.test("mayChangeSession() is false only for what leaves the session alone", () => {
  check(mayChangeSession, [
    ...all(
      true,
      `
      set search_path = app
      RESET ALL
      set role me
      select pg_catalog.set_config('search_path', '', false)
      insert into a select set_config('search_path', '', false)
      select app.fill()
      select app.count(1)
      (select fill())
      with a as (select fill()) select * from a
      do $$ begin end $$
      call fill()
      prepare one as select 1
      execute one
      declare c cursor with hold for select 1
      load 'auto_explain'
      discard all
      listen changes`,
    ),
    ...all(
      false,
      `
      create table users (a int)
      create function f() returns int language sql set search_path = app return 1
      alter table users add a int
      drop table users
      insert into users (a) values (f())
      update users set a = 1
      copy users from stdin
      select 1
      select count(*), max(a)::numeric(10, 2) from users as u(a) where a in (1, 2)
      with a as (select 1) insert into app.b (c) select * from a
      values (1), (2)
      comment on table users is 'set_config(x)'
      begin
      commit
      vacuum`,
    ),
  ]);
});

Deno.test("isAdditive() knows what removes and changes no row", () => {
  check(
    (one) => isAdditive(one, new Set()),
    all(
      true,
      `
    create table users (a int references b on delete cascade)
    CREATE TABLE IF NOT EXISTS app.users (a int)
    create table users as select * from old
    create table posts (a int references users on update cascade on delete set null)
    create index concurrently i on users (a)
    create or replace view v as select 1
    create or replace function f() returns void language sql begin atomic delete from users; end
    create trigger t after delete on users execute function f()
    create extension if not exists pg_trgm
    create policy p on users for update using (true)
    import foreign schema a from server b into c
    alter table users add column a int not null default 0, add b text
    ALTER TABLE IF EXISTS ONLY users ADD CONSTRAINT c CHECK (a > 0) NOT VALID
    alter table users validate constraint c, owner to me
    alter table users alter a set default array[1, 2], alter column b drop not null
    alter table users enable row level security, no force row level security
    alter table users alter a add generated always as identity (start 5)
    alter table users set (fillfactor = 70), alter a set statistics 5, cluster on i
    alter table events attach partition events_2020 default
    alter index i attach partition j
    alter type mood add value if not exists 'drop'
    alter sequence s owned by users.a
    alter function f(int, text) owner to me
    alter function f(int) set search_path = ''
    alter schema app owner to me
    alter default privileges in schema app grant select on tables to me
    alter system set work_mem = '1MB'
    insert into users (a) values (random())
    insert into users select * from b on conflict (a) do nothing
    with a as (select 1) insert into app.users (b) select * from a
    copy users (a, b) from stdin with (format csv)
    copy app.users from '/x'
    comment on table users is 'delete from users'
    grant select on users to me
    revoke all on users from me
    set search_path = app
    select pg_catalog.set_config('search_path', '', false)
    select setval('s', (select max(id) from users))
    select * from users for update
    table users
    analyze
    vacuum (analyze) users
    reindex table concurrently users
    lock table users
    savepoint a
    discard all
    show work_mem`,
    ),
  );
});

Deno.test("isAdditive() takes everything else for risky", () => {
  check(
    (one) => isAdditive(one, new Set()),
    all(
      false,
      `
    drop table if exists users
    drop view v
    drop index concurrently i
    drop function f(int)
    drop owned by me
    update users set a = 1
    delete from only users
    truncate users
    merge into users using b on true when matched then delete
    insert into users values (1) on conflict (a) do update set a = 2
    with a as (delete from users returning *) select * from a
    with a as (update users set a = 1 returning *) insert into b select * from a
    insert into b with a as (delete from users returning *) select * from a
    create table b as with a as (delete from users returning *) select * from a
    create temp table b as with a as (update users set a = 1 returning *) select * from a
    with a as (select 1) delete from users
    WITH a AS (SELECT 1) UPDATE users SET b = 1
    copy (delete from users returning *) to stdout
    copy users from program 'rm -rf /'
    copy users to '/x'
    alter table users drop column a
    alter table users add a int, drop constraint c
    alter table users alter column a type bigint
    alter table users alter a set data type bigint using a::bigint
    alter table users rename to people
    alter table users rename a to b
    alter table users set schema app
    alter table users set unlogged
    alter table users set tablespace fast
    alter table events detach partition events_2020
    alter type mood rename value 'a' to 'b'
    alter type pair drop attribute a
    alter view v rename to w
    alter schema app rename to other
    alter database shop set tablespace fast
    alter publication p drop table users
    alter extension postgis update
    refresh materialized view v
    create subscription s connection 'x' publication p
    do $$ begin null; end $$
    call fill()
    execute one
    select fill()
    select app.count(1)
    select * from (select "Fill"(1)) a
    explain analyze delete from users
    cluster users using i
    vacuum full
    vacuum (full) users
    fetch all from c
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
    [true, "create table users (a int); update only USERS * set a = 1"],
    [true, 'create unlogged table app."U" (a int); delete from app."U"'],
    [true, "create temp table t as select 1; truncate table t"],
    [true, "create table t (a int); merge into t using b on true when matched then delete"],
    [true, "create table a (a int); create view b as select 1; drop view b"],
    [true, "create index concurrently i on app.t (a); drop index app.i"],
    [true, "create type mood as enum (); alter type mood rename to feeling"],
    [true, "create table t (a int); alter table t drop column a"],
    [true, "create table t (a int); drop trigger x on t"],
    [true, "create table t (a int); alter table t rename to u; drop table u"],
    [true, "create table t (a int); insert into t values (1) on conflict (a) do update set a = 2"],
    [true, "create materialized view v as select 1; refresh materialized view v"],
    [true, "create table t (a int); drop trigger x on t; drop table t"],
    [false, "create table if not exists t (a int); drop table t"],
    [false, "create or replace view v as select 1; drop view v"],
    [false, "create table t (a int); drop table t, users"],
    [false, "create table t (a int); drop table t cascade"],
    [false, "create table app.t (a int); drop table t"],
    [false, "create table t (a int); drop table app.t"],
    [false, 'create table "T" (a int); drop table t'],
    [false, "create temp table t (a int); drop table t; delete from t"],
    [false, "create table t (a int); alter table t rename to u; delete from t"],
    [false, "create table t (a int); alter table t set schema app; delete from t"],
    [false, "create table app.u (a int); drop table u; alter table users rename to u; delete from app.u"],
    [false, "create table t (a int); set search_path = app; delete from t"],
    [false, "create table t (a int); select set_config('search_path', 'app', false); delete from t"],
  ];
  for (const [expected, text] of cases) assert.equal(last(text), expected, text);
});
