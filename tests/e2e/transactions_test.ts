/** What is in one transaction, what is left after a failure, and what a file may say itself about it. */
import assert from "node:assert/strict";
import { spawnAmber } from "../support/command.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { onBoth, project } from "./project.ts";

const halfway = {
  "migrations/0001_a.sql": "create table a (x integer primary key); insert into a values (1);",
  "migrations/0002_b.sql": "create table b (x integer);\ninsert into a values (1);\ncreate table c (x integer);\n",
  "migrations/0003_d.sql": "create table d (x integer);",
};

onBoth(
  "of a migration that fails half-way nothing remains, earlier ones stay, and the mended file works",
  halfway,
  async (at) => {
    await at.ends(0, ["migrate", "1"]);
    const before = await at.fingerprint("content");
    const { code, where, message, hint, detail } = await at.error("migrate");
    assert.equal(code, "STATEMENT_FAILED");
    assert.equal(where.replace(/:\d+$/, ""), "migrations/0002_b.sql:2");
    assert.match(message, /^Cannot apply "0002_b": /);
    assert.match(detail, /2 \| insert into a values \(1\);?\n +\| *\^/);
    assert.match(hint, /rolled back; earlier ones stay/);
    assert.equal(await at.fingerprint("content"), before);
    assert.equal(await at.history(), "0001_a");

    await at.folder.write({
      "migrations/0002_b.sql": halfway["migrations/0002_b.sql"].replace("into a values (1)", "into a values (2)"),
    });
    const { applied } = await at.result("migrate");
    assert.deepEqual(applied, ["0002_b", "0003_d"]);
  },
);

onBoth("a failure in the first run leaves what came before it", halfway, async (at) => {
  const { stdout, stderr } = await at.ends(1, ["migrate"]);
  assert.match(stdout, /^ {2}applied +0001_a /);
  assert.match(stderr, /^error {2}STATEMENT_FAILED\n/m);
  assert.equal(await at.history(), "0001_a");
});

onBoth("a file's own BEGIN and COMMIT do not keep half of a failed migration", {
  "migrations/0001_a.sql":
    "BEGIN;\ncreate table a (x integer);\nCOMMIT;\nBEGIN;\ninsert into nothere values (1);\nCOMMIT;\n",
}, async (at) => {
  assert.equal((await at.error("migrate")).where.replace(/:\d+$/, ""), "migrations/0001_a.sql:5");
  assert.doesNotMatch(await at.fingerprint(), /table a/);
  assert.equal(await at.history(), "");
  await at.folder.write({
    "migrations/0001_a.sql":
      "BEGIN;\ncreate table a (x integer);\nCOMMIT;\nbegin transaction;\ninsert into a values (1);\nEND;\n",
  });
  await at.ends(0, ["migrate"]);
  assert.deepEqual(await at.sql("select x from a"), [{ x: 1 }]);
});

onBoth("a way back that fails leaves everything as it was", {
  "migrations/0001_a.sql":
    "-- migrate:up\ncreate table a (x integer);\n-- migrate:down\ndrop table a;\ndrop table nothere;\n",
}, async (at) => {
  await at.ends(0, ["migrate"]);
  const before = await at.fingerprint();
  const { code, where } = await at.error("migrate", "zero");
  assert.equal(code, "STATEMENT_FAILED");
  assert.match(where, /^migrations\/0001_a\.sql:5:/);
  assert.equal(await at.fingerprint(), before);
  assert.equal(await at.history(), "0001_a");
});

onBoth("--one-transaction applies all or none", halfway, async (at) => {
  const refused = await at.error("migrate", "--one-transaction");
  assert.equal(refused.code, "STATEMENT_FAILED");
  assert.doesNotMatch(await at.fingerprint(), /table|column/);
  assert.equal(await at.history(), "");
  await at.folder.write({
    "migrations/0002_b.sql": "create table b (x integer);",
    "migrations/0003_d.sql": "create table d (x integer); select nothere;",
  });
  const last = await at.error("migrate", "--one-transaction");
  assert.match(last.where, /^migrations\/0003_d\.sql:1:/);
  assert.equal(await at.history(), "", "a failure in the last one leaves nothing of the first");
  await at.folder.write({ "migrations/0003_d.sql": "create table d (x integer);" });
  assert.deepEqual((await at.result("migrate", "--one-transaction")).applied, ["0001_a", "0002_b", "0003_d"]);
  assert.equal((await at.ends(0, ["migrate", "--one-transaction"])).stdout, "Nothing to do.\n");
});

onBoth("--one-transaction refuses what cannot be in one, before anything runs", {
  "migrations/0001_a.sql": "create table a (x integer);",
  "migrations/0002_b.sql": "vacuum;",
}, async (at) => {
  const { code, message, hint } = await at.error("migrate", "--one-transaction");
  assert.equal(code, "USAGE");
  assert.match(message, /"0002_b" cannot run inside one/);
  assert.match(hint, /amber migrate 0002_b/);
  assert.equal(await at.history(), "");
});

onBoth("--one-transaction goes back together, too", {
  "migrations/0001_a.sql": "-- migrate:up\ncreate table a (x integer);\n-- migrate:down\ndrop table nothere;",
  "migrations/0002_b.sql": "-- migrate:up\ncreate table b (x integer);\n-- migrate:down\ndrop table b;",
}, async (at) => {
  await at.ends(0, ["migrate"]);
  assert.equal((await at.error("migrate", "zero", "--one-transaction")).code, "STATEMENT_FAILED");
  assert.equal(await at.history(), "0001_a 0002_b");
  await at.error("migrate", "zero");
  assert.equal(await at.history(), "0001_a");
});

onBoth("a typo in the last file stops the first one, too", {
  "migrations/0001_a.sql": "create table a (x integer);",
  "migrations/0002_b.sql": "insert into a values ('never closed);",
}, async (at) => {
  assert.equal((await at.error("migrate")).code, "MIGRATION_MALFORMED");
  assert.equal((await at.error("migrate", "1")).code, "MIGRATION_MALFORMED");
  assert.equal(await at.history(), "");
});

testWith("postgres", "a constraint that is checked at the commit undoes the migration", async () => {
  await using at = await project("postgres", {
    "migrations/0001_a.sql":
      "create table p (id int primary key);\ncreate table c (p int references p deferrable initially deferred);\ninsert into c values (7);",
  });
  const { code, detail, where } = await at.error("migrate");
  assert.equal(code, "STATEMENT_FAILED");
  assert.match(`${detail}`, /violates foreign key constraint/);
  assert.match(where, /0001_a\.sql/);
  assert.doesNotMatch(await at.fingerprint(), /table|column/);
  await at.error("migrate", "--one-transaction");
  assert.equal(await at.history(), "");
});

testWith("postgres", "ALTER TYPE … ADD VALUE works, and the next migration may use the value", async () => {
  await using at = await project("postgres", {
    "migrations/0001_a.sql": "create type mood as enum ('good'); create table t (m mood);",
    "migrations/0002_b.sql": "alter type mood add value 'bad';",
    "migrations/0003_c.sql": "insert into t values ('bad');",
  });
  await at.ends(0, ["migrate"]);
  assert.deepEqual(await at.sql("select m::text from t"), [{ m: "bad" }]);
  await at.folder.write({ "migrations/0004_d.sql": "alter type mood add value 'odd'; insert into t values ('odd');" });
  const { code, hint } = await at.error("migrate");
  assert.equal(code, "STATEMENT_FAILED");
  assert.match(hint, /migration of its own/);
  assert.match(await at.fingerprint(), /good,bad$/m);
});

testWith("postgres", "a missing database is created, and it is said", async () => {
  const server = await sharedPostgres();
  const name = `it's "new" ${crypto.randomUUID().slice(0, 8)}`;
  await using folder = await tempFolder({ "migrations/0001_a.sql": "create table a (x integer);" });
  const env = { DB_HOST: server.host, DB_PORT: String(server.port), DB_NAME: name, DB_USER: server.superuser };
  const run = async (args: string[]) => await spawnAmber(args, { cwd: folder.root, env }).result;
  try {
    const plan = await run(["migrate", "--plan"]);
    assert.equal(plan.stdout, "Plan:\n  apply  0001_a\n");
    assert.equal((await run(["check"])).code, 3);
    assert.deepEqual(await server.sql("postgres", `select 1 from pg_database where datname like 'it''s%'`), []);
    const first = await run(["migrate"]);
    assert.equal(first.code, 0, first.stderr);
    assert.ok(first.stderr.includes(`created the database "${name}"`), first.stderr);
    const second = await run(["migrate"]);
    assert.deepEqual([second.code, second.stdout], [0, "Nothing to do.\n"]);
    assert.doesNotMatch(second.stderr, /created/);
  } finally {
    await server.dropDatabase(name);
  }
});

/** What a file may do to the session, and the next one, and the next client of a pooler, must not see. */
const unsettling = {
  "migrations/0001_schema.sql": "create schema app;",
  "migrations/0002_settings.sql": `
    set search_path = app, pg_catalog;
    set statement_timeout = '7s';
    set lock_timeout = '8s';
    set default_transaction_read_only = off;
    set standard_conforming_strings = on;
    select pg_catalog.set_config('search_path', '', false);
    select pg_catalog.set_config('my.tenant', 'seven', false);
    set session characteristics as transaction isolation level serializable;
    set time zone 'Asia/Tokyo';
    set row_security = off;
    create table app.settled (x integer);`,
  "migrations/0003_role.sql": "set role ROLE; create table app.owned (x integer);",
  "migrations/0004_session.sql": "set session authorization ROLE; create table app.owned_too (x integer);",
  "migrations/0005_plain.sql": `create table here (x integer);
    create table seen as select current_user::text as who, current_setting('search_path') as path,
      current_setting('statement_timeout') as st, coalesce(current_setting('my.tenant', true), '') as tenant,
      current_setting('transaction_isolation') as isolation, current_setting('timezone') as zone;`,
};
const looks =
  "select current_user::text as who, current_setting('search_path') as path, current_setting('statement_timeout') as st, current_setting('lock_timeout') as lt, current_setting('timezone') as zone, current_setting('default_transaction_isolation') as di, coalesce(current_setting('my.tenant', true), '') as tenant, pg_sleep(0.05)::text as slept, pg_backend_pid() as pid";

for (const pooled of [false, true]) {
  testWith(
    pooled ? "pgbouncer" : "postgres",
    `a file's session settings and role end with it${pooled ? ", behind PgBouncer for its next client too" : ""}`,
    async () => {
      const role = `r_${crypto.randomUUID().slice(0, 8)}`;
      const server = await sharedPostgres();
      const files = Object.fromEntries(
        Object.entries(unsettling).map(([path, text]) => [path, text.replace("ROLE", role)]),
      );
      await using at = await project("postgres", files);
      await using bouncer = pooled ? await startPgBouncer(server, { poolMode: "transaction", poolSize: 3 }) : undefined;
      const name = new URL(at.env.DATABASE_URL!).pathname.slice(1);
      if (bouncer) at.env.DATABASE_URL = bouncer.url(name);
      await server.sql(name, `create role ${role}; grant create on database "${name}" to ${role}`);
      try {
        await at.ends(0, ["migrate", "1"]);
        await server.sql(name, `grant all on schema app to ${role}`);
        await at.ends(0, ["migrate"]);
        assert.deepEqual(await at.sql("select * from seen"), [
          {
            who: "postgres",
            path: '"$user", public',
            st: "0",
            tenant: "",
            isolation: "read committed",
            zone: (await at.sql("show timezone"))[0]!.TimeZone,
          },
        ]);
        const owners = await at.sql(
          "select tablename as t, schemaname as s, tableowner as o from pg_tables where schemaname in ('app', 'public') order by 1",
        );
        assert.deepEqual(owners.map(({ t, s, o }) => `${s}.${t} ${o === role ? "role" : o}`), [
          "public.amber_migrations postgres",
          "public.here postgres",
          "app.owned role",
          "app.owned_too role",
          "public.seen postgres",
          "app.settled postgres",
        ]);
        if (bouncer) {
          const { default: postgres } = await import("postgres");
          const clients = Array.from(
            { length: 3 },
            () => postgres(bouncer.url(name), { max: 1, prepare: false, fetch_types: false }),
          );
          const rows = (await Promise.all(clients.map((client) => client.unsafe(looks)))).map(([row]) => row!);
          await Promise.all(clients.map((client) => client.end()));
          for (const { who, path, st, lt, di, tenant } of rows) {
            assert.deepEqual({ who, path, st, lt, di, tenant }, {
              who: "postgres",
              path: '"$user", public',
              st: "0",
              lt: "0",
              di: "read committed",
              tenant: "",
            });
          }
        }
      } finally {
        await server.sql(name, `drop owned by ${role} cascade; drop role ${role}`);
      }
    },
  );
}
