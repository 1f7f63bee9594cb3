import { DatabaseSync } from "node:sqlite";
import { fileUrl } from "../../fs.ts";
import type { ImageCheck, ImageQuestion } from "./check_image.ts";
import { readMigrationState } from "./migration_state.ts";

// The other end of check_image.ts: a file of its own, since import.meta.main is true in a worker as well.
export type ImageCheckMessage =
  | { check: ImageCheck; failure?: undefined }
  | { check?: undefined; failure: string };

const mostLines = 20;
const options = {
  readOnly: true,
  enableForeignKeyConstraints: false,
  enableDoubleQuotedStringLiterals: true,
  allowExtension: false,
  defensive: true,
};
const scope = self as unknown as Worker; // the same two words as a worker has on its outside

scope.onmessage = ({ data }: MessageEvent<{ path: string; question: ImageQuestion }>) => {
  const post = (message: ImageCheckMessage) => scope.postMessage(message);
  try {
    post({ check: checkImage(data.path, data.question) });
  } catch (error) {
    post({ failure: textOf(error) });
  }
};

function checkImage(path: string, { tables, isQuick = false }: ImageQuestion): ImageCheck {
  // Unchangeable: nobody else has it open, and neither -wal nor -shm is made beside it.
  const database = new DatabaseSync(`${fileUrl(path)}?immutable=1`, options);
  try {
    // Indexes are compared in their tables' order: with SQLite's 2 MB of cache 1 GB took 19 s, with 32 MB 6.
    database.exec(`pragma trusted_schema = off; pragma cache_size = ${isQuick ? -4_000 : -32_000}`);
    return {
      integrity: integrityOf(database, isQuick),
      foreignKeys: foreignKeysOf(database),
      rows: Object.fromEntries(tables.map((name) => [name, rowsOf(database, name)])),
      ...(tables.includes("amber_migrations") ? { migrations: migrationsOf(database) } : {}),
    };
  } finally {
    database.close();
  }
}

function integrityOf(database: DatabaseSync, isQuick: boolean): string[] {
  try {
    const lines = database.prepare(`pragma ${isQuick ? "quick_check" : "integrity_check"}(${mostLines})`).all().map((
      row,
    ) => String(Object.values(row)[0]));
    return lines.length === 1 && lines[0] === "ok" ? [] : lines.slice(0, mostLines);
  } catch (error) {
    return [textOf(error)]; // an index on a function that only the app has stops the whole check
  }
}

function foreignKeysOf(database: DatabaseSync): ImageCheck["foreignKeys"] {
  const tables = new Set<string>();
  let count = 0;
  try {
    for (const row of database.prepare("pragma foreign_key_check").iterate()) {
      count++;
      if (tables.size < mostLines) tables.add(String(row.table));
    }
  } catch {
    // A key that names no unique columns, or a damaged page: the one is the app's affair, the other is told above.
  }
  return { count, tables: [...tables] };
}

function rowsOf(database: DatabaseSync, name: string): ImageCheck["rows"][string] {
  try {
    // A table and nothing else: a forged snapshot could name a view that never ends.
    const isTable = database.prepare("select 1 from sqlite_schema where type = 'table' and name = ?").get(name);
    if (!isTable) return "missing";
    return Number(database.prepare(`select count(*) as count from main."${name.replaceAll('"', '""')}"`).get()!.count);
  } catch (error) {
    return { failure: textOf(error) };
  }
}

function migrationsOf(database: DatabaseSync): ImageCheck["migrations"] {
  try {
    return readMigrationState(database);
  } catch {
    return undefined; // what is wrong with the table is told by its rows
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
