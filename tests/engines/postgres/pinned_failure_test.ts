import assert from "node:assert/strict";
import type { AmberError } from "../../../lib/errors.ts";
import type { PinnedSession } from "../../../lib/engines/postgres/pinned.ts";
import { startPgBouncer } from "../../support/pgbouncer.ts";
import { startPostgres } from "../../support/postgres.ts";
import { testWith } from "../../support/skip.ts";
import { startNetwork } from "./failing_network.ts";
import { pinnable, text, until } from "./pinned_database.ts";

const setUp = "create table t as select i as id from generate_series(1, 20) i; create table u (i int)";
const manyRows = "copy (select i, repeat('x', 90) from generate_series(1, 1000000) i) to stdout";
/** Soon enough for a test; long enough for a loaded machine to answer. */
const silenceMs = 1_000;
const isLost = { name: "AmberError", code: "DATABASE_LOST", exitStatus: 5 };

async function dump(session: PinnedSession): Promise<string> {
  await session.pin();
  assert.equal(await session.confirm(), true);
  return await text(session.copyOut("copy (select id from only public.t) to stdout")) +
    await text(session.copyOut("copy (select i from only public.u) to stdout"));
}

const whole = Array.from({ length: 20 }, (_, i) => `${i + 1}\n`).join("");

Deno.test("wherever the connection is cut, a dump fails and says so; it is never short", async () => {
  await using at = await pinnable(setUp);
  const run = async (port: number) => {
    const session = await at.prepare({ waitMs: 300 }, { port, sslmode: "disable" });
    try {
      return await dump(session);
    } finally {
      await session.close();
    }
  };
  let messages: number;
  {
    await using network = startNetwork(at.server);
    assert.equal(await run(network.port), whole);
    messages = network.passed;
  }
  assert.ok(messages > 60, `only ${messages} messages`);
  let failures = 0;
  let connectedAgain = 0;
  for (let k = 1; k <= messages; k++) {
    await using network = startNetwork(at.server, { at: k });
    try {
      // A connection that is cut before the login is done is made anew; one that is cut in its goodbye has done its work.
      assert.equal(await run(network.port), whole, `cut at ${k}`);
      connectedAgain++;
    } catch (error) {
      assert.ok(["DATABASE_LOST", "DATABASE_SILENT"].includes((error as AmberError).code), `cut at ${k}: ${error}`);
      failures++;
    }
  }
  assert.ok(failures > 45, `${failures} of ${messages} failed, ${connectedAgain} did not`);
});

Deno.test("a server that is killed or stopped in the middle of a dump is DATABASE_LOST", async () => {
  await using server = await startPostgres();
  for (const end of ["kill", "stop", "terminate"] as const) {
    const at = await pinnable(setUp, server);
    const session = await at.prepare();
    await session.pin();
    const [row] = await session.query("select pg_backend_pid() as pid");
    let ending: Promise<unknown> | undefined;
    await assert.rejects(async () => {
      for await (const _chunk of session.copyOut(manyRows)) {
        if (end === "kill") ending ??= Promise.resolve(Deno.kill(Number(row!.pid), "SIGKILL"));
        else if (end === "stop") ending ??= server.stop("immediate");
        else ending ??= at.sql(`select pg_terminate_backend(${row!.pid})`);
        await ending;
      }
    }, isLost);
    await assert.rejects(session.query("select 1"), isLost);
    await session.close();
    if (end === "stop") await server.start();
    await until(() => server.sql("postgres", "select 1").then(() => true, () => false));
    await at[Symbol.asyncDispose]();
  }
});

for (const how of ["swallow", "forget"] as const) {
  const what = how === "swallow" ? "swallows everything" : "has forgotten the connection";
  Deno.test(`a network that ${what} is noticed: in a query, between rows, while a lock is waited for`, async () => {
    await using at = await pinnable(setUp);
    {
      await using network = startNetwork(at.server, { how });
      const session = await at.prepare({ silenceMs }, { port: network.port, sslmode: "disable" });
      await session.pin();
      network.fail();
      await assert.rejects(session.query("select 1"), isLost);
      await session.close();
    }
    {
      await using network = startNetwork(at.server, { how });
      const session = await at.prepare({ silenceMs }, { port: network.port, sslmode: "disable" });
      await session.pin();
      await assert.rejects(async () => {
        for await (const _chunk of session.copyOut(manyRows)) network.fail();
      }, isLost);
      await session.close();
    }
    if (how === "swallow") {
      await using holder = await at.connect();
      await holder.query("begin; lock table t in access exclusive mode");
      await using network = startNetwork(at.server, { how });
      const preparing = at.prepare({ silenceMs }, { port: network.port, sslmode: "disable" });
      await at.someoneWaits();
      network.fail();
      await assert.rejects(preparing, isLost);
    }
  });
}

Deno.test("a server that is frozen is noticed, and closing does not wait for it", async () => {
  await using server = await startPostgres();
  const at = await pinnable(setUp, server);
  const session = await at.prepare({ silenceMs });
  await session.pin();
  const idle = await at.prepare({ silenceMs });
  await idle.pin();
  server.pause();
  await assert.rejects(session.query("select 1"), isLost);
  const started = performance.now();
  await session.close();
  await idle.close();
  assert.ok(performance.now() - started < 10_000);
  server.resume();
  await at[Symbol.asyncDispose]();
});

Deno.test("a query that says nothing for long is left alone, and so is a reader that takes its time", async () => {
  await using at = await pinnable(setUp);
  await using session = await at.prepare({ silenceMs: 300 });
  await session.pin();
  assert.deepEqual(await session.query("select 7 as n from pg_sleep(2)"), [{ n: 7 }]);
  assert.equal(await text(session.copyOut("copy (select 7 from pg_sleep(2)) to stdout")), "7\n");
  let size = 0;
  for await (const chunk of session.copyOut(manyRows)) {
    if (size === 0) await at.sql("select pg_sleep(2)");
    size += chunk.length;
  }
  assert.equal(size, 97_888_896);
});

testWith(
  "pgbouncer",
  "behind PgBouncer a long query is left alone, and the end of the server's session is noticed",
  async () => {
    await using at = await pinnable(setUp);
    await using bouncer = await startPgBouncer(at.server, { poolMode: "transaction" });
    const via = { host: bouncer.host, port: bouncer.port };
    await using session = await at.prepare({ silenceMs: 300 }, via);
    await session.pin();
    const [row] = await session.query("select pg_backend_pid() as pid from pg_sleep(2)");
    await at.sql(`select pg_terminate_backend(${row!.pid})`);
    await assert.rejects(session.query("select 1"), isLost);
  },
);
