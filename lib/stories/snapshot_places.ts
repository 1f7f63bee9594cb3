import { pathInside, realPath } from "../capture/inside.ts";
import { AmberError } from "../errors.ts";
import { statOrNone } from "../fs.ts";
import { checkDatabaseIsKept, compilePatterns, type Patterns } from "../patterns.ts";
import { idOf, type Snapshot } from "../repository/snapshot_file.ts";
import type { SnapshotOptions } from "./snapshot.ts";

/** Where things are, links resolved. */
export interface Places {
  /** undefined: there is no data folder, and only the database is taken. */
  data?: string;
  configured?: { file: string; path: string };
  /** Paths in the data folder that are never part of a snapshot: repository, scratch, cache. */
  own: string[];
  patterns: Patterns;
  scratch: string;
}

/** @throws {AmberError} DATA_MISSING, CONFIG_VALUE, FILE_UNREADABLE */
export function placesOf(options: SnapshotOptions): Places {
  const info = readable(options.data, () => statOrNone(options.data));
  if (info && !info.isDirectory) {
    throw new AmberError("DATA_MISSING", {
      message: `Cannot take a snapshot: the data folder "${options.data}" is not a folder`,
      where: options.data,
      hint: "AMBER_DATA (or --data) names the folder of the app's data.",
    });
  }
  const data = info && Deno.realPathSync(options.data);
  const patterns = compilePatterns(options.exclude, { data: options.data });
  const inData = (path: string | undefined) =>
    data === undefined || path === undefined ? undefined : pathInside(data, realPath(path));
  const own = [options.repositoryFolder, options.scratch, options.cache].map(inData);
  const { database } = options;
  const file = database.engine === "sqlite"
    ? readable(database.path, () => statOrNone(database.path)?.isFile ? Deno.realPathSync(database.path) : undefined)
    : undefined;
  const path = file && (data && pathInside(data, file) || "/database.db");
  if (path && path !== "/database.db") checkDatabaseIsKept(patterns, path);
  if (own.includes("")) {
    throw new AmberError("CONFIG_VALUE", {
      message: `Cannot take a snapshot: the repository, or the scratch folder, is the data folder itself`,
      where: options.data,
      hint: "AMBER_REPOSITORY and AMBER_SCRATCH name folders of their own.",
    });
  }
  return {
    data,
    configured: file && path ? { file, path } : undefined,
    own: own.filter((one): one is string => one !== undefined),
    patterns,
    scratch: options.scratch,
  };
}

/**
 * A data folder that is missing or empty is usually a wrong mount, and a snapshot of it would look like a good one.
 *
 * @throws {AmberError} DATA_MISSING, DATA_EMPTY, FILE_UNREADABLE; a note where it can be right.
 */
export function refuseEmpty(options: SnapshotOptions, places: Places, parent: Snapshot | undefined): void {
  const { data, configured, own, patterns } = places;
  const isOwn = (name: string) =>
    name === "lost+found" || own.includes(name) || patterns.match(name, false) !== undefined || /^\.amber/.test(name);
  const isEmpty = data === undefined ||
    readable(options.data, () => [...Deno.readDirSync(data)].every(({ name }) => isOwn(name)));
  if (!isEmpty) return;
  const state = data === undefined ? "does not exist" : "is empty";
  const { database } = options;
  const belongsInside = database.engine === "sqlite" &&
    pathInside(realPath(options.data), realPath(database.path)) !== undefined;
  const why = configured === undefined && database.engine === "sqlite" && !belongsInside
    ? "there is no database either"
    : belongsInside && configured === undefined
    ? `the configured database "${(database as { path: string }).path}" should lie in it`
    // A safety snapshot is taken of what is there, also when that is nothing: a wipe of the files came before.
    : options.kind !== "safety" &&
        (parent?.facts.files ?? 0) > (parent?.facts.databases.filter(({ path }) => path.startsWith("/")).length ?? 0)
    ? `the snapshot before this one (${idOf(parent!)}) had files in it`
    : undefined;
  if (why === undefined) {
    return options.report({ type: "note", message: `the data folder "${options.data}" ${state}` });
  }
  throw new AmberError(data === undefined ? "DATA_MISSING" : "DATA_EMPTY", {
    message: `Cannot take a snapshot: the data folder "${options.data}" ${state}, and ${why}`,
    where: options.data,
    hint: "Is the volume mounted, and is AMBER_DATA right?",
  });
}

/** What a look at a place gives. @throws {AmberError} FILE_UNREADABLE when it is closed to this user. */
function readable<T>(path: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new AmberError("FILE_UNREADABLE", {
      message: `Cannot take a snapshot: "${path}" cannot be read: permission denied`,
      where: path,
      hint: `Run amber as the user that owns it, or give this one the right: ls -ld "${path}"`,
      cause: error,
    });
  }
}
