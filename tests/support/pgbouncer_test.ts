import assert from "node:assert/strict";
import postgres from "postgres";
import { startPgBouncer } from "./pgbouncer.ts";
import { sharedPostgres, startPostgres } from "./postgres.ts";
import { testWith } from "./skip.ts";

testWith("pgbouncer", "in transaction mode many clients share few connections to the server", async () => {
  const server = await sharedPostgres();
  await using database = await server.database();
  await using bouncer = await startPgBouncer(server, { poolMode: "transaction", poolSize: 2 });
  const clients = Array.from({ length: 8 }, () => connect(bouncer.url(database.name)));
  try {
    const rows = await Promise.all(clients.map((client) => client`select pg_backend_pid() as pid, pg_sleep(0.01)`));
    const pids = new Set(rows.map(([row]) => row!.pid));
    assert.ok(pids.size <= 2, `${pids.size} connections`);
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
});

testWith("pgbouncer", "PgBouncer is configured as distributions do it", async () => {
  const server = await sharedPostgres();
  await using bouncer = await startPgBouncer(server, { poolMode: "session" });
  const admin = connect(bouncer.url("pgbouncer"));
  try {
    const rows = await admin.unsafe("show config") as unknown as { key: string; value: string }[];
    const config = Object.fromEntries(rows.map(({ key, value }) => [key, value]));
    assert.equal(config.pool_mode, "session");
    assert.equal(config.default_pool_size, "20");
    assert.equal(config.ignore_startup_parameters ?? "", "");
  } finally {
    await admin.end();
  }
});

testWith("pgbouncer", "PgBouncer asks for passwords where the server does", async () => {
  await using server = await startPostgres({ auth: "scram-sha-256" });
  await server.sql("postgres", "create role ada login password 's3cret'");
  await using bouncer = await startPgBouncer(server, { poolMode: "transaction", users: { ada: "s3cret" } });
  const ada = connect(bouncer.url("postgres", { user: "ada" }));
  const eve = connect(bouncer.url("postgres", { user: "ada", password: "wrong" }));
  try {
    assert.deepEqual([...await ada`select current_user as name`], [{ name: "ada" }]);
    await assert.rejects(async () => await eve`select 1`, /authentication failed/);
  } finally {
    await Promise.all([ada.end(), eve.end()]);
  }
});

function connect(url: string) {
  return postgres(url, { max: 1, prepare: false, fetch_types: false });
}
