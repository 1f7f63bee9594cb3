import { DatabaseSync } from "node:sqlite";
import { chmodSync, closeSync, openSync, statSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { AmberError } from "../../errors.ts";

/** `timeout: 0`: SQLite's own back-off starves under a busy writer, so we poll. Foreign keys off: SQLite's own default. */
const options = {
  enableForeignKeyConstraints: false,
  enableDoubleQuotedStringLiterals: true, // as the sqlite3 shell and most libraries read old files
  timeout: 0,
};

/**
 * Opens a database for reading and writing.
 *
 * @param create Make a missing file (mode 0600) when its folder exists.
 * @throws {AmberError} DATABASE_UNKNOWN, DATABASE_PATH
 */
export function openDatabase(path: string, create: boolean): DatabaseSync {
  const info = statSync(path, { throwIfNoEntry: false });
  if (info === undefined) {
    const folder = dirname(path);
    const parent = statSync(folder, { throwIfNoEntry: false });
    if (!parent?.isDirectory()) {
      throw new AmberError("DATABASE_PATH", {
        message: `Cannot open the database "${path}": the folder "${folder}" ${
          parent ? "is not a folder" : "does not exist"
        }`,
        where: path,
        hint: "Is the volume mounted, and is DB_PATH right? A folder is made on purpose: mkdir -p",
      });
    }
    if (!create) {
      throw new AmberError("DATABASE_UNKNOWN", {
        message: `Cannot open the database "${path}": there is no such file`,
        where: path,
        hint: "`amber migrate` creates it.",
      });
    }
    createFile(path);
  } else if (!info.isFile()) {
    throw new AmberError("DATABASE_PATH", {
      message: `Cannot open the database "${path}": it is not a file`,
      where: path,
      hint: "DB_PATH (or sqlite:PATH in DATABASE_URL) names the database's file.",
    });
  }
  try {
    const database = new DatabaseSync(path, options);
    return database;
  } catch (cause) {
    throw pathFailure(path, cause);
  }
}

/**
 * Opens a database to look only: nothing is created beside it, also not `-wal` and `-shm`, and a read-only folder is
 * fine. `undefined` when the file is empty.
 *
 * `settled()` says afterwards whether what was read is to be trusted: a database opened as unchangeable must not have
 * changed meanwhile.
 *
 * @throws {AmberError} DATABASE_UNKNOWN when there is no file; DATABASE_UNREADABLE when its `-wal` has content and the
 * folder cannot be written.
 */
export function openToLook(path: string): { database: DatabaseSync; settled: () => boolean } | undefined {
  const info = statSync(path, { throwIfNoEntry: false });
  if (!info?.isFile()) {
    openDatabase(path, false).close(); // says what it is
    return openToLook(path);
  }
  if (info.size === 0) return undefined;
  const stamp = () => {
    const now = statSync(path, { throwIfNoEntry: false });
    return `${now?.ino} ${now?.size} ${now?.mtimeMs} ${sizeOf(`${path}-wal`)} ${sizeOf(`${path}-journal`)}`;
  };
  const before = stamp();
  const url = pathToFileURL(isAbsolute(path) ? path : resolve(path)).href;
  try {
    if (sizeOf(`${path}-wal`) === 0) {
      const unchanging = new DatabaseSync(`${url}?immutable=1`, { ...options, readOnly: true });
      const mode = unchanging.prepare("pragma journal_mode").get()?.journal_mode;
      // An ordinary reader of a database in rollback mode leaves nothing behind and waits for writers as it should.
      if (mode === "wal" || sizeOf(`${path}-journal`) > 0) {
        return {
          database: unchanging,
          settled: () => stamp() === before,
        };
      }
      unchanging.close();
    }
    return { database: new DatabaseSync(path, { ...options, readOnly: true }), settled: () => true };
  } catch (cause) {
    throw pathFailure(path, cause);
  }
}

/** What SQLite says about a path or a file that it cannot use, in words. */
export function pathFailure(path: string, cause: unknown): AmberError {
  const text = cause instanceof Error ? cause.message : String(cause);
  if (/not a database|encrypted|malformed/i.test(text)) {
    return new AmberError("DATABASE_FORMAT", {
      message: `Cannot read the database "${path}": ${
        /malformed/i.test(text) ? "it is damaged" : "the file is not a SQLite database"
      } (${text})`,
      where: path,
      hint: "Nothing was changed. Is DB_PATH right? If it is, put the file back from a snapshot.",
      cause,
    });
  }
  if (sizeOf(`${path}-wal`) > 0 && /unable to open|readonly|read-only/i.test(text)) {
    return new AmberError("DATABASE_UNREADABLE", {
      message:
        `Cannot read the database "${path}": its -wal file holds changes, and its folder cannot be written to join them`,
      where: path,
      hint: "Run this where the folder can be written, or while the app has the database open.",
      cause,
    });
  }
  return new AmberError("DATABASE_PATH", {
    message: `Cannot open the database "${path}": ${text}`,
    where: path,
    hint: "May this user read and write the file and its folder?",
    cause,
  });
}

function createFile(path: string): void {
  try {
    closeSync(openSync(path, "ax", 0o600));
    chmodSync(path, 0o600); // whatever the umask
  } catch (cause) {
    if ((cause as { code?: string }).code === "EEXIST") return; // another runner made it
    throw new AmberError("DATABASE_PATH", {
      message: `Cannot create the database "${path}": ${cause instanceof Error ? cause.message : cause}`,
      where: path,
      hint: "May this user write in that folder?",
      cause,
    });
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
