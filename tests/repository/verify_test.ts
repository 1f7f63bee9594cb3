/** Faults 4 and 5 of the design: a bit flipped, an object cut, emptied, missing, swapped. Verify and reading agree. */
import assert from "node:assert/strict";
import { BlockPool } from "../../lib/repository/pool.ts";
import { packName } from "../../lib/repository/pack.ts";
import { readDrills } from "../../lib/repository/drills.ts";
import { isInShare, parseShare } from "../../lib/repository/share.ts";
import { idOf, type Snapshot } from "../../lib/repository/snapshot_file.ts";
import { type Verification, verifyRepository } from "../../lib/repository/verify.ts";
import { AmberError } from "../../lib/errors.ts";
import type { ObjectStore } from "../../lib/stores/store.ts";
import { FaultyStore } from "../support/faulty_store.ts";
import type { MemoryStore } from "../support/memory_store.ts";
import { type Random, random, runSeed } from "../support/random.ts";
import { isLong } from "../support/skip.ts";
import { copyOf, findAll, readAll, smallRepository } from "../support/small_repository.ts";
import { tempFolder } from "../support/temp_folder.ts";

const rounds = isLong ? 1_000 : 66;

async function verify(store: ObjectStore, pool: BlockPool, share?: string, nowMs = 0): Promise<Verification> {
  const options = { nowMs, stop: new AbortController().signal, report: () => {} };
  return await verifyRepository(store, pool, { ...options, ...(share ? { share: parseShare(share) } : {}) });
}

/** What reading every snapshot gives, by id: its paths, or the code of what was thrown. */
async function read(store: MemoryStore, snapshots: readonly Snapshot[], pool: BlockPool) {
  const found = new Map<string, Record<string, string> | string>();
  for (const one of snapshots) {
    try {
      found.set(idOf(one), await readAll(store, one, pool));
    } catch (error) {
      if (!(error instanceof AmberError)) throw error;
      found.set(idOf(one), error.code);
    }
  }
  return found;
}

type Kind = "amber.json" | "snapshot" | "drill" | "forgotten" | "frame" | "toc" | "random bytes";
const kinds: Kind[] = ["frame", "toc", "snapshot", "frame", "random bytes", "drill", "frame", "toc", "forgotten"];

/** An object of a kind, and the part of it that is of that kind. */
function choose(store: MemoryStore, kind: Kind, chance: Random): { name: string; from: number; size: number } {
  const folder = { "amber.json": "amber.json", snapshot: "snapshots/", drill: "drills/", forgotten: "forgotten/" };
  const prefix = folder[kind as keyof typeof folder] ?? "packs/";
  const name = chance.pick([...store.objects.keys()].filter((one) => one.startsWith(prefix)));
  const { bytes } = store.objects.get(name)!;
  if (prefix !== "packs/") return { name, from: 0, size: bytes.length };
  const tocSize = new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 4, true);
  const toc = bytes.length - tocSize;
  if (kind === "frame") return { name, from: 0, size: toc };
  return kind === "toc" ? { name, from: toc, size: tocSize } : { name, from: toc + 8, size: 16 };
}

Deno.test(`a flipped bit is found by verify, and reading delivers no wrong byte (${rounds} times)`, async () => {
  await using folder = await tempFolder();
  using pool = new BlockPool();
  const { store, snapshots } = await smallRepository(folder);
  const right = await read(store, snapshots, pool);
  assert.deepEqual((await verify(store, pool)).findings, []);
  const chance = random(runSeed());
  const counts: Partial<Record<Kind, number>> = {};
  let lost = 0;
  for (let round = 0; round < rounds; round++) {
    const kind = round % 22 === 21 ? "amber.json" : kinds[round % kinds.length]!;
    const damaged = copyOf(store);
    const { name, from, size } = choose(damaged, kind, chance);
    const at = from + chance.int(0, size - 1);
    damaged.objects.get(name)!.bytes[at]! ^= 1 << chance.int(0, 7);
    const what = `seed ${chance.seed}, round ${round}: ${kind}, byte ${at} of ${name}`;

    const { findings, damaged: ids } = await verify(damaged, pool);
    assert.deepEqual(findings.map(({ object }) => object), [name], what);
    assert.ok(findings[0]!.what.length > 5, what);
    const found = await read(damaged, snapshots, pool);
    for (const [id, paths] of found) {
      if (kind !== "snapshot") assert.equal(typeof paths === "string", ids.includes(id), `${what}: ${id}`);
      if (typeof paths === "string") lost++;
      else assert.deepEqual(paths, right.get(id), what);
    }
    if (kind === "snapshot") {
      const listed = (await findAll(damaged)).map(idOf);
      assert.deepEqual(snapshots.map(idOf).filter((id) => !listed.includes(id)), ids, what);
    }
    if (kind === "drill") assert.equal((await readDrills(damaged)).size, 1, what);
    if (kind === "amber.json") await assert.rejects(findAll(damaged), { code: "OBJECT_DAMAGED" }, what);
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  console.log(`      flipped and found: ${JSON.stringify(counts)}; snapshots that could not be read whole: ${lost}`);
  assert.ok(lost > rounds / 10, "hardly any flipped bit touched a snapshot: is this test still hitting packs?");
});

const wrongs = {
  "cut short": (bytes: Uint8Array, chance: Random) => bytes.slice(0, chance.int(1, bytes.length - 1)),
  "cut by a byte": (bytes: Uint8Array) => bytes.slice(0, -1),
  "made longer": (bytes: Uint8Array) => new Uint8Array([...bytes, 0]),
  emptied: () => new Uint8Array(0),
  zeroed: (bytes: Uint8Array) => new Uint8Array(bytes.length),
};

const wrongRounds = isLong ? 1_000 : 60;

Deno.test(`an object cut, emptied, missing or swapped is named, and other snapshots can be read (${wrongRounds} times)`, async () => {
  await using folder = await tempFolder();
  using pool = new BlockPool();
  const { store, snapshots } = await smallRepository(folder);
  const right = await read(store, snapshots, pool);
  const chance = random(runSeed());
  const counts: Record<string, number> = {};
  for (let round = 0; round < wrongRounds; round++) {
    const damaged = copyOf(store);
    const kind = chance.pick<Kind>(["frame", "frame", "snapshot", "drill", "forgotten", "amber.json"]);
    const { name } = choose(damaged, kind, chance);
    const others = [...damaged.objects.keys()].filter((one) =>
      one !== name && one.split("/")[0] === name.split("/")[0]
    );
    const how = chance.pick([
      ...Object.keys(wrongs),
      // Nothing says that a snapshot file, or a drill, was there: whoever removes one takes it away.
      ...(kind === "frame" || kind === "amber.json" ? ["missing"] : []),
      ...(others.length > 0 ? ["swapped"] : []),
    ]) as keyof typeof wrongs | "missing" | "swapped";
    const wrong = [name];
    const object = damaged.objects.get(name)!;
    if (how === "missing") damaged.objects.delete(name);
    else if (how === "swapped") {
      const other = chance.pick(others);
      wrong.push(other);
      [object.bytes, damaged.objects.get(other)!.bytes] = [damaged.objects.get(other)!.bytes, object.bytes];
    } else object.bytes = wrongs[how](object.bytes, chance);
    const what = `seed ${chance.seed}, round ${round}: ${how} ${name}`;

    const { findings, damaged: ids } = await verify(damaged, pool);
    assert.deepEqual(findings.map((one) => one.object), wrong.sort(), what);
    for (const [id, paths] of await read(damaged, snapshots, pool)) {
      if (kind !== "snapshot") assert.equal(typeof paths === "string", ids.includes(id), `${what}: ${id}`);
      if (typeof paths !== "string") assert.deepEqual(paths, right.get(id), what);
    }
    counts[`${how} ${kind === "frame" ? "pack" : kind}`] = (counts[`${how} ${kind === "frame" ? "pack" : kind}`] ?? 0) +
      1;
  }
  console.log(`      ${JSON.stringify(counts)}`);
});

Deno.test("a finding names snapshots and files, the newest sound snapshot is told", async () => {
  await using folder = await tempFolder();
  using pool = new BlockPool();
  const { store, snapshots } = await smallRepository(folder);
  const [first, second, safety, last] = snapshots as [Snapshot, Snapshot, Snapshot, Snapshot];
  const whole = await verify(store, pool);
  const { snapshots: count, trees, packs, packsRead, drills, forgotten, unused } = whole;
  assert.deepEqual({ count, trees, drills, forgotten, unused }, {
    count: 4,
    trees: 4,
    drills: 2,
    forgotten: 1,
    unused: { packs: 0, bytes: 0 },
  });
  assert.equal(packs, packsRead);
  assert.equal(whole.bytes, (await store.list("packs/")).reduce((sum, { size }) => sum + size, 0));
  assert.equal(whole.sound?.id, idOf(last));

  // The pack that the last one added holds its tree and what is new in it: nothing of the others.
  const damaged = copyOf(store);
  const own = last.packs.find(({ hash }) => !safety.packs.some((pack) => pack.hash === hash))!;
  damaged.objects.delete(packName(own.hash));
  const found = await verify(damaged, pool);
  assert.deepEqual(found.findings, [{
    ...{ object: packName(own.hash), what: "it is not there" },
    ...{ snapshots: [idOf(last)], lost: [idOf(last)], files: [], fileCount: 0 },
  }]);
  assert.equal(found.sound?.id, idOf(second));

  // The first pack holds the first files: they are in all of them, the first tree too.
  damaged.objects.set(packName(own.hash), store.objects.get(packName(own.hash))!);
  const { hash } = first.packs.find((pack) => pack.number === first.facts.tree[0]!.pack)!;
  damaged.objects.get(packName(hash))!.bytes = new Uint8Array(0);
  const [finding, ...none] = (await verify(damaged, pool)).findings;
  assert.deepEqual(none, []);
  assert.equal(finding!.snapshots.length, 4);
  assert.deepEqual(finding!.files.length, finding!.fileCount);
  assert.ok(finding!.files.includes("uploads/large.bin"), finding!.files.join());
});

Deno.test("seven days of a seventh read every pack once; the presence of all is looked at every day", async () => {
  await using folder = await tempFolder();
  using pool = new BlockPool();
  const { store, snapshots } = await smallRepository(folder);
  const day = 86_400_000;
  const { packs } = await verify(store, pool);
  let [read, trees] = [0, 0];
  for (let i = 0; i < 7; i++) {
    const part = await verify(store, pool, "1/7", Date.UTC(2027, 0, 1) + i * day);
    read += part.packsRead;
    trees += part.trees;
    assert.equal(part.snapshots, 4);
  }
  assert.deepEqual({ read, trees }, { read: packs, trees: 4 });

  const gone = copyOf(store);
  gone.objects.delete(packName(snapshots[3]!.packs[0]!.hash));
  for (let i = 0; i < 7; i++) assert.equal((await verify(gone, pool, "1/7", i * day)).findings.length, 1);

  for (const [text, days] of [["1/7", 7], ["2/7", 4], ["1/1", 1], ["3/30", 10], ["1/100", 100]] as const) {
    const share = parseShare(text);
    for (let byte = 0; byte < 256; byte++) {
      const hash = byte.toString(16).padStart(2, "0").padEnd(64, "0");
      const times = Array.from({ length: days }, (_, i) => isInShare(hash, share, (20_000 + i) * day));
      assert.ok(times.includes(true), `${text}: byte ${byte} is never read`);
    }
  }
  for (const text of ["0/7", "8/7", "1/0", "1/101", "7", "a/b", "-1/7", "1/7/2", ""]) {
    assert.throws(() => parseShare(text), { code: "USAGE" }, text);
  }
});

Deno.test("what is pruned, or stored, while verify runs is no damage", async () => {
  await using folder = await tempFolder();
  using pool = new BlockPool();
  const { store, snapshots, take } = await smallRepository(folder);
  const clean = new FaultyStore(store);
  await verify(clean, pool);
  for (let k = 1; k <= clean.calls; k++) {
    const copy = copyOf(store);
    const busy = new FaultyStore(copy, {
      beforeCall: (number) => {
        if (number !== k) return;
        const own = snapshots[3]!.packs.filter(({ hash }) => !snapshots[2]!.packs.some((pack) => pack.hash === hash));
        copy.objects.delete(`snapshots/${snapshots[3]!.name}.json`);
        for (const { hash } of own) copy.objects.delete(packName(hash));
      },
    });
    assert.deepEqual((await verify(busy, pool)).findings, [], `pruned at call ${k} of ${clean.calls}`);
  }
  await folder.write({ "data/new.txt": "new" });
  const busy = new FaultyStore(store, { beforeCall: async (number) => void (number === 12 && await take()) });
  assert.deepEqual((await verify(busy, pool)).findings, []);
});

Deno.test("a store that fails at any call never makes verify say that all is well", async () => {
  await using folder = await tempFolder();
  using pool = new BlockPool();
  const { store } = await smallRepository(folder);
  const clean = new FaultyStore(store);
  await verify(clean, pool);
  // From the second reading of a snapshot file on it is the lists of files that are read: of packs that have been verified.
  const second = clean.log.findIndex(({ name }, i) =>
    name.startsWith("snapshots/2") && clean.log.slice(0, i).some((one) => one.name === name)
  );
  let tried = 0;
  for (const fault of ["before", "flipped bit", "short answer"] as const) {
    for (let failAt = 1; failAt <= clean.calls; failAt++) {
      const faulty = new FaultyStore(store, { fault, failAt });
      let failed = false;
      try {
        failed = (await verify(faulty, pool)).findings.length > 0;
      } catch (error) {
        assert.ok(error instanceof AmberError, `${fault} at ${failAt}: ${error}`);
        failed = true;
      }
      if (faulty.faults === 0) continue; // that call was another one
      // A bit of a table of contents that is about blocks which are no list of files.
      if (fault === "flipped bit" && failAt > second && faulty.log[failAt - 1]!.name.startsWith("packs/")) continue;
      tried++;
      assert.ok(failed, `${fault} at call ${failAt}: ${faulty.log[failAt - 1]?.name}`);
    }
  }
  console.log(`      ${tried} calls that failed`);
  assert.ok(tried >= 25);
});

Deno.test("when the damaged packs are moved away, the next snapshot stores again what the data still have", async () => {
  await using folder = await tempFolder();
  using pool = new BlockPool();
  const { store, snapshots, take } = await smallRepository(folder);
  const right = await readAll(store, snapshots[3]!, pool);
  for (const [name, object] of store.objects) {
    if (name.startsWith("packs/")) object.bytes[chanceOf(name) % 1000]! ^= 4;
  }
  const { findings, damaged, sound } = await verify(store, pool);
  assert.equal(damaged.length, 4);
  assert.equal(sound, undefined);
  for (const { object } of findings) store.objects.delete(object);
  const again = await take();
  assert.deepEqual(await readAll(store, again, pool), right);
  assert.equal((await verify(store, pool)).sound?.id, idOf(again));
});

function chanceOf(name: string): number {
  return parseInt(name.slice(-4), 16);
}
