import assert from "node:assert/strict";
import type { ObjectStore } from "../../lib/stores/store.ts";
import { storeContract } from "../stores/contract.ts";
import { FaultyStore, type FaultyStoreOptions, type StoreCall } from "./faulty_store.ts";
import { MemoryStore } from "./memory_store.ts";

storeContract("a faulty store without a fault", () => {
  return Promise.resolve({ store: new FaultyStore(new MemoryStore()), dispose: () => Promise.resolve() });
});

const bytes = (text: string) => new TextEncoder().encode(text);
const text = async (store: ObjectStore, name: string) => {
  const stored = await store.get(name);
  return stored && new TextDecoder().decode(stored);
};
const names = async (store: ObjectStore) => (await store.list("")).map(({ name }) => name);

/** A store with two objects, behind one that fails. */
async function faulty(options: FaultyStoreOptions): Promise<{ inner: MemoryStore; store: FaultyStore }> {
  const inner = new MemoryStore();
  await inner.put("packs/one", bytes("first"));
  await inner.put("packs/two", bytes("second"));
  return { inner, store: new FaultyStore(inner, options) };
}

const calls: Record<StoreCall, (store: ObjectStore) => Promise<unknown>> = {
  get: (store) => store.get("packs/one"),
  put: (store) => store.put("packs/three", bytes("third")),
  list: (store) => store.list("packs/"),
  remove: (store) => store.remove("packs/two"),
  time: (store) => store.time(),
  tidy: (store) => store.tidy(),
};

Deno.test("`before`: the call fails and nothing was done; the next one works", async () => {
  for (const [what, call] of Object.entries(calls)) {
    const { inner, store } = await faulty({ failAt: 2 });
    await store.get("packs/one");
    await assert.rejects(call(store), { code: "STORE_FAILED", message: new RegExp(`^Cannot ${what} .*call 2`) });
    assert.deepEqual(await names(inner), ["packs/one", "packs/two"], what);
    await call(store);
    assert.deepEqual([store.calls, store.faults], [3, 1], what);
  }
});

Deno.test("`after`: the call fails, and was done", async () => {
  for (const call of Object.values(calls)) {
    const { inner, store } = await faulty({ fault: "after", failAt: 1 });
    await assert.rejects(call(store), { code: "STORE_FAILED" });
    assert.equal(store.faults, 1);
    if (call === calls.put) assert.equal(await text(inner, "packs/three"), "third");
    if (call === calls.remove) assert.deepEqual(await names(inner), ["packs/one"]);
  }
});

Deno.test("a store may be gone for several calls, or for good, with an error of the test's own", async () => {
  const error = () => new Error("gone");
  const { store } = await faulty({ failAt: 2, times: 3, error });
  const answers = [];
  for (let i = 0; i < 6; i++) answers.push(await store.time().then(() => "ok", ({ message }) => message));
  assert.deepEqual(answers, ["ok", "gone", "gone", "gone", "ok", "ok"]);
  const { store: lost } = await faulty({ failAt: 1, times: Infinity });
  for (let i = 0; i < 20; i++) await assert.rejects(lost.time());
  assert.equal(lost.faults, 20);
});

Deno.test("`flipped bit`: one bit of the answer is another, anywhere, and the object is as it was", async () => {
  for (const [place, index] of [[0, 0], [undefined, 2], [0.99, 4]] as const) {
    const { inner, store } = await faulty({ fault: "flipped bit", failAt: 1, place });
    const wrong = (await store.get("packs/one"))!;
    const differ = [...wrong].map((byte, i) => byte ^ bytes("first")[i]!);
    assert.deepEqual(differ.map((bits) => bits !== 0), [0, 1, 2, 3, 4].map((i) => i === index));
    assert.equal(differ[index]!.toString(2).replaceAll("0", ""), "1");
    assert.equal(await text(inner, "packs/one"), "first");
    assert.equal(await text(store, "packs/one"), "first");
    assert.equal(store.faults, 1);
  }
});

Deno.test("`short answer`: half of it", async () => {
  const { store } = await faulty({ fault: "short answer", failAt: 1, times: 3 });
  assert.equal(await text(store, "packs/one"), "fi");
  assert.equal((await store.get("packs/two", { from: 1, size: 4 }))!.length, 2);
  assert.equal(await store.get("packs/none"), undefined);
  assert.equal(store.faults, 2, "there was nothing to spoil in the last one");
});

Deno.test("`short put`: half of it is stored, and it says that it is done", async () => {
  const { inner, store } = await faulty({ fault: "short put", failAt: 1 });
  await store.put("packs/three", bytes("third!"));
  assert.equal(await text(inner, "packs/three"), "thi");
});

Deno.test("`lost remove`: it says that it is done", async () => {
  const { inner, store } = await faulty({ fault: "lost remove", failAt: 1 });
  await store.remove("packs/one");
  assert.deepEqual(await names(inner), ["packs/one", "packs/two"]);
  await store.remove("packs/one");
  assert.deepEqual(await names(inner), ["packs/two"]);
});

Deno.test("`stale list`: as it was before the latest put or remove", async () => {
  const changes: [StoreCall, (store: ObjectStore) => Promise<unknown>][] = [
    ["put", (store) => store.put("packs/three", bytes("3"))],
    ["put", (store) => store.put("packs/one", bytes("longer than before"))],
    ["remove", (store) => store.remove("packs/one")],
  ];
  for (const [what, change] of changes) {
    const { inner, store } = await faulty({ fault: "stale list", failAt: 3 });
    await store.put("snapshots/x", bytes("x"));
    const before = await inner.list("packs/");
    inner.nowMs += 1_000;
    await change(store);
    assert.deepEqual(await store.list("packs/"), before, what);
    assert.deepEqual(await store.list("packs/"), await inner.list("packs/"), "only once");
    assert.equal(store.faults, 1);
  }
  const { inner, store } = await faulty({ fault: "stale list", failAt: 2 });
  await store.put("snapshots/x", bytes("x"));
  assert.deepEqual(await store.list("packs/"), await inner.list("packs/"), "nothing changed there");
  assert.equal(store.faults, 0);
});

Deno.test("a fault at another kind of call does nothing", async () => {
  const { store } = await faulty({ fault: "flipped bit", failAt: 1 });
  await store.list("");
  assert.equal(await text(store, "packs/one"), "first");
  assert.deepEqual([store.calls, store.faults], [2, 0]);
});

Deno.test("beforeCall() knows each call, and can hold it back while another acts", async () => {
  const seen: unknown[] = [];
  const gate = Promise.withResolvers<void>();
  const { inner, store } = await faulty({
    beforeCall: async (...call) => {
      seen.push(call);
      if (call[1] === "remove") await gate.promise;
      if (call[1] === "time") inner.nowMs += 30 * 3_600_000;
    },
  });
  const removal = store.remove("packs/one");
  const startMs = inner.nowMs;
  assert.equal(await store.time(), startMs + 30 * 3_600_000);
  assert.deepEqual(await names(store), ["packs/one", "packs/two"]);
  gate.resolve();
  await removal;
  assert.deepEqual(await names(store), ["packs/two"]);
  assert.deepEqual(seen, [[1, "remove", "packs/one"], [2, "time", ""], [3, "list", ""], [4, "list", ""]]);
  assert.deepEqual(store.log.map(({ what }) => what), ["remove", "time", "list", "list"]);
});
