import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Barrier, type BarrierOptions, holdAll } from "../../../lib/engines/sqlite/barrier.ts";
import { inspectPinned, openImage } from "../../../lib/engines/sqlite/image.ts";
import { Pins } from "../../../lib/engines/sqlite/pin.ts";
import type { EngineEvent } from "../../../lib/engines/engine.ts";
import { AmberError } from "../../../lib/errors.ts";
import { isLong } from "../../support/skip.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { Locker } from "./talking.ts";

const options: BarrierOptions = { stop: new AbortController().signal, report: () => {} };

Deno.test("barriers over three databases that others write are all taken, and pin one instant of all", async () => {
  const count = isLong ? 1_000 : 50;
  await using folder = await tempFolder();
  const paths = ["a.db", "b.db", "c.db"].map((name) => folder.path(name));
  createCounter(paths[0]!, "wal");
  createCounter(paths[1]!, "wal");
  createCounter(paths[2]!, "delete");
  // One goes through all three, so that at any instant a >= b >= c >= a - 1; the other keeps the first two busy.
  await using mover = new Locker(...paths);
  await using hammerer = new Locker(...paths);
  await mover.move();
  await hammerer.hammer(1);
  using barrier = await Barrier.open(paths, options);
  await using pins = await Pins.open(paths);
  const takenMs: number[] = [];
  const heldMs: number[] = [];
  const seen = new Set<number>();
  for (let round = 0; round < count; round++) {
    const started = performance.now();
    await barrier.hold();
    const held = performance.now();
    assert.deepEqual(paths.map((path) => barrier.isHeld(path)), [true, true, true]);
    const pinned = await pins.pin();
    const sources = paths.map((path) => inspectPinned(pinned.get(path)!, { isHeld: barrier.isHeld(path) })!);
    barrier.release();
    heldMs.push(performance.now() - held);
    takenMs.push(held - started);
    const [a, b, c] = sources.map((source, index) => {
      using image = openImage(source);
      return counterIn(image.read(0, image.pages), folder.path(`image_${index}.db`));
    }) as [number, number, number];
    assert.ok(a >= b && b >= c && c >= a - 1, `round ${round}: ${a}, ${b}, ${c}`);
    seen.add(a);
    for (const path of paths) await pins.unpin(path);
  }
  assert.ok(seen.size > count / 2, `only ${seen.size} different instants: did anybody write?`);
  assert.ok((await hammerer.calm()).got > 0);
  await mover.still();
  console.log(`${count} barriers over 3 databases: taken in ${spread(takenMs)}, held for ${spread(heldMs)}`);
});

Deno.test("writers of a WAL database wait briefly for a snapshot's instant", async () => {
  const count = isLong ? 500 : 60;
  await using folder = await tempFolder();
  const paths = ["a.db", "b.db"].map((name) => folder.path(name));
  for (const path of paths) createCounter(path, "wal");
  await using mover = new Locker(...paths);
  await mover.move();
  await pauseMs(300);
  const alone = await mover.still();
  using barrier = await Barrier.open(paths, options);
  await using pins = await Pins.open(paths);
  await mover.move();
  for (let round = 0; round < count; round++) {
    await barrier.hold();
    const pinned = await pins.pin();
    const sources = paths.map((path) => inspectPinned(pinned.get(path)!, { isHeld: true })!);
    barrier.release();
    for (const source of sources) {
      using image = openImage(source);
      image.read(0, image.pages);
    }
    for (const path of paths) await pins.unpin(path);
    await pauseMs(5);
  }
  const beside = await mover.still();
  const p99 = beside.toSorted((a, b) => a - b)[Math.floor(beside.length * 0.99)]!;
  console.log(`a commit takes ${spread(alone)} alone, ${spread(beside)} beside ${count} snapshots`);
  assert.ok(beside.length > count, `only ${beside.length} commits`);
  assert.ok(p99 < 50, `p99 of ${p99} ms`);
});

Deno.test("a database that somebody else keeps locked is named, and nothing is held afterwards", async () => {
  await using folder = await tempFolder();
  const paths = ["a.db", "b.db", "c.db"].map((name) => folder.path(name));
  for (const path of paths) createCounter(path, "wal");
  await using holder = new Locker(...paths);
  await using other = new Locker(...paths);
  await holder.hold(1);
  const started = performance.now();
  await assert.rejects(holdAll(paths, { ...options, roundMs: 400 }), (error) => {
    assert.ok(error instanceof AmberError);
    assert.deepEqual([error.code, error.exitStatus, error.where], ["DATABASE_BUSY", 5, paths[1]]);
    assert.match(error.message, /^Cannot take a snapshot now: the database ".*b\.db" was not free/);
    assert.match(error.hint!, /--wait/);
    return true;
  });
  assert.ok(performance.now() - started >= 400);
  assert.deepEqual([await other.gets(0), await other.gets(1), await other.gets(2)], [true, false, true]);
  await holder.free(1);
  using barrier = await holdAll(paths, options);
  assert.deepEqual([await other.gets(0), await other.gets(1), await other.gets(2)], [false, false, false]);
  barrier.release();
  assert.deepEqual([await other.gets(0), await other.gets(1), await other.gets(2)], [true, true, true]);
});

Deno.test("a database that cannot even be read now is busy, and not unreadable", async () => {
  await using folder = await tempFolder();
  const path = folder.path("a.db");
  createCounter(path, "delete");
  const writer = new DatabaseSync(path);
  writer.exec("begin exclusive");
  await assert.rejects(Barrier.open([path], { ...options, roundMs: 50 }), { code: "DATABASE_BUSY", where: path });
  writer.close();
  using barrier = await Barrier.open([path], options);
  assert.deepEqual(barrier.databases, [path]);
});

Deno.test("with a longer wait it is tried again, and says what it waits for", async () => {
  await using folder = await tempFolder();
  const path = folder.path("a.db");
  createCounter(path, "wal");
  await using holder = new Locker(path);
  await holder.hold();
  const events: EngineEvent[] = [];
  let freed: Promise<void> | undefined;
  const report = (event: EngineEvent) => {
    events.push(event);
    freed ??= holder.free();
  };
  using barrier = await holdAll([path], { ...options, report, roundMs: 100, waitMs: 30_000, random: () => 0 });
  await freed;
  assert.ok(barrier.isHeld(path));
  assert.ok(events[0]?.type === "waiting" && events[0].message.includes(path) && events[0].remainingSeconds === 30);
});

Deno.test("while one database is awaited, the others' writers are let go after a moment", async () => {
  await using folder = await tempFolder();
  const paths = ["a.db", "b.db", "c.db"].map((name) => folder.path(name));
  for (const path of paths) createCounter(path, "wal");
  await using holder = new Locker(...paths);
  await using writer = new Locker(...paths);
  await holder.hold(2);
  await writer.hammer(0);
  await assert.rejects(holdAll(paths, { ...options, roundMs: 2_000 }), { code: "DATABASE_BUSY" });
  const { longestMs, got } = await writer.calm();
  assert.ok(longestMs < 500, `somebody waited ${longestMs} ms for a lock that was of no use yet`);
  assert.ok(got > 0);
});

Deno.test("a signal ends the waiting, and nothing is held", async () => {
  await using folder = await tempFolder();
  const paths = ["a.db", "b.db"].map((name) => folder.path(name));
  for (const path of paths) createCounter(path, "wal");
  await using holder = new Locker(...paths);
  await holder.hold(1);
  const stop = new AbortController();
  const reason = new AmberError("INTERRUPTED", { message: "Stopped" });
  const started = performance.now();
  setTimeout(() => stop.abort(reason), 50);
  await assert.rejects(holdAll(paths, { ...options, stop: stop.signal }), (error) => error === reason);
  assert.ok(performance.now() - started < 2_000);
  assert.equal(await holder.gets(0), true);
});

Deno.test("databases of the caller are left alone, and count as held", async () => {
  await using folder = await tempFolder();
  const paths = ["a.db", "b.db"].map((name) => folder.path(name));
  for (const path of paths) createCounter(path, "delete");
  const mine = new DatabaseSync(paths[0]!);
  mine.exec("begin immediate");
  using barrier = await holdAll(paths, { ...options, held: new Set([paths[0]!]) });
  assert.deepEqual([barrier.isHeld(paths[0]!), barrier.isHeld(paths[1]!)], [true, true]);
  assert.deepEqual(barrier.databases.toSorted(), paths);
  barrier.release();
  assert.deepEqual([barrier.isHeld(paths[0]!), barrier.isHeld(paths[1]!)], [true, false]);
  mine.close();
});

Deno.test("what is no database is named, and what a killed writer left is rolled back before anybody waits", async () => {
  await using folder = await tempFolder({
    "text.db": "SQLite format 3\0, or so it says",
    "garbage.db": "g".repeat(5_000),
  });
  createCounter(folder.path("good.db"), "wal");
  createCounter(folder.path("crashed.db"), "delete");
  leaveHotJournal(folder.path("crashed.db"), folder.path("hot.db"));
  const paths = ["garbage.db", "good.db", "hot.db", "missing.db", "text.db"].map((name) => folder.path(name));
  using barrier = await Barrier.open(paths, options);
  assert.deepEqual([...barrier.unreadable.keys()], [paths[0], paths[3], paths[4]]);
  assert.match(barrier.unreadable.get(paths[0]!)!, /not a database/);
  assert.deepEqual(barrier.databases, [paths[1], paths[2]]);
  assert.throws(() => Deno.statSync(`${paths[2]}-journal`), Deno.errors.NotFound);
  assert.throws(() => Deno.statSync(paths[3]!), Deno.errors.NotFound, "a database was made");
  await barrier.hold();
  assert.equal(counterIn(Deno.readFileSync(paths[2]!), folder.path("image.db")), 0);
});

Deno.test("a barrier leaves a database as it was: nothing beside it, not even its time is another", async () => {
  for (const journal of ["wal", "delete"]) {
    await using folder = await tempFolder();
    const path = folder.path("a.db");
    createCounter(path, journal);
    Deno.utimeSync(path, 1_000_000_000, 1_000_000_000);
    {
      using barrier = await Barrier.open([path], options);
      await using pins = await Pins.open([path]);
      await barrier.hold();
      await pins.pin();
      barrier.release();
      await pins.facts(path);
    }
    assert.deepEqual(await folder.list(), ["a.db"]);
    assert.equal(Deno.statSync(path).mtime?.getTime(), 1_000_000_000_000);
  }
});

function createCounter(path: string, journal: string): void {
  const database = new DatabaseSync(path);
  database.exec(`pragma journal_mode = ${journal}; create table c (n integer); insert into c values (0)`);
  database.close();
}

/** A database as a killed writer leaves it: half its pages are new, the journal has the old ones. */
function leaveHotJournal(path: string, target: string): void {
  const writer = new DatabaseSync(path);
  writer.exec("pragma cache_size = 1; pragma cache_spill = 1; begin; update c set n = 7; create table pad (x)");
  for (let row = 0; row < 50; row++) writer.exec("insert into pad values (randomblob(4000))");
  for (const end of ["", "-journal"]) Deno.copyFileSync(path + end, target + end); // its locks are of no matter here
  assert.notDeepEqual(Deno.readFileSync(`${target}-journal`).subarray(0, 8), new Uint8Array(8));
  writer.close();
}

function counterIn(image: Uint8Array, path: string): number {
  Deno.writeFileSync(path, image);
  const database = new DatabaseSync(`file://${path}?immutable=1`, { readOnly: true });
  assert.equal(database.prepare("pragma integrity_check").get()!.integrity_check, "ok");
  const { n } = database.prepare("select n from c").get() as { n: number };
  database.close();
  Deno.removeSync(path);
  return n;
}

function spread(values: number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(1);
  return `${at(0.5)} ms (p50), ${at(0.99)} (p99), ${at(1)} (worst)`;
}

function pauseMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
