/** What a snapshot leaves when it is killed, or its store or its disk fails, at each step: design, faults 1, 2, 3 and 6. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { AmberError } from "../../lib/errors.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { type CallFault, faultyCalls } from "../stores/faulty_calls.ts";
import { leftovers } from "../stores/leftovers.ts";
import { spawnCommand } from "../support/command.ts";
import { faultyAt, FaultyStore, type StoreFault } from "../support/faulty_store.ts";
import { MemoryStore } from "../support/memory_store.ts";
import { type Random, random, runSeed } from "../support/random.ts";
import { type App, appIn } from "../support/restoring.ts";
import { isLong } from "../support/skip.ts";
import { readEverything, takeSnapshot } from "../support/taking.ts";
import { removeFolder, type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { ReadBack } from "./read_back.ts";
import { copyOf } from "./snapshot_races.ts";

const partialMs = 0; // a trace after each file

function noise(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(size, at + 65_536)));
  return bytes;
}

async function appFolder(): Promise<TempFolder & { app: App }> {
  const folder = await tempFolder({ "data/a.bin": noise(300_000), "data/uploads/b.bin": "b", "data/empty/": "" });
  using database = new DatabaseSync(folder.path("data/app.db"));
  database.exec("pragma journal_mode = wal; create table t (id integer primary key, x blob)");
  database.exec(
    "with recursive n (i) as (select 1 union all select i + 1 from n where i < 500) insert into t (x) select randomblob(900) from n",
  );
  return Object.assign(folder, { app: appIn(folder.root, { database: folder.path("data/app.db") }) });
}

function change({ data, database: file }: App, round: number): void {
  using database = new DatabaseSync(file);
  database.exec(`update t set x = randomblob(900) where id % 20 = ${round % 20}`);
  Deno.writeFileSync(`${data}/uploads/b.bin`, noise(120_000 + round));
}

/** So many of them, or all in a long run, in order. */
function some(all: readonly number[], wanted: number, dice: Random): number[] {
  return isLong ? [...all] : dice.shuffle(all).slice(0, wanted).sort((a, b) => a - b);
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

/** Amber's names in the data folder besides scratch: links of a run that was killed. */
function linksIn({ data }: App): string[] {
  return [...Deno.readDirSync(data)].map(({ name }) => name).filter((name) => /^\.amber-/.test(name));
}

/** The next snapshot works, is one more than there were, and nothing of what went wrong is left. */
async function assertMended(app: App, store: DirectoryStore, back: ReadBack): Promise<void> {
  const before = await back.check(store);
  await takeSnapshot(app, { store });
  assert.equal(await readEverything(store), before + 1);
  assert.deepEqual(linksIn(app), []);
  assert.deepEqual(leftovers(app.repository), []);
}

const script = new URL("./killed_snapshot.ts", import.meta.url).pathname;

Deno.test("killed at a step of the store, before and after it: committed snapshots read, the next one works", async (t) => {
  await using folder = await appFolder();
  const { app } = folder;
  const dice = random(runSeed());
  const child = async (when: string) => {
    const run = ["run", "-A", "--quiet", script, folder.root, when, JSON.stringify({ partialMs })];
    await using running = spawnCommand(Deno.execPath(), run, { cwd: folder.root });
    return await running.result;
  };
  const store = new DirectoryStore(app.repository);
  let kills = 0;
  for (const [what, wanted] of [["the first one", 4], ["a later one", 9]] as const) {
    const isFirst = what === "the first one";
    if (isFirst) await removeFolder(app.repository);
    else change(app, kills);
    const { stdout, stderr } = await child("none");
    assert.match(stdout, /calls/, stderr);
    const { calls } = JSON.parse(stdout) as { calls: number };
    const back = new ReadBack();
    let committed = await back.check(store);
    let killed = 0;
    for (const kind of ["before", "after"]) {
      for (const k of some(upTo(calls), wanted, dice)) {
        const story = `seed ${dice.seed}: ${what}, ${kind} call ${k}`;
        if (isFirst) await removeFolder(app.repository);
        change(app, kills);
        const { signal, code, stderr } = await child(`${kind}:${k}`);
        if (signal === "SIGKILL") killed++;
        else assert.equal(code, 0, `${story}\n${stderr}`); // with less to do there are fewer calls
        if (isFirst) committed = 0;
        const now = await back.check(store);
        assert.ok(now === committed || now === committed + 1, `${story}: ${now} after ${committed}`);
        committed = now;
      }
    }
    await assertMended(app, store, back);
    kills += killed;
    console.log(`  ${t.name}: ${what}, ${killed} kills at ${calls} calls, seed ${dice.seed}`);
  }
  assert.ok(kills >= 20, `${kills}`);
});

Deno.test("killed at random moments, the real command: what was committed stays, the next one works", async (t) => {
  await using folder = await appFolder();
  const { app } = folder;
  const dice = random(runSeed());
  const command = () =>
    spawnCommand(Deno.execPath(), [
      ...["run", "-A", "--quiet", new URL("../../cli.ts", import.meta.url).pathname, "snapshot"],
    ], { cwd: folder.root, env: { AMBER_REPOSITORY: app.repository, DB_PATH: "data/app.db" } });
  const store = new DirectoryStore(app.repository);
  const back = new ReadBack();
  let wholeMs = Infinity;
  for (let run = 0; run < 3; run++) {
    change(app, run);
    const started = performance.now();
    assert.equal((await command().result).code, 0);
    wholeMs = Math.min(wholeMs, performance.now() - started);
  }
  let committed = await back.check(store);
  let kills = 0;
  const rounds = isLong ? 300 : 10;
  for (let round = 0; round < rounds; round++) {
    change(app, round);
    await using running = command();
    // Chance: there is nothing to wait for. The first third of the time is Deno's, which loads the program.
    await new Promise((resolve) => setTimeout(resolve, wholeMs * (0.3 + 0.6 * dice.next())));
    running.kill("SIGKILL");
    if ((await running.result).signal === "SIGKILL") kills++;
    const now = await back.check(store);
    assert.ok(now === committed || now === committed + 1, `seed ${dice.seed}, round ${round}`);
    committed = now;
  }
  await assertMended(app, store, back);
  console.log(`  ${t.name}: ${kills} kills in ${rounds} runs of about ${Math.round(wholeMs)} ms, seed ${dice.seed}`);
  assert.ok(kills >= rounds / 2, `${kills}`);
});

/** The calls of a snapshot, from 1, to which a fault can happen. */
async function faultyCallsOf(app: App, store: MemoryStore, fault: StoreFault): Promise<number[]> {
  const answers: number[] = []; // bytes that each get gave
  const recording: MemoryStore = Object.assign(Object.create(store), {
    async get(...wanted: Parameters<MemoryStore["get"]>) {
      const place = answers.push(0) - 1; // several may be under way
      const bytes = await store.get(...wanted);
      answers[place] = bytes?.length ?? 0;
      return bytes;
    },
  });
  const counting = new FaultyStore(recording);
  await takeSnapshot(app, { store: counting, partialMs });
  const { log } = counting;
  let latest = ""; // what was put or removed last: a list without it is stale
  return log.flatMap(({ what, name }, index) => {
    if (what === "put" || what === "remove") latest = name;
    const isSpoilt = what === "get"
      ? answers.shift()! > 0 || fault === "before" || fault === "after"
      : fault !== "stale list" || latest.startsWith(name);
    return isSpoilt && faultyAt[fault].includes(what) ? [index + 1] : [];
  });
}

Deno.test("a store that fails at each call: never a snapshot that does not read", async (t) => {
  await using folder = await appFolder();
  const { app } = folder;
  const dice = random(runSeed());
  const counts: Record<string, number> = {};
  for (const fault of ["before", "after", "stale list", "short answer", "flipped bit"] satisfies StoreFault[]) {
    const first = new MemoryStore();
    const back = new ReadBack();
    await takeSnapshot(app, { store: first, partialMs });
    change(app, 3);
    let store = first;
    counts[fault] = 0;
    for (const k of some(await faultyCallsOf(app, copyOf(first), fault), 6, dice)) {
      change(app, k);
      store = copyOf(first); // so that the calls are those that were counted
      const before = await back.check(store);
      const faulty = new FaultyStore(store, { fault, failAt: k });
      const failure = await takeSnapshot(app, { store: faulty, partialMs }).then(() => undefined, (error) => error);
      const story = `seed ${dice.seed}, ${fault} at ${k}: ${JSON.stringify(faulty.log[k - 1])}: ${failure}`;
      assert.ok(failure === undefined || failure instanceof AmberError, story);
      const now = await back.check(store);
      // With its answer lost nobody can say that it exists, yet it may.
      assert.ok(failure === undefined || fault === "after" ? now <= before + 1 : now === before, story);
      if (failure === undefined) assert.equal(now, before + 1, story);
      counts[fault] += faulty.faults;
    }
    const before = await back.check(store);
    await takeSnapshot(app, { store });
    assert.equal(await readEverything(store), before + 1);
  }
  console.log(`  ${t.name}: ${JSON.stringify(counts)}, seed ${dice.seed}`);
  assert.ok(Object.values(counts).reduce((sum, one) => sum + one, 0) >= 25, JSON.stringify(counts));
});

Deno.test("a disk that fails at each file call of the store: told with its code, nothing half is committed or left", async (t) => {
  await using folder = await appFolder();
  const { app } = folder;
  const dice = random(runSeed());
  const store = new DirectoryStore(app.repository);
  const back = new ReadBack();
  await takeSnapshot(app, { store });
  change(app, 1);
  const counted = faultyCalls();
  await takeSnapshot(app, { store: new DirectoryStore(app.repository, { files: counted }), partialMs });
  const changing = ["open", "write", "sync", "mkdir", "rename", "chmod"];
  const fits: Partial<Record<CallFault, (what: string) => boolean>> = {
    ENOSPC: (what) => changing.includes(what),
    EIO: () => true,
    end: (what) => what === "read",
  };
  const counts: Record<string, number> = {};
  for (const [fault, isFitting] of Object.entries(fits) as [CallFault, (what: string) => boolean][]) {
    for (const k of some(upTo(counted.log.length).filter((k) => isFitting(counted.log[k - 1]!.what)), 9, dice)) {
      change(app, k);
      const before = await back.check(store);
      const files = faultyCalls({ fault, failAt: k });
      const faulty = new DirectoryStore(app.repository, { files });
      const failure = await takeSnapshot(app, { store: faulty, partialMs }).then(() => undefined, (error) => error);
      const story = `seed ${dice.seed}, ${fault} at ${k}: ${JSON.stringify(files.log[k - 1])}: ${failure}`;
      const now = await back.check(store);
      if (failure === undefined) assert.equal(now, before + 1, story);
      else {
        assert.ok(failure instanceof AmberError, story);
        assert.ok(failure.message.startsWith("Cannot ") && failure.hint, story);
        if (fault === "ENOSPC") assert.equal(failure.code, "STORE_FULL", story);
        // Its name is there before its folder is flushed: one that is told as failed may exist, and is whole then.
        assert.ok(now === before || now === before + 1, story);
      }
      const told = failure === undefined ? "survived" : failure.code;
      const outcome = files.log[k - 1] ? `${fault} ${told}` : "not reached";
      counts[outcome] = (counts[outcome] ?? 0) + 1;
    }
  }
  await assertMended(app, store, back);
  console.log(`  ${t.name}: ${JSON.stringify(counts)} of ${counted.log.length} calls, seed ${dice.seed}`);
  const told = Object.entries(counts).filter(([what]) => /STORE_/.test(what)).reduce(
    (sum, [, count]) => sum + count,
    0,
  );
  assert.ok(told >= 10, JSON.stringify(counts));
});
