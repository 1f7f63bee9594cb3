import assert from "node:assert/strict";
import type { Connection } from "../../../lib/engines/postgres/connection.ts";
import { startPostgres } from "../../support/postgres.ts";
import { testWith } from "../../support/skip.ts";
import { all, manyRows, opened, text, until, waitingSql } from "./copy_database.ts";

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
  await readSlowly(at.connection, await at.connect());
});

testWith("openssl", "through TLS, too, the server waits for a reader that takes its time", async () => {
  await using server = await startPostgres({ tls: true });
  await using at = await opened(server, { sslmode: "require" });
  await readSlowly(at.connection, await at.connect());
});

async function readSlowly(connection: Connection, watch: Connection): Promise<void> {
  const rows = connection.copyOut(`copy (${manyRows}) to stdout`);
  let size = (await rows.next()).value!.length;
  const isHeldUp = async () => (await watch.query(waitingSql))[0]?.wait_event === "ClientWrite";
  await until(isHeldUp);
  await watch.query("select pg_sleep(2)"); // all of it would have come by then
  assert.ok(await isHeldUp());
  for await (const chunk of rows) size += chunk.length;
  assert.equal(size, 97_888_896);
  // The last of it came while the connection was paused, more than once.
  assert.deepEqual(await connection.query("select 7 as n"), [{ n: 7 }]);
}

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
