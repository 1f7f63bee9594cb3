import assert from "node:assert/strict";
import { startPgBouncer } from "../../support/pgbouncer.ts";
import { startPostgres } from "../../support/postgres.ts";
import { testWith } from "../../support/skip.ts";
import { pinnable as database, text } from "./pinned_database.ts";

const thousand = "create table t as select i as id from generate_series(1, 1000) i;";
const countSql = "select count(*)::int as n from public.t";
const manyRows = "copy (select i, repeat('x', 90) from generate_series(1, 1000000) i) to stdout";

Deno.test("a table that the role may not read is DATABASE_FORBIDDEN, with its name and what to do", async () => {
  await using at = await database(`create role ada_:name: login; create schema app; create table app."T" (i int);
    create table public.mine (i int); alter table public.mine owner to ada_:name:`);
  const role = `ada_${at.name}`;
  const as = { user: role };
  try {
    const forbidden = (message: RegExp, hint: string) => (error: Error & { code: string; hint: string }) => {
      assert.equal(error.code, "DATABASE_FORBIDDEN");
      assert.match(error.message, message);
      assert.equal(error.hint, hint);
      return true;
    };
    await assert.rejects(
      at.prepare({}, as),
      forbidden(
        /^Cannot read "app"\."T" as "ada_.*": permission denied for the schema/,
        `As its owner: grant usage on schema "app" to "${role}";`,
      ),
    );
    await at.sql(`grant usage on schema app to ${role}`);
    await assert.rejects(
      at.prepare({}, as),
      forbidden(
        /^Cannot read "app"\."T" as "ada_.*": permission denied$/,
        `As its owner: grant select on "app"."T" to "${role}";`,
      ),
    );
    await at.sql(`grant select on app."T" to ${role}; alter table app."T" enable row level security`);
    await assert.rejects(
      at.prepare({}, as),
      forbidden(
        /row security would leave out rows$/,
        `Row security hides rows from "${role}". As an administrator: alter role "${role}" bypassrls;`,
      ),
    );
    await at.sql(`alter table app."T" disable row level security; insert into app."T" values (7)`);
    {
      await using session = await at.prepare({}, as);
      await session.pin();
      assert.equal(await session.confirm(), true);
      assert.equal(await text(session.copyOut(`copy (select i from only app."T") to stdout`)), "7\n");
    }
  } finally {
    await at.sql(`drop owned by ${role}; drop role ${role}`);
  }
});

for (const poolMode of ["session", "transaction"] as const) {
  testWith(
    "pgbouncer",
    `through PgBouncer in ${poolMode} mode it reads as without, and leaves nothing behind`,
    async () => {
      await using at = await database(thousand);
      // One connection is enough.
      await using bouncer = await startPgBouncer(at.server, { poolMode, poolSize: 1 });
      const via = { host: bouncer.host, port: bouncer.port };
      for (let round = 0; round < 2; round++) {
        await using session = await at.prepare({}, via);
        await at.sql("insert into t values (0)");
        await session.pin();
        await at.sql("delete from t where id = 0");
        assert.equal(await session.confirm(), true);
        assert.deepEqual(await session.query(countSql), [{ n: 1001 }]);
        assert.equal(
          (await text(session.copyOut("copy (select id from only public.t) to stdout"))).split("\n").length,
          1002,
        );
      }
      {
        await using session = await at.prepare({}, via);
        await session.pin();
        for await (const _chunk of session.copyOut(manyRows)) break; // ends it on the server
      }
      const states = await at.sql(
        `select state from pg_stat_activity where datname = '${at.name}' and pid <> pg_backend_pid()`,
      );
      assert.ok(states.every(({ state }) => state === "idle"), JSON.stringify(states));
      await using next = await at.connect(via);
      assert.deepEqual(await next.query("show search_path"), [{ search_path: '"$user", public' }]);
      assert.deepEqual(await next.query("show statement_timeout"), [{ statement_timeout: "0" }]);
      await next.query("create table after_all (i int)");
    },
  );
}

testWith("openssl", "it reads through TLS, with a password, and can be stopped there", async () => {
  await using server = await startPostgres({ tls: "required", auth: "scram-sha-256" });
  await using at = await database(thousand, server);
  const via = { sslmode: "verify-full", sslrootcert: server.caFile } as const;
  await using session = await at.prepare({}, via);
  await session.pin();
  assert.equal(await session.confirm(), true);
  assert.equal((await text(session.copyOut("copy public.t to stdout"))).split("\n").length, 1001);
  for await (const _chunk of session.copyOut(manyRows)) break;
  await session.close();
  await at.sql("drop table t");
});
