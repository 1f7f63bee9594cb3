/** `check` and the usual start write nothing, take no lock and leave nothing behind, wherever they are run. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { amber, otherUser, spawnAmber } from "../support/command.ts";
import { type PostgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { contentOf, refuses } from "./refusal.ts";

const files = {
  "migrations/0001_a.sql": "create table a (x integer);\ninsert into a values (1);\n",
  "migrations/0002_b.sql": "create table b (x integer);\n",
};
const looks = [["check"], ["migrate", "--check"], ["showmigrations"], ["status"], ["migrate", "--plan"], [
  "sqlmigrate",
  "0001",
], ["wait"]];

/** A role that may read and nothing else. */
async function reader(database: PostgresDatabase): Promise<{ url: string; drop: () => Promise<void> }> {
  const role = `reader_${crypto.randomUUID().slice(0, 8)}`;
  await database.sql(
    `create role ${role} login; revoke create on schema public from public; grant select on all tables in schema public to ${role};
     alter default privileges in schema public grant select on tables to ${role}`,
  );
  const drop = async () => {
    await database.sql(`drop owned by ${role}`);
    await database.server.sql("postgres", `drop role ${role}`);
  };
  return { url: database.server.url(database.name, { user: role }), drop };
}

/** Everything that writing would change. */
async function traces(database: PostgresDatabase): Promise<unknown> {
  const [row] = await database.sql(`select
    (select string_agg(relname || relkind::text || relfilenode || coalesce(relacl::text, ''), ',' order by oid) from pg_class where oid >= 16384) as objects,
    (select string_agg(xmin::text || ctid::text || name || state, ',' order by name) from amber_migrations) as rows,
    (select count(*) from pg_proc) as functions, (select count(*) from pg_namespace) as schemas`);
  return row;
}

/** The server's next transaction id: looking must not use one up. Others use the shared server at the same time. */
async function xidsUsed(database: PostgresDatabase, work: () => Promise<void>): Promise<number> {
  const next = async () =>
    Number((await database.sql("select pg_snapshot_xmax(pg_current_snapshot())::text as x"))[0]!.x);
  const before = await next();
  await work();
  return await next() - before;
}

testWith("postgres", "Postgres: looking works with a role that may only SELECT, and changes nothing", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder(files);
  assert.equal((await amber(["migrate"], { cwd: folder.root, env: { DATABASE_URL: database.url } })).code, 0);
  const { url, drop } = await reader(database);
  const options = { cwd: folder.root, env: { DATABASE_URL: url } };
  try {
    const before = await traces(database);
    for (const args of [...looks, ["migrate"]]) {
      const { code, stderr } = await amber(args, options);
      assert.equal(code, 0, `${args}\n${stderr}`);
      assert.deepEqual(await traces(database), before, args.join(" "));
    }
    await folder.write({ "migrations/0003_c.sql": "create table c (x integer);" });
    await refuses(["check"], options, {
      code: "MIGRATIONS_PENDING",
      message: "1 migration is pending: 0003_c",
      hint: "amber migrate",
    });
    await folder.write({ "migrations/0002_b.sql": "create table b (y integer);" });
    await refuses(["check"], options, { code: "MIGRATION_DRIFT", message: "0002_b", hint: "--accept 0002_b" });
    assert.deepEqual(await traces(database), before);
  } finally {
    await drop();
  }
});

testWith("postgres", "Postgres: a check with nothing migrated makes no table", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder(files);
  const options = { cwd: folder.root, env: { DATABASE_URL: database.url } };
  await refuses(["check"], options, {
    code: "MIGRATIONS_PENDING",
    message: "2 migrations are pending: 0001_a, 0002_b",
    hint: "amber migrate",
  });
  for (const args of looks) await amber(args, options);
  assert.deepEqual(await database.sql("select relname from pg_class where oid >= 16384"), []);
});

testWith("postgres", "Postgres: a check uses no transaction id and asks for no advisory lock", async () => {
  const { startPostgres } = await import("../support/postgres.ts");
  await using server = await startPostgres({ settings: { log_statement: "all", autovacuum: "off" } });
  await using database = await server.database();
  await using folder = await tempFolder(files);
  const options = { cwd: folder.root, env: { DATABASE_URL: database.url } };
  assert.equal((await amber(["migrate"], options)).code, 0);
  const used = await xidsUsed(database, async () => {
    for (const args of [...looks, ["migrate"]]) assert.equal((await amber(args, options)).code, 0, args.join(" "));
  });
  assert.equal(used, 0);
  const before = server.log().length;
  assert.equal((await amber(["check"], options)).code, 0);
  const said = server.log().slice(before > 0 ? -3_000 : 0);
  const statements = said.split("\n").filter((line) => /amber_migrations/.test(line));
  assert.ok(statements.length > 0, said);
  for (const line of said.split("\n").slice(-4)) {
    assert.doesNotMatch(line, /advisory|\b(insert|update|delete|create|set)\b/i);
  }
});

testWith("postgres", "Postgres: where everything is read-only, as on a standby", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder(files);
  assert.equal((await amber(["migrate"], { cwd: folder.root, env: { DATABASE_URL: database.url } })).code, 0);
  await database.sql(`alter database "${database.name}" set default_transaction_read_only = on`);
  const options = { cwd: folder.root, env: { DATABASE_URL: database.url } };
  for (const args of [...looks, ["migrate"]]) {
    const { code, stderr } = await amber(args, options);
    assert.equal(code, 0, `${args}\n${stderr}`);
  }
});

testWith(
  "postgres",
  "Postgres: a check does not wait for a running migration, nor for whoever holds the lock",
  async () => {
    await using database = await (await sharedPostgres()).database();
    await using folder = await tempFolder(files);
    const options = { cwd: folder.root, env: { DATABASE_URL: database.url } };
    assert.equal((await amber(["migrate"], options)).code, 0);
    await folder.write({ "migrations/0003_slow.sql": "create table c (x integer);\nselect pg_sleep(30);\n" });
    await using running = spawnAmber(["migrate", "--json"], options);
    await running.until('"type":"begin"');
    await waitFor(async () =>
      (await database.sql(
        "select 1 from pg_stat_activity where query like '%pg_sleep(30)%' and datname = current_database() and pid <> pg_backend_pid()",
      )).length > 0
    );
    const started = performance.now();
    await refuses(["check"], options, { code: "MIGRATIONS_PENDING", message: "0003_slow", hint: "amber migrate" });
    assert.equal((await amber(["showmigrations"], options)).code, 0);
    assert.ok(performance.now() - started < 5_000);
    const locks = await database.sql(
      "select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted",
    );
    assert.deepEqual(locks, [{ n: 0 }]);
  },
);

async function waitFor(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await isSo())) assert.ok(Date.now() < deadline, "it never came");
}

/** A migrated database as somebody else's, in a folder that is closed for writing. */
async function migratedFolder(mode: "delete" | "wal"): Promise<TempFolder> {
  const folder = await tempFolder({ ...files, "data/": "" });
  const { code, stderr } = await amber(["migrate"], { cwd: folder.root, env: { DB_PATH: "data/app.db" } });
  assert.equal(code, 0, stderr);
  if (mode === "wal") {
    using database = new DatabaseSync(folder.path("data/app.db"));
    database.exec("pragma journal_mode = wal; insert into a values (2)");
  }
  assert.deepEqual([...Deno.readDirSync(folder.path("data"))].map((entry) => entry.name), ["app.db"]);
  return folder;
}

for (const mode of ["delete", "wal"] as const) {
  Deno.test(`SQLite, ${mode}: looking, and the usual start, leave nothing behind`, async () => {
    await using folder = await migratedFolder(mode);
    const options = { cwd: folder.root, env: { DB_PATH: "data/app.db" } };
    const before = contentOf(folder.root);
    const changed = Deno.statSync(folder.path("data/app.db")).mtime;
    for (const args of [...looks, ["migrate"], ["migrate", "--json"]]) {
      const { code, stderr } = await amber(args, options);
      assert.equal(code, 0, `${args}\n${stderr}`);
      assert.deepEqual(contentOf(folder.root), before, args.join(" "));
    }
    assert.deepEqual(Deno.statSync(folder.path("data/app.db")).mtime, changed);
  });

  testWith(
    "root",
    `SQLite, ${mode}: looking in a read-only folder, at a read-only file, as a user who is not root`,
    async () => {
      await using nobody = await otherUser("nobody");
      await using folder = await migratedFolder(mode);
      await Deno.chmod(folder.root, 0o755);
      for (const path of ["data", "migrations"]) await Deno.chmod(folder.path(path), 0o755);
      for (const path of ["migrations/0001_a.sql", "migrations/0002_b.sql"]) await Deno.chmod(folder.path(path), 0o644);
      await Deno.chmod(folder.path("data/app.db"), 0o444);
      await folder.giveTo(nobody.user!);
      const options = { cwd: folder.root, env: { DB_PATH: "data/app.db" }, as: nobody };
      // A read-only file in a folder that may be written; then a folder that may not either; then files of root's.
      const closings = [() => {}, () => Deno.chmodSync(folder.path("data"), 0o555), () => {
        for (const path of ["data", "data/app.db"]) Deno.chownSync(folder.path(path), 0, 0);
      }];
      for (const close of closings) {
        close();
        const before = contentOf(folder.root);
        for (const args of [...looks, ["migrate"]]) {
          const { code, stderr } = await amber(args, options);
          assert.equal(code, 0, `${args}\n${stderr}`);
          assert.deepEqual(contentOf(folder.root), before, args.join(" "));
        }
      }
    },
  );
}

testWith("root", "SQLite, wal: changes in the -wal that cannot be joined are no answer: exit 5, and why", async () => {
  await using nobody = await otherUser("nobody");
  await using folder = await migratedFolder("wal");
  await Deno.mkdir(folder.path("copy"));
  {
    // The -wal as a killed program leaves it: copied while it is in use.
    using database = new DatabaseSync(folder.path("data/app.db"));
    database.exec("insert into a values (3)");
    for (const name of ["app.db", "app.db-wal"]) {
      Deno.copyFileSync(folder.path("data", name), folder.path("copy", name));
    }
  }
  assert.ok(Deno.statSync(folder.path("copy/app.db-wal")).size > 0);
  await Deno.chmod(folder.root, 0o755);
  await Deno.chmod(folder.path("migrations"), 0o755);
  await folder.giveTo(nobody.user!);
  Deno.chmodSync(folder.path("copy"), 0o555);
  const options = { cwd: folder.root, env: { DB_PATH: "copy/app.db" }, as: nobody };
  for (const command of ["check", "status", "showmigrations", "migrate"]) {
    await refuses([command], options, {
      code: "DATABASE_UNREADABLE",
      message: "its -wal file holds changes, and its folder cannot be written to join them",
      where: "copy/app.db",
      hint: "where the folder can be written",
    });
  }
  // Where it can be written, the -wal is read.
  Deno.chmodSync(folder.path("copy"), 0o755);
  assert.equal((await amber(["check"], options)).code, 0);
});

Deno.test("SQLite, wal: a check beside a program that has the database open sees what that one has written", async () => {
  await using folder = await migratedFolder("wal");
  const options = { cwd: folder.root, env: { DB_PATH: "data/app.db" } };
  using app = new DatabaseSync(folder.path("data/app.db"));
  app.exec("insert into a values (3)");
  assert.equal((await amber(["check"], options)).code, 0);
  // The app itself takes a row out of the history: it stands in the -wal alone.
  app.exec("delete from amber_migrations where name = '0002_b'");
  await refuses(["check"], { ...options, changes: true }, {
    code: "MIGRATIONS_PENDING",
    message: "0002_b",
    hint: "amber migrate",
  });
  assert.equal(app.prepare("select count(*) as n from a").get()!.n, 3);
});

for (const mode of ["delete", "wal"] as const) {
  Deno.test(`SQLite, ${mode}: a check does not wait for a running writer`, async () => {
    await using folder = await migratedFolder(mode);
    using app = new DatabaseSync(folder.path("data/app.db"));
    app.exec("begin immediate; insert into a values (9)");
    const started = performance.now();
    const { code, stderr } = await amber(["check"], { cwd: folder.root, env: { DB_PATH: "data/app.db" } });
    assert.equal(code, 0, stderr);
    assert.ok(performance.now() - started < 5_000);
    app.exec("rollback");
  });
}

Deno.test("check says what migrate would refuse, whatever the digest says", async () => {
  await using folder = await migratedFolder("delete");
  const options = { cwd: folder.root, env: { DB_PATH: "data/app.db" } };
  {
    using database = new DatabaseSync(folder.path("data/app.db"));
    assert.ok(database.prepare("select digest from amber_migrations where digest is not null").get());
    database.exec("update amber_migrations set raw_hash = 'x', checksum = 'x' where name = '0001_a'");
  }
  await refuses(["check"], options, { code: "MIGRATION_DRIFT", message: "0001_a", hint: "--accept 0001_a" });
  await refuses(["migrate"], options, { code: "MIGRATION_DRIFT", message: "0001_a", hint: "--accept 0001_a" });
});

Deno.test("wait --until current ends when somebody has migrated", async () => {
  await using folder = await tempFolder(files);
  const options = { cwd: folder.root };
  await refuses(["wait", "--until", "current", "--wait", "300ms"], options, {
    code: "DATABASE_SILENT",
    message: "nobody has migrated the database",
    hint: "Run amber migrate",
  });
  await using waiting = spawnAmber(["wait", "--until", "current", "--wait", "20s"], options);
  await waiting.until(/waiting: 2 migrations are pending/);
  assert.equal((await amber(["migrate"], options)).code, 0);
  const { code, stdout } = await waiting.result;
  assert.equal(code, 0);
  assert.match(stdout, /The database is current/);
});
