import { DatabaseSync } from "node:sqlite";
import { AmberError } from "../../errors.ts";
import { fileUrl, folderOf, sizeOf, statOrNone } from "../../fs.ts";

/** `timeout: 0`: SQLite's own back-off starves under a busy writer, so we poll. Foreign keys off: SQLite's own default. */
const options = {
  enableForeignKeyConstraints: false,
  enableDoubleQuotedStringLiterals: true, // as the sqlite3 shell and most libraries read old files
  timeout: 0,
};

const smallestPage = 512; // bytes; no database has fewer (sqlite.org/fileformat.html)

/**
 * Opens a database for reading and writing.
 *
 * @param create Make a missing file (mode 0600) when its folder exists.
 * @throws {AmberError} DATABASE_UNKNOWN, DATABASE_PATH
 */
export function openDatabase(path: string, create: boolean): DatabaseSync {
  if (inspect(path) === undefined) {
    if (!create) throw unknown(path);
    createFile(path);
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
  const info = inspect(path);
  if (info === undefined) throw unknown(path);
  if (info.size === 0) return undefined;
  const stamp = () => {
    const now = statOrNone(path);
    return `${now?.ino} ${now?.size} ${now?.mtime?.getTime()} ${sizeOf(`${path}-wal`)}`;
  };
  const before = stamp();
  try {
    if (sizeOf(`${path}-wal`) === 0) {
      if (isWal(path)) {
        const unchanging = new DatabaseSync(`${fileUrl(path)}?immutable=1`, { ...options, readOnly: true });
        return { database: unchanging, settled: () => stamp() === before };
      }
      // In rollback mode an ordinary reader leaves nothing behind, waits for writers as it should, and refuses to read
      // what a killed one has left half written.
    }
    return { database: new DatabaseSync(path, { ...options, readOnly: true }), settled: () => true };
  } catch (cause) {
    throw pathFailure(path, cause);
  }
}

/**
 * Whether a database is in WAL mode, found out without leaving anything behind. `PRAGMA journal_mode` says "delete" on an
 * unchangeable database, and to read the header ourselves would drop this process's locks on the file. Without locks
 * SQLite refuses to open a WAL (SQLITE_CANTOPEN); what is read wrong here is read right later.
 */
function isWal(path: string): boolean {
  const unlocked = new DatabaseSync(`${fileUrl(path)}?nolock=1`, { ...options, readOnly: true });
  try {
    unlocked.prepare("select 1 from sqlite_schema limit 1").get();
    return false;
  } catch (error) {
    return ((error as { errcode?: number }).errcode ?? 0) % 256 === 14;
  } finally {
    unlocked.close();
  }
}

/** What SQLite says about a path or a file that it cannot use, in words. */
export function pathFailure(path: string, cause: unknown): AmberError {
  const text = cause instanceof Error ? cause.message : String(cause);
  if (/not a database|encrypted|malformed/i.test(text)) {
    const why = /malformed/i.test(text) ? "it is damaged, or was cut off" : "the file is not a SQLite database";
    return notDatabase(path, `${why} (${text})`, cause);
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
    hint: "May this user read and write the file and its folder? ls -ld shows who may.",
    cause,
  });
}

/**
 * What is there; undefined when there is nothing yet and a file may be made.
 *
 * @throws {AmberError} DATABASE_PATH for what can never be a database, DATABASE_FORMAT for a file that is too small for
 * one: SQLite takes it for an empty database and writes over it.
 */
function inspect(path: string): Deno.FileInfo | undefined {
  const fail = (why: string, hint: string, cause?: unknown) =>
    new AmberError("DATABASE_PATH", {
      message: `Cannot open the database "${path}": ${why}`,
      where: path,
      hint,
      cause,
    });
  const names = "DB_PATH (or sqlite:PATH in DATABASE_URL) names the database's file";
  if (/[/\\]$/.test(path)) throw fail("it names a folder", `${names}, for example ${path}prod.db`);
  let info: Deno.FileInfo | undefined;
  try {
    info = statOrNone(path);
  } catch (cause) {
    const code = (cause as { code?: string }).code;
    if (code === "ENOTDIR") throw fail(`"${fileAbove(path)}" is not a folder`, `${names}.`, cause);
    if (code === "ELOOP") throw fail("its links lead in a circle", "Put the file there instead of the link.", cause);
    if (code === "EACCES") {
      throw fail("this user may not enter its folder", "Let this user enter the folder: chmod a+x", cause);
    }
    throw fail(cause instanceof Error ? cause.message : String(cause), `${names}.`, cause);
  }
  if (info === undefined) {
    const link = linkAt(path);
    if (link !== undefined) {
      throw fail(`it is a link to "${link}", which does not exist`, "Is the volume mounted? Else remove the link.");
    }
    const folder = folderOf(path);
    if (statOrNone(folder) === undefined) {
      const hint = `Is the volume mounted, and is the path right? If it is meant to be new: mkdir -p ${folder}`;
      throw fail(`the folder "${folder}" does not exist`, hint);
    }
    return undefined;
  }
  if (!info.isFile) throw fail(info.isDirectory ? "it is a folder" : "it is not a file", `${names}.`);
  if (info.size > 0 && info.size < smallestPage && sizeOf(`${path}-journal`) === 0) {
    throw notDatabase(path, `the file is not a SQLite database (it has only ${info.size} bytes)`);
  }
  return info;
}

/** Where a link leads that leads nowhere; undefined when there is no link. */
function linkAt(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

/** The part of a path that is a file where a folder should be. */
function fileAbove(path: string): string {
  for (let above = folderOf(path);; above = folderOf(above)) {
    try {
      if (above === folderOf(above) || Deno.statSync(above).isFile) return above;
    } catch {
      // further up
    }
  }
}

function unknown(path: string): AmberError {
  return new AmberError("DATABASE_UNKNOWN", {
    message: `Cannot open the database "${path}": there is no such file`,
    where: path,
    hint: "`amber migrate` creates it.",
  });
}

function notDatabase(path: string, why: string, cause?: unknown): AmberError {
  return new AmberError("DATABASE_FORMAT", {
    message: `Cannot read the database "${path}": ${why}`,
    where: path,
    hint: "Nothing was changed. Is the path right? If it is, put the file back from a backup.",
    cause,
  });
}

function createFile(path: string): void {
  try {
    Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }).close();
    if (Deno.build.os !== "windows") Deno.chmodSync(path, 0o600); // whatever the umask
  } catch (cause) {
    const code = (cause as { code?: string }).code ?? "";
    if (code === "EEXIST") return; // another runner made it
    const folder = folderOf(path);
    const known: Record<string, [why: string, hint: string]> = {
      EACCES: [`this user may not write in the folder "${folder}"`, "Let this user write there: chown or chmod."],
      EPERM: [`this user may not write in the folder "${folder}"`, "Let this user write there: chown or chmod."],
      EROFS: ["the disk is mounted read-only", "Mount it so that it can be written, or choose another path."],
      ENOSPC: ["the disk is full", "Make room on the disk."],
      ENAMETOOLONG: ["the name is too long", "Choose a shorter one."],
    };
    const [why, hint] = known[code] ??
      [cause instanceof Error ? cause.message : String(cause), "May this user write in that folder?"];
    throw new AmberError("DATABASE_PATH", {
      message: `Cannot create the database "${path}": ${why}`,
      where: path,
      hint,
      cause,
    });
  }
}
