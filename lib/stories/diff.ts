import type { SchemaChange } from "../capture/postgres/schema_changes.ts";
import { BlockPool } from "../repository/pool.ts";
import { SnapshotReader } from "../repository/reader.ts";
import type { DatabaseFacts, Snapshot } from "../repository/snapshot_file.ts";
import { type Entry, type FileEntry, postgresPrefix } from "../repository/tree.ts";
import type { PostgresSide } from "./diff_postgres.ts";
import { findSnapshot, isoTime, type LookInsideOptions } from "./list_files.ts";

/**
 * What became of a path. `changed`: another content, or another kind of thing; `attributes`: the same content with
 * another mode, owner or time.
 */
export type Change = "new" | "gone" | "changed" | "attributes";

/** Rows of a table in both snapshots; absent where there is no such table. Of Postgres as many may be other ones. */
export interface TableChange {
  table: string;
  before?: number;
  after?: number;
}

/** One side of a difference. */
export interface Side {
  kind: Entry["type"];
  mode: number;
  mtime: string;
  size?: number;
  target?: string;
}

export interface Difference {
  /** `/postgres/`: the Postgres database, as a whole. */
  path: string;
  change: Change;
  before?: Side;
  after?: Side;
  /** Of a database: the tables whose number of rows differs; of Postgres also those with other rows. */
  tables?: TableChange[];
  /** Of Postgres: what differs in its schema. */
  objects?: SchemaChange[];
  /** Of Postgres: what else differs. */
  parts?: ("sequences" | "large-objects")[];
}

export type DiffEvent = { type: "difference" } & Difference;

export interface DiffOptions extends Omit<LookInsideOptions, "wanted" | "database" | "report"> {
  /** The two snapshots: `latest`, or the beginning of an id. */
  before: string;
  after: string;
  report: (event: DiffEvent | { type: "note"; message: string }) => void;
}

export interface DiffResult {
  before: Snapshot;
  after: Snapshot;
  counts: Record<Change, number>;
}

/** Tells what differs between two snapshots, path by path in order. @throws {AmberError} what listFiles() throws */
export async function diff(options: DiffOptions): Promise<DiffResult> {
  const before = await findSnapshot({ ...options, wanted: options.before });
  const after = await findSnapshot({ ...options, wanted: options.after });
  const counts: DiffResult["counts"] = { new: 0, gone: 0, changed: 0, attributes: 0 };
  if (before.hash === after.hash) return { before, after, counts };
  using pool = new BlockPool();
  const [old, now] = [before, after].map((one) => new SnapshotReader(options.store, one, pool));
  const postgres = new PostgresPair(old!, now!);
  const report = (difference: Difference) => {
    counts[difference.change]++;
    options.report({ type: "difference", ...difference });
  };
  for await (const [left, right] of pairs(old!.entries(), now!.entries())) {
    options.stop.throwIfAborted();
    if (postgres.take(left, right)) continue;
    const change = changeOf(left, right);
    if (change === undefined) continue;
    const { path } = (right ?? left)!;
    const tables = tablesOf(factsOf(before, left), factsOf(after, right));
    report({
      path,
      change,
      ...(left ? { before: side(left) } : {}),
      ...(right ? { after: side(right) } : {}),
      ...(tables ? { tables } : {}),
    });
  }
  const difference = await postgres.difference();
  if (difference) report(difference);
  return { before, after, counts };
}

/** The files of the Postgres databases of both snapshots, which together are one path. */
class PostgresPair {
  readonly #before: PostgresSide & { files: Map<string, FileEntry> };
  readonly #after: PostgresSide & { files: Map<string, FileEntry> };

  constructor(before: SnapshotReader, after: SnapshotReader) {
    this.#before = { reader: before, files: new Map() };
    this.#after = { reader: after, files: new Map() };
  }

  /** Whether they belong to it. */
  take(before: Entry | undefined, after: Entry | undefined): boolean {
    if (!(after ?? before)!.path.startsWith(postgresPrefix)) return false;
    if (before?.type === "file") this.#before.files.set(before.path, before);
    if (after?.type === "file") this.#after.files.set(after.path, after);
    return true;
  }

  async difference(): Promise<Difference | undefined> {
    if (this.#before.files.size + this.#after.files.size === 0) return undefined;
    const { postgresDifference } = await import("./diff_postgres.ts");
    return await postgresDifference(this.#before, this.#after);
  }
}

/** Entries of two sorted lists side by side; undefined where one list does not have a path. */
export async function* pairs(
  a: AsyncIterator<Entry>,
  b: AsyncIterator<Entry>,
): AsyncGenerator<[Entry | undefined, Entry | undefined]> {
  let [left, right] = [(await a.next()).value, (await b.next()).value];
  while (left || right) {
    const order = !left ? 1 : !right ? -1 : left.path < right.path ? -1 : left.path > right.path ? 1 : 0;
    yield [order <= 0 ? left : undefined, order >= 0 ? right : undefined];
    if (order <= 0) left = (await a.next()).value;
    if (order >= 0) right = (await b.next()).value;
  }
}

/** What became of one path; undefined: nothing that a person would call a change. */
export function changeOf(before: Entry | undefined, after: Entry | undefined): Change | undefined {
  if (!before) return "new";
  if (!after) return "gone";
  if (before.type !== after.type) return "changed";
  if (before.type === "file" && after.type === "file") {
    if (before.size !== after.size || before.contentHash !== after.contentHash) return "changed";
  }
  const targets = [before, after].map((one) => one.type === "link" || one.type === "hardlink" ? one.target : "");
  if (targets[0] !== targets[1]) return "changed";
  const isSame = before.mode === after.mode && before.uid === after.uid && before.gid === after.gid &&
    // A folder's time changes with whatever is made in it, and that is told by itself.
    (before.type === "folder" || before.mtimeMs === after.mtimeMs);
  return isSame ? undefined : "attributes";
}

function side(entry: Entry): Side {
  const { type, mode, mtimeMs } = entry;
  return {
    kind: type,
    mode,
    mtime: isoTime(mtimeMs),
    ...(entry.type === "file" ? { size: entry.size } : {}),
    ...(entry.type === "link" || entry.type === "hardlink" ? { target: entry.target } : {}),
  };
}

function factsOf({ facts }: Snapshot, entry: Entry | undefined): DatabaseFacts | undefined {
  if (entry?.type !== "file" || !entry.database) return undefined;
  return facts.databases.find(({ path }) => path === entry.path);
}

/** Tables whose number of rows differs, by name; undefined for what is no database on either side. */
export function tablesOf(
  before: Pick<DatabaseFacts, "rows"> | undefined,
  after: Pick<DatabaseFacts, "rows"> | undefined,
): TableChange[] | undefined {
  if (!before && !after) return undefined;
  // A table may have the name of something that every object has.
  const [olds, nows] = [before, after].map((one) => new Map(Object.entries(one?.rows ?? {})));
  return [...new Set([...olds!.keys(), ...nows!.keys()])].sort().flatMap((table) => {
    const [old, now] = [olds!.get(table), nows!.get(table)];
    if (old === now) return [];
    return [{ table, ...(old === undefined ? {} : { before: old }), ...(now === undefined ? {} : { after: now }) }];
  });
}
