/** Snapshots of an app's folder as tests take them, and what is in them, read back block by block. */
import { dirname } from "node:path";
import { ContentHash } from "../../lib/repository/content_hash.ts";
import { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import { Repository } from "../../lib/repository/repository.ts";
import type { Snapshot } from "../../lib/repository/snapshot_file.ts";
import type { Entry } from "../../lib/repository/tree.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import type { ObjectStore } from "../../lib/stores/store.ts";
import { snapshot, type SnapshotEvent, type SnapshotOptions, type SnapshotResult } from "../../lib/stories/snapshot.ts";
import type { App } from "./restoring.ts";

export interface Taken extends SnapshotResult {
  snapshot: Snapshot;
  events: SnapshotEvent[];
  /** What each remark says is the matter, by path. */
  remarks: Record<string, string>;
}

/** Takes a snapshot of an app; options as `amber snapshot` would give them, but for those that are given. */
export async function takeSnapshot(app: App, options: Partial<SnapshotOptions> = {}): Promise<Taken> {
  const events: SnapshotEvent[] = [];
  const result = await snapshot({
    store: new DirectoryStore(app.repository),
    repositoryFolder: app.repository,
    data: app.data,
    database: { engine: "sqlite", path: app.database },
    scratch: app.scratch,
    exclude: app.exclude,
    by: "test@here",
    amber: "0.0.0",
    now: () => new Date(),
    report: (event) => events.push(event),
    stop: new AbortController().signal,
    ...options,
  });
  const remarks = Object.fromEntries((result.snapshot?.facts.remarks ?? []).map(({ path, what }) => [path, what]));
  return { ...result, snapshot: result.snapshot!, events, remarks };
}

/** What a snapshot says of a path; a file has been read whole, and its content is what its hash says. */
export type Stored = Entry & { text?: string };

/** Everything in a snapshot by path. Texts are given of files of up to `textSize` bytes. */
export async function contentsOf(
  store: ObjectStore,
  snapshot: Snapshot,
  options: { textSize?: number } = {},
): Promise<Map<string, Stored>> {
  using pool = new BlockPool();
  const reader = new SnapshotReader(store, snapshot, pool);
  const found = new Map<string, Stored>();
  for await (const entry of reader.entries()) {
    if (entry.type !== "file") {
      found.set(entry.path, entry);
      continue;
    }
    const hash = new ContentHash(entry);
    const parts: Uint8Array[] = [];
    for await (const { size, bytes } of reader.pieces(entry)) {
      const piece = bytes ?? new Uint8Array(Math.min(size, 1 << 20));
      for (let left = size; left > 0; left -= piece.length) {
        hash.update(piece.subarray(0, Math.min(left, piece.length)));
      }
      if (entry.size <= (options.textSize ?? 200)) parts.push(bytes?.slice() ?? new Uint8Array(size));
    }
    // Of what is cut where rows end the reader has compared the blocks' hashes.
    if (entry.blockSize !== 0 && hash.digest() !== entry.contentHash) {
      throw new Error(`"${entry.path}" does not have the content it should have`);
    }
    const text = entry.size <= (options.textSize ?? 200) ? new TextDecoder().decode(joined(parts)) : undefined;
    found.set(entry.path, { ...entry, ...(text === undefined ? {} : { text }) });
  }
  return found;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Reads every ordinary and safety snapshot of a repository whole; gives how many there are. */
export async function readEverything(store: ObjectStore): Promise<number> {
  const repository = await Repository.open(store);
  const snapshots = (await repository.snapshots()).filter(({ kind }) => kind !== "partial");
  for (const snapshot of snapshots) await contentsOf(store, snapshot);
  return snapshots.length;
}

/** Writes the files of a snapshot that a test wants to look at into a folder: databases to be opened, mostly. */
export async function writeOut(
  store: ObjectStore,
  snapshot: Snapshot,
  folder: string,
  wanted: (entry: Entry) => boolean = () => true,
): Promise<void> {
  using pool = new BlockPool();
  const reader = new SnapshotReader(store, snapshot, pool);
  for await (const entry of reader.entries()) {
    if (entry.type !== "file" || !wanted(entry)) continue;
    const target = `${folder}/${entry.path.replace(/^\//, "")}`;
    Deno.mkdirSync(dirname(target), { recursive: true });
    using file = Deno.openSync(target, { write: true, create: true, truncate: true });
    for await (const { from, bytes } of reader.pieces(entry)) {
      if (!bytes) continue;
      file.seekSync(from, Deno.SeekMode.Start);
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    }
    file.truncateSync(entry.size);
  }
}

/** Bytes of all packs in a store. */
export async function packBytes(store: ObjectStore): Promise<number> {
  return (await store.list("packs/")).reduce((sum, { size }) => sum + size, 0);
}

/** Names of a store's snapshot files of a kind. */
export async function namesOf(store: ObjectStore, kind: Snapshot["kind"]): Promise<string[]> {
  const snapshots = await (await Repository.open(store)).snapshots();
  return snapshots.filter((one) => one.kind === kind).map(({ name }) => name);
}
