/** Fault 7 of the design: several who work on one repository at once, with leaps of 30 hours between any two calls. */
import assert from "node:assert/strict";
import { packName } from "../../lib/repository/pack.ts";
import { copyOf, fileOf } from "../../lib/repository/listed_file.ts";
import { removeUnused } from "../../lib/repository/prune.ts";
import { decodeSnapshot, type PackRef } from "../../lib/repository/snapshot_file.ts";
import { FaultyStore } from "../support/faulty_store.ts";
import { MemoryStore } from "../support/memory_store.ts";
import { type Random, random, runSeed } from "../support/random.ts";
import { isLong } from "../support/skip.ts";
import { bringBack, hourMs, type Ledger, prune, Race, storePack, storeSnapshot, write } from "./actors.ts";

type Cast = ("write" | "prune" | "undo")[];

const undoMs = 20 * hourMs;

/** Some snapshots that share packs, some of them forgotten at times that matter, and packs that nothing names. */
async function makeRepository(r: Random, ledger: Ledger): Promise<MemoryStore> {
  const store = new MemoryStore({ nowMs: Date.UTC(2027, 0, 1) });
  let packs: PackRef[] = [];
  for (let i = r.int(1, 5); i > 0; i--) {
    packs = [...packs.filter(() => r.chance(0.7)), await storePack(store, r)];
    if (r.chance(0.2)) await storePack(store, r);
    const name = await storeSnapshot(store, packs, { timeMs: store.nowMs, by: r.text(20) });
    ledger.committed.add(name);
    store.nowMs += r.pick([hourMs, 30 * hourMs]);
    if (r.chance(0.4)) {
      const file = store.objects.get(`snapshots/${name}.json`)!;
      store.objects.set(copyOf(name, store.nowMs), { ...file, timeMs: store.nowMs });
      if (r.chance(0.8)) store.objects.delete(`snapshots/${name}.json`); // else a prune was killed in between
      store.nowMs += r.pick([hourMs, 19 * hourMs, 23 * hourMs, 30 * hourMs]);
    }
  }
  return store;
}

/** What must hold after each call of anybody. */
class Judge {
  readonly #present = new Set<string>();
  /** Those that were taken out: since when, by the store's time of the copy. */
  readonly #forgotten = new Map<string, number>();
  readonly #packs = new Map<string, string[]>();

  constructor(private readonly store: MemoryStore, private readonly ledger: Ledger) {}

  check(): void {
    const { objects, nowMs } = this.store;
    for (const name of this.ledger.committed) {
      const present = objects.get(fileOf(name));
      const copies = [...objects.keys()].filter((object) => object.startsWith(`forgotten/${name}.`));
      const file = present ?? objects.get(copies[0] ?? "");
      if (file && !this.#packs.has(name)) {
        this.#packs.set(name, decodeSnapshot(name, file.bytes).packs.map(({ hash }) => packName(hash)));
      }
      const lost = (this.#packs.get(name) ?? []).filter((pack) => !objects.has(pack));
      if (present && this.ledger.doubtful.has(name)) continue;
      if (present) {
        this.#present.add(name);
        this.#forgotten.delete(name);
        assert.deepEqual(lost, [], `a committed snapshot has lost packs: ${name}`);
        continue;
      }
      if (this.#present.delete(name)) {
        assert.ok(copies.length > 0, `it vanished without a copy: ${name}`);
        this.#forgotten.set(name, Math.max(...copies.map((copy) => objects.get(copy)!.timeMs)));
      }
      if (nowMs - (this.#forgotten.get(name) ?? 0) >= undoMs) continue;
      assert.ok(copies.length > 0, `forgotten less than 20 hours ago, and its copy is gone: ${name}`);
      assert.deepEqual(lost, [], `forgotten less than 20 hours ago, and its packs are gone: ${name}`);
    }
  }
}

function emptyLedger(): Ledger {
  const counts = { committed: 0, withdrawn: 0, forgotten: 0, packs: 0, "brought back": 0, "too late": 0 };
  return { committed: new Set(), doubtful: new Set(), counts };
}

async function race(
  cast: Cast,
  { seed, leaps, ledger, kills = false }: { seed: number; leaps: number; ledger: Ledger; kills?: boolean },
): Promise<void> {
  const r = random(seed);
  ledger.committed.clear();
  ledger.doubtful.clear();
  const store = await makeRepository(r, ledger);
  const judge = new Judge(store, ledger);
  let broken: unknown;
  const check = (what: string) => {
    try {
      if (broken === undefined) judge.check();
    } catch (error) {
      broken = new Error(`after ${what}`, { cause: error });
    }
  };
  const race = new Race(store, { random: r, leaps, check });
  for (const [i, what] of cast.entries()) {
    const own = { random: random(seed + 1_000 * (i + 1)), ledger };
    const work = { write: () => write, prune: () => prune, undo: () => bringBack }[what]();
    const callsLeft = kills && r.chance(0.5) ? r.int(1, 25) : Infinity;
    race.add(`${what} ${i}`, (store) => work(store, own), { callsLeft });
  }
  await race.run();
  const [failed] = race.errors();
  const error = broken ?? failed?.error;
  if (error !== undefined) {
    throw new Error(`AMBER_TEST_SEED=${seed} ${failed?.name ?? ""}\n${race.trace.join("\n")}`, { cause: error });
  }
}

const casts: Record<string, Cast> = {
  "two prunes": ["prune", "prune"],
  "a snapshot and a prune": ["write", "prune"],
  "two snapshots and a prune": ["write", "write", "prune"],
  "a snapshot and two prunes": ["write", "prune", "prune"],
  "a prune and an undo": ["prune", "undo"],
  "two prunes and an undo": ["prune", "prune", "undo"],
  "a snapshot, two prunes and two undos": ["write", "prune", "prune", "undo", "undo"],
};

const rounds = isLong ? 500 : 25;

for (const [name, cast] of Object.entries(casts)) {
  for (const leaps of [0, 1, 3]) {
    for (const kills of [false, true]) {
      const what = `${leaps} leaps of 30 hours${kills ? ", half of them killed" : ""}`;
      Deno.test(`${name} at once, ${what}, ${rounds} interleavings`, async () => {
        const ledger = emptyLedger();
        const seed = runSeed();
        for (let round = 0; round < rounds; round++) await race(cast, { seed: seed + round, leaps, ledger, kills });
        console.log(`  ${Object.entries(ledger.counts).map(([what, count]) => `${count} ${what}`).join(", ")}`);
      });
    }
  }
}

/** A running snapshot pauses for 30 hours, and meanwhile a prune lists what there is; its removals come when all is done. */
async function pauseBeforeTheLastLook(staleMs: number): Promise<{ lost: string[]; attempts: number }> {
  const ledger = emptyLedger();
  const store = new MemoryStore();
  await storeSnapshot(store, [await storePack(store, random(1))], { timeMs: store.nowMs });
  const written = Promise.withResolvers<void>();
  const listed = Promise.withResolvers<void>();
  const pruning = new FaultyStore(store, {
    beforeCall: async (_, what) => {
      if (what !== "remove") return;
      listed.resolve();
      await written.promise;
    },
  });
  let pruned: Promise<unknown> | undefined;
  const writing = new FaultyStore(store, {
    beforeCall: async (_, what, name) => {
      if (pruned || what !== "list" || name !== "packs/") return;
      store.nowMs += 30 * hourMs;
      pruned = removeUnused(pruning);
      await listed.promise;
    },
  });
  await write(writing, { random: random(4), ledger, staleMs });
  written.resolve();
  await pruned;
  const [name] = ledger.committed;
  const { packs } = decodeSnapshot(name!, store.objects.get(fileOf(name!))!.bytes);
  const lost = packs.filter(({ hash }) => !store.objects.has(packName(hash))).map(({ hash }) => hash);
  return { lost, attempts: ledger.counts.withdrawn + 1 };
}

Deno.test("a snapshot that paused while a prune looked starts over; without that rule it would lose packs", async () => {
  assert.deepEqual(await pauseBeforeTheLastLook(12 * hourMs), { lost: [], attempts: 2 });
  const careless = await pauseBeforeTheLastLook(Infinity);
  assert.equal(careless.attempts, 1);
  assert.ok(careless.lost.length > 0, "so this file would notice");
});
