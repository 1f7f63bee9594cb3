/** SIGTERM and SIGINT, whatever amber waits for: it ends in under ten seconds, and the next run finishes. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { amber, projectFolder, type RunningCommand, spawnAmber, spawnCommand } from "../support/command.ts";
import { startPostgres } from "../support/postgres.ts";
import { findProgram } from "../support/programs.ts";
import { testWith } from "../support/skip.ts";
import { type Files, tempFolder } from "../support/temp_folder.ts";
import { direct, eventually, type Place, rollback, type Setup, wal } from "../races/setups.ts";

const limitMs = 10_000;
const statuses = { SIGTERM: 143, SIGINT: 130 } as const;
type Signal = keyof typeof statuses;

interface Case {
  name: string;
  setups: Setup[];
  files: Files;
  /** What is in the way, taken away at the end of the scope. */
  inTheWay?(place: Place, cwd: string): Promise<AsyncDisposable>;
  /** When amber is where it is to be interrupted. */
  ready(running: RunningCommand, place: Place): Promise<void>;
  /** What makes 0002 end by itself when it is run again. */
  mended: Files;
}

const first = { "migrations/0001_first.sql": "create table t (a integer); insert into t values (1);" };
const counting = (count: number) =>
  `insert into t with recursive g (i) as (select 1 union all select i + 1 from g where i < ${count}) select i from g;`;

const cases: Case[] = [
  {
    name: "a long statement",
    setups: [direct],
    files: { "migrations/0002_long.sql": "insert into t values (2); select pg_sleep(60); create table never (a int);" },
    ready: (_running, place) => untilActive(place, /pg_sleep/),
    mended: { "migrations/0002_long.sql": "insert into t values (2);" },
  },
  {
    name: "a long statement outside a transaction",
    setups: [direct],
    files: {
      "migrations/0002_long.sql": "-- migrate:up transaction:false\nselect pg_sleep(60);\ninsert into t values (2);",
    },
    ready: (_running, place) => untilActive(place, /pg_sleep/),
    mended: { "migrations/0002_long.sql": "-- migrate:up transaction:false\nselect 1;\ninsert into t values (2);" },
  },
  {
    name: "a long synchronous statement",
    setups: [wal, rollback],
    files: { "migrations/0002_long.sql": counting(100_000_000) },
    ready: async (running) => {
      await running.until('"type":"begin","name":"0002_long"');
      await new Promise((resolve) => setTimeout(resolve, 1_000)); // long enough for pages to reach the file
    },
    mended: { "migrations/0002_long.sql": "insert into t values (2);" },
  },
  {
    name: "waiting for the lock",
    setups: [direct],
    files: { "migrations/0002_more.sql": "insert into t values (2);" },
    inTheWay: (place, cwd) => anotherAmber(place, cwd),
    ready: (running) => running.until("waiting for another amber"),
    mended: {},
  },
  {
    name: "waiting for the write lock",
    setups: [wal, rollback],
    files: { "migrations/0002_more.sql": "insert into t values (2);" },
    inTheWay: (place) => Promise.resolve(writer(place)),
    ready: (running) => running.until("somebody else is writing"),
    mended: {},
  },
  {
    name: "waiting for a table lock",
    setups: [direct],
    files: { "migrations/0002_more.sql": "insert into t values (2); alter table t add column b int;" },
    inTheWay: (place) => transaction(place, "select * from t"),
    ready: (running) => running.until("waiting for a lock"),
    mended: {},
  },
];

for (const { name, setups, files, inTheWay, ready, mended } of cases) {
  for (const setup of setups) {
    for (const signal of Object.keys(statuses) as Signal[]) {
      testWith(setup.needs, `${signal} during ${name}, ${setup.name}`, async () => {
        await using place = await setup.open();
        await using folder = await tempFolder(first);
        refuseFailure(await amber(["migrate"], { cwd: folder.root, env: place.env }));
        await folder.write(files);
        {
          await using _held = await inTheWay?.(place, folder.root);
          await using running = spawnAmber(["migrate", "--json"], { cwd: folder.root, env: place.env });
          await ready(running, place);
          await refuseSlow(running, signal, () => running.kill(signal));
        }
        await folder.write(mended);
        refuseFailure(await amber(["migrate"], { cwd: folder.root, env: place.env }));
        assert.deepEqual(await place.sql("select a from t order by a"), [{ a: 1 }, { a: 2 }]);
        await place.refuseLeftovers({ wasKilled: true });
      });
    }
  }
}

for (const signal of Object.keys(statuses) as Signal[]) {
  testWith("postgres", `${signal} while the database is silent`, async () => {
    await using server = await startPostgres();
    await using folder = await tempFolder(first);
    const options = { cwd: folder.root, env: { DATABASE_URL: server.url("postgres") } };
    server.pause();
    try {
      await using running = spawnAmber(["migrate", "--json"], options);
      await running.until("waiting for the database", 30_000);
      await refuseSlow(running, signal, () => running.kill(signal));
    } finally {
      server.resume();
    }
    refuseFailure(await amber(["migrate"], options));
  });
}

const unshare = noNamespaces();
for (const setup of [direct, rollback]) {
  for (const signal of Object.keys(statuses) as Signal[]) {
    const name = `${signal} as PID 1 of a container, ${setup.name}`;
    const test = async () => {
      await using place = await setup.open();
      await using folder = await tempFolder(first);
      const slow = place.dialect === "postgres" ? "select pg_sleep(60);" : counting(100_000_000);
      await folder.write({ "migrations/0002_long.sql": `insert into t values (2); ${slow}` });
      const source = ["run", "-A", "--quiet", "--config", `${projectFolder}/deno.json`, `${projectFolder}/cli.ts`];
      await using running = spawnCommand(
        "unshare",
        ["--pid", "--fork", "--mount-proc", Deno.execPath(), ...source, "migrate", "--json"],
        { cwd: folder.root, env: place.env },
      );
      await running.until('"type":"begin","name":"0002_long"');
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const inside = Number(Deno.readTextFileSync(`/proc/${running.pid}/task/${running.pid}/children`).trim());
      await refuseSlow(running, signal, () => Deno.kill(inside, signal));
      await folder.write({ "migrations/0002_long.sql": "insert into t values (2);" });
      refuseFailure(await amber(["migrate"], { cwd: folder.root, env: place.env }));
      assert.deepEqual(await place.sql("select a from t order by a"), [{ a: 1 }, { a: 2 }]);
    };
    // Containers often may not make namespaces of their own, whatever else they may: that is no fault of the machine.
    if (unshare === undefined) testWith(setup.needs, name, test);
    else Deno.test({ name: `${name} (skipped: ${unshare})`, ignore: true, fn: test });
  }
}

function noNamespaces(): string | undefined {
  if (findProgram("unshare") === undefined) return "unshare is not installed";
  const tried = new Deno.Command("unshare", { args: ["--pid", "--fork", "--mount-proc", "true"], stderr: "piped" })
    .outputSync();
  return tried.success ? undefined : new TextDecoder().decode(tried.stderr).trim();
}

async function refuseSlow(running: RunningCommand, signal: Signal, send: () => void): Promise<void> {
  const started = performance.now();
  send();
  const { code, stdout, stderr } = await running.result;
  const tookMs = performance.now() - started;
  assert.equal(code, statuses[signal], `exit ${code}\n${stdout}\n${stderr}`);
  assert.ok(tookMs < limitMs, `it took ${Math.round(tookMs)} ms`);
  if (Deno.env.has("AMBER_TEST_TIMES")) console.log(`      ${Math.round(tookMs)} ms`);
}

/** Another run that holds the lock. */
async function anotherAmber(place: Place, cwd: string): Promise<AsyncDisposable> {
  await using other = await tempFolder({
    ...first,
    "migrations/0002_more.sql": "select pg_sleep(60);",
  });
  const running = spawnAmber(["migrate", "--json"], { cwd: other.root, env: place.env });
  await running.until('"type":"begin","name":"0002_more"');
  await untilActive(place, /pg_sleep/);
  assert.notEqual(cwd, other.root);
  return running;
}

function writer(place: Place): AsyncDisposable {
  const database = new DatabaseSync(place.address);
  database.exec("begin immediate");
  return { [Symbol.asyncDispose]: () => Promise.resolve(database.close()) };
}

async function transaction(place: Place, sql: string): Promise<AsyncDisposable> {
  const { default: postgres } = await import("postgres");
  const client = postgres(place.address, { max: 1, fetch_types: false });
  await client.unsafe(`begin; ${sql}`).simple();
  return { [Symbol.asyncDispose]: () => client.end({ timeout: 0 }) };
}

async function untilActive(place: Place, statement: RegExp): Promise<void> {
  const isThere = (rows: Record<string, unknown>[]) => rows.some((row) => statement.test(String(row.query)));
  const rows = await eventually(
    () =>
      place.sql(
        "select query from pg_stat_activity where state = 'active' and datname = current_database() and pid <> pg_backend_pid()",
      ),
    isThere,
    30_000,
  );
  assert.ok(isThere(rows), `never ran ${statement}`);
}

function refuseFailure({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }): void {
  assert.equal(code, 0, `exit ${code}\n${stdout}\n${stderr}`);
}
