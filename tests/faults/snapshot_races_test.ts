/** Snapshots beside each other and beside prune, and a store's clock that leaps: design, fault 7. */
import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import { forget, removeUnused } from "../../lib/repository/prune.ts";
import { Repository } from "../../lib/repository/repository.ts";
import { MemoryStore } from "../support/memory_store.ts";
import { type Random, random, runSeed } from "../support/random.ts";
import { type App, appIn } from "../support/restoring.ts";
import { isLong } from "../support/skip.ts";
import { contentsOf, packBytes, takeSnapshot } from "../support/taking.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { ReadBack } from "./read_back.ts";
import { copyOf, hourMs, Interleaving, pruneHard } from "./snapshot_races.ts";

/** Some files; each change gives new bytes. */
function change({ data }: App, dice: Random): void {
  for (let i = 0; i < 4; i++) {
    if (dice.chance(0.4)) continue;
    const bytes = crypto.getRandomValues(new Uint8Array(50_000));
    Deno.writeFileSync(`${data}/${dice.pick(["a", "m", "z"])}-${i}`, bytes);
  }
  const names = [...Deno.readDirSync(data)].map(({ name }) => name).filter((name) => /^[amz]/.test(name));
  // A moved file is found wherever the parent had it: its pack must be held all the while.
  if (names.length > 6) Deno.renameSync(`${data}/${dice.pick(names)}`, `${data}/zz-${dice.int(0, 3)}`);
}

const partialMs = 0; // one for each file

async function withStore(body: (app: App, store: MemoryStore) => Promise<void>): Promise<void> {
  await using folder = await tempFolder({ "data/fixed.txt": "fixed" });
  await body(appIn(folder.root), new MemoryStore());
}

const rounds = isLong ? 500 : 7;
for (
  const [name, { snapshots, prunes }] of Object.entries({
    "two snapshots": { snapshots: 2, prunes: 0 },
    "a snapshot and two prunes": { snapshots: 1, prunes: 2 },
    "two snapshots and a prune": { snapshots: 2, prunes: 1 },
  })
) {
  Deno.test(`${name} in ${rounds} orders, with leaps of 30 hours between any two calls: no snapshot loses a pack`, async () => {
    const dice = random(runSeed());
    const counts = { leaps: 0, refused: 0, steps: 0 };
    await withStore(async (app, store) => {
      const back = new ReadBack();
      for (let round = 0; round < rounds; round++) {
        const story = `seed ${dice.seed}, round ${round}`;
        if (round % 5 === 0) store.objects.clear(); // the more snapshots, the more calls
        change(app, dice);
        if (round % 5 === 0) await takeSnapshot(app, { store, partialMs });
        change(app, dice);
        const order = new Interleaving(store, dice, { leapChance: 0.015, mostLeaps: 3 });
        for (let i = 0; i < snapshots; i++) {
          order.add(`snapshot ${i}`, (gated) => takeSnapshot(app, { store: gated, partialMs }));
        }
        for (let i = 0; i < prunes; i++) order.add(`prune ${i}`, pruneHard);
        for (const { name, error } of await order.run()) {
          // That everything went away under it is a failure in words; anything else is ours.
          assert.ok(error instanceof AmberError, `${story}: ${name}: ${error}\n${order.trace.join("\n")}`);
          counts.refused++;
        }
        await readWhole(back, store, `${story}\n${order.trace.join("\n")}`);
        counts.leaps += order.leaps;
        counts.steps += order.trace.length;
        store.nowMs += 30 * hourMs;
        await removeUnused(store);
        await readWhole(back, store, `${story}, a day later\n${order.trace.join("\n")}`);
      }
    });
    console.log(
      `  ${rounds} orders of ${counts.steps} calls, ${counts.leaps} leaps, ${counts.refused} runs that failed in words`,
    );
    assert.ok(counts.leaps >= rounds && counts.refused < rounds / 2);
  });
}

async function readWhole(back: ReadBack, store: MemoryStore, story: string): Promise<void> {
  try {
    await back.check(store);
  } catch (error) {
    throw new Error(story, { cause: error });
  }
}

Deno.test("a machine that sleeps for 30 hours at each call of a snapshot: it starts over, and what it relied on is there", async () => {
  const dice = random(runSeed());
  await withStore(async (app, first) => {
    change(app, dice);
    await takeSnapshot(app, { store: first, partialMs });
    change(app, dice);
    const counting = new Interleaving(copyOf(first), dice, { leapChance: 0, mostLeaps: 0 });
    counting.add("snapshot", (gated) => takeSnapshot(app, { store: gated, partialMs }));
    assert.deepEqual(await counting.run(), []);
    const calls = counting.trace.length;
    const back = new ReadBack();
    let tried = 0;
    for (let k = 1; k <= calls; k += isLong ? 1 : Math.ceil(calls / 25)) {
      const store = copyOf(first);
      const sleeping = new Interleaving(store, dice, { leapChance: 0, mostLeaps: 0 });
      let call = 0;
      sleeping.add("snapshot", (gated) =>
        takeSnapshot(app, {
          store: Object.assign(
            Object.create(gated),
            everyCall(gated, async () => {
              if (++call !== k) return;
              store.nowMs += 30 * hourMs;
              await pruneHard(store); // all that may go, goes while it sleeps
              store.nowMs += 25 * hourMs;
              await removeUnused(store);
            }),
          ),
          partialMs,
        }));
      assert.deepEqual(await sleeping.run(), [], `at call ${k}`);
      await readWhole(back, store, `at call ${k}`);
      tried++;
    }
    console.log(`  ${tried} of ${calls} calls`);
    assert.ok(tried >= 15);
  });
});

type Store = ConstructorParameters<typeof Interleaving>[0] | object;
function everyCall(store: Store, before: () => Promise<void>): object {
  const names = ["get", "put", "list", "remove", "time", "tidy"] as const;
  const calls = store as Record<typeof names[number], (...args: unknown[]) => Promise<unknown>>;
  return Object.fromEntries(names.map((name) => [name, async (...args: unknown[]) => {
    await before();
    return await calls[name](...args);
  }]));
}

Deno.test("a killed run's trace names all that the next one may rely on, and is forgotten when that one is done", async () => {
  const dice = random(runSeed());
  await withStore(async (app, store) => {
    for (let i = 0; i < 6; i++) change(app, dice);
    const first = await takeSnapshot(app, { store, partialMs });
    for (let i = 0; i < 6; i++) change(app, dice);
    // Killed when its first trace is written: here, by a store that is gone from then on.
    const dead = new Error("killed");
    let isDead = false;
    const dying = Object.assign(
      Object.create(store),
      everyCall(store, () => isDead ? Promise.reject(dead) : Promise.resolve()),
    );
    const { put } = dying;
    dying.put = async (name: string, bytes: Uint8Array) => {
      await put(name, bytes);
      if (name.startsWith("snapshots/")) isDead = true;
    };
    await assert.rejects(takeSnapshot(app, { store: dying, partialMs }), dead);
    const repository = await Repository.open(store);
    const [partial] = (await repository.snapshots()).filter(({ kind }) => kind === "partial");
    const named = new Set(partial!.packs.map(({ hash }) => hash));
    for (const { hash } of first.snapshot.packs) assert.ok(named.has(hash));
    // The parent goes, and a day passes: the trace alone holds its packs.
    await forget(store, [first.snapshot.name]);
    store.nowMs += 25 * hourMs;
    await removeUnused(store);
    const before = await packBytes(store);
    const next = await takeSnapshot(app, { store });
    assert.equal(next.snapshot.parent, partial!.hash);
    assert.ok(await packBytes(store) - before < 700_000, "everything was stored again");
    assert.ok((await contentsOf(store, next.snapshot)).has("fixed.txt"));
    assert.deepEqual(await repository.names(), [next.snapshot.name]);
  });
});
