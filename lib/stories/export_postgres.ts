import { loadScript } from "../capture/postgres/load_script.ts";
import { StoredPostgres } from "../capture/postgres/stored.ts";
import type { SnapshotReader } from "../repository/reader.ts";
import { postgresPrefix } from "../repository/tree.ts";

/** The name of one of a Postgres database's files in a tar, below the database's folder. Pure. */
export function exportedName(path: string): string {
  const name = path.slice(postgresPrefix.length);
  return /^schema\.(sql|jsonl)$/.test(name) ? name : `${name}.copy`;
}

/** The script that loads what was exported, for psql. Undefined for a snapshot that has no whole database. */
export async function exportedScript(reader: SnapshotReader): Promise<string | undefined> {
  const stored = await StoredPostgres.open(reader);
  if (!stored) return undefined;
  const { rows } = reader.snapshot.facts.postgres!;
  const paths: string[] = [];
  for await (const { path } of reader.entries()) if (path === largeObjects) paths.push(exportedName(path));
  return loadScript(stored, {
    rows,
    fileOf: (table) => {
      const path = stored.entryOf(table)?.path;
      return path && exportedName(path);
    },
    largeObjects: paths[0],
  });
}

const largeObjects = `${postgresPrefix}large-objects`;
