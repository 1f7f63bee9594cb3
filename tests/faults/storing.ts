/** Takes snapshots of a folder the way tests need them, and reads back what is stored. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import { Repository } from "../../lib/repository/repository.ts";
import type { Snapshot } from "../../lib/repository/snapshot_file.ts";
import type { ObjectStore } from "../../lib/stores/store.ts";
import { snapshot, type SnapshotOptions, type SnapshotResult } from "../../lib/stories/snapshot.ts";

/** A snapshot of `data` with the database `data/app.db`, when there is one. */
export async function take(
  data: string,
  store: ObjectStore,
  options: Partial<SnapshotOptions> = {},
): Promise<SnapshotResult & { snapshot: Snapshot }> {
  const result = await snapshot({
    store,
    data,
    database: { engine: "sqlite", path: `${data}/app.db` },
    scratch: `${data}/.amber`,
    exclude: [],
    by: "test",
    amber: "test",
    now: () => new Date(),
    report: () => {},
    stop: new AbortController().signal,
    ...options,
  });
  return { ...result, snapshot: result.snapshot! };
}

/** SHA-256 of each file of a snapshot as it is read from the store; each must be what the tree says. */
export async function readAll(store: ObjectStore, wanted: Snapshot): Promise<Record<string, string>> {
  using pool = new BlockPool();
  const reader = new SnapshotReader(store, wanted, pool);
  const found: Record<string, string> = {};
  for await (const entry of reader.entries()) {
    if (entry.type !== "file" || entry.sha256 === undefined) continue;
    const hash = createHash("sha256");
    for await (const { size, bytes } of reader.pieces(entry)) hash.update(bytes ?? new Uint8Array(size));
    assert.equal(found[entry.path] = hash.digest("hex"), entry.sha256, entry.path);
  }
  return found;
}

/** Every committed snapshot reads whole; gives how many there are, partial ones aside. */
export async function readEverySnapshot(store: ObjectStore): Promise<number> {
  const all = await (await Repository.open(store)).snapshots();
  for (const one of all) await readAll(store, one);
  return all.filter(({ kind }) => kind !== "partial").length;
}
