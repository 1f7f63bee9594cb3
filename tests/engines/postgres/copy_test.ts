import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { parseDatabaseUrl, type PostgresAddress } from "../../../lib/database_url.ts";
import { StatementFailure } from "../../../lib/engines/engine.ts";
import { Connection, ConnectionLost } from "../../../lib/engines/postgres/connection.ts";
import { command, projectFolder } from "../../support/command.ts";
import { sharedPostgres, startPostgres } from "../../support/postgres.ts";
import { testWith } from "../../support/skip.ts";
import { all, bytes, connectTo, manyRows, pieces, until } from "./copy_database.ts";
import { startNetwork } from "./failing_network.ts";

Deno.test("copyOut() and copyIn() take no more memory for a table of 200 MB than for one of 20 MB", async () => {
  await using database = await (await sharedPostgres()).database();
  const program = new URL("copy_memory.ts", import.meta.url).pathname;
  const args = ["run", "--quiet", "--allow-all", "--no-check", program, database.url];
  const { code, stdout, stderr } = await command(Deno.execPath(), args, { cwd: projectFolder });
  assert.equal(code, 0, stderr);
  const { count, size, grown } = JSON.parse(stdout);
  assert.equal(count, 2_000_000);
  assert.equal(size, 2 * 97_888_896);
  assert.ok(grown < 40_000_000, `${Math.round(grown / 1e6)} MB more at the end`);
});

Deno.test("wherever the connection is cut, copyOut() and copyIn() end with ConnectionLost", async () => {
  const server = await sharedPostgres();
  await using database = await server.database();
  await database.sql("create table source as select i from generate_series(1, 20) i; create table target (i int)");
  const session = async (port: number) => {
    const address = parseDatabaseUrl(database.url, "test") as PostgresAddress;
    const options = { applicationName: "test", timeoutMs: 5_000 };
    const { connection } = await Connection.open({ ...address, port, sslmode: "disable" }, options);
    try {
      await all(connection.copyOut("copy source to stdout"));
      await connection.copyIn(
        "copy target from stdin",
        pieces(Array.from({ length: 3 }, () => bytes("1\n".repeat(40_000)))),
      );
      await connection.query("truncate target");
    } finally {
      await connection.close();
    }
  };
  let messages: number;
  {
    await using network = startNetwork(server);
    await session(network.port);
    messages = network.passed;
  }
  assert.ok(messages > 50, `only ${messages} messages`);
  let cuts = 0;
  for (let at = 1; at < messages; at++) {
    await using network = startNetwork(server, { at });
    // Messages that come in passing, between two of a connection's, are not the same in each run.
    await assert.rejects(session(network.port), (error: Error) => {
      assert.ok(["ConnectionLost", "ReachFailure"].includes(error.name), `cut at ${at}: ${error.stack}`);
      return true;
    });
    cuts++;
  }
  assert.equal(cuts, messages - 1);
});

Deno.test("a server that is killed in the middle ends copyOut() and copyIn() with a loss", async () => {
  await using server = await startPostgres();
  await using database = await server.database();
  await database.sql("create table target (t text)");
  const isLoss = (error: unknown) =>
    error instanceof ConnectionLost || (error instanceof StatementFailure && /^57P0/.test(error.code!));
  const killed = async (work: (connection: Connection, kill: () => void) => Promise<unknown>) => {
    const connection = await connectTo(database);
    const [row] = await connection.query("select pg_backend_pid() as pid");
    let isKilled = false;
    const kill = () => {
      if (!isKilled) Deno.kill(Number(row!.pid), "SIGKILL");
      isKilled = true;
    };
    await assert.rejects(work(connection, kill), isLoss);
    await assert.rejects(all(connection.copyOut("copy target to stdout")), { name: "ConnectionLost" });
    await connection.close();
    await until(() => database.sql("select 1").then(() => true, () => false)); // the server begins anew
  };
  await killed(async (connection, kill) => {
    for await (const _chunk of connection.copyOut(`copy (${manyRows}) to stdout`)) kill();
  });
  await killed(async (connection, kill) => {
    const rows = async function* () {
      for (;;) {
        yield bytes("x".repeat(99_999) + "\n");
        kill();
        await Promise.resolve();
      }
    };
    await connection.copyIn("copy target from stdin", rows());
  });
});

testWith("openssl", "COPY goes through TLS in both directions, and can be stopped there", async () => {
  await using server = await startPostgres({ tls: "required" });
  await using database = await server.database();
  await database.sql("create table target (i int, t text)");
  const connection = await connectTo(database, { sslmode: "verify-full", sslrootcert: server.caFile });
  try {
    for await (const _chunk of connection.copyOut(`copy (${manyRows}) to stdout`)) break;
    const rows = await all(connection.copyOut(`copy (${manyRows} limit 300000) to stdout`));
    assert.equal(await connection.copyIn("copy target from stdin", pieces([rows])), 300_000);
    assert.ok(Buffer.compare(await all(connection.copyOut("copy target to stdout")), rows) === 0);
  } finally {
    await connection.close();
  }
});
