/** amber as a library: what an app that starts, or a test suite, does with mod.ts. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  AmberError,
  check,
  type DataOptions,
  drill,
  migrate,
  type MigrateEvent,
  type MigrateOptions,
  type PlannedStep,
  prune,
  restore,
  snapshot,
  verify,
  wipe,
} from "../../mod.ts";
import { command, projectFolder, spawnCommand } from "../support/command.ts";
import { makeDatabase, treeOf } from "../support/data_tree.ts";
import { type Need, testWith } from "../support/skip.ts";
import { type Files, type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { type Project, project } from "./project.ts";

interface Library extends Project {
  /** Options for this project's database and folder. */
  options: MigrateOptions;
}

function onBoth(name: string, files: Files, body: (at: Library) => Promise<void>): void {
  for (const engine of ["sqlite", "postgres"] as const) {
    const needs: Need[] = engine === "postgres" ? ["postgres"] : [];
    testWith(needs, `${engine}: ${name}`, async () => {
      await using made = await project(engine, files);
      const database = engine === "sqlite" ? `sqlite:${made.folder.path("app.db")}` : made.env.DATABASE_URL!;
      await body(Object.assign(made, { options: { database, migrations: made.folder.path("migrations") } }));
    });
  }
}

const three = {
  "migrations/0001_a.sql": "-- migrate:up\ncreate table a (x integer);\n-- migrate:down\ndrop table a;",
  "migrations/0002_b.sql": "-- migrate:up\ncreate table b (x integer);\n-- migrate:down\ndrop table b;",
  "migrations/0003_c.sql": "-- migrate:up\ninsert into a values (1);\n-- migrate:down\ndelete from a;",
};
const names = ["0001_a", "0002_b", "0003_c"];

onBoth(
  "migrate() brings the database up to date, and tells what happens instead of printing",
  three,
  async ({ options, history }) => {
    const events: MigrateEvent[] = [];
    const first = await migrate({ ...options, report: (event) => events.push(event) });
    assert.deepEqual(first, { applied: names, unapplied: [] });
    assert.deepEqual(
      events.map((
        event,
      ) => (event.type === "begin" || event.type === "applied" ? `${event.type} ${event.name}` : event.type)),
      ["start", "plan", ...names.flatMap((name) => [`begin ${name}`, `applied ${name}`])],
    );
    for (const event of events) if (event.type === "applied") assert.ok(event.durationMs >= 0);
    assert.equal(await history(), names.join(" "));
    events.length = 0;
    assert.deepEqual(await migrate({ ...options, report: (event) => events.push(event) }), {
      applied: [],
      unapplied: [],
    });
    assert.deepEqual(events.map((event) => event.type), ["start"]);
    assert.deepEqual(await check(options), { applied: 3 });
  },
);

onBoth("migrate() goes to a target, back, and only plans when asked", three, async ({ options, history }) => {
  const planned = await migrate({ ...options, plan: true });
  assert.deepEqual(
    planned.planned?.map(({ name, direction, kind, risky, atomic }) => ({ name, direction, kind, risky, atomic })),
    names.map((name) => ({ name, direction: "up", kind: "sql", risky: false, atomic: true })),
  );
  assert.deepEqual(planned.applied, []);
  assert.deepEqual((await migrate({ ...options, target: "2" })).applied, names.slice(0, 2));
  await assert.rejects(check(options), { code: "MIGRATIONS_PENDING", message: /1 migration is pending: 0003_c/ });
  assert.deepEqual((await migrate(options)).applied, ["0003_c"]);
  assert.deepEqual((await migrate({ ...options, back: 1 })).unapplied, ["0003_c"]);
  assert.deepEqual((await migrate({ ...options, target: "zero", oneTransaction: true })).unapplied, [
    "0002_b",
    "0001_a",
  ]);
  assert.equal(await history(), "");
});

onBoth("errors have codes, places and hints", {
  "migrations/0001_a.sql": "create table a (x integer);\ncreate tabel b;",
}, async (at) => {
  const { options } = at;
  const failed = async (changed: Partial<MigrateOptions>): Promise<AmberError> => {
    const error = await migrate({ ...options, ...changed }).catch((error) => error);
    assert.ok(error instanceof AmberError, String(error));
    return error;
  };
  const statement = await failed({});
  assert.deepEqual([statement.code, statement.exitStatus], ["STATEMENT_FAILED", 1]);
  assert.match(statement.where!, /migrations\/0001_a\.sql:2:\d+$/);
  assert.ok(statement.hint && statement.detail && statement.cause);
  assert.equal((await failed({ migrations: at.folder.path("gone") })).code, "MIGRATIONS_MISSING");
  assert.equal((await failed({ target: "9" })).code, "MIGRATION_UNKNOWN");
  assert.equal((await failed({ database: "mysql://root:s3cretpass@db/x" })).code, "DATABASE_URL_MALFORMED");
  const refused = await failed({ database: "postgres://u:s3cretpass@127.0.0.1:1/x", waitMs: 0 });
  assert.equal(refused.code, "DATABASE_SILENT");
  assert.doesNotMatch(
    `${refused.message}${refused.where}${refused.hint}${refused.detail}${Deno.inspect(refused)}`,
    /s3cretpass/,
  );
});

const risky = {
  "migrations/0001_a.sql": "create table a (x integer);",
  "migrations/0002_b.sql": "create table b (x integer);",
  "migrations/0003_c.sql": "update a set x = x + 1;",
  "migrations/0004_d.sql": "drop table b;",
};

onBoth("beforeRisky() is called once, under the lock, before a plan that could lose rows", risky, async (at) => {
  const calls: PlannedStep[][] = [];
  const options: MigrateOptions = {
    ...at.options,
    beforeRisky: async (plan) => {
      calls.push(plan);
      await assert.rejects(migrate({ ...at.options, waitMs: 200 }), { code: "LOCK_HELD" });
      assert.doesNotMatch(await at.history(), /0003_c/);
      return `snap-${calls.length}`;
    },
  };
  await migrate({ ...options, target: "2" });
  assert.equal(calls.length, 0, "nothing is risky on a database without rows");
  await at.sql("insert into a values (1)");
  const result = await migrate(options);
  assert.deepEqual([result.applied, result.snapshot], [["0003_c", "0004_d"], "snap-1"]);
  assert.equal(calls.length, 1);
  assert.deepEqual(calls[0]!.map(({ name, risky }) => [name, risky]), [["0003_c", true], ["0004_d", true]]);
  assert.deepEqual(await at.sql("select name, snapshot from amber_migrations order by name"), [
    { name: "0001_a", snapshot: null },
    { name: "0002_b", snapshot: null },
    { name: "0003_c", snapshot: "snap-1" },
    { name: "0004_d", snapshot: "snap-1" },
  ]);
  await migrate(options);
  assert.equal(calls.length, 1, "nothing to do: nothing is risky");
  await at.folder.write({ "migrations/0005_e.sql": "create table e (x integer);" });
  await migrate(options);
  assert.equal(calls.length, 1, "a new table is not risky");
});

onBoth("beforeRisky() is not called for a plan only, and what it throws stops everything", risky, async (at) => {
  await migrate({ ...at.options, target: "1" });
  await at.sql("insert into a values (1)");
  const beforeRisky = () => Promise.reject(new Error("the disk is full"));
  const { planned } = await migrate({ ...at.options, plan: true, beforeRisky });
  assert.deepEqual(planned!.map((step) => step.risky), [false, true, true]);
  await assert.rejects(migrate({ ...at.options, beforeRisky }), /the disk is full/);
  assert.equal(await at.history(), "0001_a", "nothing ran, not even what is not risky");
  assert.deepEqual((await migrate(at.options)).applied, ["0002_b", "0003_c", "0004_d"], "and the lock is free");
});

onBoth("a signal stops migrate() with its reason, and nothing is half done", {
  "migrations/0001_a.sql": "create table a (x integer);",
  "migrations/0002_slow.ts": `export async function up(db: any) {
    await db.exec("create table b (x integer)");
    for (let i = 0; i < 500; i++) {
      await db.exec("insert into b values (1)");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }`,
  "migrations/0003_c.sql": "create table c (x integer);",
}, async ({ options, history, fingerprint }) => {
  const reason = new Error("the app is shutting down");
  const stop = new AbortController();
  const running = migrate({
    ...options,
    signal: stop.signal,
    report: (event) =>
      event.type === "begin" && event.name === "0002_slow" && setTimeout(() => stop.abort(reason), 100),
  });
  const started = performance.now();
  await assert.rejects(running, (error) => error === reason);
  assert.ok(performance.now() - started < 8_000);
  assert.equal(await history(), "0001_a");
  assert.doesNotMatch(await fingerprint(), /table b|public\.b\b/);
  await assert.rejects(migrate({ ...options, signal: AbortSignal.abort(reason) }), (error) => error === reason);
  assert.equal(await history(), "0001_a");
});

testWith("postgres", "postgres: a signal ends a statement that runs in the server", async () => {
  await using at = await project("postgres", {
    "migrations/0001_a.sql": "create table a (x int); select pg_sleep(60);",
  });
  const reason = new Error("enough");
  const stop = new AbortController();
  setTimeout(() => stop.abort(reason), 500);
  const started = performance.now();
  const running = migrate({
    database: at.env.DATABASE_URL!,
    migrations: at.folder.path("migrations"),
    signal: stop.signal,
  });
  await assert.rejects(running, (error) => error === reason);
  assert.ok(performance.now() - started < 8_000, `${performance.now() - started} ms`);
  assert.equal(await at.history(), "");
});

onBoth("a signal ends the wait for another runner", three, async ({ options }) => {
  await migrate(options);
  const release = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const events: MigrateEvent[] = [];
  const stop = new AbortController();
  const reason = new Error("no longer");
  const first = migrate({
    ...options,
    target: "zero",
    beforeRisky: async () => {
      locked.resolve();
      await release.promise;
      return undefined;
    },
  });
  await locked.promise;
  const second = migrate({ ...options, target: "1", signal: stop.signal, report: (event) => events.push(event) });
  setTimeout(() => stop.abort(reason), 300);
  await assert.rejects(second, (error) => error === reason);
  release.resolve();
  assert.equal((await first).unapplied.length, 3);
});

onBoth("many migrate() at once in one process apply everything once", {
  ...three,
  ...Object.fromEntries(
    Array.from(
      { length: 10 },
      (_, i) => [`migrations/${String(i + 4).padStart(4, "0")}_n.sql`, "update a set x = x + 1;"],
    ),
  ),
}, async ({ options, sql }) => {
  const results = await Promise.all(Array.from({ length: 6 }, () => migrate(options)));
  const applied = results.flatMap((result) => result.applied);
  assert.equal(applied.length, 13);
  assert.equal(new Set(applied).size, 13);
  assert.deepEqual(await sql("select x from a"), [{ x: 11 }]);
});

onBoth("a long-lived process sees what changes in the folder, TypeScript too", {
  "migrations/0001_a.sql": "create table a (x integer);",
  "migrations/0002_code.ts": "export const up = (db: any) => db.exec('insert into gone values (1)');",
}, async ({ options, folder, sql }) => {
  await assert.rejects(migrate(options), { code: "CODE_FAILED" });
  await folder.write({
    "migrations/0002_code.ts": "export const up = (db: any) => db.exec('insert into a values (1)');",
  });
  assert.deepEqual((await migrate(options)).applied, ["0002_code"]);
  await folder.write({ "migrations/0003_more.sql": "insert into a values (2);" });
  assert.deepEqual((await migrate(options)).applied, ["0003_more"]);
  assert.deepEqual(await sql("select x from a order by x"), [{ x: 1 }, { x: 2 }]);
  await folder.write({ "migrations/0002_code.ts": "export const up = () => {};" });
  await assert.rejects(migrate(options), { code: "MIGRATION_DRIFT" });
});

onBoth("options that contradict each other are refused", three, async ({ options, history }) => {
  await assert.rejects(migrate({ ...options, target: "1", back: 1 }), { code: "USAGE" });
  for (const back of [0, -1, 1.5, NaN]) await assert.rejects(migrate({ ...options, back }), { code: "USAGE" });
  assert.equal(await history(), "");
});

interface App extends AsyncDisposable {
  folder: TempFolder;
  options: DataOptions;
  /** The configured database. */
  path: string;
}

/** An app with uploads, and a database in its data folder. */
async function app(files: Files = {}): Promise<App> {
  const folder = await tempFolder({ "data/uploads/cat.jpg": "a cat", ...files });
  const path = folder.path("data/app.db");
  makeDatabase(path, { rows: 20 });
  return {
    ...{ folder, path },
    options: { database: `sqlite:${path}`, data: folder.path("data"), repository: folder.path("repository") },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

Deno.test("snapshot(), drill(), verify(), restore(), wipe(), prune(): told in events, and each gives what the next needs", async () => {
  await using made = await app();
  const { options, folder } = made;
  const events: string[] = [];
  const told = { ...options, report: ({ type }: { type: string }) => events.push(type) };
  const planned = await snapshot({ ...told, plan: true });
  assert.deepEqual([planned.id, planned.planned?.files, events], [undefined, 2, []]);
  const before = treeOf(folder.path("data"));

  const first = await snapshot({ ...told, tags: ["first"] });
  assert.deepEqual([first.incomplete, first.snapshot?.tags, first.snapshot?.id], [false, ["first"], first.id]);
  assert.equal(first.snapshot?.databases[0]?.rows.notes, 20);
  assert.ok(events.includes("snapshot begins") && events.includes("progress"), events.join());

  const drilled = await drill(told);
  assert.deepEqual([drilled.ok, drilled.id, drilled.rows], [true, first.id, 20]);
  const verified = await verify(told);
  assert.deepEqual([verified.findings, verified.snapshots], [[], 1]);

  events.length = 0;
  const wiped = await wipe(told);
  assert.deepEqual([wiped.state, wiped.plan.files, wiped.plan.database?.tables], ["wiped", 1, ["notes"]]);
  assert.ok(events.indexOf("wipe plan") < events.indexOf("safety"), events.join());
  assert.equal(wiped.command, `amber restore ${wiped.safety}`);
  assert.deepEqual([...Deno.readDirSync(folder.path("data"))].map(({ name }) => name).sort(), [".amber", "app.db"]);

  events.length = 0;
  const restored = await restore(told);
  assert.deepEqual([restored.state, restored.snapshot?.id], ["restored", first.id], "never the safety one");
  assert.ok(events.includes("restore plan") && events.includes("decided"), events.join());
  assert.deepEqual(treeOf(folder.path("data")), before);

  const pruned = await prune({ ...told, keep: "1 last" });
  assert.deepEqual(pruned.snapshots.map(({ kind, keep }) => [kind, keep]), [["ordinary", true], ["safety", true]]);
  const removed = await prune({ ...told, remove: [wiped.safety!] });
  assert.deepEqual(removed.forgotten, [wiped.safety]);
});

Deno.test("restore() takes a part, paths, a time and another folder", async () => {
  await using made = await app();
  const { options, folder, path } = made;
  await snapshot(options);
  const between = new Date();
  await new Promise((later) => setTimeout(later, 1)); // two moments
  await folder.write({ "data/uploads/cat.jpg": "another cat", "data/more": "more" });
  using database = new DatabaseSync(path);
  database.exec("delete from notes");
  await snapshot(options);
  const count = () => database.prepare("select count(*) as count from notes").get()!.count;

  await restore({ ...options, at: between, part: "database" });
  assert.deepEqual([count(), await folder.read("data/uploads/cat.jpg")], [20, "another cat"]);
  await restore({ ...options, at: between, paths: ["uploads"] });
  assert.deepEqual([await folder.read("data/uploads/cat.jpg"), await folder.read("data/more")], ["a cat", "more"]);
  const elsewhere = await restore({ ...options, to: folder.path("elsewhere") });
  assert.deepEqual([elsewhere.safety, await folder.read("elsewhere/uploads/cat.jpg")], [undefined, "another cat"]);
  assert.equal((await restore({ ...options, ifEmpty: true })).state, "nothing");
});

Deno.test("what `confirm` throws stops restore() and wipe(), and nothing was done", async () => {
  await using made = await app();
  const { options, folder } = made;
  await snapshot(options);
  await folder.write({ "data/uploads/cat.jpg": "another cat" });
  const before = treeOf(folder.path("data"));
  const no = new Error("no");
  const seen: unknown[] = [];
  const confirm = (plan: unknown) => {
    seen.push(plan);
    throw no;
  };
  await assert.rejects(restore({ ...options, confirm }), (error) => error === no);
  await assert.rejects(wipe({ ...options, confirm }), (error) => error === no);
  assert.equal(seen.length, 2);
  assert.deepEqual(treeOf(folder.path("data")), before);
  assert.equal((await wipe({ ...options, plan: true, confirm })).state, "planned");
  assert.deepEqual((await verify(options)).snapshots, 1, "no safety snapshot either");
});

Deno.test("errors of the library have codes", async () => {
  await using made = await app();
  const { options, folder } = made;
  const postgres = { ...options, database: "postgres://u:s3cretpass@127.0.0.1:1/x" };
  await assert.rejects(restore(options), { code: "REPOSITORY_MISSING" });
  await assert.rejects(verify(options), { code: "REPOSITORY_MISSING" });
  await assert.rejects(wipe(postgres), { code: "DATABASE_SILENT" });
  const gone = { data: folder.path("gone"), database: `sqlite:${folder.path("gone.db")}` };
  await assert.rejects(snapshot({ ...options, ...gone }), { code: "DATA_MISSING" });
  await assert.rejects(prune({ ...options, keep: "often" }), { code: "USAGE" });
  await assert.rejects(snapshot(postgres), { code: "DATABASE_SILENT" });
  await snapshot(options);
  await assert.rejects(restore({ ...options, snapshot: "ffffffffff" }), { code: "SNAPSHOT_UNKNOWN" });
  const reason = new Error("the app is shutting down");
  await assert.rejects(snapshot({ ...options, signal: AbortSignal.abort(reason) }), (error) => error === reason);
});

Deno.test("nothing is printed, whatever happens", async () => {
  await using made = await app();
  await made.folder.write({
    "quiet.ts": `import { drill, prune, restore, snapshot, verify, wipe } from ${
      JSON.stringify(`${projectFolder}/mod.ts`)
    };
      const options = JSON.parse(Deno.args[0]);
      await snapshot(options); await snapshot(options);
      await drill(options); await verify(options); await wipe(options); await restore(options); await prune(options);
      await restore({ ...options, snapshot: "ff" }).catch(() => {});`,
  });
  const run = ["run", "-A", "--quiet", "--no-check", "--config", `${projectFolder}/deno.json`];
  const { code, stdout, stderr } = await command(
    Deno.execPath(),
    [...run, made.folder.path("quiet.ts"), JSON.stringify(made.options)],
    { cwd: made.folder.root },
  );
  assert.deepEqual([code, stdout, stderr], [0, "", ""]);
});

/** Another process that tries to write all the time; says how it went when its stdin ends. */
const intruder = `import { DatabaseSync } from "node:sqlite";
  const database = new DatabaseSync(Deno.args[0], { timeout: 0 });
  const tally = { refused: 0, written: 0 };
  console.log("begun");
  const go = () => {
    for (let i = 0; i < 20; i++) {
      try { database.exec("insert into notes (text) values ('intruder')"); tally.written++; }
      catch (error) { if (!/locked/.test(error.message)) throw error; tally.refused++; }
    }
    try { Deno.statSync(Deno.args[1]); setTimeout(go, 0); } catch { console.log(JSON.stringify(tally)); }
  };
  go();`;

for (const journal of ["wal", "delete"] as const) {
  Deno.test(`an app's own write transaction stays whole while snapshot() runs in its process, ${journal}`, async () => {
    await using made = await app({ "intruder.ts": intruder, "go": "" });
    const { options, folder, path } = made;
    // More to read, so that the intruder has time.
    for (let i = 0; i < 8; i++) {
      Deno.writeFileSync(folder.path(`data/uploads/${i}.bin`), crypto.getRandomValues(new Uint8Array(65_536)));
      Deno.truncateSync(folder.path(`data/uploads/${i}.bin`), 4_000_000);
    }
    using own = new DatabaseSync(path, { timeout: 0 });
    own.exec(`pragma journal_mode = ${journal}`);
    own.exec("begin immediate; insert into notes (text) values ('mine')");
    await using other = spawnCommand(
      Deno.execPath(),
      ["run", "-A", "--quiet", folder.path("intruder.ts"), path, folder.path("go")],
      { cwd: folder.root },
    );
    await other.until("begun");
    const first = await snapshot({ ...options, held: [path] });
    const second = await snapshot({ ...options, held: [path], reread: true });
    Deno.removeSync(folder.path("go"));
    const { stdout, stderr } = await other.result;
    const tally = JSON.parse(stdout.split("\n").at(-2)!);
    assert.ok(tally.refused > 20, stderr);
    assert.equal(tally.written, 0, "another process wrote inside our transaction: a lock was lost");
    own.exec("commit");
    assert.equal(own.prepare("select count(*) as count from notes").get()!.count, 21);
    assert.equal(own.prepare("pragma integrity_check").get()!.integrity_check, "ok");
    // What was not committed is in neither.
    for (const { snapshot: taken } of [first, second]) assert.equal(taken?.databases[0]?.rows.notes, 20);
  });
}

Deno.test("without `held` snapshot() does not wait for its own process for ever", async () => {
  await using made = await app();
  using own = new DatabaseSync(made.path, { timeout: 0 });
  own.exec("begin immediate");
  await assert.rejects(snapshot(made.options), { code: "DATABASE_BUSY", where: made.path });
  own.exec("insert into notes (text) values ('mine'); commit");
  assert.equal((await snapshot(made.options)).snapshot?.databases[0]?.rows.notes, 21);
});

Deno.test("an app's connections stay usable through snapshots, restores and wipes in its own process", async () => {
  await using made = await app();
  const { options, path } = made;
  using own = new DatabaseSync(path, { timeout: 5_000 });
  const count = own.prepare("select count(*) as count from notes");
  assert.equal(count.get()!.count, 20);
  const { id } = await snapshot(options);
  own.exec("insert into notes (text) values ('later')");
  await wipe(options);
  assert.throws(() => count.get(), /no such table/);
  await restore({ ...options, snapshot: id });
  assert.equal(count.get()!.count, 20);
  own.exec("insert into notes (text) values ('after')");
  assert.equal(count.get()!.count, 21);
  assert.equal(own.prepare("pragma integrity_check").get()!.integrity_check, "ok");
});
