/** Somebody else holds what a migration needs, or takes away what it holds. */
import assert from "node:assert/strict";
import postgres from "postgres";
import { amber, type CommandResult, spawnAmber } from "../support/command.ts";
import { type PostgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { direct, eventually, invalidIndexes, pooled, pooledWith } from "./setups.ts";

const first = { "migrations/0001_first.sql": "create table t (a int); create table log (line text);" };
const altering = { "migrations/0002_alter.sql": "insert into log values ('two'); alter table t add column b int;" };

testWith(
  "postgres",
  "a blocked ALTER TABLE lets others pass, says who blocks it, and goes on when the lock is gone",
  async () => {
    await using database = await (await sharedPostgres()).database();
    await using folder = await tempFolder(first);
    refuseFailure(await migrate(folder, database.url));
    await folder.write(altering);
    await using reader = await openTransaction(database, "select * from t");
    await using running = start(folder, database.url);
    await running.until(`"type":"blocked"`);
    await running.until("gave up a lock", 10_000);

    // Between two tries nothing queues behind us: a reader gets through.
    const passed = await Promise.race([
      database.sql("set statement_timeout = '5s'; select count(*) as rows from t"),
      running.result.then(() => undefined),
    ]);
    assert.deepEqual(passed, [{ rows: "0" }]);
    await reader[Symbol.asyncDispose]();
    const result = await running.result;
    refuseFailure(result);
    const blocked = result.json.find((line) => line.type === "blocked") as unknown as {
      message: string;
      blockers: { pid: number; application: string; state: string; ageSeconds: number }[];
    };
    assert.equal(blocked.blockers[0]?.pid, reader.pid);
    assert.equal(blocked.blockers[0]?.application, "somebody");
    assert.equal(blocked.blockers[0]?.state, "idle in transaction");
    assert.ok(blocked.blockers[0]!.ageSeconds >= 0);
    assert.match(
      blocked.message,
      new RegExp(`pid ${reader.pid} \\(somebody, idle in transaction, transaction open for \\d+ s`),
    );
    assert.deepEqual(await database.sql("select line from log"), [{ line: "two" }]);
  },
);

testWith(
  "postgres",
  "with --wait 3s a blocked ALTER TABLE ends with exit 5, names the blocker, and leaves nothing half done",
  async () => {
    await using database = await (await sharedPostgres()).database();
    await using folder = await tempFolder(first);
    refuseFailure(await migrate(folder, database.url));
    await folder.write({ ...altering, "migrations/0003_never.sql": "create table never (a int);" });
    {
      await using reader = await openTransaction(database, "select * from t");
      const started = performance.now();
      const result = await migrate(folder, database.url, ["--wait", "3s"]);
      const tookMs = performance.now() - started;
      assert.equal(result.code, 5, result.stdout);
      assert.equal(errorOf(result).code, "TABLE_LOCKED");
      assert.match(String(errorOf(result).message), new RegExp(`held by pid ${reader.pid} \\(somebody`));
      assert.match(String(errorOf(result).where), /0002_alter\.sql:1:/);
      assert.ok(tookMs < 15_000, `it took ${tookMs} ms`);
    }
    assert.deepEqual(await database.sql("select line from log"), []);
    assert.deepEqual(await database.sql("select name from amber_migrations"), [{ name: "0001_first" }]);
    refuseFailure(await migrate(folder, database.url));
    assert.deepEqual(await database.sql("select line from log"), [{ line: "two" }]);
  },
);

testWith("postgres", "a concurrent build waits for as long as it takes, also with --wait 1s", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder({
    ...first,
    "migrations/0002_index.sql": "create index concurrently t_a on t (a);",
  });
  refuseFailure(await migrate(folder, database.url, ["0001"]));
  await using writer = await openTransaction(database, "insert into t values (1)");
  await using running = start(folder, database.url, ["--wait", "1s"]);
  await running.until(`"type":"blocked"`);
  const isLong = (rows: Record<string, unknown>[]) => rows.length > 0;
  const built = await eventually(
    () =>
      database.sql(
        "select pid from pg_stat_activity where datname = current_database() and state = 'active' and query ~* '^create index' and now() - query_start > '5s'",
      ),
    isLong,
    20_000,
  );
  assert.ok(isLong(built), running.stdout);
  await writer[Symbol.asyncDispose]();
  refuseFailure(await running.result);
  assert.deepEqual(await invalidIndexes(database), []);
});

testWith("postgres", "a limit of the file's own is left to the file", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder(first);
  refuseFailure(await migrate(folder, database.url));
  for (const head of ["", "-- migrate:up transaction:false\n"]) {
    await folder.write({
      "migrations/0002_alter.sql": `${head}set lock_timeout = '200ms';\nalter table t add column b int;`,
    });
    await using _reader = await openTransaction(database, "select * from t");
    const started = performance.now();
    const result = await migrate(folder, database.url, ["--wait", "0"]);
    assert.equal(errorOf(result).code, "TABLE_LOCKED");
    assert.ok(performance.now() - started < 1_900, "it waited for two seconds");
  }
});

for (const setup of [direct, pooled]) {
  testWith(
    setup.needs,
    `the lock is taken away while a migration runs, ${setup.name}: it does not commit`,
    async () => {
      await using place = await setup.open();
      await using folder = await tempFolder({
        ...first,
        "migrations/0002_slow.sql": "insert into log values ('two'); select pg_sleep(3);",
      });
      await using running = start(folder, place.env.DATABASE_URL!);
      await running.until(`"type":"begin","name":"0002_slow"`);
      const ended = await place.sql(
        "select pg_terminate_backend(pid) as ended from pg_locks where locktype = 'advisory' and granted and " +
          "database = (select oid from pg_database where datname = current_database())",
      );
      assert.deepEqual(ended, [{ ended: true }]);
      const result = await running.result;
      assert.equal(result.code, 5, result.stdout);
      assert.match(String(errorOf(result).code), /^(LOCK_LOST|DATABASE_LOST)$/);
      assert.deepEqual(await place.sql("select line from log"), []);
      assert.deepEqual(await place.sql("select name from amber_migrations"), [{ name: "0001_first" }]);

      refuseFailure(await migrate(folder, place.env.DATABASE_URL!));
      assert.deepEqual(await place.sql("select line from log"), [{ line: "two" }]);
      await place.refuseLeftovers();
    },
  );
}

testWith("postgres", "another runner that gets a lost lock waits for the one that lost it", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder({
    ...first,
    "migrations/0002_slow.sql": "insert into log values ('two'); select pg_sleep(2);",
  });
  await using loser = start(folder, database.url);
  await loser.until(`"type":"begin","name":"0002_slow"`);
  await using winner = start(folder, database.url);
  await winner.until("waiting for another amber");
  await database.sql(
    "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and " +
      "database = (select oid from pg_database where datname = current_database())",
  );
  refuseFailure(await winner.result);
  assert.equal((await loser.result).code, 5);
  assert.deepEqual(await database.sql("select line from log"), [{ line: "two" }]);
});

testWith(
  "postgres",
  "the working session is ended while a migration runs: exit 5, and the next run finishes",
  async () => {
    await using database = await (await sharedPostgres()).database();
    await using folder = await tempFolder({
      ...first,
      "migrations/0002_slow.sql":
        "insert into log values ('two'); select pg_sleep(case when (select count(*) from log) > 1 then 0 else 3 end);",
    });
    await using running = start(folder, database.url);
    await running.until(`"type":"begin","name":"0002_slow"`);
    const working = "application_name like 'amber work %' and datname = current_database()";
    await eventually(
      () => database.sql(`select 1 from pg_stat_activity where ${working} and query ~ 'pg_sleep'`),
      (rows) => rows.length > 0,
    );
    await database.sql(`select pg_terminate_backend(pid) from pg_stat_activity where ${working}`);
    const result = await running.result;
    assert.equal(result.code, 5, result.stdout);
    assert.equal(errorOf(result).code, "DATABASE_LOST");
    refuseFailure(await migrate(folder, database.url));
    assert.deepEqual(await database.sql("select line from log"), [{ line: "two" }]);
  },
);

testWith("pgbouncer", "a pool of one connection: a clear error, nothing done, and nothing hangs", async () => {
  await using place = await pooledWith({ poolMode: "transaction", poolSize: 1 }).open();
  await using folder = await tempFolder(first);
  const started = performance.now();
  const result = await migrate(folder, place.env.DATABASE_URL!, ["--wait", "5s"]);
  assert.ok(performance.now() - started < 30_000);
  assert.equal(result.code, 2, result.stdout);
  assert.equal(errorOf(result).code, "DATABASE_POOLED");
  assert.match(String(errorOf(result).hint), /default_pool_size/);
  assert.deepEqual(await place.sql("select tablename from pg_tables where schemaname = 'public'"), []);
  await place.refuseLeftovers();
});

testWith("pgbouncer", "a pool of two connections is enough", async () => {
  await using place = await pooledWith({ poolMode: "transaction", poolSize: 2 }).open();
  await using folder = await tempFolder({
    ...first,
    "migrations/0002_index.sql": "create index concurrently t_a on t (a);",
  });
  const results = await Promise.all(Array.from({ length: 4 }, () => migrate(folder, place.env.DATABASE_URL!)));
  for (const result of results) refuseFailure(result);
  await place.refuseLeftovers();
});

async function migrate(folder: TempFolder, url: string, args: string[] = []): Promise<CommandResult> {
  return await amber(["migrate", "--json", ...args], {
    cwd: folder.root,
    env: { DATABASE_URL: url },
    timeoutMs: 120_000,
  });
}

function start(folder: TempFolder, url: string, args: string[] = []) {
  return spawnAmber(["migrate", "--json", ...args], {
    cwd: folder.root,
    env: { DATABASE_URL: url },
    timeoutMs: 120_000,
  });
}

/** An open transaction of somebody else. Ending it twice is fine. */
async function openTransaction(database: PostgresDatabase, sql: string): Promise<AsyncDisposable & { pid: number }> {
  const client = postgres(database.url, { max: 1, fetch_types: false, connection: { application_name: "somebody" } });
  await client.unsafe(`begin; ${sql}`).simple();
  const [row] = await client.unsafe("select pg_backend_pid() as pid");
  return { pid: Number(row!.pid), [Symbol.asyncDispose]: async () => await client.end({ timeout: 0 }) };
}

function errorOf(result: CommandResult) {
  const error = result.json.find((line) => line.type === "error");
  assert.ok(error, `no error\n${result.stdout}\n${result.stderr}`);
  return error;
}

function refuseFailure({ code, stdout, stderr }: CommandResult): void {
  assert.equal(code, 0, `exit ${code}\n${stdout}\n${stderr}`);
}
