import type { RestoreCalls } from "../capture/restore_calls.ts";
import { companionEndings } from "../capture/databases.ts";
import { statOrNone } from "../fs.ts";
import type { RestoreTarget } from "./restore_target.ts";

/** Which parts of an app are empty: each is judged by itself. */
export interface Emptiness {
  files: boolean;
  /** False as well where there is no database that can be restored. */
  database: boolean;
}

/**
 * Files are empty when the data folder holds nothing but `lost+found`, what is amber's own, and the configured database;
 * the database is when it is not there or has no tables of the app.
 *
 * @throws {AmberError} DATABASE_BUSY
 */
export function judgeEmptiness({ root, place, database, isOwn }: RestoreTarget, calls: RestoreCalls): Emptiness {
  const own = new Set(place === undefined ? [] : [place, ...companionEndings.map((ending) => place + ending)]);
  const holdsOthers = (folder: string, prefix: string): boolean =>
    [...calls.readDir(folder)].some(({ name, isDirectory }) => {
      const path = prefix + name;
      if (own.has(path) || isOwn(path, isDirectory)) return false;
      // A folder that is there only for the database, or for the repository, holds nothing else.
      const isAround = isDirectory && place !== undefined && place.startsWith(`${path}/`);
      return !isAround || holdsOthers(`${folder}/${name}`, `${path}/`);
    });
  return {
    files: !statOrNone(root) || !holdsOthers(root, ""),
    database: database !== undefined && isEmptyDatabase(database, calls),
  };
}

function isEmptyDatabase(path: string, calls: RestoreCalls): boolean {
  const { state, tables } = calls.lookAtLive(path, { trusted: true });
  return state === "none" || state === "empty" || (state === "database" && tables === 0);
}
