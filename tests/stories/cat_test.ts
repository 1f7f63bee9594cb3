import assert from "node:assert/strict";
import { PackReader } from "../../lib/repository/pack_reader.ts";
import { frameOf, packName } from "../../lib/repository/pack.ts";
import { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import { Repository } from "../../lib/repository/repository.ts";
import type { Run, Snapshot } from "../../lib/repository/snapshot_file.ts";
import type { FileEntry } from "../../lib/repository/tree.ts";
import { openStore } from "../../lib/stores/open.ts";
import type { ObjectStore, Range } from "../../lib/stores/store.ts";
import { cat } from "../../lib/stories/cat.ts";
import { appIn, take } from "../support/restoring.ts";
import { tempFolder } from "../support/temp_folder.ts";

/** A store that keeps which parts of packs were read: `name from+size`. */
function watched(store: ObjectStore): { store: ObjectStore; read: Set<string> } {
  const read = new Set<string>();
  const get = (name: string, range?: Range) => {
    if (name.startsWith("packs/")) read.add(`${name} ${range?.from}+${range?.size}`);
    return store.get(name, range);
  };
  return { read, store: new Proxy(store, { get: (target, key) => key === "get" ? get : bound(target, key) }) };
}

function bound(target: ObjectStore, key: string | symbol): unknown {
  const value = Reflect.get(target, key);
  return typeof value === "function" ? value.bind(target) : value;
}

/** The frames that these runs lie in, and the tables of contents of their packs, as the store is asked for them. */
async function partsOf(runs: Iterable<Run>, snapshot: Snapshot, packs: PackReader): Promise<Set<string>> {
  const parts = new Set<string>();
  for (const { count, pack: number, index } of runs) {
    if (number === 0) continue;
    const { hash, size, tocSize } = snapshot.packs.find((one) => one.number === number)!;
    parts.add(`${packName(hash)} ${size - tocSize}+${tocSize}`);
    const toc = await packs.toc(number);
    for (let block = index; block < index + count; block++) {
      const frame = toc.frames[frameOf(toc, block)]!;
      parts.add(`${packName(hash)} ${frame.from}+${frame.size}`);
    }
  }
  return parts;
}

Deno.test("cat() reads the list of files and the frames of the one file, and nothing else", async () => {
  const content = () => crypto.getRandomValues(new Uint8Array(60_000));
  const uploads = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`data/uploads/${i}.jpg`, content()]));
  await using folder = await tempFolder(uploads);
  const app = appIn(folder.root, { database: folder.path("none.db") });
  await take(app);
  const whole = openStore(app.repository);
  const snapshot = await (await Repository.open(whole)).find("latest");
  using pool = new BlockPool();
  const reader = new SnapshotReader(whole, snapshot, pool);
  const entries = await Array.fromAsync(reader.entries());
  const all = await partsOf(
    entries.flatMap((entry) => entry.type === "file" ? [...entry.runs] : []),
    snapshot,
    reader.packs,
  );
  for (const name of ["0.jpg", "77.jpg", "99.jpg"]) {
    const { store, read } = watched(whole);
    const parts: Uint8Array[] = [];
    const write = (bytes: Uint8Array) => parts.push(bytes.slice()) > 0;
    const never = new AbortController().signal;
    await cat({ store, wanted: "latest", path: `uploads/${name}`, write, stop: never, report: () => {} });
    assert.deepEqual(await new Blob(parts as Uint8Array<ArrayBuffer>[]).bytes(), uploads[`data/uploads/${name}`]);
    const file = entries.find(({ path }) => path === `uploads/${name}`) as FileEntry;
    const allowed = (await partsOf(snapshot.facts.tree, snapshot, reader.packs)).union(
      await partsOf(file.runs, snapshot, reader.packs),
    );
    assert.deepEqual([...read].filter((part) => !allowed.has(part)), []);
    assert.ok(read.size > 0 && read.size < all.size / 2, `${read.size} parts of ${all.size}`);
  }
});
