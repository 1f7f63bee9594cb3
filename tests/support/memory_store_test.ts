import assert from "node:assert/strict";
import { storeContract } from "../stores/contract.ts";
import { MemoryStore } from "./memory_store.ts";

storeContract("a store in memory", () => {
  return Promise.resolve({ store: new MemoryStore(), dispose: () => Promise.resolve() });
});

Deno.test("a store in memory has a clock that the test sets", async () => {
  const store = new MemoryStore({ nowMs: 1_000 });
  await store.put("first", new Uint8Array(1));
  store.nowMs += 30 * 3_600_000;
  await store.put("second", new Uint8Array(2));
  assert.equal(await store.time(), 108_001_000);
  assert.deepEqual(await store.list(""), [
    { name: "first", size: 1, timeMs: 1_000 },
    { name: "second", size: 2, timeMs: 108_001_000 },
  ]);
});

Deno.test("an object in memory can be damaged by the test", async () => {
  const store = new MemoryStore();
  await store.put("object", new Uint8Array([1, 2, 3]));
  store.objects.get("object")!.bytes[1] = 9;
  assert.deepEqual(await store.get("object"), new Uint8Array([1, 9, 3]));
});
