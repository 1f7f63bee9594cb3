import { AmberError } from "../../errors.ts";
import { openToLook } from "./open.ts";
import { appTableCount, readMarker } from "./put_image.ts";
import { superJournalOf } from "./inspect_file.ts";
import { isBusy } from "./statement.ts";

/** What stands where a database is to go, for whoever wants to write it through SQLite. */
export interface LiveDatabase {
  /** `none`: nothing. `empty`: a file of no bytes. `unusable`: something, but not to be written through SQLite. */
  state: "none" | "empty" | "database" | "unusable";
  /** Of a database: bytes of a page; tables that are not SQLite's or amber's own; the restore that it comes from. */
  pageSize?: number;
  tables?: number;
  marker?: string;
  /** Why it is unusable. */
  why?: string;
}

/** How often a database that somebody has locked is looked at, and a journal that names another file. */
const tries = 100;
const pauseMs = 10;
const clock = new Int32Array(new SharedArrayBuffer(4));

/**
 * Looks without leaving anything behind. A database whose journal names another file, or beside which links lie, is not
 * opened: whoever plants those wants a file elsewhere to be removed or written.
 *
 * @param options.trusted It is the configured one, which the server opens as well: a link at its own path is followed.
 * @throws {AmberError} DATABASE_BUSY
 */
export function lookAtLive(path: string, options: { trusted: boolean }): LiveDatabase {
  const info = options.trusted ? orNone(() => Deno.statSync(path)) : orNone(() => Deno.lstatSync(path));
  if (info === undefined) return { state: "none" };
  if (!info.isFile) return { state: "unusable", why: "it is not a file" };
  for (const ending of ["-wal", "-shm", "-journal"]) {
    const beside = orNone(() => Deno.lstatSync(path + ending));
    if (beside && !beside.isFile) return { state: "unusable", why: `"${path}${ending}" is no file` };
  }
  for (let left = tries;; left--) {
    // A commit over several attached databases has such a journal for a moment.
    const isBound = !options.trusted && superJournalOf(path) !== undefined;
    if (isBound && left <= 0) return { state: "unusable", why: "its journal names another file" };
    if (!isBound) {
      const seen = look(path);
      if (seen) return seen;
      if (left <= 0) {
        throw new AmberError("DATABASE_BUSY", {
          message: `Cannot read the database "${path}" now: somebody else has it locked`,
          where: path,
          hint: "Which program has the file open? `fuser FILE` tells. Then run this once more.",
        });
      }
    }
    Atomics.wait(clock, 0, 0, pauseMs);
  }
}

/** Undefined while somebody has it locked, or changes it under us. */
function look(path: string): LiveDatabase | undefined {
  try {
    const opened = openToLook(path);
    if (!opened) return { state: "empty" };
    const { database, settled } = opened;
    try {
      const seen: LiveDatabase = {
        state: "database",
        pageSize: Number(database.prepare("pragma page_size").get()!.page_size),
        tables: appTableCount(database),
        marker: readMarker(database),
      };
      return settled() ? seen : undefined;
    } finally {
      database.close();
    }
  } catch (error) {
    if (isBusy(error)) return undefined;
    const why = error instanceof AmberError ? reasonOf(error) : `it cannot be read (${(error as Error).message})`;
    return { state: "unusable", why };
  }
}

/** The message behind its first words, which name the path. */
function reasonOf(error: AmberError): string {
  return error.message.replace(/^.*?": /, "");
}

function orNone<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}
