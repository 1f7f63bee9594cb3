import type { DatabaseSync } from "node:sqlite";
import { AmberError } from "../../errors.ts";
import { type Row, StatementFailure, type Value } from "../engine.ts";
import { errorOffset } from "./error_offset.ts";
import { pathFailure } from "./open.ts";

const busy = new Set([5, 6]); // SQLITE_BUSY, SQLITE_LOCKED
const readOnlyRollback = 776; // SQLITE_READONLY_ROLLBACK: a hot journal
const aboutTheFile = new Set([10, 11, 13, 14, 26]); // IOERR, CORRUPT, FULL, CANTOPEN, NOTADB

/** Rows of one statement. Whole numbers are numbers as far as they are exact, else bigint. */
export function all(database: DatabaseSync, sql: string, params: readonly Value[]): Row[] {
  const statement = database.prepare(sql);
  statement.setReadBigInts(true);
  const rows = statement.all(...params.map(toSqlite)) as Row[];
  for (const row of rows) {
    for (const name in row) {
      const value = row[name];
      if (typeof value === "bigint" && value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER) {
        row[name] = Number(value);
      }
    }
  }
  return rows;
}

/** Runs to the end without keeping rows. */
export function drain(database: DatabaseSync, sql: string, params: readonly Value[]): void {
  const statement = database.prepare(sql);
  // Most of a large file: nothing to ask about columns.
  const isPlain = /^(?:insert|create|begin|commit)\b/i.test(sql) && !/\breturning\b/i.test(sql);
  if (isPlain || statement.columns().length === 0) {
    statement.run(...params.map(toSqlite));
    return;
  }
  statement.setReadBigInts(true);
  for (const _row of statement.iterate(...params.map(toSqlite))) {
    /* a SELECT may call functions: every row is made */
  }
}

/** JS numbers bind as REAL; a whole one is meant as an INTEGER. */
function toSqlite(value: Value): string | number | bigint | null | Uint8Array {
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  return value;
}

/** Whether somebody else has the database locked. */
export function isBusy(error: unknown): boolean {
  const { errcode, message } = error as { errcode?: number; message?: string };
  return errcode === undefined ? /database (table )?is locked/.test(message ?? "") : busy.has(errcode & 0xff);
}

/** What SQLite threw, as ours: about the file, or a refused statement with its place. */
export function toFailure(error: unknown, path: string, text?: string, database?: DatabaseSync): unknown {
  const { errcode, message } = error as { errcode?: number; message?: string };
  if (message === undefined || error instanceof AmberError || error instanceof StatementFailure) return error;
  if (errcode === readOnlyRollback) {
    return new AmberError("DATABASE_UNREADABLE", {
      message:
        `Cannot read the database "${path}": a killed program left it half written, and looking does not undo that`,
      where: path,
      hint: "The next program that writes rolls it back by itself: amber migrate",
      cause: error,
    });
  }
  if (errcode !== undefined && (errcode & 0xff) === 8) {
    return new AmberError("DATABASE_PATH", {
      message: `Cannot write to the database "${path}": ${message}`,
      where: path,
      hint: "May this user write the file and its folder? Is the disk mounted read-only?",
      cause: error,
    });
  }
  if (errcode !== undefined && aboutTheFile.has(errcode & 0xff)) return pathFailure(path, error);
  return new StatementFailure(message, {
    code: errcode === undefined ? undefined : `SQLITE ${errcode}`,
    offset: text === undefined || database === undefined ? undefined : errorOffset(message, text, (part) => {
      database.prepare(part);
    }),
    cause: error,
  });
}
