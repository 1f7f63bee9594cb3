/** Drills: a good snapshot is called good, each damage is found, and both are kept. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { AmberError } from "../../lib/errors.ts";
import { readDrills } from "../../lib/repository/drills.ts";
import { packName } from "../../lib/repository/pack.ts";
import { idOf, type Snapshot } from "../../lib/repository/snapshot_file.ts";
import type { ObjectStore } from "../../lib/stores/store.ts";
import { drill, type DrillEvent, type DrillResult } from "../../lib/stories/drill.ts";
import { snapshot } from "../../lib/stories/snapshot.ts";
import { verify } from "../../lib/stories/verify.ts";
import { forgeSnapshot, forgeTree } from "../support/forge.ts";
import { FaultyStore } from "../support/faulty_store.ts";
import { MemoryStore } from "../support/memory_store.ts";
import { random, runSeed } from "../support/random.ts";
import { isLong } from "../support/skip.ts";
import { copyOf, smallRepository } from "../support/small_repository.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

const never = new AbortController().signal;

async function run(
  folder: TempFolder,
  store: ObjectStore,
  stop = never,
): Promise<DrillResult & { events: DrillEvent[] }> {
  const events: DrillEvent[] = [];
  const result = await drill({
    store,
    scratch: folder.path("scratch"),
    by: "test@here",
    amber: "0.0.0",
    now: () => new Date(),
    stop,
    report: (event) => events.push(event),
  });
  return { ...result, events };
}

/** What a drill left in scratch. */
function left(folder: TempFolder): string[] {
  try {
    return [...Deno.readDirSync(folder.path("scratch"))].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** A repository with one snapshot of a database that `make` has filled. */
async function withDatabase(
  folder: TempFolder,
  make: (database: DatabaseSync, path: string) => void,
): Promise<{ store: MemoryStore; taken: Snapshot }> {
  await folder.write({ "data/": "" });
  const path = folder.path("data/app.db");
  {
    using database = new DatabaseSync(path);
    make(database, path);
  }
  const store = new MemoryStore();
  const { snapshot: taken } = await snapshot({
    ...{ store, data: folder.path("data"), database: { engine: "sqlite", path }, scratch: folder.path("scratch") },
    ...{ exclude: [], by: "test@here", amber: "0.0.0", now: () => new Date(), report: () => {} },
    stop: new AbortController().signal,
  });
  return { store, taken: taken! };
}

Deno.test("a good snapshot is restored, counted, and its drill is kept; nothing is left in scratch", async () => {
  await using folder = await tempFolder();
  const { store, snapshots } = await smallRepository(folder);
  const before = [...store.objects.keys()];
  const { events, ...result } = await run(folder, store);
  assert.deepEqual({ ok: result.ok, problems: result.problems, notes: result.notes }, {
    ok: true,
    problems: [],
    notes: [],
  });
  const newest = snapshots[3]!;
  assert.deepEqual(
    { id: result.id, files: result.files, bytes: result.bytes, databases: result.databases, rows: result.rows },
    { id: idOf(newest), files: newest.facts.files, bytes: newest.facts.bytes, databases: 1, rows: 3_520 },
  );
  assert.deepEqual(left(folder), []);
  assert.equal(events[0]!.type, "drill begins");
  assert.ok(events.some((event) => event.type === "progress" && event.done === newest.facts.bytes));
  const kept = (await readDrills(store)).get(newest.hash)!;
  assert.deepEqual({ ...kept, format: undefined }, {
    ...Object.fromEntries(Object.entries(result).filter(([key]) => key !== "id" && key !== "taken")),
    format: undefined,
  });
  const added = [...store.objects.keys()].filter((name) => !before.includes(name));
  assert.equal(added.length, 1);
  assert.match(added[0]!, new RegExp(`^drills/${newest.hash}-\\d{8}T\\d{6}Z\\.json$`));
});

Deno.test("the newest ordinary snapshot is drilled, a safety one only when there is no other", async () => {
  await using folder = await tempFolder();
  const { store, snapshots, take } = await smallRepository(folder);
  await take({ kind: "safety", before: "wipe" });
  assert.equal((await run(folder, store)).id, idOf(snapshots[3]!));
  for (const [i, { name }] of snapshots.entries()) if (i !== 2) store.objects.delete(`snapshots/${name}.json`);
  const { events, ok } = await run(folder, store);
  assert.equal(ok, true);
  assert.ok(events.some((event) => event.type === "note" && /no ordinary snapshot/.test(event.message)));
  await assert.rejects(run(folder, new MemoryStore()), { code: "REPOSITORY_MISSING" });
});

const rounds = isLong ? 200 : 25;

Deno.test(`a damaged store is found by a drill when the newest snapshot is touched, and named (${rounds} times)`, async () => {
  await using folder = await tempFolder();
  const { store, snapshots } = await smallRepository(folder);
  const chance = random(runSeed());
  const counts: Record<string, number> = {};
  for (let round = 0; round < rounds; round++) {
    const damaged = copyOf(store);
    const pack = chance.pick(snapshots[3]!.packs);
    const object = damaged.objects.get(packName(pack.hash))!;
    const how = chance.pick(["flipped", "flipped", "missing", "cut", "zeroed"]);
    if (how === "missing") damaged.objects.delete(packName(pack.hash));
    else if (how === "cut") object.bytes = object.bytes.slice(0, chance.int(0, object.bytes.length - 1));
    // Frames: what stands in the table of contents may be about blocks that no snapshot names any more.
    else if (how === "flipped") object.bytes[chance.int(0, pack.size - pack.tocSize - 1)]! ^= 1 << chance.int(0, 7);
    else object.bytes = new Uint8Array(object.bytes.length);
    const { ok, problems } = await run(folder, damaged);
    const what = `seed ${chance.seed}, round ${round}: ${how} ${pack.hash}`;
    // A flipped bit may be in a frame that only another snapshot needs: verify knows.
    const verified = await verify({ store: damaged, now: () => new Date(), stop: never, report: () => {} });
    assert.equal(ok, !verified.damaged.includes(idOf(snapshots[3]!)), what);
    assert.equal(ok, problems.length === 0, what);
    assert.equal((await readDrills(damaged)).get(snapshots[3]!.hash)?.ok, ok, what);
    counts[`${how} ${ok ? "not touched" : "found"}`] = (counts[`${how} ${ok ? "not touched" : "found"}`] ?? 0) + 1;
  }
  assert.deepEqual(left(folder), []);
  console.log(`      ${JSON.stringify(counts)}`);
});

/** What a forged or mistaken snapshot file says, and what the drill says to that. */
// deno-lint-ignore no-explicit-any
const lies: { what: string; change: (facts: any) => void; problem: RegExp }[] = [
  { what: "rows", change: (facts) => facts.databases[0].rows.notes++, problem: /table "notes" had 4 rows, and has 3/ },
  {
    what: "a table",
    change: (facts) => facts.databases[0].rows.gone = 1,
    problem: /table "gone" had 1 rows, and is not/,
  },
  {
    what: "the last migration",
    change: (facts) => facts.databases[0].migrations.last = "0009_other",
    problem: /stood at migration "0009_other" \(2 applied\), and stands at "0002_second" \(2 applied\)/,
  },
  {
    what: "migrations",
    change: (facts) => facts.databases[0].migrations.count = 7,
    problem: /\(7 applied\), and stands/,
  },
  {
    what: "none",
    change: (facts) => delete facts.databases[0].migrations,
    problem: /migration none, and stands at "0002/,
  },
  { what: "files", change: (facts) => facts.files++, problem: /says that it has 2 files/ },
  { what: "bytes", change: (facts) => facts.bytes += 10, problem: /its list has 1 with/ },
  {
    what: "a database",
    change: (facts) => facts.databases[0].path = "b.db",
    problem: /"b.db": the snapshot's list .* not/,
  },
];

for (const { what, change, problem } of lies) {
  Deno.test(`a snapshot that says something else than it holds is found: ${what}`, async () => {
    await using folder = await tempFolder();
    const { store, taken } = await withDatabase(folder, (database) =>
      database.exec(`
        create table notes (text); insert into notes values ('a'), ('b'), ('c');
        create table amber_migrations (name text, state text, applied_at text);
        insert into amber_migrations values ('0001_first', 'applied', '1'), ('0002_second', 'applied', '2'),
          ('0003_third', 'running', '3')`));
    assert.equal((await run(folder, store)).ok, true);
    const forged = copyOf(store);
    forgeSnapshot(forged, taken, ({ facts }) => void change(facts));
    forged.objects.delete(`snapshots/${taken.name}.json`);
    const { ok, problems } = await run(folder, forged);
    assert.equal(ok, false);
    assert.match(problems.join("\n"), problem);
  });
}

Deno.test("a database that was damaged already when the snapshot was taken fails the drill", async () => {
  await using folder = await tempFolder();
  const { store } = await withDatabase(folder, (database, path) => {
    database.exec("create table notes (id integer primary key, text); create index by_text on notes (text)");
    database.exec("insert into notes (text) values ('a'), ('b'), ('c')");
    const root = database.prepare("select rootpage from sqlite_schema where name = 'by_text'").get()!
      .rootpage as number;
    database.close();
    // The index says "b" where the table has "a".
    const bytes = Deno.readFileSync(path);
    const page = bytes.subarray((root - 1) * 4096, root * 4096);
    page[page.lastIndexOf("a".charCodeAt(0))] = "x".charCodeAt(0);
    Deno.writeFileSync(path, bytes);
  });
  const { ok, problems } = await run(folder, store);
  assert.equal(ok, false);
  assert.match(problems.join("\n"), /the database "app.db": integrity_check says: .*index by_text/);
});

Deno.test("what only the app can judge is a note: its functions and collations, old violations of its own rules", async () => {
  await using folder = await tempFolder();
  const { store } = await withDatabase(folder, (database) => {
    database.function("own", { deterministic: true }, (value) => String(value));
    database.exec(`
      create table notes (text, n integer not null check (n > 0)); create index by_own on notes (own(text));
      insert into notes values ('a', 1);
      pragma foreign_keys = off;
      create table parents (id integer primary key); create table children (parent references parents);
      insert into children values (7), (8)`);
  });
  const { ok, problems, notes } = await run(folder, store);
  assert.deepEqual({ ok, problems }, { ok: true, problems: [] });
  assert.match(notes.join("\n"), /integrity_check says: .*function: own/);
  assert.match(notes.join("\n"), /2 rows refer to missing ones \(children\)/);
});

Deno.test("without enough room nothing is written, and the error is about the disk", async () => {
  await using folder = await tempFolder();
  const { store, taken } = await withDatabase(folder, (database) => database.exec("create table notes (text)"));
  const blocks = 2 ** 30; // of 1 MiB
  const large = {
    ...{ p: "large", m: 0o644, u: 0, g: 0, t: 0, k: "f", i: 0 },
    ...{ s: blocks * 2 ** 20, h: "0".repeat(64), r: [blocks, 1, 0] },
  };
  forgeTree(store, taken, [[JSON.stringify(large)]]);
  store.objects.delete(`snapshots/${taken.name}.json`);
  await assert.rejects(run(folder, store), (error: AmberError) => {
    assert.equal(error.code, "DISK_FULL");
    assert.match(error.message, /are needed and .* are free/);
    return true;
  });
  assert.deepEqual(left(folder), []);
  assert.equal((await readDrills(store)).size, 0);
});

Deno.test("a newer snapshot whose file is damaged is not passed over in silence", async () => {
  await using folder = await tempFolder();
  const { store, snapshots } = await smallRepository(folder);
  store.objects.get(`snapshots/${snapshots[3]!.name}.json`)!.bytes[100]! ^= 1;
  const { ok, id, problems } = await run(folder, store);
  assert.deepEqual({ ok, id }, { ok: false, id: idOf(snapshots[1]!) });
  assert.match(problems.join(), /a newer snapshot: Cannot read the snapshot file/);
});

Deno.test("a result that cannot be stored is said, and never hides what was found", async () => {
  await using folder = await tempFolder();
  const { store, snapshots } = await smallRepository(folder);
  const clean = new FaultyStore(copyOf(store));
  await run(folder, clean);
  const put = clean.log.findIndex(({ what }) => what === "put") + 1;
  await assert.rejects(run(folder, new FaultyStore(store, { failAt: put })), { code: "STORE_FAILED" });
  store.objects.delete(packName(snapshots[3]!.packs[0]!.hash));
  const { ok, events } = await run(folder, new FaultyStore(store, { failAt: 0, times: Infinity, fault: "short put" }));
  assert.equal(ok, false);
  const refusing: ObjectStore = new Proxy(store, {
    get: (target, key) =>
      key === "put"
        ? () => Promise.reject(new AmberError("STORE_FULL", { message: "Cannot store: no room" }))
        : Reflect.get(target, key).bind?.(target) ?? Reflect.get(target, key),
  });
  const said = await run(folder, refusing);
  assert.equal(said.ok, false);
  assert.ok(said.events.some((event) => event.type === "note" && /could not be stored/.test(event.message)));
  assert.ok(events.length > 0);
});

Deno.test("a drill that is stopped leaves nothing behind, and a later one removes what a killed one left", async () => {
  await using folder = await tempFolder({
    "scratch/drill-0123456789abcdef/lock": "",
    "scratch/drill-0123456789abcdef/0": "x",
  });
  const { store } = await smallRepository(folder);
  const stop = new AbortController();
  const reason = new AmberError("INTERRUPTED", { message: "Stopped" });
  const seen: string[][] = [];
  await assert.rejects(
    drill({
      ...{ store, scratch: folder.path("scratch"), by: "test@here", amber: "0.0.0", now: () => new Date() },
      stop: stop.signal,
      report: (event) => {
        if (event.type !== "progress" || event.done < 1_000_000) return;
        seen.push(left(folder));
        stop.abort(reason);
      },
    }),
    reason,
  );
  assert.equal(seen[0]!.length, 1);
  assert.notEqual(seen[0]![0], "drill-0123456789abcdef");
  assert.deepEqual(left(folder), []);
  assert.equal((await readDrills(store)).size, 2);
});
