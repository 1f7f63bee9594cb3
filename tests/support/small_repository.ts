/** A small repository in memory with all kinds of objects in it, to be damaged, and what reading it gives. */
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { writeDrill } from "../../lib/repository/drills.ts";
import type { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import { Repository } from "../../lib/repository/repository.ts";
import type { Snapshot } from "../../lib/repository/snapshot_file.ts";
import { snapshot, type SnapshotOptions } from "../../lib/stories/snapshot.ts";
import { MemoryStore } from "./memory_store.ts";
import type { TempFolder } from "./temp_folder.ts";

export interface SmallRepository {
  store: MemoryStore;
  /** The oldest first: three ordinary ones and a safety one. */
  snapshots: Snapshot[];
  /** Takes one more. */
  take(options?: Partial<SnapshotOptions>): Promise<Snapshot>;
}

/**
 * Files, a database, links; four snapshots with changes in between, so that packs are shared; a forgotten snapshot and two
 * drills.
 */
export async function smallRepository(folder: TempFolder): Promise<SmallRepository> {
  const store = new MemoryStore({ nowMs: Date.now() });
  const data = folder.path("data");
  let time = Date.UTC(2026, 10, 24, 10);
  const take = async (options: Partial<SnapshotOptions> = {}) => {
    const { snapshot: taken } = await snapshot({
      store,
      data,
      database: { engine: "sqlite", path: `${data}/app.db` },
      scratch: `${data}/.amber`,
      exclude: [],
      by: "test@here",
      amber: "0.0.0",
      now: () => new Date(time += 3_600_000),
      report: () => {},
      stop: new AbortController().signal,
      ...options,
    });
    return taken!;
  };
  await folder.write({
    "data/empty/": "",
    "data/first.txt": "the first file",
    "data/none.txt": "",
    "data/uploads/large.bin": noise(2_500_000, 1),
    "data/uploads/text.txt": "text ".repeat(30_000),
  });
  Deno.symlinkSync("first.txt", `${data}/link`);
  Deno.linkSync(`${data}/first.txt`, `${data}/second.txt`);
  sql(`${data}/app.db`, "create table notes (id integer primary key, text text)");
  addNotes(`${data}/app.db`, 3_000);
  const snapshots = [await take()];
  await folder.write({ "data/uploads/later.txt": "later" });
  addNotes(`${data}/app.db`, 500);
  snapshots.push(await take({ tags: ["before"] }));
  await folder.write({ "data/uploads/text.txt": "other ".repeat(40_000), "data/uploads/more.bin": noise(700_000, 2) });
  snapshots.push(await take({ kind: "safety", before: "restore" }));
  await folder.write({ "data/uploads/last.txt": "last" });
  addNotes(`${data}/app.db`, 20);
  snapshots.push(await take());
  const forgotten = store.objects.get(`snapshots/${snapshots[0]!.name}.json`)!;
  store.objects.set(`forgotten/${snapshots[0]!.name}.json`, { ...forgotten });
  for (const { hash } of snapshots.slice(0, 2)) {
    await writeDrill(store, {
      ...{ snapshot: hash, time: "2026-11-24T18:00:00.000Z", durationMs: 5, by: "test@here", amber: "0.0.0", ok: true },
      ...{ problems: [], notes: ["the database is small"], files: 6, bytes: 1, databases: 1, rows: 3_000 },
    });
  }
  return { store, snapshots, take };
}

/** The same objects in a store of its own. */
export function copyOf(store: MemoryStore): MemoryStore {
  const copy = new MemoryStore({ nowMs: store.nowMs });
  for (const [name, object] of store.objects) copy.objects.set(name, { ...object, bytes: object.bytes.slice() });
  return copy;
}

/** Every path of a snapshot with all that is known of it, each file read whole. */
export async function readAll(store: MemoryStore, taken: Snapshot, pool: BlockPool): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const reader = new SnapshotReader(store, taken, pool);
  for await (const entry of reader.entries()) {
    if (entry.type !== "file") {
      found[entry.path] = `${entry.type} ${entry.mode} ${"target" in entry ? entry.target : ""}`;
      continue;
    }
    const hash = createHash("sha256");
    let size = 0;
    for await (const { size: part, bytes } of reader.pieces(entry)) {
      // A hole is hashed as what it is said to be: a forged one may be larger than anything.
      hash.update(bytes ?? `hole of ${part}`);
      size += part;
    }
    found[entry.path] = `file ${entry.mode} ${size} ${hash.digest("hex")}`;
  }
  return found;
}

/** The snapshots that can be found in a store, the oldest first; those that cannot be read are left out. */
export async function findAll(store: MemoryStore): Promise<Snapshot[]> {
  return await (await Repository.open(store)).snapshots({ damaged: () => {} });
}

function sql(path: string, text: string): void {
  using database = new DatabaseSync(path);
  database.exec(text);
}

function addNotes(path: string, count: number): void {
  sql(
    path,
    `with recursive n (i) as (values (1) union all select i + 1 from n where i < ${count})
     insert into notes (text) select 'note ' || i || ' ' || hex(zeroblob(i % 50)) from n`,
  );
}

/** Bytes that do not compress, the same for the same seed. */
function noise(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = seed * 0x9e3779b9;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) | 0;
    bytes[i] = state >>> 11;
  }
  return bytes;
}
