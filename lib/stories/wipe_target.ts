import { companionEndings } from "../capture/databases.ts";
import { pathInside, realPath } from "../capture/inside.ts";
import { isLinkFolder } from "../capture/links.ts";
import type { WipeCalls } from "../capture/wipe_calls.ts";
import type { DatabaseAddress } from "../database_url.ts";
import type { EngineEvent } from "../engines/engine.ts";
import { AmberError } from "../errors.ts";
import { folderOf, statOrNone } from "../fs.ts";
import { checkDatabaseIsKept, type Patterns } from "../patterns.ts";

/** Where things are: what wiping and finishing an interrupted wipe both need. */
export interface WipePlaces {
  data: string;
  database: DatabaseAddress;
  /** The repository's folder, when it is one. */
  repositoryFolder?: string;
  scratch: string;
  /** Other folders that stay: the cache. */
  leaveAlone?: readonly string[];
  /** What snapshots leave out stays. */
  exclude: Patterns;
  /** The running program's own file. */
  program?: string;
  /** Longest wait for a restore and for a database's lock, ms. Default 5 s. */
  waitMs?: number;
  /** `user@host`, as others on a server see it. */
  by?: string;
  now: () => Date;
  random: (size: number) => Uint8Array;
  stop: AbortSignal;
  report: (event: Extract<EngineEvent, { type: "note" | "waiting" }>) => void;
  /** For tests: file and database calls that fail, or kill the process. */
  calls?: WipeCalls;
}

export const wipeWaitMs = 5_000;

/** Links resolved, absolute. */
export interface WipeTarget {
  root: string;
  scratch: string;
  /** The configured SQLite database's file, whether it is there or not. */
  database?: string;
  /** Why a path of the data folder stays; undefined when it goes. */
  whyKept: (place: string, isFolder: boolean) => string | undefined;
}

/** @throws {AmberError} CONFIG_VALUE, DATA_MISSING for what is no folder */
export function wipeTarget(places: WipePlaces): WipeTarget {
  const { data, exclude } = places;
  const root = absolute(realPath(data));
  const info = statOrNone(root);
  if (info && !info.isDirectory) {
    throw new AmberError("DATA_MISSING", {
      message: `Cannot wipe: the data folder "${data}" is not a folder`,
      where: data,
      hint: "AMBER_DATA (or --data) names the folder of the app's data.",
    });
  }
  const file = places.database.engine === "sqlite" ? absolute(realPath(places.database.path)) : undefined;
  const database = file === undefined ? undefined : pathInside(root, file);
  if (database) checkDatabaseIsKept(exclude, database, { data });
  const own = ownPlaces(root, places);
  const companions = new Set(companionEndings.map((ending) => `${database}${ending}`));
  return {
    root,
    scratch: absolute(realPath(places.scratch)),
    ...(file === undefined ? {} : { database: file }),
    whyKept: (place, isFolder) => {
      if (place === database || (database && companions.has(place))) return "the configured database";
      for (const [one, why] of own) if (place === one || place.startsWith(`${one}/`)) return why;
      if (isLinkFolder(place.split("/", 1)[0]!)) return "another amber is at work there";
      if (place === "lost+found" && isFolder) return "the file system's own";
      const pattern = exclude.match(place, isFolder);
      return pattern === undefined ? undefined : `excluded by ${pattern}`;
    },
  };
}

/** Paths in the data folder that are amber's own or lead to something that is, and why they stay. */
function ownPlaces(root: string, places: WipePlaces): Map<string, string> {
  const named: [path: string | undefined, why: string][] = [
    [places.repositoryFolder, "the repository"],
    [places.scratch, "amber's scratch folder"],
    ...(places.leaveAlone ?? []).map((path): [string, string] => [path, "amber's cache"]),
    [places.program, "amber's own program"],
    [places.database.engine === "sqlite" ? places.database.path : undefined, "the configured database"],
  ];
  const own = new Map<string, string>();
  for (const [path, why] of named) {
    if (path === undefined) continue;
    for (const link of linksOnTheWay(absolute(path))) {
      const place = pathInside(root, link);
      if (place) own.set(place, `a link on the way to ${why}`);
    }
    const place = pathInside(root, absolute(realPath(path)));
    if (place === "") {
      throw new AmberError("CONFIG_VALUE", {
        message: `Cannot wipe: the data folder itself is ${why}`,
        where: root,
        hint: "AMBER_REPOSITORY and AMBER_SCRATCH name folders of their own.",
      });
    }
    if (place !== undefined && why !== "the configured database") own.set(place, why);
  }
  return own;
}

/** More links than a system follows. */
const mostLinks = 64;

/**
 * The links that a path leads through, each where it really stands. Whoever removed one would lose what it leads to: the
 * next server would make a new database in its place, the next snapshot a new repository.
 */
export function linksOnTheWay(path: string): string[] {
  const links: string[] = [];
  let parts = path.split("/");
  let at = "";
  while (parts.length > 0 && links.length < mostLinks) {
    const name = parts.shift()!;
    if (name === "" || name === ".") continue;
    if (name === "..") {
      at = at === "" ? "" : folderOf(at).replace(/\/$/, "");
      continue;
    }
    const full = `${at}/${name}`;
    const target = readLink(full);
    if (target === undefined) {
      at = full;
      continue;
    }
    links.push(full);
    if (target.startsWith("/")) at = "";
    parts = [...target.split("/"), ...parts];
  }
  return links;
}

function readLink(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined; // no link, or nothing at all
  }
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}
