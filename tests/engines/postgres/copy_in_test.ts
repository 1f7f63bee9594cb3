import assert from "node:assert/strict";
import type { StatementFailure } from "../../../lib/engines/engine.ts";
import type { Connection } from "../../../lib/engines/postgres/connection.ts";
import { startPostgres } from "../../support/postgres.ts";
import { testWith } from "../../support/skip.ts";
import { all, bytes, opened, pieces, text, until, waitingSql } from "./copy_database.ts";

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
  await writeSlowly(at.connection, await at.connect());
});

testWith("openssl", "through TLS, too, copyIn() reads its source only as fast as the server takes rows", async () => {
  await using server = await startPostgres({ tls: true });
  await using at = await opened(server, { sslmode: "require" });
  await writeSlowly(at.connection, await at.connect());
});

async function writeSlowly(connection: Connection, watch: Connection): Promise<void> {
  await watch.query("select pg_advisory_lock(7)");
  await connection.query(`create table target (t text);
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
  const copied = connection.copyIn("copy target from stdin", rows(), { signal: stop.signal });
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
  assert.deepEqual(await connection.query("select count(*)::int as n from target"), [{ n: 0 }]);
}
