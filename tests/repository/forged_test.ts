/**
 * Fault 16 of the design: whoever can write the store can hand amber anything. Every field of every object is replaced by
 * hostile values, with hashes made anew, so that everything is sound by its hash.
 */
import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import { compilePatterns } from "../../lib/patterns.ts";
import { readDrills } from "../../lib/repository/drills.ts";
import { packName } from "../../lib/repository/pack.ts";
import { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import { Repository } from "../../lib/repository/repository.ts";
import { sealLine, unsealLine } from "../../lib/repository/small_file.ts";
import type { PackRef, Snapshot } from "../../lib/repository/snapshot_file.ts";
import { entryLines } from "../../lib/repository/tree.ts";
import { verifyRepository } from "../../lib/repository/verify.ts";
import { exportSnapshot } from "../../lib/stories/export.ts";
import { listSnapshots } from "../../lib/stories/snapshots.ts";
import { restore } from "../../lib/stories/restore.ts";
import { forgeFile, forgeTree, storeFrames, storePack } from "../support/forge.ts";
import type { MemoryStore } from "../support/memory_store.ts";
import { type Random, random, runSeed } from "../support/random.ts";
import { isLong } from "../support/skip.ts";
import { copyOf, readAll, smallRepository } from "../support/small_repository.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

const rounds = isLong ? 1_000 : 70;
const never = new AbortController().signal;

// deno-lint-ignore no-explicit-any
type Json = any;

const numbers = [-1, 0, 1, 7, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 1e308, -1e308, 0.5];
const texts = [
  ...["", ".", "..", "../x", "/etc/passwd", "/database.db", "a/../../b", "a\0b", "a//b", "a/", "\ud800", "a\nb"],
  ...[
    "__proto__",
    "constructor",
    "x".repeat(70_000),
    "../".repeat(500),
    "packs/../../x",
    "0".repeat(64),
    "f".repeat(64),
  ],
];
const others = [null, true, [], {}, [[]], [null], { a: 1 }, [[1, 2, 3]], [1e308, -1, "x"]];

function hostile(chance: Random): Json {
  return chance.pick<Json>([() => chance.pick(numbers), () => chance.pick(texts), () => chance.pick<Json>(others)])();
}

/** Replaces, removes or adds one thing anywhere in a value; says what. */
function spoil(value: Json, chance: Random): string {
  const places: { holder: Json; key: string; path: string }[] = [];
  const walk = (holder: Json, path: string) => {
    for (const key of Object.keys(holder)) {
      places.push({ holder, key, path: `${path}.${key}` });
      if (typeof holder[key] === "object" && holder[key] !== null) walk(holder[key], `${path}.${key}`);
    }
  };
  walk(value, "");
  const { holder, key, path } = chance.pick(places);
  const how = chance.int(0, 9);
  if (how === 0) delete holder[key];
  else if (how === 1) {
    // Not by assigning: "__proto__" is to be a field as JSON has it.
    const more = { value: hostile(chance), enumerable: true, configurable: true, writable: true };
    Object.defineProperty(holder, chance.pick(texts), more);
  } else if (how === 2 && Array.isArray(holder)) holder.push(holder[Number(key)], hostile(chance));
  else holder[key] = hostile(chance);
  return `${path} ${how}: ${JSON.stringify(holder[key])?.slice(0, 60)}`;
}

/** Each forges a snapshot, or another object, and says what. */
const forgeries: Record<string, (store: MemoryStore, base: Snapshot, chance: Random, lines: string[]) => string> = {
  "snapshot file": (store, base, chance) => {
    let what = "";
    const change = (value: Json) => void (what = spoil(value, chance));
    forgeFile(store, base, change);
    return what;
  },
  "text of a snapshot file": (store, base, chance) => {
    const text = chance.pick([
      "",
      "null",
      "[]",
      "7",
      '"x"',
      "{",
      "[".repeat(100_000),
      `{"format":1e999}`,
      '{"format":2}',
    ]);
    forgeFile(store, base, () => text);
    return text.slice(0, 20);
  },
  "line of a tree": (store, base, chance, lines) => {
    const changed = [...lines];
    const i = chance.int(0, lines.length - 1);
    const value = JSON.parse(lines[i]!);
    const what = spoil(value, chance);
    changed[i] = JSON.stringify(value);
    forgeTree(store, base, [changed]);
    return `line ${i} ${what}`;
  },
  "runs of a tree": (store, base, chance, lines) => {
    const changed = lines.map((line) => JSON.parse(line));
    const file = chance.pick(changed.filter(({ r }) => r?.length > 0));
    const at = chance.int(0, file.r.length - 1);
    file.r[at] = chance.pick(numbers);
    if (chance.chance(0.3)) file.s = chance.pick(numbers);
    if (chance.chance(0.2)) file.r.push(...file.r);
    forgeTree(store, base, [changed.map((line) => JSON.stringify(line))]);
    return `${file.p} ${file.s} ${JSON.stringify(file.r).slice(0, 60)}`;
  },
  "order of a tree": (store, base, chance, lines) => {
    const text = chance.pick(["", "null", "[]", "{}", "[".repeat(1_000), '{"p":"a"}', '{"p":"a","from":4096,"r":[]}']);
    const ways: [string, string[][]][] = [
      ["reversed", [lines.toReversed()]],
      ["twice", [lines, lines]],
      ["one twice", [[...lines.slice(0, 2), ...lines.slice(1)]]],
      ["nothing", [[]]],
      [`a line ${text.slice(0, 20)}`, [[...lines, text]]],
      ["a link with something in it", [[linkTo("/tmp"), fileIn("a/b")]]],
      ["a file with something in it", [[fileIn("a"), fileIn("a/b")]]],
      ["a hard link to nothing", [[JSON.stringify({ ...JSON.parse(fileIn("b")), k: "h", to: "a" })]]],
      ["a hard link to a folder", [[folder("a"), JSON.stringify({ ...JSON.parse(fileIn("b")), k: "h", to: "a" })]]],
    ];
    const [what, blocks] = chance.pick(ways);
    if (blocks.flat().length > 0) forgeTree(store, base, blocks);
    else forgeFile(store, base, (value) => void (value.facts.tree = []));
    return what;
  },
  "table of contents": (store, base, chance, lines) => {
    const content = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
    let what = "";
    const pack = storePack(
      store,
      99,
      [[content.slice(0, 700), content.slice(700)], [new Uint8Array(5000).fill(1)]],
      (toc) => {
        // Everything but the random bytes and the hashes: magic, sizes, counts, frames, blocks, the size at the end.
        const at = chance.pick([0, 4, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, toc.byteLength - 4]);
        const now = toc.getUint32(at, true);
        const value = chance.pick([0, 1, now + 1, now - 1, 0x7fff_ffff, 0xffff_ffff, 1 << 20, 4 << 20, (4 << 20) + 1]);
        toc.setUint32(at, value, true);
        what = `${at}: ${now} → ${value}`;
      },
    );
    forgeNaming(store, base, pack, [[2, 99, 0]]);
    return what;
  },
  "what a snapshot says of a pack": (store, base, chance, lines) => {
    const content = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
    const pack = storePack(store, 99, [[content]]);
    const field = chance.pick(["size", "tocSize", "blocks"] as const);
    const value = chance.pick([...numbers, pack[field] + 1, pack[field] - 1, pack.size]);
    forgeNaming(store, base, { ...pack, [field]: value }, [[1, 99, 0]]);
    return `${field} ${value}`;
  },
  "amber.json": (store, _base, chance) => {
    const value = unsealLine(store.objects.get("amber.json")!.bytes) as Json;
    const what = spoil(value, chance);
    store.objects.get("amber.json")!.bytes = sealLine(value);
    return what;
  },
  "a drill": (store, _base, chance) => {
    const name = [...store.objects.keys()].find((one) => one.startsWith("drills/"))!;
    const value = unsealLine(store.objects.get(name)!.bytes) as Json;
    const what = spoil(value, chance);
    store.objects.get(name)!.bytes = sealLine(value);
    return what;
  },
};

function linkTo(target: string): string {
  return JSON.stringify({ p: "a", m: 0o777, u: 0, g: 0, t: 0, k: "l", to: target });
}

function folder(path: string): string {
  return JSON.stringify({ p: path, m: 0o755, u: 0, g: 0, t: 0, k: "d" });
}

function fileIn(path: string): string {
  const sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; // of nothing
  return JSON.stringify({ p: path, m: 0o644, u: 0, g: 0, t: 0, k: "f", s: 0, h: sha256, i: 1, r: [] });
}

/** A snapshot whose list of files is in this pack. */
function forgeNaming(store: MemoryStore, base: Snapshot, pack: PackRef, tree: number[][]): void {
  forgeFile(store, base, (value) => {
    value.packs.push([pack.number, pack.hash, pack.size, pack.tocSize, pack.blocks]);
    value.facts.tree = tree;
  });
}

/** What amber says; anything but an answer or an AmberError fails the test. */
async function said(what: string, work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return "read";
  } catch (error) {
    if (error instanceof AmberError && error.code !== "UNEXPECTED") return error.code;
    throw new Error(`${what}: ${error instanceof Error ? error.stack : error}`);
  }
}

/** Restores into a folder of its own, and looks whether anything else was touched. */
async function restoreInto(folder: TempFolder, store: MemoryStore, wanted: string): Promise<void> {
  await restore({
    repository: await Repository.open(store),
    ...{ data: folder.path("data"), scratch: folder.path("data/.amber"), wanted, to: folder.path("target") },
    ...{ exclude: compilePatterns([]), now: () => new Date(), stop: never, report: () => {} },
    random: (size) => crypto.getRandomValues(new Uint8Array(size)),
    takeSafety: () => Promise.reject(new Error("nothing is overwritten")),
  });
}

Deno.test(`forged repositories: refused or read, never a crash, a path outside or a flood (${rounds} times)`, async () => {
  await using folder = await tempFolder({ "outside/kept.txt": "kept" });
  using pool = new BlockPool();
  const { store, snapshots } = await smallRepository(folder);
  const base = snapshots[3]!;
  const lines = await linesOf(store, base, pool);
  const chance = random(runSeed());
  const before = [...await folder.list()];
  const counts: Record<string, Record<string, number>> = {};
  let mostBytes = 0;
  for (let round = 0; round < rounds; round++) {
    const kind = Object.keys(forgeries)[round % Object.keys(forgeries).length]!;
    const forged = copyOf(store);
    const old = new Set(forged.objects.keys());
    const what = forgeries[kind]!(forged, base, chance, lines);
    const name = [...forged.objects.keys()].find((one) => one.startsWith("snapshots/") && !old.has(one));
    const id = name?.slice(-69, -5) ?? base.hash;
    const story = `seed ${chance.seed}, round ${round}: ${kind}: ${what}`;

    const answers = [
      await said(`${story}: list`, () => listSnapshots(forged)),
      await said(`${story}: drills`, () => readDrills(forged)),
      await said(`${story}: read`, async () => readAll(forged, await (await Repository.open(forged)).find(id), pool)),
      await said(`${story}: verify`, () => verifyRepository(forged, pool, { nowMs: 0, stop: never, report: () => {} })),
    ];
    if (round % 3 === 0) {
      let room = 64 << 20;
      const write = (bytes: Uint8Array) => (room -= bytes.length) > 0;
      answers.push(
        await said(
          `${story}: export`,
          () => exportSnapshot({ store: forged, wanted: id, stop: never, report: () => {}, write }),
        ),
        await said(`${story}: restore`, () => restoreInto(folder, forged, id)),
      );
      await Deno.remove(folder.path("target"), { recursive: true }).catch(() => {});
      const after = (await folder.list()).filter((path) => !path.startsWith("data/.amber/"));
      assert.deepEqual(after, before, story);
      assert.equal(await folder.read("outside/kept.txt"), "kept", story);
    }
    counts[kind] ??= {};
    counts[kind][answers[2]!] = (counts[kind][answers[2]!] ?? 0) + 1;
    mostBytes = Math.max(mostBytes, Deno.memoryUsage().rss);
  }
  for (const [kind, answers] of Object.entries(counts)) console.log(`      ${kind}: ${JSON.stringify(answers)}`);
  console.log(`      resident memory at most ${Math.round(mostBytes / 1e6)} MB`);
});

async function linesOf(store: MemoryStore, base: Snapshot, pool: BlockPool): Promise<string[]> {
  const lines: string[] = [];
  for await (const entry of new SnapshotReader(store, base, pool).entries()) lines.push(...entryLines(entry));
  return lines;
}

Deno.test("a frame never opens to more than it declares, and a bomb costs no memory", async () => {
  await using folder = await tempFolder();
  using pool = new BlockPool();
  const { store, snapshots } = await smallRepository(folder);
  const base = snapshots[3]!;
  await readAll(store, base, pool);
  const bomb = bombOf(2 ** 33);
  assert.ok(bomb.length < 300_000);
  const before = Deno.memoryUsage().rss;
  for (const declared of [1, 100, 4 << 20]) {
    const forged = copyOf(store);
    const blocks = declared > 1 << 20
      ? Array.from({ length: 4 }, () => new Uint8Array(1 << 20))
      : [new Uint8Array(declared)];
    const pack = storeFrames(forged, 99, [{ bytes: bomb, blocks }]);
    forgeNaming(forged, base, pack, [[1, 99, 0]]);
    const [name] = [...forged.objects.keys()].filter((one) => one.startsWith("snapshots/") && !store.objects.has(one));
    const taken = await (await Repository.open(forged)).read(name!.slice("snapshots/".length, -".json".length));
    await assert.rejects(readAll(forged, taken, pool), { code: "OBJECT_DAMAGED" });
    const { findings } = await verifyRepository(forged, pool, { nowMs: 0, stop: never, report: () => {} });
    assert.deepEqual(findings.map(({ object }) => object), [packName(pack.hash)]);
  }
  const grown = (Deno.memoryUsage().rss - before) / 1e6;
  assert.ok(grown < 100, `it took ${Math.round(grown)} MB`);
});

/** A zstd frame of so many zeros (RFC 8878): blocks of 128 KiB, each one byte that is repeated. */
function bombOf(size: number): Uint8Array {
  const blocks = size / (128 << 10);
  const bytes = new Uint8Array(6 + blocks * 4);
  bytes.set([0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3]); // magic, no content size, a window of 128 KiB
  for (let i = 0; i < blocks; i++) {
    const header = (128 << 10) << 3 | 1 << 1 | (i === blocks - 1 ? 1 : 0);
    bytes.set([header & 0xff, header >> 8 & 0xff, header >> 16, 0], 6 + i * 4);
  }
  return bytes;
}

Deno.test("a snapshot file is bounded before it is read: 64 MiB, and 4 million parts", async () => {
  await using folder = await tempFolder();
  const { store, snapshots } = await smallRepository(folder);
  const base = snapshots[3]!;
  const read = async (text: string) => {
    const forged = copyOf(store);
    const name = forgeFile(forged, base, () => text);
    await (await Repository.open(forged)).read(name);
  };
  await assert.rejects(read(`"${"x".repeat(65 << 20)}"`), /it is larger than any/);
  await assert.rejects(read("[".repeat(5 << 20)), /it is larger than any/);
  await assert.rejects(read(`[${"{},".repeat(3 << 20)}0]`), /it is larger than any/);
  await assert.rejects(read(`"${"x".repeat(60 << 20)}"`), /it is no object/);
});
