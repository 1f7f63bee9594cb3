import assert from "node:assert/strict";
import postgres from "postgres";
import { sharedPostgres, startPostgres } from "./postgres.ts";
import { wantedPostgres } from "./postgres_programs.ts";
import { testWith } from "./skip.ts";

testWith("postgres", "the shared server gives each test a database of its own", async () => {
  const server = await sharedPostgres();
  let name: string;
  {
    await using one = await server.database();
    await using two = await server.database();
    assert.notEqual(one.name, two.name);
    name = one.name;
    assert.deepEqual(await one.sql("create table t (x int); insert into t values (1), (2); select x from t"), [
      { x: 1 },
      { x: 2 },
    ]);
    assert.deepEqual(await two.sql("select to_regclass('t') as t"), [{ t: null }]);
  }
  assert.deepEqual(await server.sql("postgres", `select 1 from pg_database where datname = '${name}'`), []);
});

testWith("postgres", "a database is dropped while somebody is connected, also one with a strange name", async () => {
  const server = await sharedPostgres();
  const name = await server.createDatabase(`a "b" c/${crypto.randomUUID()}`);
  const client = postgres(server.url("postgres"), { database: name, max: 1, onnotice: () => {} });
  try {
    assert.deepEqual([...await client`select current_database() as name`], [{ name }]);
    await server.dropDatabase(name);
    await server.dropDatabase(name);
  } finally {
    await client.end();
  }
});

testWith("postgres", "the shared server is reached by TCP and by unix socket and syncs what it writes", async () => {
  const server = await sharedPostgres();
  const [settings] = await server.sql(
    "postgres",
    "select current_setting('fsync') as fsync, current_setting('max_connections') as connections",
  );
  assert.deepEqual(settings, { fsync: "on", connections: "300" });
  const client = postgres({
    host: server.socketDir,
    port: server.port,
    user: "postgres",
    database: "postgres",
    max: 1,
  });
  try {
    assert.deepEqual([...await client`select inet_server_addr() as address`], [{ address: null }]);
  } finally {
    await client.end();
  }
});

testWith(["postgres", "openssl"], "a server that requires TLS shows a certificate that can be verified", async () => {
  await using server = await startPostgres({ tls: "required" });
  const ca = await Deno.readTextFile(server.caFile!);
  const ask = async (host: string, ssl: false | { ca: string }) => {
    const client = postgres(server.url("postgres", { host }), { ssl, max: 1, fetch_types: false });
    try {
      return [...await client`select ssl from pg_stat_ssl where pid = pg_backend_pid()`];
    } finally {
      await client.end();
    }
  };
  assert.deepEqual(await ask("localhost", { ca }), [{ ssl: true }]);
  assert.deepEqual(await ask("127.0.0.1", { ca }), [{ ssl: true }]);
  await assert.rejects(ask("127.0.0.1", false), { code: "28000" });
});

testWith("postgres", "a server with scram asks everybody for a password", async () => {
  await using server = await startPostgres({ auth: "scram-sha-256" });
  await server.sql("postgres", "create role ada login password 's3cret /?#'");
  const ask = async (password: string) => {
    const client = postgres(server.url("postgres", { user: "ada", password }), { max: 1, fetch_types: false });
    try {
      return [...await client`select current_user as name`];
    } finally {
      await client.end();
    }
  };
  assert.deepEqual(await ask("s3cret /?#"), [{ name: "ada" }]);
  await assert.rejects(ask("wrong"), { code: "28P01" });
});

testWith("postgres", "a server of one's own keeps its data over a stop, and falls silent when paused", async () => {
  await using server = await startPostgres({ settings: { work_mem: "5MB" } });
  await server.sql("postgres", "create table kept as select 1 as x");
  await server.stop("immediate");
  await assert.rejects(server.sql("postgres", "select 1"), { code: "ECONNREFUSED" });
  await server.start();
  assert.deepEqual(await server.sql("postgres", "select x, current_setting('work_mem') as memory from kept"), [
    { x: 1, memory: "5MB" },
  ]);

  server.pause();
  const answer = server.sql("postgres", "select 1 as x");
  const silence = new Promise((resolve) => setTimeout(resolve, 200, "silence"));
  assert.equal(await Promise.race([answer, silence]), "silence");
  server.resume();
  assert.deepEqual(await answer, [{ x: 1 }]);
});

testWith("postgres", "a server that cannot start says why", async () => {
  await assert.rejects(startPostgres({ settings: { work_mem: "much" } }), /invalid value for parameter "work_mem"/);
});

testWith("postgres", "any version comes from npm when the machine does not have it", async () => {
  const { major } = await sharedPostgres();
  await using server = await startPostgres({ version: major === 18 ? 17 : 18 });
  const [{ version }] = await server.sql("postgres", "select version()") as [{ version: string }];
  assert.match(version, new RegExp(`^PostgreSQL ${server.version}`));
  assert.notEqual(server.major, major);
});

Deno.test("AMBER_TEST_POSTGRES names npm, a version or a folder", () => {
  assert.deepEqual(wantedPostgres(""), {});
  assert.deepEqual(wantedPostgres("embedded"), { npmOnly: true });
  assert.deepEqual(wantedPostgres("13"), { major: 13 });
  assert.deepEqual(wantedPostgres("/opt/pg/bin"), { folder: "/opt/pg/bin" });
  assert.throws(() => wantedPostgres("newest"), /AMBER_TEST_POSTGRES/);
});
