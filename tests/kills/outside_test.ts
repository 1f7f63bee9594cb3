/** Statements outside a transaction: refused, mended, interrupted, resumed. */
import assert from "node:assert/strict";
import { amber, type AmberOptions, type CommandResult, spawnAmber } from "../support/command.ts";
import { type PostgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { direct, eventually, invalidIndexes, type Place, pooled, rollback } from "../races/setups.ts";

const apart = "-- migrate:up transaction:false\n";
const first = {
  "migrations/0001_first.sql": "create table t (a int); insert into t values (1), (2); create table log (line text);",
};

for (const setup of [direct, pooled, rollback]) {
  testWith(
    setup.needs,
    `half-way failure, ${setup.name}: the mended file goes on at statement 2 and does not repeat 1`,
    async () => {
      await using place = await setup.open();
      await using folder = await tempFolder(first);
      const file = (second: string) =>
        `${apart}insert into log values ('one');\n${second};\ninsert into log values ('three');\n`;
      await folder.write({ "migrations/0002_apart.sql": file("insert into lgo values ('two')") });

      const failed = await migrate(folder, place);
      assert.equal(failed.code, 1, failed.stdout);
      assert.match(String(errorOf(failed).where), /0002_apart\.sql:3:/);
      assert.match(String(errorOf(failed).hint), /first statement of this migration is done/i);
      await folder.write({ "migrations/0002_apart.sql": file("insert into log values ('two')") });
      refuseFailure(await migrate(folder, place));

      assert.deepEqual(await lines(place), ["one", "two", "three"]);
      assert.deepEqual(await place.sql("select name, state from amber_migrations order by name"), [
        { name: "0001_first", state: "applied" },
        { name: "0002_apart", state: "applied" },
      ]);
      assert.equal((await migrate(folder, place)).json.some((line) => line.type === "begin"), false);
    },
  );

  testWith(
    setup.needs,
    `half-way failure, ${setup.name}: what is done already may not be edited, unless it is accepted`,
    async () => {
      await using place = await setup.open();
      await using folder = await tempFolder(first);
      await folder.write({
        "migrations/0002_apart.sql": `${apart}insert into log values ('one');\ninsert into lgo values ('two');`,
      });
      assert.equal((await migrate(folder, place)).code, 1);
      await folder.write({
        "migrations/0002_apart.sql": `${apart}insert into log values ('1');\ninsert into log values ('two');`,
      });

      const refused = await migrate(folder, place);
      assert.equal(refused.code, 4, refused.stdout);
      assert.equal(errorOf(refused).code, "MIGRATION_DRIFT");
      assert.deepEqual(await lines(place), ["one"]);

      refuseFailure(await migrate(folder, place, ["--accept", "0002_apart"]));
      refuseFailure(await migrate(folder, place));
      assert.deepEqual(await lines(place), ["one", "two"]);
    },
  );
}

// A build that is killed while a transaction of somebody else holds it up: the index is there, and invalid.
const builds: { sql: string; name: string }[] = [
  { sql: "create index concurrently t_a on t (a)", name: "t_a" },
  { sql: "create index concurrently if not exists t_a on t (a)", name: "t_a" },
  { sql: "create index concurrently on t (a)", name: "t_a_idx" },
  { sql: "create unique index concurrently on public.t ((a + 1))", name: "t_expr_idx" },
];
for (const { sql, name } of builds) {
  for (const end of ["goes on", "ends"] as const) {
    testWith("postgres", `killed during "${sql}", the server ${end}: there is one valid index in the end`, async () => {
      await using database = await (await sharedPostgres()).database();
      await using folder = await tempFolder({
        ...first,
        "migrations/0002_apart.sql": `insert into log values ('before'); ${sql}; insert into log values ('after');`,
      });
      await killDuring(folder, database, /^create/i, end);
      if (end === "ends") assert.equal((await invalidIndexes(database)).length, 1);
      refuseFailure(await migrate(folder, database));

      assert.deepEqual(await indexes(database), [`${name} valid`]);
      assert.deepEqual(await lines(database), ["before", "after"]);
    });
  }
}

testWith(
  "postgres",
  "killed during a build that the mended file does not have any more: its invalid index goes too",
  async () => {
    await using database = await (await sharedPostgres()).database();
    await using folder = await tempFolder({
      ...first,
      "migrations/0002_apart.sql": "create index concurrently wrong on t (a);",
    });
    await killDuring(folder, database, /^create/i, "ends");
    await folder.write({ "migrations/0002_apart.sql": "create index concurrently right_one on t (a);" });
    refuseFailure(await migrate(folder, database));
    assert.deepEqual(await indexes(database), ["right_one valid"]);
  },
);

for (const setup of [direct, pooled]) {
  testWith(
    setup.needs,
    `killed during a build that goes on in the server, ${setup.name}: the next run ends it`,
    async () => {
      await using place = await setup.open();
      await using folder = await tempFolder({
        ...first,
        "migrations/0002_apart.sql": "create index concurrently t_a on t (a);",
      });
      refuseFailure(await migrate(folder, place, ["0001"]));
      await using holder = await openTransaction(place, "insert into t values (3)");
      await using killed = spawn(folder, place);
      await untilRunning(place, /create index/i);
      killed.kill("SIGKILL");
      await killed.result;

      await using next = spawn(folder, place);
      await next.until("waiting for the end of an earlier run", 20_000);
      await next.until("waiting for a lock", 20_000); // the old build is ended, and the way is still barred
      await holder[Symbol.asyncDispose]();
      refuseFailure(await next.result);
      assert.deepEqual(await indexes(place), ["t_a valid"]);
      await place.refuseLeftovers();
    },
  );
}

testWith("pgbouncer", "an app behind the same PgBouncer is not taken for an earlier run", async () => {
  await using place = await pooled.open();
  await using folder = await tempFolder({
    ...first,
    "migrations/0002_apart.sql": "create index concurrently t_a on t (a);",
  });
  refuseFailure(await migrate(folder, place, ["0001"]));
  refuseFailure(await migrate(folder, place));
  // Clients without a name of their own, which get the sessions that amber has just had.
  const { default: postgres } = await import("postgres");
  const app = postgres(place.env.DATABASE_URL!, {
    max: 4,
    prepare: false,
    fetch_types: false,
    connection: { application_name: "" },
  });
  try {
    const sleeping = Promise.all(Array.from({ length: 4 }, () => app.unsafe("select pg_sleep(6)").simple()));
    sleeping.catch(() => {});
    await folder.write({ "migrations/0003_more.sql": "create table more (a int);" });
    refuseFailure(await migrate(folder, place));
    await sleeping;
  } finally {
    await app.end();
  }
});

for (const unnamed of [true, false]) {
  testWith(
    "postgres",
    `a unique build (${unnamed ? "unnamed" : "named"}) that failed on duplicates succeeds when the rows are mended`,
    async () => {
      await using database = await (await sharedPostgres()).database();
      await using folder = await tempFolder({
        "migrations/0001_first.sql":
          "create table t (a int); insert into t values (1), (1); create table log (line text);",
        "migrations/0002_apart.sql": `create unique index concurrently ${unnamed ? "" : "t_a_idx"} on t (a);`,
      });
      for (let attempt = 1; attempt <= 2; attempt++) {
        const failed = await migrate(folder, database);
        assert.equal(failed.code, 1, failed.stdout);
        assert.match(String(errorOf(failed).detail), /duplicated/);
      }
      await database.sql("delete from t where ctid = (select min(ctid) from t)");
      refuseFailure(await migrate(folder, database));
      assert.deepEqual(await indexes(database), ["t_a_idx valid"]);
    },
  );
}

testWith("postgres", "killed during DROP INDEX CONCURRENTLY: the next run drops it", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder({
    "migrations/0001_first.sql": "create table t (a int); create index t_a on t (a); create table log (line text);",
    "migrations/0002_apart.sql":
      "insert into log values ('before'); drop index concurrently t_a; insert into log values ('after');",
  });
  await killDuring(folder, database, /^drop/i, "ends");
  refuseFailure(await migrate(folder, database));
  assert.deepEqual(await indexes(database), []);
  assert.deepEqual(await lines(database), ["before", "after"]);
});

testWith("postgres", "DROP INDEX CONCURRENTLY that was done when the run was killed is not run again", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder({
    "migrations/0001_first.sql": "create table t (a int); create index t_a on t (a); create table log (line text);",
    "migrations/0002_apart.sql":
      "insert into log values ('before'); drop index concurrently t_a; insert into log values ('after');",
  });
  await killDuring(folder, database, /^drop/i);
  await waitForEnd(database);
  await database.sql("drop index if exists t_a");
  refuseFailure(await migrate(folder, database));
  assert.deepEqual(await lines(database), ["before", "after"]);
});

testWith("postgres", "DETACH PARTITION CONCURRENTLY interrupted: the pending detachment is finalized", async () => {
  const server = await sharedPostgres();
  if (server.major < 14) return; // DETACH … CONCURRENTLY came with 14
  await using database = await server.database();
  await using folder = await tempFolder({
    "migrations/0001_first.sql": "create table t (a int) partition by range (a); create table log (line text);\n" +
      "create table t1 partition of t for values from (0) to (10); insert into t values (1);",
    "migrations/0002_apart.sql": "alter table t detach partition t1 concurrently; insert into log values ('after');",
  });
  await killDuring(folder, database, /^alter/i, "ends");
  assert.equal((await database.sql("select 1 from pg_inherits where inhdetachpending")).length, 1);
  refuseFailure(await migrate(folder, database));
  assert.deepEqual(await database.sql("select inhrelid from pg_inherits"), []);
  assert.deepEqual(await database.sql("select a from t1"), [{ a: 1 }]);
  assert.deepEqual(await lines(database), ["after"]);
});

for (
  const sql of [
    "reindex table concurrently t",
    "reindex index concurrently t_a",
    "reindex schema concurrently public",
  ]
) {
  testWith("postgres", `killed during "${sql}": no half of an index is left`, async () => {
    await using database = await (await sharedPostgres()).database();
    await using folder = await tempFolder({
      "migrations/0001_first.sql": "create table t (a int); create index t_a on t (a); create table log (line text);",
      "migrations/0002_apart.sql": `insert into log values ('before'); ${sql}; insert into log values ('after');`,
    });
    await killDuring(folder, database, /^reindex/i, "ends");
    assert.ok((await invalidIndexes(database)).length > 0);
    refuseFailure(await migrate(folder, database));
    assert.deepEqual(await indexes(database), ["t_a valid"]);
    assert.deepEqual(await lines(database), ["before", "after"]);
  });
}

testWith("postgres", "VACUUM runs outside a transaction without being told", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder({
    ...first,
    "migrations/0002_vacuum.sql":
      "insert into log values ('before'); vacuum (analyze) t; vacuum; insert into log values ('after');",
  });
  refuseFailure(await migrate(folder, database));
  assert.deepEqual(await lines(database), ["before", "after"]);
});

for (const way of ["run again", "taken out"] as const) {
  testWith("postgres", `killed during CALL: nobody can tell, so a person decides (${way})`, async () => {
    await using database = await (await sharedPostgres()).database();
    const file = (call: string) =>
      `${apart}insert into log values ('before');\n${call}insert into log values ('after');\n`;
    await using folder = await tempFolder({
      "migrations/0001_first.sql":
        "create table log (line text);\ncreate procedure work() language plpgsql as $$ begin\n" +
        "insert into log values ('called'); commit; perform pg_sleep(case when (select count(*) from log) < 3 then 60 else 0 end); end $$;",
      "migrations/0002_apart.sql": file("call work();\n"),
    });
    await using running = spawn(folder, database);
    await untilRunning(database, /^call/i);
    running.kill("SIGKILL");
    await running.result;

    for (let attempt = 1; attempt <= 2; attempt++) {
      const refused = await migrate(folder, database);
      assert.equal(refused.code, 1, refused.stdout);
      assert.equal(errorOf(refused).code, "STATEMENT_UNCERTAIN");
      assert.match(String(errorOf(refused).where), /0002_apart\.sql:3:1$/);
      assert.match(String(errorOf(refused).hint), /--accept 0002_apart/);
    }
    if (way === "taken out") await folder.write({ "migrations/0002_apart.sql": file("") });
    refuseFailure(await migrate(folder, database, ["--accept", "0002_apart"]));
    refuseFailure(await migrate(folder, database));
    const called = way === "run again" ? ["called", "called"] : ["called"];
    assert.deepEqual(await lines(database), ["before", ...called, "after"]);
  });
}

testWith(
  "postgres",
  "a DO block in a file without a transaction is uncertain too, and one that the server refused is not",
  async () => {
    await using database = await (await sharedPostgres()).database();
    const file = (body: string) => `${apart}insert into log values ('before');\ndo $$ begin ${body} end $$;\n`;
    await using folder = await tempFolder({ ...first, "migrations/0002_apart.sql": file("raise exception 'no';") });
    assert.equal(errorOf(await migrate(folder, database)).code, "STATEMENT_FAILED");
    await folder.write({ "migrations/0002_apart.sql": file("perform pg_sleep(60);") });
    await using running = spawn(folder, database);
    await untilRunning(database, /^do/i);
    running.kill("SIGKILL");
    await running.result;
    assert.equal(errorOf(await migrate(folder, database)).code, "STATEMENT_UNCERTAIN");
    await folder.write({ "migrations/0002_apart.sql": file("insert into log values ('done');") });
    refuseFailure(await migrate(folder, database, ["--accept", "0002"]));
    refuseFailure(await migrate(folder, database));
    assert.deepEqual(await lines(database), ["before", "done"]);
  },
);

testWith("postgres", "SET statements of a file without a transaction hold again when it is resumed", async () => {
  await using database = await (await sharedPostgres()).database();
  await database.sql("create schema other");
  const file = (third: string) =>
    `${apart}set search_path = other;\nset lock_timeout = '7s';\ncreate table here (a int);\n${third}\n` +
    `insert into public.log select current_setting('lock_timeout') || ' ' || current_schema();\n`;
  await using folder = await tempFolder({ ...first, "migrations/0002_apart.sql": file("create tabel there (a int);") });
  assert.equal((await migrate(folder, database)).code, 1);
  await folder.write({
    "migrations/0002_apart.sql": file("create table there (a int);"),
    "migrations/0003_next.sql": "insert into log select current_setting('lock_timeout') || ' ' || current_schema();",
  });
  refuseFailure(await migrate(folder, database));
  assert.deepEqual(
    await database.sql(
      "select schemaname || '.' || tablename as name from pg_tables where tablename in ('here', 'there') order by 1",
    ),
    [
      { name: "other.here" },
      { name: "other.there" },
    ],
  );
  assert.deepEqual(await lines(database), ["7s other", "0 public"]);
});

testWith(
  "postgres",
  "a file without a transaction may change the role: the history is written by the one that connected",
  async () => {
    await using database = await (await sharedPostgres()).database();
    const role = `r${crypto.randomUUID().slice(0, 8)}`;
    await database.sql(`create role ${role}; grant create on schema public to ${role}`);
    await using folder = await tempFolder({
      ...first,
      "migrations/0002_role.sql":
        `${apart}set role ${role};\ncreate table one (a int);\ncreate index concurrently one_a on one (a);\ncreate table two (a int);`,
      "migrations/0003_user.sql":
        `${apart}set session authorization ${role};\ncreate table three (a int);\nvacuum three;\ncreate table four (a int);`,
    });
    try {
      refuseFailure(await migrate(folder, database));
      const owners = await database.sql("select tablename from pg_tables where tableowner ~ '^r' order by 1");
      assert.deepEqual(owners.map((row) => row.tablename), ["four", "one", "three", "two"]);
    } finally {
      await database.sql(`drop owned by ${role}; drop role ${role}`);
    }
  },
);

testWith(
  "postgres",
  "a lock that was not to be had: what is done already is not repeated with the next try",
  async () => {
    await using database = await (await sharedPostgres()).database();
    await using folder = await tempFolder(first);
    refuseFailure(await migrate(folder, database));
    await folder.write({
      "migrations/0002_apart.sql":
        `${apart}insert into log values ('one');\nalter table t add column b int;\ninsert into log values ('three');`,
    });
    await using reader = await openTransaction(database, "select * from t");
    await using running = spawn(folder, database);
    await running.until("gave up a lock");
    await running.until("gave up a lock");
    await reader[Symbol.asyncDispose]();
    refuseFailure(await running.result);
    assert.deepEqual(await lines(database), ["one", "three"]);
  },
);

for (const setup of [direct, rollback]) {
  testWith(setup.needs, `BEGIN … COMMIT in a file without a transaction is one, ${setup.name}`, async () => {
    await using place = await setup.open();
    const file = (last: string) =>
      `${apart}insert into log values ('one');\nbegin;\ninsert into log values ('two');\n${last};\ncommit;\ninsert into log values ('four');`;
    await using folder = await tempFolder({
      ...first,
      "migrations/0002_apart.sql": file("insert into lgo values ('three')"),
    });
    assert.equal((await migrate(folder, place)).code, 1);
    assert.deepEqual(await lines(place), ["one"]);
    await folder.write({ "migrations/0002_apart.sql": file("insert into log values ('three')") });
    refuseFailure(await migrate(folder, place));
    assert.deepEqual(await lines(place), ["one", "two", "three", "four"]);
  });
}

testWith(
  ["postgres", "pgbouncer"],
  "lock_timeout of the role: a concurrent build is not cut off, and through a transaction pooler it is refused",
  async () => {
    const { startPgBouncer } = await import("../support/pgbouncer.ts");
    const server = await sharedPostgres();
    await using database = await server.database();
    const role = `r${crypto.randomUUID().slice(0, 8)}`;
    await database.sql(
      `create role ${role} login; alter role ${role} set lock_timeout = '500ms'; grant all on schema public to ${role}`,
    );
    try {
      await using folder = await tempFolder(first);
      const env = { DATABASE_URL: server.url(database.name, { user: role }) };
      refuseFailure(await migrate(folder, { env }));
      await folder.write({ "migrations/0002_index.sql": "create index concurrently t_a on t (a);" });
      await using bouncer = await startPgBouncer(server, { poolMode: "transaction", users: { [role]: "" } });
      const refused = await migrate(folder, { env: { DATABASE_URL: bouncer.url(database.name, { user: role }) } });
      assert.equal(refused.code, 2, refused.stdout);
      assert.equal(errorOf(refused).code, "DATABASE_POOLED");
      assert.match(String(errorOf(refused).hint), /alter role .* set lock_timeout = 0/);

      await using writer = await openTransaction(database, "insert into t values (3)");
      await using running = spawn(folder, { env });
      await running.until("waiting for a lock", 20_000);
      await untilRunning(database, /^create/i, 1_500);
      await writer[Symbol.asyncDispose]();
      refuseFailure(await running.result);
      assert.deepEqual(await indexes(database), ["t_a valid"]);
    } finally {
      await database.sql(`drop owned by ${role}; drop role ${role}`);
    }
  },
);

type Somewhere = Pick<Place, "env"> | PostgresDatabase;

function optionsOf(folder: TempFolder, at: Somewhere): AmberOptions {
  return { cwd: folder.root, env: "env" in at ? at.env : { DATABASE_URL: at.url }, timeoutMs: 120_000 };
}

async function migrate(folder: TempFolder, at: Somewhere, args: string[] = []): Promise<CommandResult> {
  return await amber(["migrate", "--json", ...args], optionsOf(folder, at));
}

function spawn(folder: TempFolder, at: Somewhere) {
  return spawnAmber(["migrate", "--json"], optionsOf(folder, at));
}

/**
 * Applies 0001, holds up 0002's statement with an open transaction that has written to t, and kills the run. Then the
 * server goes on with the statement, which nothing holds up any more, or its process is ended as well.
 */
async function killDuring(
  folder: TempFolder,
  at: PostgresDatabase | Place,
  statement: RegExp,
  end: "goes on" | "ends" = "goes on",
): Promise<void> {
  refuseFailure(await migrate(folder, at, ["0001"]));
  await using holder = await openTransaction(at, "select count(*) from t; insert into t select 0 where false");
  await using running = spawn(folder, at);
  await untilRunning(at, statement);
  running.kill("SIGKILL");
  await running.result;
  if (end === "ends") {
    await at.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity " +
        "where application_name like 'amber work %' and datname = current_database()",
    );
    await waitForEnd(at);
  }
  await holder[Symbol.asyncDispose]();
}

/** An open transaction of somebody else. Ending it twice is fine. */
async function openTransaction(at: PostgresDatabase | Place, sql: string): Promise<AsyncDisposable> {
  const { default: postgres } = await import("postgres");
  const url = "address" in at ? at.address : at.url;
  const client = postgres(url, {
    max: 1,
    fetch_types: false,
    onnotice: () => {},
    connection: { application_name: "somebody" },
  });
  await client.unsafe(`begin; ${sql}`).simple();
  return { [Symbol.asyncDispose]: async () => await client.end({ timeout: 0 }) };
}

/** Until the server runs, or waits within, such a statement of amber's, for so long. */
async function untilRunning(at: PostgresDatabase | Place, statement: RegExp, forMs = 0): Promise<void> {
  const isThere = (rows: Record<string, unknown>[]) =>
    rows.some((row) => statement.test(String(row.query)) && Number(row.ms) >= forMs);
  const rows = await eventually(
    () =>
      at.sql(
        "select query, extract(epoch from now() - query_start) * 1000 as ms from pg_stat_activity where state = 'active' and datname = current_database()",
      ),
    isThere,
    30_000,
  );
  assert.ok(isThere(rows), `never ran ${statement}: ${JSON.stringify(rows)}`);
}

async function waitForEnd(at: PostgresDatabase | Place): Promise<void> {
  const left = await eventually(
    () =>
      at.sql("select 1 from pg_stat_activity where application_name like '%amber%' and datname = current_database()"),
    (rows) => rows.length === 0,
    30_000,
  );
  assert.deepEqual(left, []);
}

async function indexes(at: PostgresDatabase | Place): Promise<string[]> {
  assert.deepEqual(await invalidIndexes(at), []);
  const rows = await at.sql(
    "select c.relname || case when i.indisvalid then ' valid' else ' INVALID' end as line from pg_index i " +
      "join pg_class c on c.oid = i.indexrelid where i.indrelid = 't'::regclass order by 1",
  );
  return rows.map((row) => String(row.line));
}

async function lines(at: PostgresDatabase | Place): Promise<string[]> {
  return (await at.sql("select line from log")).map((row) => String(row.line));
}

function errorOf(result: CommandResult) {
  const error = result.json.find((line) => line.type === "error");
  assert.ok(error, `no error\n${result.stdout}\n${result.stderr}`);
  return error;
}

function refuseFailure({ code, stdout, stderr }: CommandResult): void {
  assert.equal(code, 0, `exit ${code}\n${stdout}\n${stderr}`);
}
