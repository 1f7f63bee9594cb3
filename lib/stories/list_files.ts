import { BlockPool } from "../repository/pool.ts";
import { SnapshotReader } from "../repository/reader.ts";
import { Repository } from "../repository/repository.ts";
import type { DatabaseFacts, Snapshot } from "../repository/snapshot_file.ts";
import { type Entry, isHashedByBlocks } from "../repository/tree.ts";
import type { ObjectStore } from "../stores/store.ts";
import { cleanPath, isBehind, isWithin, unknownPath } from "./snapshot_paths.ts";

/** One path of a snapshot, as `ls` tells it. */
export interface ListedEntry {
  path: string;
  kind: Entry["type"];
  /** Permission bits. */
  mode: number;
  uid: number;
  gid: number;
  /** ISO 8601. */
  mtime: string;
  /** Bytes, of a file; 64 hex digits. */
  size?: number;
  /** Of a file of the data folder that is no database: SHA-256 of its content, 64 hex digits. */
  sha256?: string;
  /** Where a link leads; of a hard link the file's first name. */
  target?: string;
  /** Of a database. */
  database?: Pick<DatabaseFacts, "configured" | "rows" | "migrations">;
}

export type ListEvent = { type: "entry" } & ListedEntry;

export interface LookInsideOptions {
  store: ObjectStore;
  /** `latest`, or the beginning of an id. */
  wanted: string;
  /** The configured SQLite database: only to say what its path in the snapshot is. */
  database?: string;
  stop: AbortSignal;
  /** Told of snapshot files that cannot be read while the latest is looked for. */
  report: (event: { type: "note"; message: string }) => void;
}

export interface ListOptions extends Omit<LookInsideOptions, "report"> {
  /** Only this file, or this folder with all that is below it. */
  path?: string;
  report: (event: ListEvent | { type: "note"; message: string }) => void;
}

export interface Listing {
  snapshot: Snapshot;
  /** What was listed. */
  entries: number;
  bytes: number;
}

/**
 * Tells every path of a snapshot, in order.
 *
 * @throws {AmberError} SNAPSHOT_UNKNOWN, SNAPSHOT_AMBIGUOUS, SNAPSHOT_FILE_UNKNOWN, REPOSITORY_*, OBJECT_*
 */
export async function listFiles(options: ListOptions): Promise<Listing> {
  const within = options.path === undefined ? "" : cleanPath(options.path);
  const snapshot = await findSnapshot(options);
  using pool = new BlockPool();
  const reader = new SnapshotReader(options.store, snapshot, pool);
  const databases = new Map(snapshot.facts.databases.map((one) => [one.path, one]));
  const listing = { snapshot, entries: 0, bytes: 0 };
  for await (const entry of reader.entries()) {
    options.stop.throwIfAborted();
    if (isBehind(entry.path, within)) break;
    if (!isWithin(entry.path, within)) continue;
    listing.entries++;
    if (entry.type === "file") listing.bytes += entry.size;
    options.report({ type: "entry", ...listed(entry, databases.get(entry.path)) });
  }
  if (within !== "" && listing.entries === 0) throw await unknownPath(within, reader, options.database);
  return listing;
}

/** The snapshot that is meant. @throws {AmberError} SNAPSHOT_UNKNOWN, SNAPSHOT_AMBIGUOUS, REPOSITORY_*, OBJECT_* */
export async function findSnapshot({ store, wanted, report }: LookInsideOptions): Promise<Snapshot> {
  const repository = await Repository.open(store);
  return await repository.find(wanted, { damaged: ({ message }) => report({ type: "note", message }) });
}

function listed(entry: Entry, facts: DatabaseFacts | undefined): ListedEntry {
  const { path, type, mode, uid, gid, mtimeMs } = entry;
  const common = { path, kind: type, mode, uid, gid, mtime: isoTime(mtimeMs) };
  if (entry.type === "folder") return common;
  if (entry.type !== "file") return { ...common, target: entry.target };
  const { size, contentHash, database } = entry;
  const { configured = false, rows = {}, migrations } = facts ?? {};
  return {
    ...common,
    size,
    ...(contentHash === undefined || isHashedByBlocks(entry) ? {} : { sha256: contentHash }),
    ...(database ? { database: { configured, rows, ...(migrations ? { migrations } : {}) } } : {}),
  };
}

/** ISO 8601. What no date has, which only a forged repository says, is the last or first one. */
export function isoTime(ms: number): string {
  return new Date(Math.max(-8.64e15, Math.min(8.64e15, ms))).toISOString();
}
