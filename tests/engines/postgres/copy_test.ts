import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { PostgresAddress } from "../../../lib/database_url.ts";
import { parseDatabaseUrl } from "../../../lib/database_url.ts";
import { Connection, ConnectionLost } from "../../../lib/engines/postgres/connection.ts";
import { StatementFailure } from "../../../lib/engines/engine.ts";
import { Garbage } from "../../../lib/memory.ts";
import { type PostgresDatabase, sharedPostgres, startPostgres } from "../../support/postgres.ts";
import { testWith } from "../../support/skip.ts";
import { startNetwork } from "./failing_network.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (text: string) => new TextEncoder().encode(text);
const manyRows = "select i, repeat('x', 90) from generate_series(1, 1000000) i"; // about 100 MB

Deno.test("copyOut() gives the bytes that COPY sends, in order", async () => {
  const cases: [string, string][] = [
    ["select 1 where false", ""],
    ["select 1", "1\n"],
    ["select null, '', E'a\\tb\\\\', 'ä😀'", "\\N\t\ta\\tb\\\\\tä😀\n"],
    ["select i from generate_series(1, 100000) i", Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join("")],
    // Rows larger than any buffer, beside small ones.
    [
      "select repeat(chr(64 + i), i % 2 * 3000000 + i) from generate_series(1, 4) i",
      [1, 2, 3, 4].map((i) => String.fromCharCode(64 + i).repeat((i % 2) * 3_000_000 + i) + "\n").join(""),
    ],
  ];
  await using at = await opened();
  for (const [select, expected] of cases) {
    assert.ok(text(await all(at.connection.copyOut(`copy (${select}) to stdout`))) === expected, select);
    assert.deepEqual(await at.connection.query("select 7 as n"), [{ n: 7 }]);
  }
});

Deno.test("copyOut() lets the server wait for a reader that takes its time, and ends well", async () => {
  await using at = await opened();
  const rows = at.connection.copyOut(`copy (${manyRows}) to stdout`);
  let size = (await rows.next()).value!.length;
  const watch = await at.connect();
  await until(async () => (await watch.query(waitingSql))[0]?.wait_event === "ClientWrite");
  for await (const chunk of rows) size += chunk.length;
  assert.equal(size, 97_888_896);
  // The last of it came while the connection was paused, more than once.
  assert.deepEqual(await at.connection.query("select 7 as n"), [{ n: 7 }]);
});

Deno.test("copyOut() and copyIn() take no more memory for a table of 200 MB than for one of 20 MB", async () => {
  await using at = await opened();
  await at.connection.query("create unlogged table target (i int, t text)");
  const into = await at.connect();
  let largest = 0;
  let early = 0;
  let size = 0;
  const garbage = new Garbage(4 << 20); // V8 alone lets more wait than what is looked for here
  const rows = async function* () {
    for await (const chunk of at.connection.copyOut(`copy (${manyRows} union all ${manyRows}) to stdout`)) {
      size += chunk.length;
      garbage.add(chunk.length);
      if (Math.floor(size / 2_000_000) !== Math.floor((size - chunk.length) / 2_000_000)) {
        const { rss } = Deno.memoryUsage();
        if (size < 20_000_000) early = Math.max(early, rss);
        largest = Math.max(largest, rss);
      }
      yield chunk;
    }
  };
  assert.equal(await into.copyIn("copy target from stdin", rows()), 2_000_000);
  assert.equal(size, 2 * 97_888_896);
  const grown = Math.round((largest - early) / 1_000_000);
  assert.ok(grown < 40, `${grown} MB more at the end`);
});

Deno.test("a reader that stops early ends the COPY on the server, and the connection goes on", async () => {
  await using at = await opened();
  for (const stopAfter of [1, 3, 100]) {
    let count = 0;
    for await (const _chunk of at.connection.copyOut(`copy (${manyRows}) to stdout`)) if (++count === stopAfter) break;
    assert.deepEqual(await at.connection.query("select 7 as n"), [{ n: 7 }]);
  }
  // In a transaction that is its end, as after any error.
  await at.connection.query("begin");
  for await (const _chunk of at.connection.copyOut(`copy (${manyRows}) to stdout`)) break;
  await assert.rejects(at.connection.query("select 7"), { name: "StatementFailure", code: "25P02" });
  await at.connection.query("rollback");
  assert.deepEqual(await at.connection.query("select 7 as n"), [{ n: 7 }]);
});

Deno.test("a reader that stops at the very end is not too late for the next query", async () => {
  await using at = await opened();
  for (let i = 0; i < 50; i++) {
    for await (const _chunk of at.connection.copyOut("copy (select 1) to stdout")) break;
    assert.deepEqual(await at.connection.query("select 7 as n"), [{ n: 7 }]);
  }
});

Deno.test("a signal ends copyOut() while it waits for its first row, with the signal's reason", async () => {
  await using at = await opened();
  const stop = new AbortController();
  const rows = at.connection.copyOut("copy (select pg_sleep(600)) to stdout", { signal: stop.signal });
  const first = rows.next();
  const watch = await at.connect();
  await until(async () => (await watch.query(waitingSql))[0]?.wait_event === "PgSleep");
  stop.abort(new Error("enough"));
  await assert.rejects(first, { message: "enough" });
  assert.deepEqual(await at.connection.query("select 7 as n"), [{ n: 7 }]);
});

Deno.test("what fails in the middle of copyOut() is said in the server's words", async () => {
  await using at = await opened();
  let size = 0;
  await assert.rejects(async () => {
    const rows = at.connection.copyOut("copy (select 1 / (500000 - i) from generate_series(1, 1000000) i) to stdout");
    for await (const chunk of rows) size += chunk.length;
  }, { name: "StatementFailure", code: "22012", message: "division by zero" });
  assert.ok(size > 100_000, `${size} bytes`);
  await assert.rejects(all(at.connection.copyOut("copy (select 1 from missing) to stdout")), {
    code: "42P01",
    offset: 20,
  });
  assert.deepEqual(await at.connection.query("select 7 as n"), [{ n: 7 }]);
});

Deno.test("a COPY and a query at once are refused, and a COPY that nobody expects hurts nobody", async () => {
  await using at = await opened();
  await at.connection.query("create table target (i int)");
  const rows = at.connection.copyOut("copy (select 1) to stdout");
  await rows.next();
  await assert.rejects(at.connection.query("select 7"), TypeError);
  await assert.rejects(at.connection.copyIn("copy target from stdin", "1\n"), TypeError);
  await rows.return();
  await assert.rejects(at.connection.query("copy target from stdin"), { code: "57014", message: /no rows were given/ });
  assert.deepEqual(await at.connection.query("copy (select 1) to stdout"), []);
  await assert.rejects(at.connection.copyIn("select 7", "1\n"), TypeError);
  assert.deepEqual(await at.connection.query("select 7 as n"), [{ n: 7 }]);
});

Deno.test("copyIn() says how many rows there were, and they are there as they were given", async () => {
  await using at = await opened();
  await at.connection.query("create table target (i int, t text)");
  const big = "y".repeat(3_000_000);
  const given = ["1\t", "ä\n2", `\t${big}\n`, "", "3\t\\N\n"];
  assert.equal(await at.connection.copyIn("copy target from stdin", pieces(given.map(bytes))), 3);
  assert.equal(await at.connection.copyIn("copy target from stdin", ""), 0);
  assert.ok(text(await all(at.connection.copyOut("copy target to stdout"))) === given.join(""));
});

Deno.test("copyIn() of a text keeps characters of two units whole, wherever it is cut", async () => {
  await using at = await opened();
  await at.connection.query("create table target (t text)");
  const given = `${"x".repeat(65_535)}😀${"😀".repeat(70_000)}\n`;
  await at.connection.copyIn("copy target from stdin", given);
  assert.ok(text(await all(at.connection.copyOut("copy target to stdout"))) === given);
});

Deno.test("a row that the server refuses ends copyIn() with its words, and the source is told", async () => {
  await using at = await opened();
  await at.connection.query("create table target (i int)");
  let isTold = false;
  const rows = async function* () {
    try {
      for (let i = 0;; i++) yield bytes(i === 1000 ? "one\n" : `${i}\n`.repeat(200));
    } finally {
      isTold = true;
    }
  };
  await assert.rejects(at.connection.copyIn("copy target from stdin", rows()), (error: StatementFailure) => {
    assert.equal(error.code, "22P02");
    assert.match(error.context!, /COPY target, line 200001, column i: "one"/);
    return true;
  });
  assert.ok(isTold);
  assert.deepEqual(await at.connection.query("select count(*)::int as n from target"), [{ n: 0 }]);
});

Deno.test("a row that is refused while the source has no more yet ends copyIn() all the same", async () => {
  await using at = await opened();
  await at.connection.query("create table target (i int)");
  const rows = async function* () {
    yield bytes("one\n".padEnd(70_000, "1\n"));
    await new Promise(() => {});
  };
  await assert.rejects(at.connection.copyIn("copy target from stdin", rows()), { code: "22P02" });
  assert.deepEqual(await at.connection.query("select count(*)::int as n from target"), [{ n: 0 }]);
});

Deno.test("a source that fails ends copyIn() with its error, and nothing was copied", async () => {
  await using at = await opened();
  await at.connection.query("create table target (i int)");
  const rows = async function* () {
    yield bytes("1\n".repeat(100_000));
    await Promise.resolve();
    throw new Error("the file ends too early");
  };
  await assert.rejects(at.connection.copyIn("copy target from stdin", rows()), { message: "the file ends too early" });
  assert.deepEqual(await at.connection.query("select count(*)::int as n from target"), [{ n: 0 }]);
});

Deno.test("copyIn() reads its source only as fast as the server takes rows, and a signal ends it even then", async () => {
  await using at = await opened();
  const watch = await at.connect();
  await watch.query("select pg_advisory_lock(7)");
  await at.connection.query(`create table target (t text);
    create function wait() returns trigger language plpgsql as 'begin perform pg_advisory_lock(7); return new; end';
    create trigger wait before insert on target for each row execute function wait()`);
  const stop = new AbortController();
  let size = 0;
  const rows = async function* () {
    for (;;) {
      size += 100_000;
      yield bytes("x".repeat(99_999) + "\n");
      await Promise.resolve();
    }
  };
  const copied = at.connection.copyIn("copy target from stdin", rows(), { signal: stop.signal });
  copied.catch(() => {});
  await until(async () => (await watch.query(waitingSql))[0]?.wait_event === "advisory");
  let before = -1;
  await until(async () => {
    const isStill = before === size;
    before = size;
    await watch.query("select pg_sleep(0.2)"); // both buffers of the kernel fill up
    return isStill;
  });
  assert.ok(size < 30_000_000, `${size} bytes were read`);
  stop.abort(new Error("enough"));
  await assert.rejects(copied, { message: "enough" });
  assert.deepEqual(await at.connection.query("select count(*)::int as n from target"), [{ n: 0 }]);
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

/** What the session does that is not the one that asks. */
const waitingSql = `select wait_event from pg_stat_activity
  where datname = current_database() and state = 'active' and pid <> pg_backend_pid()`;

async function connectTo(database: PostgresDatabase, more: Partial<PostgresAddress> = {}): Promise<Connection> {
  const address = { ...parseDatabaseUrl(database.url, "test") as PostgresAddress, ...more };
  const { connection } = await Connection.open(address, { applicationName: "test copy", timeoutMs: 5_000 });
  return connection;
}

/** A database of one's own, with a connection, and more of them. */
async function opened() {
  const server = await sharedPostgres();
  const database = await server.database();
  const connections = [await connectTo(database)];
  return {
    connection: connections[0]!,
    async connect() {
      const one = await connectTo(database);
      connections.push(one);
      return one;
    },
    async [Symbol.asyncDispose]() {
      for (const one of connections) await one.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

async function all(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) (joined.set(part, at), at += part.length);
  return joined;
}

async function* pieces(parts: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

/** Asks until it is so; a test that waits for ever is ended by the runner. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await new Promise((resolve) => setTimeout(resolve, 20));
}
