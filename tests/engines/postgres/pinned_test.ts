import assert from "node:assert/strict";
import { pinnable as database, text, until } from "./pinned_database.ts";

const thousand = "create table t as select i as id from generate_series(1, 1000) i;";
const countSql = "select count(*)::int as n from public.t";
const manyRows = "copy (select i, repeat('x', 90) from generate_series(1, 1000000) i) to stdout";

Deno.test("what is read is what there was when it was pinned: not when it was locked, and not later", async () => {
  await using at = await database(thousand);
  await using session = await at.prepare();
  // SET and LOCK look at nothing: this row is older than the moment.
  await at.sql("insert into t values (0)");
  await session.pin();
  await at.sql("insert into t values (-1); delete from t where id > 500");
  assert.equal(await session.confirm(), true);
  assert.deepEqual(await session.query(countSql), [{ n: 1001 }]);
  const lines = (await text(session.copyOut("copy (select id from only public.t) to stdout"))).split("\n");
  assert.equal(lines.length, 1002);
  assert.deepEqual(await at.sql(countSql), [{ n: 502 }]);
});

Deno.test("its transaction says what it reads in the same words everywhere", async () => {
  await using at = await database(
    `alter database :name: set timezone = 'Asia/Tokyo'; alter database :name: set datestyle = 'German';
    alter database :name: set search_path = 'elsewhere'; alter database :name: set extra_float_digits = -5;
    alter database :name: set bytea_output = 'escape'; alter database :name: set intervalstyle = 'iso_8601'`,
  );
  await using session = await at.prepare();
  await session.pin();
  const said = await text(session.copyOut(
    "copy (select timestamptz '2026-01-02 03:04:05+00', date '2026-01-02', interval '1 day 2 hours', 0.1::float8 + 0.2::float8, '\\x01'::bytea) to stdout",
  ));
  assert.equal(said, "2026-01-02 03:04:05+00\t2026-01-02\t1 day 02:00:00\t0.30000000000000004\t\\\\x01\n");
  await assert.rejects(session.query("create table public.x (i int)"), {
    code: "STATEMENT_FAILED",
    message: /read-only/,
  });
});

Deno.test("a table that is rewritten while prepare() waits for it is read whole", async () => {
  await using at = await database(thousand);
  // In the other order, pinned first and locked after, its rows are gone, and nothing says so.
  {
    await using reader = await at.connect();
    await using changer = await at.connect();
    await changer.query("begin; alter table t alter column id type bigint");
    await reader.query("begin isolation level repeatable read, read only; select 1");
    const locked = reader.query("lock table t in access share mode");
    await at.someoneWaits();
    await changer.query("commit");
    await locked;
    assert.deepEqual(await reader.query(countSql), [{ n: 0 }]);
  }
  await using changer = await at.connect();
  await changer.query("begin; alter table t alter column id type numeric");
  const preparing = at.prepare();
  await at.someoneWaits();
  await changer.query("commit");
  await using session = await preparing;
  await session.pin();
  assert.equal(await session.confirm(), true);
  assert.deepEqual(await session.query(countSql), [{ n: 1000 }]);
});

Deno.test("a table that is made or renamed between lock and pin is noticed, and the next try has it", async () => {
  const changes: [change: string, note: RegExp][] = [
    ["create table late (i int)", /"public"\."late" was made/],
    ["create table keyed (i int) partition by list (i)", /"public"\."keyed" was made/],
    ["alter schema app rename to moved", /"app"\."t" became "moved"\."t"/],
  ];
  for (const [change, note] of changes) {
    await using at = await database("create schema app; create table app.t (i int)");
    {
      await using session = await at.prepare();
      await at.sql(change);
      await session.pin();
      assert.equal(await session.confirm(), false, change);
      assert.match(at.notes().at(-1)!, note);
    }
    await using session = await at.prepare();
    await session.pin();
    assert.equal(await session.confirm(), true, change);
  }
});

Deno.test("while it is open nobody changes the form of a table, and everybody writes rows", async () => {
  await using at = await database(`${thousand} create table parent (i int) partition by list (i);
    create table child partition of parent for values in (1)`);
  await using session = await at.prepare();
  for (
    const statement of [
      "alter table t add column x int",
      "drop table t",
      "truncate t",
      "drop table child",
    ]
  ) {
    const refused = at.sql(`set lock_timeout = 50; ${statement}`).catch((error) => error.code);
    assert.equal(await refused, "55P03", statement);
  }
  await at.sql(
    "insert into t values (1); update t set id = 2; delete from t; insert into parent values (1); analyze t",
  );
  await session.close();
  await at.sql("drop table t; drop table parent");
});

Deno.test("it locks tables of users, partitions and an extension's configuration: no views, nothing temporary", async () => {
  await using at = await database(`${thousand} create table parent (i int) partition by list (i);
    create table child partition of parent for values in (1); create schema "Od""d"; create table "Od""d"."T b" (i int);
    create view v as select 1 as i; create materialized view m as select 1 as i; create unlogged table u (i int);
    create table member (i int); create table configuration (i int);
    alter extension plpgsql add table member; alter extension plpgsql add table configuration;
    update pg_extension set extconfig = array['configuration'::regclass], extcondition = array['']`);
  await using other = await at.connect();
  await other.query("create temporary table mine (i int)");
  await using session = await at.prepare();
  const names = session.tables.map(({ schema, name }) => `${schema}.${name}`).sort();
  assert.deepEqual(names, [
    'Od"d.T b',
    "public.child",
    "public.configuration",
    "public.parent",
    "public.t",
    "public.u",
  ]);
  const held = await at.sql(
    `select count(*)::int as n from pg_locks where mode = 'AccessShareLock' and locktype = 'relation'
    and relation >= 16384 and pid <> pg_backend_pid() and database = (select oid from pg_database where datname = current_database())`,
  );
  assert.deepEqual(held, [{ n: 6 }]);
});

Deno.test("an empty database and one of 1,200 tables are locked as well", async () => {
  await using at = await database("select 1");
  {
    await using session = await at.prepare();
    await session.pin();
    assert.equal(await session.confirm(), true);
  }
  await at.sql("do $$ begin for i in 1..1200 loop execute format('create table many_%s (i int)', i); end loop; end $$");
  await using session = await at.prepare();
  await session.pin();
  assert.equal(await session.confirm(), true);
  assert.equal(session.tables.length, 1200);
});

Deno.test("a table that stays locked is TABLE_LOCKED, with its name and who holds it, and nothing is left", async () => {
  await using at = await database(`${thousand} create table "other" (i int)`);
  await using holder = await at.connect();
  await holder.query("begin; lock table t in access exclusive mode");
  const started = performance.now();
  await assert.rejects(at.prepare({ waitMs: 2_500 }), (error: Error & { code: string; hint: string }) => {
    assert.equal(error.code, "TABLE_LOCKED");
    assert.match(
      error.message,
      /^Cannot read the database within 3 s: "public"\."t" is locked by pid \d+ \(test holder, idle in transaction/,
    );
    return true;
  });
  assert.ok(performance.now() - started < 10_000);
  const [blocked] = at.events.filter(({ type }) => type === "blocked");
  assert.match((blocked as { message: string }).message, /"public"\."t" is locked by pid/);
  await until(async () =>
    (await at.sql("select from pg_stat_activity where application_name like 'amber%'")).length === 0
  );
});

Deno.test("those who queue for a table while prepare() waits for another get their turn", async () => {
  await using at = await database(`create table a (i int); create table b (i int)`);
  await using holder = await at.connect();
  await holder.query("begin; lock table b in access exclusive mode");
  const preparing = at.prepare();
  await at.someoneWaits();
  await at.sql("alter table a add column x int"); // prepare() holds its lock on "a" for a round at most
  await holder.query("rollback");
  await using session = await preparing;
  assert.equal(session.tables.length, 2);
});

Deno.test("a reader that stops early ends the transaction, and close() comes back at once", async () => {
  await using at = await database(thousand);
  const session = await at.prepare();
  await session.pin();
  for await (const _chunk of session.copyOut(manyRows)) break;
  await assert.rejects(session.query(countSql), { code: "STATEMENT_FAILED", message: /transaction is aborted/ });
  await session.close();
  const other = await at.prepare();
  await other.pin();
  const rows = other.copyOut(manyRows);
  await rows.next(); // and is left where it is
  await other.close();
  await at.sql("drop table t");
});

Deno.test("a signal ends every wait with its reason: for a lock, for an answer, for rows", async () => {
  await using at = await database(thousand);
  const reason = new Error("enough");
  {
    const stop = new AbortController();
    await using holder = await at.connect();
    await holder.query("begin; lock table t in access exclusive mode");
    const preparing = at.prepare({ stop: stop.signal });
    await at.someoneWaits();
    stop.abort(reason);
    await assert.rejects(preparing, reason);
  }
  {
    const stop = new AbortController();
    await using session = await at.prepare({ stop: stop.signal });
    await session.pin();
    const asking = session.query("select pg_sleep(600)");
    stop.abort(reason);
    await assert.rejects(asking, reason);
    await assert.rejects(session.query(countSql), reason);
  }
  {
    const stop = new AbortController();
    await using session = await at.prepare({ stop: stop.signal });
    await session.pin();
    await assert.rejects(async () => {
      for await (const _chunk of session.copyOut(manyRows)) stop.abort(reason);
    }, reason);
  }
  await until(async () =>
    (await at.sql("select from pg_stat_activity where application_name like 'amber%'")).length === 0
  );
});

Deno.test("a query before the moment would be the moment, and is refused", async () => {
  await using at = await database(thousand);
  await using session = await at.prepare();
  await assert.rejects(session.query(countSql), TypeError);
  await assert.rejects(text(session.copyOut("copy public.t to stdout")), TypeError);
  await session.pin();
  await assert.rejects(session.pin(), TypeError);
});
