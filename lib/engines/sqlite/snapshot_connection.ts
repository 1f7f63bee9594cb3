import { DatabaseSync } from "node:sqlite";
import { fileUrl, sizeOf } from "../../fs.ts";
import { isBusy } from "./statement.ts";

/**
 * How far a database could be opened: `write`; `read`, where this user may not write; `unchanging`, where nothing can be
 * written beside it either, as on a read-only disk.
 */
export type Access = "write" | "read" | "unchanging";

export interface SnapshotConnection {
  database: DatabaseSync;
  access: Access;
  /** Why it is less than `write`. */
  reason?: string;
}

const options = {
  timeout: 0, // SQLite's own back-off starves under a busy writer: who waits polls
  enableForeignKeyConstraints: false,
  enableDoubleQuotedStringLiterals: true,
  allowExtension: false,
  defensive: true,
};

/**
 * Opens somebody's database to take a snapshot of it: never creates one, reads one row, so that what a killed writer
 * left is rolled back and the schema is known. What is in it is not trusted.
 *
 * @throws what SQLite says when it can be read in no way: not a database, damaged, no permission. Busy: call again.
 */
export function openForSnapshot(path: string): SnapshotConnection {
  const url = fileUrl(path);
  try {
    const database = openAndRead(`${url}?mode=rw`);
    const reason = whyReadOnly(database);
    return { database, access: reason === undefined ? "write" : "read", reason };
  } catch (error) {
    if (!isRefused(error)) throw error;
    const reason = (error as Error).message;
    try {
      return { database: openAndRead(`${url}?mode=ro`, true), access: "read", reason };
    } catch (second) {
      // A database in WAL mode wants a -shm beside it. Without a -wal there is nothing that it would have to agree on.
      if (!isRefused(second) || sizeOf(`${path}-wal`) > 0) throw second;
      return { database: openAndRead(`${url}?immutable=1`, true), access: "unchanging", reason };
    }
  }
}

function openAndRead(url: string, readOnly = false): DatabaseSync {
  const database = new DatabaseSync(url, { ...options, readOnly });
  try {
    database.exec("pragma trusted_schema = off");
    database.prepare("select 1 from sqlite_schema limit 1").get();
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Why a database cannot be written; undefined when it can. SQLite opens for reading what it may not write and says
 * nothing; `BEGIN IMMEDIATE` then takes no write lock and says nothing either. A statement that would write, if it had
 * anything to do, is refused.
 */
function whyReadOnly(database: DatabaseSync): string | undefined {
  const tables = database.prepare("select name from sqlite_schema where type = 'table' and rootpage > 0").all();
  for (const { name } of tables) {
    try {
      database.prepare(`delete from main."${String(name).replaceAll('"', '""')}" where 0`).run();
      return undefined;
    } catch (error) {
      if (isBusy(error)) return undefined;
      if (isReadOnly(error)) return (error as Error).message;
      // This table is SQLite's own, or a trigger calls a function that only the app has: the next one.
    }
  }
  try {
    database.exec("begin immediate; pragma user_version = 0");
    return undefined;
  } catch (error) {
    return isReadOnly(error) ? (error as Error).message : undefined;
  } finally {
    if (database.isTransaction) database.exec("rollback");
  }
}

/** Whether it may not be opened or written: SQLITE_PERM, READONLY, CANTOPEN. Opening itself tells no number. */
function isRefused(error: unknown): boolean {
  if (isBusy(error)) return false;
  const { errcode, message = "" } = error as { errcode?: number; message?: string };
  if (errcode === undefined) return /unable to open|readonly|permission/i.test(message);
  return [3, 8, 14].includes(errcode & 0xff);
}

function isReadOnly(error: unknown): boolean {
  const { errcode, message = "" } = error as { errcode?: number; message?: string };
  return errcode === undefined ? /readonly/.test(message) : (errcode & 0xff) === 8;
}
