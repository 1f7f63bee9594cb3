import { rowsPath } from "../capture/postgres/paths.ts";
import { type SchemaChange, schemaChanges } from "../capture/postgres/schema_changes.ts";
import { StoredPostgres } from "../capture/postgres/stored.ts";
import type { SnapshotReader } from "../repository/reader.ts";
import { type FileEntry, postgresPrefix } from "../repository/tree.ts";
import type { Difference, TableChange } from "./diff.ts";

/** One side: the snapshot, and the files of its Postgres database by their paths. */
export interface PostgresSide {
  reader: SnapshotReader;
  files: ReadonlyMap<string, FileEntry>;
}

/** What differs between the Postgres databases of two snapshots; undefined when nothing does. @throws {AmberError} OBJECT_* */
export async function postgresDifference(before: PostgresSide, after: PostgresSide): Promise<Difference | undefined> {
  const [old, now] = [before, after].map(({ reader }) => reader.snapshot.facts.postgres);
  if (!old && !now) return undefined;
  if (!old || !now) {
    const rows = Object.entries((old ?? now)!.rows).sort(([a], [b]) => a < b ? -1 : 1);
    const tables = rows.map(([table, count]) => ({ table, ...(old ? { before: count } : { after: count }) }));
    return { path: postgresPrefix, change: old ? "gone" : "new", tables };
  }
  const isSame = (path: string) => hashOf(before, path) === hashOf(after, path);
  const isSameSchema = isSame(`${postgresPrefix}schema.jsonl`);
  const objects = isSameSchema ? [] : await changedObjects(before, after);
  const tables = await changedTables(before, after);
  const parts = (["sequences", "large-objects"] as const).filter((name) => !isSame(postgresPrefix + name));
  if (objects.length === 0 && tables.length === 0 && parts.length === 0) return undefined;
  const isOnlyRights = tables.length + parts.length === 0 && objects.every(({ change }) => change === "attributes");
  return {
    path: postgresPrefix,
    change: isOnlyRights ? "attributes" : "changed",
    tables,
    ...(objects.length > 0 ? { objects } : {}),
    ...(parts.length > 0 ? { parts } : {}),
  };
}

async function changedObjects(before: PostgresSide, after: PostgresSide): Promise<SchemaChange[]> {
  const old = await StoredPostgres.open(before.reader);
  const now = await StoredPostgres.open(after.reader);
  return schemaChanges(old!, now!);
}

/** Tables with another number of rows, and those with as many, other ones. */
async function changedTables(before: PostgresSide, after: PostgresSide): Promise<TableChange[]> {
  const [old, now] = [before, after].map(({ reader }) => new Map(Object.entries(reader.snapshot.facts.postgres!.rows)));
  const names = [...new Set([...old!.keys(), ...now!.keys()])].sort();
  const hasOtherRows = names.some((name) => old!.get(name) === now!.get(name)) && differsBelow(before, after)
    ? await otherRows(before, after)
    : new Set();
  return names.filter((name) => old!.get(name) !== now!.get(name) || hasOtherRows.has(name)).map((table) => ({
    table,
    ...(old!.has(table) ? { before: old!.get(table) } : {}),
    ...(now!.has(table) ? { after: now!.get(table) } : {}),
  }));
}

function differsBelow(before: PostgresSide, after: PostgresSide): boolean {
  const paths = new Set([...before.files.keys(), ...after.files.keys()]);
  return [...paths].some((path) =>
    path.startsWith(`${postgresPrefix}tables/`) && hashOf(before, path) !== hashOf(after, path)
  );
}

/** Names of tables, whose paths have them in another form, with other rows in the second snapshot. */
async function otherRows(before: PostgresSide, after: PostgresSide): Promise<Set<string>> {
  const { schema } = (await StoredPostgres.open(after.reader))!;
  const others = schema.tables.filter((table) => {
    const path = rowsPath(table);
    return hashOf(before, path) !== hashOf(after, path);
  });
  return new Set(others.map(({ quoted }) => quoted));
}

function hashOf({ files }: PostgresSide, path: string): string | undefined {
  return files.get(path)?.contentHash;
}
