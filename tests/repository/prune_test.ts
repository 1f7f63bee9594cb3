/** Forgetting, removing what nothing uses, bringing back: one at a time, and with a failure at each call of the store. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { AmberError } from "../../lib/errors.ts";
import { copyOf, fileOf } from "../../lib/repository/listed_file.ts";
import { packName } from "../../lib/repository/pack.ts";
import { forget, type PruneEvent, removeUnused, undo } from "../../lib/repository/prune.ts";
import { decodeSnapshot, nameOf, readName } from "../../lib/repository/snapshot_file.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { FaultyStore, type StoreFault } from "../support/faulty_store.ts";
import { MemoryStore } from "../support/memory_store.ts";
import { random } from "../support/random.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { hourMs, storePack, storeSnapshot } from "./actors.ts";

/** What `make()` gives: hours before now at which each snapshot was stored, and what became of it. */
interface Told {
  /** Packs that it names, by letter. A pack is as old as the oldest that names it. */
  packs: string;
  storedAgo: number;
  /** Hours ago; it has left the snapshots then, unless `back`. */
  forgottenAgo?: number;
  back?: boolean;
}

interface Made {
  store: MemoryStore;
  /** Names of snapshots, by what they are called in the test. */
  names: Record<string, string>;
  /** Names of packs' objects, by letter. */
  packs: Record<string, string>;
}

/** A repository in memory. @param loose Packs that nothing names, with their age in hours. */
async function make(told: Record<string, Told>, loose: Record<string, number> = {}): Promise<Made> {
  const nowMs = Date.UTC(2001, 0, 1); // nothing may depend on the clock of this machine
  const store = new MemoryStore({ nowMs });
  const r = random(1);
  const made: Made = { store, names: {}, packs: {} };
  const refs = new Map<string, Awaited<ReturnType<typeof storePack>>>();
  const addPack = async (letter: string, ago: number) => {
    store.nowMs = nowMs - ago * hourMs;
    refs.set(letter, await storePack(store, r));
    made.packs[letter] = packName(refs.get(letter)!.hash);
  };
  for (const [letter, ago] of Object.entries(loose)) await addPack(letter, ago);
  for (const [called, { packs, storedAgo, forgottenAgo, back }] of Object.entries(told)) {
    for (const letter of packs) if (!refs.has(letter)) await addPack(letter, storedAgo);
    store.nowMs = nowMs - storedAgo * hourMs;
    const used = [...packs].map((letter) => refs.get(letter)!);
    const name = await storeSnapshot(store, used, { timeMs: store.nowMs, by: called });
    made.names[called] = name;
    if (forgottenAgo === undefined) continue;
    store.nowMs = nowMs - forgottenAgo * hourMs;
    await store.put(copyOf(name, store.nowMs), (await store.get(fileOf(name)))!);
    if (!back) await store.remove(fileOf(name));
  }
  store.nowMs = nowMs;
  return made;
}

const clone = (store: MemoryStore): MemoryStore => {
  const copy = new MemoryStore({ nowMs: store.nowMs });
  for (const [name, object] of store.objects) copy.objects.set(name, { ...object, bytes: object.bytes.slice() });
  return copy;
};

/** What is there, in the test's own words: `S a`, `F b`, `P x`. */
function shown({ store, names, packs }: Made): string[] {
  const called = [
    ...Object.entries(names).flatMap(([one, name]) => [[fileOf(name), `S ${one}`], [`forgotten/${name}`, `F ${one}`]]),
    ...Object.entries(packs).map(([letter, name]) => [name, `P ${letter}`]),
  ];
  return [...store.objects.keys()].map((object) => called.find(([begin]) => object.startsWith(begin!))?.[1] ?? object)
    .sort();
}

const idOf = (name: string) => readName(name)!.hash.slice(0, 10);

Deno.test("forget() copies a snapshot file before it removes it", async () => {
  const made = await make({ a: { packs: "x", storedAgo: 50 }, b: { packs: "x", storedAgo: 2 } });
  const store = new FaultyStore(made.store);
  const events: PruneEvent[] = [];
  const before = made.store.objects.get(fileOf(made.names.a!))!.bytes;
  const done = await forget(store, [made.names.a!], { report: (event) => events.push(event) });
  assert.deepEqual(done, [made.names.a]);
  assert.deepEqual(events, [{ type: "forgotten", name: made.names.a }]);
  assert.deepEqual(shown(made), ["F a", "P x", "S b"]);
  const copy = copyOf(made.names.a!, made.store.nowMs);
  assert.deepEqual(made.store.objects.get(copy), { bytes: before, timeMs: made.store.nowMs });
  const writes = store.log.filter(({ what }) => what === "put" || what === "remove");
  assert.deepEqual(writes, [{ what: "put", name: copy }, { what: "remove", name: fileOf(made.names.a!) }]);
  assert.equal(copy, `forgotten/${made.names.a}.20010101T000000000Z.json`);
});

Deno.test("forget() of one that somebody else forgot says so and goes on", async () => {
  const made = await make({ a: { packs: "x", storedAgo: 50, forgottenAgo: 1 }, b: { packs: "x", storedAgo: 2 } });
  const events: PruneEvent[] = [];
  const done = await forget(made.store, [made.names.a!, made.names.b!], { report: (event) => events.push(event) });
  assert.deepEqual(done, [made.names.b]);
  assert.deepEqual(events.map(({ type }) => type), ["already forgotten", "forgotten"]);
  assert.deepEqual(shown(made), ["F a", "F b", "P x"]);
});

Deno.test("forget() leaves a damaged snapshot file alone, unless it was named", async () => {
  const made = await make({ a: { packs: "x", storedAgo: 50 } });
  made.store.objects.get(fileOf(made.names.a!))!.bytes[20]! ^= 1;
  const before = clone(made.store).objects;
  await assert.rejects(forget(made.store, [made.names.a!]), {
    code: "OBJECT_DAMAGED",
    message: `Cannot forget the snapshot "${idOf(made.names.a!)}": its file does not have the hash that its name says`,
    hint: `If it is to go all the same: amber prune --remove ${idOf(made.names.a!)}`,
  });
  assert.deepEqual(made.store.objects, before);
  const forgetting = [made.names.a!];
  const planned = await removeUnused(made.store, { plan: true, forgetting });
  assert.deepEqual(await forget(made.store, forgetting, { damaged: true }), forgetting);
  assert.deepEqual(shown(made), ["F a", "P x"]);
  assert.ok(made.store.objects.has(copyOf(made.names.a!, made.store.nowMs, true)));
  // Nobody can tell what it named: it holds nothing back, and stays a day for whoever wants to mend it.
  assert.equal((await removeUnused(made.store, { forgetting })).packs, 1);
  assert.equal(planned.packs, 1);
  assert.deepEqual(shown(made), ["F a"]);
  await assert.rejects(undo(made.store, idOf(made.names.a!)), { code: "OBJECT_DAMAGED" });
  made.store.nowMs += 25 * hourMs;
  await removeUnused(made.store);
  assert.deepEqual(shown(made), []);
});

Deno.test("forget() makes another copy when hours have passed since the first, and removes nothing when it is too late", async () => {
  const made = await make({ a: { packs: "x", storedAgo: 50 } });
  let leaps = 2;
  const store = new FaultyStore(made.store, {
    beforeCall: (_, what, name) => {
      if (what === "get" && name.startsWith("forgotten/") && leaps-- > 0) made.store.nowMs += 30 * hourMs;
    },
  });
  await forget(store, [made.names.a!]);
  const copies = await made.store.list("forgotten/");
  assert.deepEqual(copies.map(({ timeMs }) => timeMs), [made.store.nowMs], "the two old copies are gone");
  const late = await make({ a: { packs: "x", storedAgo: 50 } });
  const other = new FaultyStore(late.store, {
    beforeCall: (_, what, name) => {
      if (what !== "get" || !name.startsWith("forgotten/")) return;
      late.store.nowMs += 30 * hourMs;
      late.store.objects.delete(fileOf(late.names.a!));
    },
  });
  assert.deepEqual(await forget(other, [late.names.a!]), [], "somebody else was first");
});

Deno.test("removeUnused() removes packs of a day ago that nothing names", async () => {
  const made = await make({
    kept: { packs: "ab", storedAgo: 100 },
    young: { packs: "bc", storedAgo: 90, forgottenAgo: 23.9 },
    old: { packs: "bcd", storedAgo: 80, forgottenAgo: 24.1 },
    back: { packs: "e", storedAgo: 70, forgottenAgo: 60, back: true },
  }, { loose: 24.1, fresh: 23.9 });
  const { store, names } = made;
  await store.put(`drills/${names.old}-20000101T000000Z.json`, new Uint8Array(10));
  await store.put(`drills/${readName(names.old!)!.hash}-20000101T000000Z.json`, new Uint8Array(10));
  await store.put(`drills/${idOf(names.old!)}-20000101T000000Z.json`, new Uint8Array(10));
  await store.put(`drills/${names.young}-20000101T000000Z.json`, new Uint8Array(10));
  await store.put("packs/aa/something-else", new Uint8Array(10));
  const before = shown(made);
  const planned = await removeUnused(store, { plan: true });
  assert.deepEqual(shown(made), before);
  const events: PruneEvent[] = [];
  const calls = new FaultyStore(store);
  const removed = await removeUnused(calls, { report: (event) => events.push(event) });
  assert.deepEqual(removed, planned);
  assert.deepEqual(removed, {
    packs: 2,
    bytes: 200,
    forgotten: [names.old],
    drills: 3,
    waiting: { packs: 1, bytes: 100 },
  });
  assert.deepEqual(
    shown(made),
    before.filter((one) => !["P d", "P loose", "F old"].includes(one) && !one.includes(idOf(names.old!))),
  );
  assert.deepEqual(calls.log.slice(0, 4).map(({ what, name }) => `${what} ${name}`), [
    "time ",
    "list snapshots/",
    "list forgotten/",
    "list snapshots/",
  ]);
  assert.deepEqual(
    events.map((event) => event.type === "removed" ? [event.object.split("/")[0], event.done, event.total] : []),
    [["packs", 1, 6], ["packs", 2, 6], ["drills", 3, 6], ["drills", 4, 6], ["drills", 5, 6], ["forgotten", 6, 6]],
  );
});

Deno.test("removeUnused() with plan and a known time does not even ask the store's clock, and says what will come free", async () => {
  const made = await make({ a: { packs: "xy", storedAgo: 50 }, b: { packs: "y", storedAgo: 40 } }, { loose: 30 });
  const store = new FaultyStore(made.store);
  const planned = await removeUnused(store, { plan: true, nowMs: made.store.nowMs, forgetting: [made.names.a!] });
  assert.deepEqual(planned, {
    packs: 1,
    bytes: 100,
    forgotten: [],
    drills: 0,
    waiting: { packs: 1, bytes: 100 }, // x; y stays for b
  });
  assert.deepEqual(new Set(store.log.map(({ what }) => what)), new Set(["list", "get"]));
});

Deno.test("removeUnused() does not read again what is known", async () => {
  const made = await make({ a: { packs: "x", storedAgo: 50 }, b: { packs: "y", storedAgo: 40 } });
  const known = await Promise.all(
    Object.values(made.names).map(async (name) => decodeSnapshot(name, (await made.store.get(fileOf(name)))!)),
  );
  const store = new FaultyStore(made.store);
  await removeUnused(store, { known });
  assert.deepEqual(store.log.filter(({ what }) => what === "get"), []);
  assert.deepEqual(shown(made), ["P x", "P y", "S a", "S b"]);
});

Deno.test("removeUnused() removes nothing when it cannot tell what a file names", async () => {
  const told = { a: { packs: "x", storedAgo: 50 }, b: { packs: "y", storedAgo: 40, forgottenAgo: 10 } };
  const loose = { loose: 30 };
  const cases: Record<string, { spoil: (made: Made) => Promise<void> | void; error: Partial<AmberError> }> = {
    "damaged": {
      spoil: ({ store, names }) => void (store.objects.get(fileOf(names.a!))!.bytes[20]! ^= 1),
      error: { code: "OBJECT_DAMAGED", hint: "amber prune --remove " },
    },
    "empty": {
      spoil: ({ store, names }) => void (store.objects.get(fileOf(names.a!))!.bytes = new Uint8Array()),
      error: { code: "OBJECT_DAMAGED" },
    },
    "of a newer format": {
      spoil: async ({ store }) => {
        const bytes = new TextEncoder().encode(`{"format":99}\n`);
        const name = nameOf("2000-12-31T00:00:00.000Z", createHash("sha256").update(bytes).digest("hex"));
        await store.put(fileOf(name), bytes);
      },
      error: { code: "REPOSITORY_NEWER", hint: "newer amber" },
    },
    "no snapshot by its name": {
      spoil: ({ store }) => store.put("snapshots/20270101T000000Z-abc.json", new Uint8Array(1)),
      error: { code: "OBJECT_DAMAGED", hint: "move it away" },
    },
    "forgotten and damaged": {
      spoil: ({ store, names }) => {
        const [copy] = [...store.objects.keys()].filter((name) => name.startsWith(`forgotten/${names.b}`));
        store.objects.get(copy!)!.bytes[20]! ^= 1;
      },
      error: { code: "OBJECT_DAMAGED", hint: "no longer counts" },
    },
    "strange in forgotten/": {
      spoil: ({ store }) => store.put("forgotten/strange", new Uint8Array(1)),
      error: { code: "OBJECT_DAMAGED" },
    },
  };
  for (const [name, { spoil, error }] of Object.entries(cases)) {
    const made = await make(told, loose);
    await spoil(made);
    const before = clone(made.store).objects;
    for (const plan of [true, false]) {
      await assert.rejects(removeUnused(made.store, { plan }), (found) => {
        assert.ok(found instanceof AmberError, `${name}: ${found}`);
        assert.equal(found.code, error.code, name);
        assert.match(found.message, /^Cannot remove unused packs: /);
        assert.match(found.hint!, /^Nothing was removed\. /);
        assert.ok(found.hint!.includes(error.hint ?? ""), found.hint);
        assert.match(found.where!, /^(snapshots|forgotten)\//);
        return true;
      });
      assert.deepEqual(made.store.objects, before, name);
    }
    // A day later nobody asks a forgotten file any more.
    if (!name.includes("forgotten")) continue;
    made.store.nowMs += 25 * hourMs;
    await removeUnused(made.store);
    assert.deepEqual(shown(made).filter((one) => !one.startsWith("forgotten")), ["P x", "S a"], name);
  }
  const made = await make(told, loose);
  await made.store.put("snapshots/.DS_Store", new Uint8Array(1));
  assert.equal((await removeUnused(made.store)).packs, 1, "what a file manager leaves is no snapshot file");
});

Deno.test("removeUnused() looks again when a running snapshot has replaced its partial file meanwhile", async () => {
  const made = await make({ a: { packs: "x", storedAgo: 50 } }, { y: 30, z: 30 });
  const { store } = made;
  const ref = (letter: string) => {
    const hash = made.packs[letter]!.slice(-64);
    return { number: 1, hash, size: 100, tocSize: 0, blocks: 1 };
  };
  const partial = (letters: string) =>
    storeSnapshot(store, [...letters].map(ref), { timeMs: store.nowMs, kind: "partial", by: letters });
  made.names.first = await partial("y");
  const faulty = new FaultyStore(store, {
    beforeCall: async (_, what, name) => {
      if (what !== "get" || name !== fileOf(made.names.first!) || made.names.second) return;
      made.names.second = await partial("yz");
      await store.remove(fileOf(made.names.first!));
    },
  });
  assert.equal((await removeUnused(faulty)).packs, 0);
  assert.deepEqual(shown(made), ["P x", "P y", "P z", "S a", "S second"]);
});

Deno.test("removeUnused() gives up when the store lists what it does not have", async () => {
  const made = await make({ a: { packs: "x", storedAgo: 50 } }, { loose: 30 });
  class Lying extends MemoryStore {
    override async list(prefix: string) {
      const listed = await super.list(prefix);
      const object = { name: fileOf(`20000101T000000Z-${"a".repeat(64)}`), size: 1, timeMs: 0 };
      return prefix === "snapshots/" ? [...listed, object] : listed;
    }
  }
  const store = new Lying({ nowMs: made.store.nowMs });
  for (const [name, object] of made.store.objects) store.objects.set(name, object);
  await assert.rejects(removeUnused(store), { code: "STORE_FAILED", hint: /^Nothing was removed/ });
  assert.equal(store.objects.size, made.store.objects.size);
});

Deno.test("undo() brings back what was forgotten less than 20 hours ago", async () => {
  const made = await make({ a: { packs: "xy", storedAgo: 50, forgottenAgo: 19.9 }, b: { packs: "y", storedAgo: 40 } });
  const before = shown(made);
  const planned = await undo(made.store, idOf(made.names.a!), { plan: true, nowMs: made.store.nowMs });
  assert.deepEqual([planned.snapshot.name, planned.wasThere], [made.names.a, false]);
  assert.deepEqual(shown(made), before);
  const done = await undo(made.store, idOf(made.names.a!).toUpperCase());
  assert.deepEqual([done.snapshot.name, done.wasThere], [made.names.a, false]);
  assert.deepEqual(
    shown(made),
    ["F a", "P x", "P y", "S a", "S b"],
    "the copy stays, for one who is just forgetting it",
  );
  assert.equal((await undo(made.store, idOf(made.names.a!))).wasThere, true);
  // Forgotten again it has its 20 hours again.
  made.store.nowMs += 19 * hourMs;
  await forget(made.store, [made.names.a!]);
  made.store.nowMs += 19 * hourMs;
  await removeUnused(made.store);
  assert.equal((await undo(made.store, idOf(made.names.a!))).wasThere, false);
  made.store.nowMs += 100 * hourMs;
  assert.equal((await removeUnused(made.store)).packs, 0);
});

Deno.test("undo() says why it cannot", async () => {
  const told: Record<string, Told> = {
    late: { packs: "x", storedAgo: 50, forgottenAgo: 20 },
    robbed: { packs: "yz", storedAgo: 50, forgottenAgo: 1 },
    cut: { packs: "w", storedAgo: 50, forgottenAgo: 1 },
    kept: { packs: "v", storedAgo: 50 },
  };
  const made = await make(told);
  made.store.objects.delete(made.packs.z!);
  made.store.objects.get(made.packs.w!)!.bytes = new Uint8Array(50);
  const before = clone(made.store).objects;
  const id = (called: string) => idOf(made.names[called]!);
  const cases: [string, string, RegExp][] = [
    [id("late"), "SNAPSHOT_UNKNOWN", /it was forgotten 20 h ago, and only for 20 h its packs are sure to be there/],
    [id("robbed"), "OBJECT_MISSING", /1 of its 2 packs are gone/],
    [id("cut"), "OBJECT_MISSING", /1 of its 1 packs are not as it left them \(50 bytes instead of 100\)/],
    [id("kept"), "SNAPSHOT_UNKNOWN", /no forgotten snapshot has an id that begins like that/],
    ["latest", "SNAPSHOT_UNKNOWN", /no forgotten snapshot/],
    ["", "SNAPSHOT_UNKNOWN", /no forgotten snapshot/],
  ];
  for (const [wanted, code, message] of cases) {
    await assert.rejects(
      undo(made.store, wanted),
      { code, message: new RegExp(`^Cannot bring back "${wanted}": `) },
      wanted,
    );
    await assert.rejects(undo(made.store, wanted), { code, message }, wanted);
  }
  assert.deepEqual(made.store.objects, before);
});

Deno.test("undo() asks for more of an id that two have", async () => {
  const told = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [`s${i}`, { packs: "x", storedAgo: 50 + i, forgottenAgo: 1 }]),
  );
  const made = await make(told);
  const counts = Map.groupBy(Object.values(made.names), (name) => readName(name)!.hash[0]!);
  const [letter] = [...counts].find(([_, some]) => some.length > 1)!;
  await assert.rejects(undo(made.store, letter), {
    code: "SNAPSHOT_AMBIGUOUS",
    hint: /^Write more of it: [0-9a-f]{10}, /,
  });
});

Deno.test("undo() takes back what came too late because of a pause", async () => {
  const made = await make({ a: { packs: "x", storedAgo: 50, forgottenAgo: 1 } });
  const store = new FaultyStore(made.store, {
    beforeCall: (_, what) => {
      if (what === "put") made.store.nowMs += 30 * hourMs;
    },
  });
  await assert.rejects(undo(store, idOf(made.names.a!)), {
    code: "SNAPSHOT_UNKNOWN",
    message: /forgotten 1 d 7 h ago/,
  });
  assert.deepEqual(shown(made), ["F a", "P x"]);
});

Deno.test("a folder as store: forgotten, brought back, and a day later gone", async () => {
  await using folder = await tempFolder();
  const store = new DirectoryStore(folder.path("repository"));
  const r = random(1);
  const [x, y] = [await storePack(store, r), await storePack(store, r)];
  const a = await storeSnapshot(store, [x!, y!], { timeMs: Date.UTC(2026, 0, 1) });
  await storeSnapshot(store, [y!], { timeMs: Date.UTC(2026, 0, 2) });
  const age = async (prefix: string, hours: number) => {
    for (const { name, timeMs } of await store.list(prefix)) {
      const time = new Date(timeMs - hours * hourMs);
      await Deno.utime(folder.path(`repository/${name}`), time, time);
    }
  };
  await age("", 48);
  await forget(store, [a]);
  assert.deepEqual(await removeUnused(store), {
    packs: 0,
    bytes: 0,
    forgotten: [],
    drills: 0,
    waiting: { packs: 1, bytes: 100 },
  });
  assert.equal((await undo(store, readName(a)!.hash)).wasThere, false);
  assert.equal((await store.list("snapshots/")).length, 2);
  await forget(store, [a]);
  await age("forgotten/", 21);
  await assert.rejects(undo(store, idOf(a)), { code: "SNAPSHOT_UNKNOWN", message: /forgotten 21 h ago/ });
  await age("forgotten/", 4);
  const removed = await removeUnused(store);
  assert.deepEqual([removed.packs, removed.forgotten], [1, [a]]);
  assert.deepEqual((await store.list("packs/")).map(({ name }) => name), [packName(y!.hash)]);
  assert.deepEqual(await store.list("forgotten/"), []);
});

/** Everything that can be in a repository that is pruned. */
const many: Record<string, Told> = {
  first: { packs: "abc", storedAgo: 200 },
  second: { packs: "bcd", storedAgo: 150 },
  half: { packs: "de", storedAgo: 140, forgottenAgo: 40, back: true }, // a prune was killed in between
  third: { packs: "cef", storedAgo: 100 },
  young: { packs: "fg", storedAgo: 90, forgottenAgo: 10 },
  old: { packs: "gh", storedAgo: 80, forgottenAgo: 30 },
};

const operations: Record<string, (store: FaultyStore, made: Made) => Promise<unknown>> = {
  prune: async (store, { names }) => {
    const forgetting = await forget(store, [names.first!, names.half!]);
    await removeUnused(store, { forgetting });
  },
  undo: (store, { names }) => undo(store, readName(names.young!)!.hash),
};

/** What must hold whatever has happened: packs of snapshots are there, and so is what can be brought back. */
async function assertNothingLost({ store, names }: Made, what: string): Promise<void> {
  for (const [called, name] of Object.entries(names)) {
    const copies = (await store.list("forgotten/")).filter((copy) => copy.name.startsWith(`forgotten/${name}.`));
    const isThere = store.objects.has(fileOf(name));
    if (!isThere && many[called]!.forgottenAgo !== undefined && many[called]!.forgottenAgo! > 24) continue;
    assert.ok(isThere || copies.length > 0, `${what}: ${called} is gone`);
    const bytes = (await store.get(isThere ? fileOf(name) : copies[0]!.name))!;
    for (const { hash } of decodeSnapshot(name, bytes).packs) {
      assert.ok(store.objects.has(packName(hash)), `${what}: ${called} has lost a pack`);
    }
    if (!isThere) assert.equal((await undo(clone(store), readName(name)!.hash)).wasThere, false, `${what}: ${called}`);
  }
}

for (const [operation, act] of Object.entries(operations)) {
  Deno.test(`${operation} killed at each call of the store, and run again`, async () => {
    const loose = { loose: 50, fresh: 5 };
    const clean = await make(many, loose);
    const counting = new FaultyStore(clean.store);
    await act(counting, clean);
    await assertNothingLost(clean, "clean");
    const wanted = shown(clean);
    let runs = 0;
    for (const fault of ["before", "after"] as const) {
      for (let failAt = 1; failAt <= counting.calls; failAt++) {
        const made = await make(many, loose);
        const killed = new FaultyStore(made.store, { fault, failAt, times: Infinity });
        await assert.rejects(act(killed, made), { code: "STORE_FAILED" });
        await assertNothingLost(made, `killed ${fault} call ${failAt}`);
        made.store.nowMs += 60_000;
        await act(new FaultyStore(made.store), made);
        await assertNothingLost(made, `run again after ${fault} call ${failAt}`);
        assert.deepEqual(new Set(shown(made)), new Set(wanted), `after ${fault} call ${failAt}`);
        runs++;
      }
    }
    console.log(`  ${runs} kills`);
    assert.ok(runs >= 16);
  });

  Deno.test(`${operation} with a store that is wrong at each call: nothing is lost`, async () => {
    const clean = await make(many, { loose: 50 });
    const counting = new FaultyStore(clean.store);
    await act(counting, clean);
    const counts: Record<string, number> = {};
    for (const fault of ["stale list", "flipped bit", "short answer", "short put", "lost remove"] as StoreFault[]) {
      for (let failAt = 1; failAt <= counting.calls; failAt++) {
        const made = await make(many, { loose: 50 });
        const faulty = new FaultyStore(made.store, { fault, failAt });
        let isRefused = false;
        try {
          await act(faulty, made);
        } catch (error) {
          if (!(error instanceof AmberError)) throw error;
          isRefused = true;
        }
        if (faulty.faults === 0) continue;
        counts[fault] = (counts[fault] ?? 0) + 1;
        if (fault === "flipped bit" || fault === "short answer" || fault === "short put") {
          assert.ok(isRefused, `${fault} at call ${failAt} was not noticed`);
        }
        await assertNothingLost(made, `${fault} at call ${failAt}`);
        await act(new FaultyStore(made.store), made);
        await assertNothingLost(made, `run again after ${fault} at call ${failAt}`);
      }
    }
    console.log(`  ${Object.entries(counts).map(([fault, count]) => `${count} ${fault}`).join(", ")}`);
    assert.ok(counts["flipped bit"]! > 0 && counts["short answer"]! > 0 && counts["short put"]! > 0);
  });
}
