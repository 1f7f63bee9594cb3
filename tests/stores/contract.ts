/** What every store must do, whatever stands behind it. A new rule for one is a new test for all. */
import assert from "node:assert/strict";
import type { ObjectStore, Range } from "../../lib/stores/store.ts";

/** A store for one test: empty, best one that does not exist yet. */
export interface OpenedStore {
  store: ObjectStore;
  dispose: () => PromiseLike<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);

/** Bytes that show a piece which is missing, doubled or in the wrong place. */
export function sample(size: number, seed = 1): Uint8Array {
  const numbers = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0; i < numbers.length; i++) numbers[i] = Math.imul(i + 1, 2654435761) ^ seed;
  return new Uint8Array(numbers.buffer, 0, size);
}

/** Compared without deepEqual, which takes seconds for megabytes. */
export function assertBytes(actual: Uint8Array | undefined, wanted: Uint8Array, what?: string): void {
  assert.ok(actual !== undefined, `${what}: there is no such object`);
  assert.equal(actual.length, wanted.length, what);
  const place = actual.findIndex((byte, i) => byte !== wanted[i]);
  assert.equal(place, -1, `${what}: byte ${place} is another one`);
}

/** Registers the suite for one kind of store. */
export function storeContract(name: string, open: () => Promise<OpenedStore>): void {
  const test = (what: string, body: (store: ObjectStore) => Promise<void>) =>
    Deno.test(`${name}: ${what}`, async () => {
      const { store, dispose } = await open();
      try {
        await body(store);
      } finally {
        await dispose();
      }
    });
  const names = async (store: ObjectStore, prefix = "") => (await store.list(prefix)).map(({ name }) => name);

  test("one that does not exist yet holds nothing, and looking does not fail", async (store) => {
    assert.notEqual(store.where, "");
    assert.deepEqual(await store.list(""), []);
    assert.deepEqual(await store.list("packs/"), []);
    assert.equal(await store.get("amber.json"), undefined);
    assert.equal(await store.get("packs/aa/one", { from: 0, size: 10 }), undefined);
    await store.remove("amber.json");
    await store.tidy();
    assert.deepEqual(await store.list(""), []);
  });

  test("get() gives back what was put, for each size", async (store) => {
    for (const size of [0, 1, 4095, 65_536, 65_537, 3 * 1024 * 1024 + 1]) {
      await store.put(`packs/aa/${size}`, sample(size));
      assertBytes(await store.get(`packs/aa/${size}`), sample(size), `${size} bytes`);
      const [listed] = (await store.list("packs/")).filter((one) => one.name === `packs/aa/${size}`);
      assert.equal(listed?.size, size);
    }
  });

  test("get() gives a part, and leaves out what lies behind the end", async (store) => {
    await store.put("object", bytes("0123456789"));
    await store.put("empty", bytes(""));
    const cases: [Range, string][] = [
      [{ from: 0, size: 10 }, "0123456789"],
      [{ from: 0, size: 3 }, "012"],
      [{ from: 3, size: 4 }, "3456"],
      [{ from: 9, size: 1 }, "9"],
      [{ from: 8, size: 100 }, "89"],
      [{ from: 0, size: 2 ** 40 }, "0123456789"],
      [{ from: 10, size: 1 }, ""],
      [{ from: 2 ** 40, size: 5 }, ""],
      [{ from: 4, size: 0 }, ""],
    ];
    for (const [range, wanted] of cases) {
      const part = await store.get("object", range);
      assert.equal(new TextDecoder().decode(part), wanted, JSON.stringify(range));
      assert.equal((await store.get("empty", range))?.length, 0, JSON.stringify(range));
    }
    const large = sample(2_000_000);
    await store.put("large", large);
    assertBytes(await store.get("large", { from: 1_000_001, size: 777_777 }), large.slice(1_000_001, 1_777_778));
  });

  test("what is stored does not change with the bytes that were put or got", async (store) => {
    const given = bytes("kept");
    await store.put("object", given);
    given.fill(0);
    (await store.get("object"))!.fill(1);
    (await store.get("object", { from: 0, size: 4 }))!.fill(2);
    assertBytes(await store.get("object"), bytes("kept"));
  });

  test("put() takes a part of a larger buffer", async (store) => {
    await store.put("object", sample(1000).subarray(100, 200));
    assertBytes(await store.get("object"), sample(1000).slice(100, 200));
  });

  test("put() over an object replaces all of it", async (store) => {
    await store.put("object", sample(5000, 1));
    await store.put("object", sample(70, 2));
    assertBytes(await store.get("object"), sample(70, 2));
    assert.deepEqual((await store.list("")).map(({ name, size }) => [name, size]), [["object", 70]]);
  });

  test("many puts at once: each object is whole, and of those with one name it is one of them", async (store) => {
    const tasks = Array.from({ length: 24 }, (_, i) => store.put(`packs/${i % 3}/${i % 8}`, sample(10_000 + i, i)));
    await Promise.all([...tasks, store.list(""), store.tidy(), store.time()]);
    assert.equal((await store.list("packs/")).length, 24);
    for (let i = 0; i < 24; i++) assertBytes(await store.get(`packs/${i % 3}/${i % 8}`), sample(10_000 + i, i));
    await Promise.all(Array.from({ length: 8 }, (_, i) => store.put("one", sample(50_000 + i, i))));
    const stored = (await store.get("one"))!;
    assertBytes(stored, sample(stored.length, stored.length - 50_000));
  });

  test("list() gives all objects below a folder, sorted by their whole names", async (store) => {
    const all = [
      "amber.json",
      "drills/a",
      "packs-old/x",
      "packs.old/x",
      "packs/00/b",
      "packs/00/c",
      "packs/0a",
      "packs/0a.b/a",
      "packs/A",
      "packs/_/a",
      "packs/a/b/c/d",
      "snapshots/20270101T000000Z-0a.json",
    ];
    for (const one of [...all].reverse()) await store.put(one, bytes(one));
    assert.deepEqual(await names(store), [...all].sort());
    const below = (folder: string) => all.filter((one) => one.startsWith(folder)).sort();
    for (const folder of ["packs/", "packs/00/", "packs/a/b/", "packs-old/", "snapshots/", "drills/", "forgotten/"]) {
      assert.deepEqual(await names(store, folder), below(folder), folder);
    }
    for (const { name, size } of await store.list("")) assert.equal(size, name.length);
  });

  test("remove() removes one object and nothing else", async (store) => {
    for (const one of ["packs/aa/one", "packs/aa/two", "packs/ab"]) await store.put(one, bytes(one));
    await store.remove("packs/aa/one");
    assert.equal(await store.get("packs/aa/one"), undefined);
    assert.deepEqual(await names(store), ["packs/aa/two", "packs/ab"]);
    for (const nothing of ["packs/aa/one", "packs", "packs/aa", "packs/ab/x", "other/x", "none"]) {
      await store.remove(nothing);
    }
    assert.deepEqual(await names(store), ["packs/aa/two", "packs/ab"]);
    await store.put("packs/aa/one", bytes("again"));
    assertBytes(await store.get("packs/aa/one"), bytes("again"));
  });

  test("the beginning of a name is no object, nor is what continues one", async (store) => {
    await store.put("packs/aa/one", bytes("x"));
    for (const none of ["packs", "packs/aa", "packs/aa/on", "packs/aa/one/x", "packs/aa/one/x/y", "Packs/aa/other"]) {
      assert.equal(await store.get(none), undefined, none);
    }
    assert.deepEqual(await names(store, "packs/aa/one/"), []);
  });

  test("names: up to 255 characters a component; what could lead elsewhere is refused", async (store) => {
    for (const fine of ["a".repeat(255), `x/${"b".repeat(255)}`, "...", ".hidden", "-", "_/.a"]) {
      await store.put(fine, bytes(fine));
      assertBytes(await store.get(fine), bytes(fine), fine);
    }
    const count = (await store.list("")).length;
    const wrong = ["", ".", "..", "../x", "/x", "x/", "a//b", "a/../b", "a/./b", "a b", "ü", "a\0", "a\nb", "a\\b"];
    for (const name of [...wrong, "a".repeat(256), "~/x", "C:x"]) {
      const refusal = { name: "AmberError", code: "STORE_FAILED" };
      await assert.rejects(store.put(name, bytes("x")), refusal, `put ${name}`);
      await assert.rejects(store.get(name), refusal, `get ${name}`);
      await assert.rejects(store.remove(name), refusal, `remove ${name}`);
    }
    for (const prefix of ["../", "/", "a/../", "x//"]) {
      await assert.rejects(store.list(prefix), { code: "STORE_FAILED" }, `list ${prefix}`);
    }
    assert.equal((await store.list("")).length, count);
  });

  test("times are the store's own: a put lies between the two moments at which it was asked", async (store) => {
    const before = await store.time();
    await store.put("object", bytes("x"));
    const after = await store.time();
    const { timeMs } = (await store.list(""))[0]!;
    assert.ok(Number.isFinite(before) && before <= timeMs && timeMs <= after, `${before} ${timeMs} ${after}`);
    assert.deepEqual(await names(store), ["object"], "asking leaves no object");
  });

  test("tidy() removes no object", async (store) => {
    const all = ["amber.json", "packs/aa/one", "temporary/x"];
    for (const one of all) await store.put(one, bytes(one));
    await store.tidy();
    assert.deepEqual(await names(store), all);
  });
}
