/** What a snapshot leaves when it is killed, or its store fails, at each of its steps: design, faults 1, 2, 3 and 7. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { AmberError } from "../../lib/errors.ts";
import { forget, removeUnused } from "../../lib/repository/prune.ts";
import { Repository } from "../../lib/repository/repository.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { spawnCommand } from "../support/command.ts";
import { FaultyStore, type StoreFault } from "../support/faulty_store.ts";
import { MemoryStore } from "../support/memory_store.ts";
import { random, runSeed } from "../support/random.ts";
import { isLong } from "../support/skip.ts";
import { readEverySnapshot, take } from "./storing.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

function noise(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(size, at + 65_536)));
  return bytes;
}

async function dataFolder(): Promise<TempFolder> {
  const folder = await tempFolder({ "data/a.bin": noise(2_500_000), "data/uploads/b.txt": "b", "data/empty/": "" });
  using database = new DatabaseSync(folder.path("data/app.db"));
  database.exec("pragma journal_mode = wal; create table t (id integer primary key, x blob)");
  database.exec(
    "with recursive n (i) as (select 1 union all select i + 1 from n where i < 1500) insert into t (x) select randomblob(900) from n",
  );
  return folder;
}

function change(data: string, round: number): void {
  using database = new DatabaseSync(`${data}/app.db`);
  database.exec(`update t set x = randomblob(900) where id % 40 = ${round % 40}`);
  Deno.writeTextFileSync(`${data}/uploads/b.txt`, `b ${round}`);
}

/** Steps to try: all of them in a long run, else some spread over all. */
function some(count: number, wanted: number): number[] {
  const all = Array.from({ length: count }, (_, i) => i + 1);
  return isLong || count <= wanted
    ? all
    : all.filter((k) => Math.floor(k * wanted / count) !== Math.floor((k - 1) * wanted / count));
}

const script = new URL("./killed_snapshot.ts", import.meta.url).pathname;

Deno.test("killed at a step of the store, before and after it: committed snapshots read, the next one works", async () => {
  await using folder = await dataFolder();
  const data = folder.path("data");
  const child = async (repository: string, when: string) => {
    await using running = spawnCommand(Deno.execPath(), ["run", "-A", "--quiet", script, data, repository, when], {
      cwd: folder.root,
    });
    return await running.result;
  };
  await take(data, new DirectoryStore(folder.path("clean")));
  change(data, 1);
  const { stdout } = await child(folder.path("clean"), "none");
  const { calls } = JSON.parse(stdout) as { calls: number };
  const store = new DirectoryStore(folder.path("repository"));
  let [committed, kills] = [0, 0];
  for (const kind of ["before", "after"]) {
    for (const k of some(calls + 4, isLong ? 1000 : 6)) {
      change(data, kills);
      const { signal } = await child(folder.path("repository"), `${kind}:${k}`);
      if (signal === "SIGKILL") kills++;
      const now = await readEverySnapshot(store).catch((error) => {
        if (error instanceof AmberError && error.code === "REPOSITORY_MISSING") return 0;
        throw error;
      });
      assert.ok(now >= committed, `${kind} ${k}: ${now} snapshots, ${committed} were committed`);
      committed = now;
    }
  }
  await take(data, store);
  assert.equal(await readEverySnapshot(store), committed + 1);
  assert.deepEqual(leftovers(data), []);
  assert.deepEqual((await store.list("")).filter(({ name }) => name.startsWith("tmp/")), []);
  console.log(`  ${kills} kills at ${calls} calls of the store`);
  assert.ok(kills >= 10);
});

Deno.test("killed at random moments, the real command: what was committed stays, the next one works", async () => {
  await using folder = await dataFolder();
  const data = folder.path("data");
  const dice = random(runSeed());
  const store = new DirectoryStore(folder.path("repository"));
  await take(data, store);
  let [committed, kills] = [1, 0];
  for (let round = 0; round < (isLong ? 300 : 15); round++) {
    change(data, round);
    await using running = spawnCommand(Deno.execPath(), [
      ...["run", "-A", "--quiet", new URL("../../cli.ts", import.meta.url).pathname, "snapshot"],
    ], {
      cwd: folder.root,
      env: { AMBER_REPOSITORY: folder.path("repository"), DB_PATH: "data/app.db" },
    });
    await new Promise((resolve) => setTimeout(resolve, 300 + dice.next() * 1_200));
    running.kill("SIGKILL");
    if ((await running.result).signal === "SIGKILL") kills++;
    const now = await readEverySnapshot(store);
    assert.ok(now >= committed, `seed ${dice.seed}, round ${round}`);
    committed = now;
  }
  await take(data, store);
  assert.equal(await readEverySnapshot(store), committed + 1);
  assert.deepEqual(leftovers(data), []);
  console.log(`  ${kills} kills`);
});

/** What killed runs leave in the data folder, and the next one must have removed. */
function leftovers(data: string): string[] {
  return [...Deno.readDirSync(data)].map(({ name }) => name).filter((name) => name.startsWith(".amber-"));
}

Deno.test("a store that fails at each call: never a snapshot that does not read", async () => {
  await using folder = await dataFolder();
  const data = folder.path("data");
  const counts: Record<string, number> = {};
  const each = isLong ? 1000 : 14;
  for (const fault of ["before", "after", "short answer", "flipped bit"] satisfies StoreFault[]) {
    const store = new MemoryStore();
    await take(data, store, { partialBytes: 1 << 20 });
    change(data, 3);
    const counted = new FaultyStore(store);
    await take(data, counted, { partialBytes: 1 << 20 });
    for (const k of some(counted.log.length, each)) {
      change(data, k);
      store.nowMs += 1_000;
      const faulty = new FaultyStore(store, { fault, failAt: k });
      try {
        await take(data, faulty, { partialBytes: 1 << 20 });
      } catch (error) {
        assert.ok(error instanceof AmberError, `${fault} at ${k}: ${error}`);
      }
      counts[fault] = (counts[fault] ?? 0) + faulty.faults;
    }
    const before = await readEverySnapshot(store);
    await take(data, store);
    assert.equal(await readEverySnapshot(store), before + 1);
  }
  console.log(`  failures: ${JSON.stringify(counts)}`);
  assert.ok(Object.values(counts).reduce((sum, one) => sum + one, 0) >= 20);
});

Deno.test("beside a prune, and with a store whose clock leaps 30 h between any two calls: no snapshot loses a pack", async () => {
  await using folder = await dataFolder();
  const data = folder.path("data");
  const dice = random(runSeed());
  const runs = isLong ? 500 : 25; // each stores and reads several snapshots
  let [leaps, refused, committed] = [0, 0, 0];
  for (let run = 0; run < runs; run++) {
    const store = new MemoryStore();
    await take(data, store, { partialBytes: 1 << 20 });
    change(data, run);
    store.nowMs += 3_600_000;
    await take(data, store);
    const leapAt = 1 + Math.floor(dice.next() * 40);
    const pruneAt = 1 + Math.floor(dice.next() * 40);
    const watched = new FaultyStore(store, {
      beforeCall: async (number) => {
        if (number === leapAt) {
          store.nowMs += 30 * 3_600_000;
          leaps++;
        }
        if (number === pruneAt || number === leapAt + 2) await prune(store);
      },
    });
    change(data, run + 7);
    try {
      await take(data, watched, { partialBytes: 1 << 20 });
      committed++;
    } catch (error) {
      if (!(error instanceof AmberError)) throw error;
      refused++;
    }
    await readEverySnapshot(store);
    store.nowMs += 30 * 3_600_000;
    await removeUnused(store);
    await readEverySnapshot(store);
  }
  console.log(`  ${runs} runs, ${leaps} leaps, ${committed} committed, ${refused} refused`);
  assert.ok(committed >= runs / 2);
});

/** Forgets all but the newest and frees what nothing uses. */
async function prune(store: MemoryStore): Promise<void> {
  const all = await (await Repository.open(store)).snapshots();
  await forget(store, all.slice(0, -1).map(({ name }) => name));
  await removeUnused(store);
}
