/** Files that lie in many places: each frame is opened once, whatever a file needs of it. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { ContentHash } from "../../lib/repository/content_hash.ts";
import { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import type { FileEntry } from "../../lib/repository/tree.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import type { ObjectStore, Range } from "../../lib/stores/store.ts";
import { makeDatabase } from "../support/data_tree.ts";
import { appIn } from "../support/restoring.ts";
import { takeSnapshot } from "../support/taking.ts";
import { tempFolder } from "../support/temp_folder.ts";

/** Counts how often each part of a pack is read. */
function counting(store: ObjectStore): { store: ObjectStore; reads: Map<string, number> } {
  const reads = new Map<string, number>();
  const get = (name: string, range?: Range) => {
    const key = `${name} ${range?.from}`;
    reads.set(key, (reads.get(key) ?? 0) + 1);
    return store.get(name, range);
  };
  return { store: Object.assign(Object.create(store), { get }), reads };
}

Deno.test("a database whose pages lie in the frames of 12 snapshots: each frame is read once, in whatever order", async () => {
  await using folder = await tempFolder({ "data/": "" });
  const app = appIn(folder.root);
  makeDatabase(app.database, { rows: 30_000, journal: "wal" });
  const store = new DirectoryStore(app.repository);
  let taken = await takeSnapshot(app);
  {
    using database = new DatabaseSync(app.database);
    for (let round = 0; round < 12; round++) {
      database.exec(`update notes set text = hex(randomblob(300)) where id % 83 = ${round}`);
      taken = await takeSnapshot(app);
    }
  }
  const counted = counting(store);
  using pool = new BlockPool();
  const reader = new SnapshotReader(counted.store, taken.snapshot, pool);
  const entry = (await Array.fromAsync(reader.entries())).find(({ path }) => path === "prod.db") as FileEntry;
  const runs = [...entry.runs].length;
  assert.ok(runs > 300, `${runs} runs`);
  counted.reads.clear();

  const whole = new Uint8Array(entry.size);
  let written = 0;
  for await (const { segments, bytes } of reader.parts(entry)) {
    for (let i = 0; i < segments.length; i += 3) {
      const [at, from, size] = [segments[i]!, segments[i + 1]!, segments[i + 2]!];
      if (bytes) whole.set(bytes.subarray(from, from + size), at);
      written += size;
    }
  }
  assert.equal(written, entry.size);
  const contentHash = (bytes: Uint8Array) => {
    const hash = new ContentHash(entry);
    hash.update(bytes);
    return hash.digest();
  };
  assert.equal(contentHash(whole), entry.contentHash);
  assert.ok(counted.reads.size > 4, `${counted.reads.size} parts were read`);
  assert.deepEqual([...counted.reads].filter(([, count]) => count > 1), []);

  const hash = new ContentHash(entry);
  for await (const { size, bytes } of reader.pieces(entry)) hash.update(bytes ?? new Uint8Array(size));
  assert.equal(hash.digest(), entry.contentHash, "in order");
});

Deno.test("what was held is as it was, however many frames are opened meanwhile", async () => {
  const noise = () => crypto.getRandomValues(new Uint8Array(50_000));
  await using folder = await tempFolder(
    Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`data/${i}`, noise()])),
  );
  const app = appIn(folder.root, { database: folder.path("none.db") });
  const { snapshot } = await takeSnapshot(app);
  using pool = new BlockPool();
  const { packs } = new SnapshotReader(new DirectoryStore(app.repository), snapshot, pool);
  const [{ number }] = [...snapshot.packs].sort((a, b) => b.size - a.size) as [typeof snapshot.packs[0]];
  const { frames } = await packs.toc(number);
  assert.ok(frames.length > 2);
  using first = await packs.frame(number, 0);
  const copy = first.bytes.slice();
  for (let round = 0; round < 3; round++) {
    for (const ref of snapshot.packs) {
      const { frames } = await packs.toc(ref.number);
      const held = await Promise.all(frames.map((_, index) => packs.frame(ref.number, index)));
      for (const one of held) one[Symbol.dispose]();
      for (const one of held) one[Symbol.dispose](); // twice is once
    }
  }
  assert.deepEqual(first.bytes, copy);
});
