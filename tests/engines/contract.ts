/** What every engine must do, whatever stands behind it. A new rule for one is a new test for all. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { parseDatabaseUrl } from "../../lib/database_url.ts";
import { AmberError } from "../../lib/errors.ts";
import {
  type Engine,
  type EngineEvent,
  literal,
  type OpenOptions,
  quoteName,
  StatementFailure,
  type Value,
} from "../../lib/engines/engine.ts";
import { openEngine } from "../../lib/engines/open.ts";
import { projectFolder, spawnCommand } from "../support/command.ts";
import { type Need, testWith } from "../support/skip.ts";

/** A database for one test, gone at the end of its scope. */
export interface ContractDatabase extends AsyncDisposable {
  url: string;
  /** The address of a database beside it that does not exist. */
  missingUrl: string;
  /** Something that changes whenever anything is written or created. */
  state(): Promise<string>;
}

export interface EngineSetup {
  name: string;
  needs: Need[];
  dialect: Engine["dialect"];
  isPooled: boolean;
  make(): Promise<ContractDatabase>;
}

/** An engine that is closed at the end of its scope. */
export type Opened = Engine & AsyncDisposable & { events: EngineEvent[] };

/** Rows as plain objects: those of SQLite have no prototype. */
const rows = async (engine: Engine, sql: string, params?: readonly Value[]) =>
  (await engine.query(sql, params)).map((row) => ({ ...row }));

export async function open(url: string, options: Partial<OpenOptions> = {}): Promise<Opened> {
  const events: EngineEvent[] = [];
  const engine = await openEngine(parseDatabaseUrl(url, "test"), {
    waitMs: 0,
    create: false,
    readOnly: false,
    stop: new AbortController().signal,
    by: "tester@test",
    report: (event) => events.push(event),
    ...options,
  });
  return Object.assign(engine, { events, [Symbol.asyncDispose]: () => engine.close() });
}

const one = (text: string) => ({ text });
const nasty = [
  "",
  "'",
  "''",
  "\\",
  "\\'",
  "a\\'b''c\"d",
  "'; drop table t; --",
  "$1 ?1 :name @name $$ $tag$",
  "line\nbreak\r\nand\ttab",
  "/* no comment */ -- none",
  "naïve 漢字 😀 \u200b",
  "E'\\n'",
  "%s %% %",
  "x".repeat(70_000),
];

/** Registers the suite for one engine. */
export function engineContract(setup: EngineSetup): void {
  const { name, needs, dialect } = setup;
  const isPostgres = dialect === "postgres";
  const test = (what: string, body: (at: ContractDatabase) => Promise<void>) =>
    testWith(needs, `${name}: ${what}`, async () => {
      await using at = await setup.make();
      await body(at);
    });
  const parameter = (number: number, type: string) => isPostgres ? `$${number}::${type}` : `?${number}`;

  test("says what it is, and shows no password", async (at) => {
    await using engine = await open(at.url);
    assert.equal(engine.dialect, dialect);
    assert.match(engine.version, /^\d+\.\d+/);
    assert.match(engine.history, /amber_migrations$/);
    assert.doesNotMatch(engine.where, /s3cret/);
    assert.match(engine.where, new RegExp(`^${dialect}`));
    assert.equal(await engine.isPooled(), setup.isPooled);
    assert.equal(typeof engine.blockers(), "string");
  });

  test("query() gives rows with values of their types", async (at) => {
    await using engine = await open(at.url);
    const bytes = isPostgres ? "'\\x00ff'::bytea" : "x'00ff'";
    const [row, ...more] = await rows(
      engine,
      `select 7 as i, ${isPostgres ? "1.5::float8" : "1.5"} as f, 'ä' as t, null as n, ${bytes} as b`,
    );
    assert.equal(more.length, 0);
    assert.deepEqual({ ...row, b: [...row!.b as Uint8Array] }, { i: 7, f: 1.5, t: "ä", n: null, b: [0, 255] });
    assert.deepEqual(await rows(engine, "select 1 as x where 1 = 2"), []);
    assert.deepEqual((await engine.query("select 2 as x union select 1 order by x")).map((row) => row.x), [1, 2]);
    const [big] = await rows(engine, `select ${isPostgres ? "9007199254740993::bigint" : "9007199254740993"} as v`);
    assert.equal(String(big!.v), "9007199254740993");
    await engine.run([one("create table empty (x integer)")]);
    assert.deepEqual(await rows(engine, "select * from empty"), []);
    assert.deepEqual(await rows(engine, "insert into empty values (1) returning x"), [{ x: 1 }]);
  });

  test("query() takes parameters of every type", async (at) => {
    await using engine = await open(at.url);
    const cases: [Value, string, unknown][] = [
      ["text", "text", "text"],
      ["", "text", ""],
      [42, "integer", 42],
      [-1.25, "float8", -1.25],
      [9007199254740993n, "bigint", isPostgres ? "9007199254740993" : 9007199254740993n],
      [true, "boolean", isPostgres ? true : 1],
      [false, "boolean", isPostgres ? false : 0],
      [null, "text", null],
      [new Uint8Array([0, 1, 255]), "bytea", [0, 1, 255]],
      ...nasty.map((text): [Value, string, unknown] => [text, "text", text]),
    ];
    for (const [value, type, expected] of cases) {
      const [row] = await rows(engine, `select ${parameter(1, type)} as v`, [value]);
      const got = row!.v instanceof Uint8Array ? [...row!.v] : row!.v;
      assert.deepEqual(got, expected, `${typeof value} ${String(value).slice(0, 40)}`);
    }
    const [two] = await rows(
      engine,
      `select ${parameter(2, "text")} as a, ${parameter(1, "text")} as b, ${parameter(2, "text")} as c`,
      ["x", "y"],
    );
    assert.deepEqual(two, { a: "y", b: "x", c: "y" });
    if (!isPostgres) {
      assert.deepEqual(await rows(engine, "select typeof(?1) as a, typeof(?2) as b", [3, 3.5]), [
        { a: "integer", b: "real" },
      ]);
    }
  });

  test("what the database refuses is a StatementFailure with the place in the statement", async (at) => {
    await using engine = await open(at.url);
    const cases: [string, string][] = [
      ["select 'ä😀', nothere from (select 1 as x) as t", "nothere"],
      ["select 1 as x,\n  from t", "from"],
      ["insert into gone values (1)", "gone"],
    ];
    for (const [text, place] of cases) {
      await assert.rejects(engine.query(text), StatementFailure);
      await assert.rejects(engine.run([one(text)]), (error) => {
        assert.ok(error instanceof StatementFailure, String(error));
        assert.equal(error.offset, text.indexOf(place), text);
        assert.ok(error.code);
        return true;
      });
    }
    assert.deepEqual(await rows(engine, "select 1 as alive"), [{ alive: 1 }]);
  });

  for (const inside of [true, false]) {
    test(`run() ${inside ? "in" : "outside"} a transaction stops at the first that fails and names it`, async (at) => {
      await using engine = await open(at.url);
      await engine.run([one("create table t (x integer primary key)")]);
      await engine.lock({ journaled: false });
      if (inside) await engine.begin();
      else await engine.rollback();
      const statements = [
        "insert into t values (1)",
        "select x from t",
        "insert into t values (1)",
        "insert into t values (2)",
      ];
      const run = engine.run(statements.map(one));
      await assert.rejects(run, (error) => {
        assert.ok(error instanceof StatementFailure, String(error));
        assert.equal(error.index, 2);
        return true;
      });
      if (inside) await engine.rollback();
      assert.deepEqual(
        await rows(engine, "select x from t order by x"),
        inside ? [] : [{ x: 1 }],
        "what follows the failure does not run",
      );
      await assert.rejects(engine.run(["select 1", "select 1 as a, nothere"].map(one)), { index: 1, offset: 15 });
      await engine.run([]);
    });
  }

  test("run() runs thousands of statements in order, every row of a SELECT included", async (at) => {
    await using engine = await open(at.url);
    await engine.lock({ journaled: false });
    await engine.begin();
    await engine.run([
      one("create table t (n integer)"),
      one("insert into t values (0)"),
      ...Array.from({ length: 2_000 }, (_, i) => one(`update t set n = n * 2 % 1000003 + ${i % 7}`)),
      one("select n from t union all select n from t"),
    ]);
    await engine.commit();
    let expected = 0;
    for (let i = 0; i < 2_000; i++) expected = expected * 2 % 1000003 + i % 7;
    assert.deepEqual(await rows(engine, "select n from t"), [{ n: expected }]);
  });

  test("commit() keeps, rollback() undoes, and others see it only after the commit", async (at) => {
    await using engine = await open(at.url);
    await using other = await open(at.url, { readOnly: true });
    await engine.run([one("create table t (x integer)")]);
    await engine.lock({ journaled: false });
    assert.equal(typeof (await engine.begin()).changed, "boolean");
    await engine.run([one("insert into t values (1)")]);
    assert.deepEqual(await engine.begin(), { changed: false }, "a second begin() goes on in the first one's");
    assert.deepEqual(await rows(engine, "select x from t"), [{ x: 1 }]);
    assert.deepEqual(await rows(other, "select x from t"), []);
    await engine.commit();
    await using late = await open(at.url, { readOnly: true });
    assert.deepEqual(await rows(late, "select x from t"), [{ x: 1 }]);

    await engine.begin();
    await engine.run([one("create table u (x integer)"), one("delete from t")]);
    await engine.rollback();
    await engine.rollback(); // nothing to undo is no error
    assert.deepEqual(await rows(engine, "select x from t"), [{ x: 1 }]);
    await assert.rejects(engine.query("select x from u"), StatementFailure);

    await engine.begin();
    await assert.rejects(engine.run([one("insert into nothere values (1)")]), StatementFailure);
    await engine.rollback();
    await engine.begin();
    await engine.run([one("insert into t values (2)")]);
    await engine.reset();
    await engine.commit({ reopen: true });
    assert.deepEqual(await rows(engine, "select count(*) as n from t"), isPostgres ? [{ n: "2" }] : [{ n: 2 }]);
  });

  for (const journaled of [false, true]) {
    const kind = journaled ? "journaled" : "plain";
    test(`the ${kind} lock keeps a second engine out until it is given back`, async (at) => {
      await using first = await open(at.url);
      await using second = await open(at.url);
      await first.lock({ journaled });
      if (journaled) await first.rollback();
      const started = performance.now();
      await assert.rejects(second.lock({ waitMs: 300, journaled }), (error) => {
        assert.ok(error instanceof AmberError, String(error));
        assert.equal(error.code, "LOCK_HELD");
        assert.equal(error.exitStatus, 5);
        assert.ok(error.hint);
        return true;
      });
      const spentMs = performance.now() - started;
      assert.ok(spentMs >= 290 && spentMs < 5_000, `${spentMs} ms`);

      // The wait that was in vain has left nothing: the same engine gets the lock once it is free.
      const waiting = second.lock({ waitMs: 20_000, journaled });
      await first.unlock();
      await waiting;
      await second.begin();
      assert.deepEqual(await rows(second, `select 1 as held where ${second.lockHeldSql()}`), [{ held: 1 }]);
      await second.commit();
      await second.unlock();
      await first.lock({ waitMs: 5_000, journaled });
      await first.unlock();
    });

    test(`the ${kind} lock is free when its holder closes`, async (at) => {
      await using second = await open(at.url);
      const first = await open(at.url);
      await first.lock({ journaled });
      const waiting = second.lock({ waitMs: 20_000, journaled });
      await first.close();
      await waiting;
    });

    test(`the ${kind} lock is free when its holder is killed`, async (at) => {
      await using holder = spawnCommand(
        Deno.execPath(),
        [
          "run",
          "-A",
          "--quiet",
          "--config",
          join(projectFolder, "deno.json"),
          import.meta.resolve("./hold_lock.ts"),
          at.url,
          kind,
        ],
        { cwd: projectFolder },
      );
      await holder.until("held");
      await using engine = await open(at.url);
      await assert.rejects(engine.lock({ waitMs: 50, journaled }), { code: "LOCK_HELD" });
      holder.kill("SIGKILL");
      await engine.lock({ waitMs: 20_000, journaled });
    });
  }

  test("of eight that want the lock at once each gets it, one after the other", async (at) => {
    await using setUp = await open(at.url);
    await setUp.run([one("create table t (n integer)"), one("insert into t values (0)")]);
    let inside = 0;
    await Promise.all(Array.from({ length: 8 }, async () => {
      await using engine = await open(at.url, { waitMs: 20_000 });
      await engine.lock({ waitMs: 60_000, journaled: false });
      await engine.begin();
      assert.equal(++inside, 1);
      const [row] = await rows(engine, "select n from t");
      await engine.run([one(`update t set n = ${Number(row!.n) + 1}`)]);
      inside--;
      await engine.commit();
      await engine.unlock();
    }));
    assert.deepEqual(await rows(setUp, "select n from t"), [{ n: 8 }]);
  });

  test("a stop signal ends the wait for the lock with its reason", async (at) => {
    const stop = new AbortController();
    const reason = new Error("stopped by the test");
    await using first = await open(at.url);
    await using second = await open(at.url, { stop: stop.signal });
    await first.lock({ journaled: false });
    const waiting = second.lock({ journaled: false });
    setTimeout(() => stop.abort(reason), 150);
    const started = performance.now();
    await assert.rejects(waiting, (error) => error === reason);
    assert.ok(performance.now() - started < 5_000);
  });

  test("an unknown database is DATABASE_UNKNOWN, unless it shall be made", async (at) => {
    const before = await at.state();
    for (const readOnly of setup.isPooled ? [true] : [true, false]) {
      await assert.rejects(open(at.missingUrl, { readOnly }), (error) => {
        assert.ok(error instanceof AmberError, String(error));
        assert.equal(error.code, "DATABASE_UNKNOWN");
        return true;
      });
    }
    assert.equal(await at.state(), before, "asking makes nothing");
    // PgBouncer lets a client wait up to 15 s after a login that the server has refused.
    if (setup.isPooled) return;
    {
      await using made = await open(at.missingUrl, { create: true, waitMs: 5_000 });
      await made.run([one("create table t (x integer)")]);
    }
    await using again = await open(at.missingUrl);
    assert.deepEqual(await rows(again, "select x from t"), []);
  });

  test("opened to look only it reads, and writes nothing", async (at) => {
    {
      await using engine = await open(at.url);
      await engine.run([one("create table t (x integer)"), one("insert into t values (1)")]);
    }
    const before = await at.state();
    {
      await using engine = await open(at.url, { readOnly: true });
      assert.deepEqual(await rows(engine, "select x from t"), [{ x: 1 }]);
      await assert.rejects(engine.query("select * from amber_migrations"), StatementFailure);
    }
    assert.equal(await at.state(), before);
  });

  test("literal() gives back every text, number and truth", async (at) => {
    await using engine = await open(at.url);
    for (const text of nasty) {
      const [row] = await rows(engine, `select ${literal(text, dialect)} as v`);
      assert.equal(row!.v, text, text.slice(0, 40));
      await engine.run([one(`select ${literal(text, dialect)}`)]);
    }
    const [row] = await rows(
      engine,
      `select ${
        [0, -5, 2 ** 31 - 1, null, undefined].map((value, i) => `${literal(value, dialect)} as v${i}`).join(", ")
      }`,
    );
    assert.deepEqual(row, { v0: 0, v1: -5, v2: 2147483647, v3: null, v4: null });
    const [truth] = await rows(engine, `select ${literal(true, dialect)} as a, ${literal(false, dialect)} as b`);
    assert.deepEqual(truth, isPostgres ? { a: true, b: false } : { a: 1, b: 0 });
    const [big] = await rows(engine, `select ${literal(9007199254740993n, dialect)} as v`);
    assert.equal(String(big!.v), "9007199254740993");
    if (isPostgres) {
      await engine.lock({ journaled: false });
      await engine.begin();
      await engine.run([
        one("set local standard_conforming_strings = off"),
        one("set local escape_string_warning = off"),
      ]);
      for (const text of nasty) {
        const [row] = await rows(engine, `select ${literal(text, dialect)}::text as v`);
        assert.equal(row!.v, text, text.slice(0, 40));
      }
    }
  });

  test("quoteName() makes a name of every text", async (at) => {
    await using engine = await open(at.url);
    const names = nasty.filter((text) => text !== "" && text.length < 60);
    for (const name of [...names, 'a"b', '"', "select", "MiXeD", "with space", "1st"]) {
      const quoted = quoteName(name);
      await engine.run([one(`create table ${quoted} (${quoted} integer)`), one(`insert into ${quoted} values (1)`)]);
      const [row] = await rows(engine, `select ${quoted} from ${quoted}`);
      assert.deepEqual(Object.entries(row!), [[name, 1]]);
      await engine.run([one(`drop table ${quoted}`)]);
    }
  });

  test("work outside a transaction gives back its result, and is over when it throws", async (at) => {
    await using engine = await open(at.url);
    await engine.lock({ journaled: true });
    await engine.rollback();
    await engine.run([one("create table t (x integer)")]);
    const result = await engine.withoutTimeouts(async () => {
      await engine.run([one("vacuum")]);
      return 7;
    });
    assert.equal(result, 7);
    await assert.rejects(engine.withoutTimeouts(() => engine.run([one("select nothere")])), StatementFailure);
    await engine.begin();
    await engine.run([one("insert into t values (1)")]);
    await engine.commit();
    assert.deepEqual(await rows(engine, "select x from t"), [{ x: 1 }]);
  });

  test("commitWith() commits together with a change of one row, and nothing when it hits none", async (at) => {
    await using engine = await open(at.url);
    await engine.run([one("create table t (x integer)"), one("create table h (n integer)")]);
    await engine.lock({ journaled: false });
    await engine.begin();
    await engine.run([one("insert into t values (1)")]);
    assert.equal(await engine.commitWith("insert into h values (1) returning n"), true);
    await engine.begin();
    await engine.run([one("insert into t values (2)")]);
    assert.equal(await engine.commitWith("update h set n = 2 where n = 7 returning n"), false);
    await engine.rollback();
    assert.deepEqual(await rows(engine, "select x from t"), [{ x: 1 }]);
    await engine.begin();
    await assert.rejects(engine.commitWith("insert into nothere values (1) returning 1"), StatementFailure);
    await engine.rollback();
    await engine.begin();
    assert.equal(await engine.commitWith("delete from h returning n"), true);
    assert.deepEqual(await rows(engine, "select n from h"), []);
  });

  test("closing twice, after a failure or in a transaction is no error, and undoes the transaction", async (at) => {
    const engine = await open(at.url);
    await engine.run([one("create table t (x integer)")]);
    await engine.lock({ journaled: true });
    await engine.begin();
    await engine.run([one("insert into t values (1)")]);
    await assert.rejects(engine.query("select nothere"), StatementFailure);
    await engine.cancel();
    await engine.close();
    await engine.close();
    await engine.unlock();
    await engine.rollback();
    await using again = await open(at.url);
    assert.deepEqual(await rows(again, "select x from t"), []);
    await again.lock({ waitMs: 5_000, journaled: true });
  });
}
