import { databaseHeaderSize, isDatabaseHeader, superJournalOf } from "../engines/sqlite/inspect_file.ts";
import { keptFile } from "../engines/sqlite/kept_files.ts";
import { sleep } from "../engines/sleep.ts";
import { sizeOf } from "../fs.ts";
import type { Remark } from "../repository/snapshot_file.ts";
import { openRegular } from "./regular_file.ts";
import { identityOf, type Scanned, whichFile } from "./scan.ts";

/** Files that SQLite keeps beside a database, and our own lock: never files of a snapshot by themselves. */
export const companionEndings = ["-wal", "-shm", "-journal", ".amber-lock"] as const;

/** No database is smaller than its smallest page, bytes (sqlite.org/fileformat.html). */
const smallestDatabase = 512;

/** How long a super-journal is given to go: a commit over ATTACHed databases has one for a moment. */
const superJournalMs = 1_000;

/**
 * Files that this process has open itself, by identity, or by path where that is unknown. Opening and closing them again
 * would drop the process's locks on them, so they are looked into through a descriptor that stays open. Where the system
 * does not tell, none are known.
 */
export function openInThisProcess(): ReadonlySet<string> {
  const found = new Set<string>();
  try {
    for (const { name } of Deno.readDirSync("/proc/self/fd")) {
      try {
        const info = Deno.statSync(`/proc/self/fd/${name}`);
        if (info.isFile) found.add(identityOf(whichFile(info)) ?? Deno.readLinkSync(`/proc/self/fd/${name}`));
      } catch {
        // closed meanwhile: the descriptor of this very walk
      }
    }
  } catch {
    // no /proc: not Linux
  }
  return found;
}

/** Whether a file is a SQLite database, by its first bytes, never by its name. Reading it fails later, where it is told. */
export function isDatabase(full: string, file: Scanned, open: ReadonlySet<string>): boolean {
  if (file.size < smallestDatabase) return false;
  const header = new Uint8Array(databaseHeaderSize);
  try {
    const identity = identityOf(file);
    if (open.has(identity ?? full)) {
      // Without an identity it cannot be kept open by it: whoever opens it finds out what it is.
      if (identity === undefined) return true;
      keptFile(full).read(0, header);
    } else {
      using opened = openRegular(full);
      if (!opened) return false;
      opened.read(header, 0);
    }
  } catch {
    return false; // gone or closed to us: said when its content is read
  }
  return isDatabaseHeader(header);
}

/**
 * Why a database must not be opened: what users upload is not to be trusted, and a crafted journal that names a
 * super-journal makes SQLite delete a file elsewhere. Looked at for a second before that is believed.
 */
export async function whyRaw(full: string, stop: AbortSignal): Promise<string | undefined> {
  const until = performance.now() + superJournalMs;
  for (;;) {
    let name: string | undefined;
    try {
      name = superJournalOf(full);
    } catch (error) {
      return `its journal cannot be read (${error instanceof Error ? error.message : error})`;
    }
    if (name === undefined) return undefined;
    if (performance.now() >= until) {
      return `its journal names another file (${JSON.stringify(name)}), which SQLite would delete`;
    }
    await sleep(20, stop);
  }
}

export function rawRemark(path: string, why: string): Remark {
  return {
    path,
    what: "raw",
    message: `it looks like a database, but ${why}: stored as it is, with its journal, and not opened`,
  };
}

/** Whether something that belongs into a database lies beside it. */
export function hasLog(full: string): boolean {
  return sizeOf(`${full}-wal`) > 0 || sizeOf(`${full}-journal`) > 0;
}

/** A database's files as they are: equal means that nobody wrote, as long as they are not too fresh. */
export function stampOf(full: string): string | undefined {
  try {
    const main = Deno.statSync(full);
    const log = sizeAndTime(`${full}-wal`);
    return `${main.size} ${main.mtime?.getTime()} ${main.ctime?.getTime()} ${main.ino} ${log}`;
  } catch {
    return undefined;
  }
}

/** Whether a stamp's times lie so far back that a later write would have changed them. */
export function isSettled(full: string, nowMs: number): boolean {
  const times = [full, `${full}-wal`].map((path) => {
    try {
      const { size, mtime, ctime } = Deno.statSync(path);
      // An empty log is nothing, and ours: made when the database was opened.
      return size === 0 ? 0 : Math.max(mtime?.getTime() ?? Infinity, ctime?.getTime() ?? 0);
    } catch (error) {
      return error instanceof Deno.errors.NotFound ? 0 : Infinity;
    }
  });
  return Math.max(...times) < nowMs - 2_000;
}

function sizeAndTime(path: string): string {
  try {
    const { size, mtime, ino } = Deno.statSync(path);
    return size === 0 ? "0" : `${size} ${mtime?.getTime()} ${ino}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "0";
    throw error;
  }
}
