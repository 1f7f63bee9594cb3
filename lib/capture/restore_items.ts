import { AmberError } from "../errors.ts";
import type { DatabaseFacts, SnapshotFacts } from "../repository/snapshot_file.ts";
import type { Entry } from "../repository/tree.ts";

/** The path of a configured database that lies outside the data folder; no path inside begins with "/". */
export const outsidePlace = "/database.db";

/** What is to be restored. */
export interface Selection {
  /** Files, or folders with all below them, relative to the data folder. When there are any, they alone say it. */
  paths: readonly string[];
  /** Everything but the configured database. */
  files: boolean;
  /** The configured database. */
  database: boolean;
}

/** An entry of a tree without its runs: 100,000 of them fit into memory. */
export interface Outline {
  path: string;
  type: Entry["type"];
  mode: number;
  uid: number;
  gid: number;
  mtimeMs: number;
  /** Bytes, of a file; and those of them that are no holes. */
  size: number;
  allocated: number;
  contentHash?: string;
  /** Whether it is a database, and the bytes of its pages. */
  database: boolean;
  blockSize: number;
  /** Where a link or hard link leads. */
  target?: string;
}

export function outlineOf(entry: Entry): Outline {
  const { path, type, mode, uid, gid, mtimeMs } = entry;
  const common = { path, type, mode, uid, gid, mtimeMs, size: 0, allocated: 0, database: false, blockSize: 0 };
  if (entry.type === "folder") return common;
  if (entry.type !== "file") return { ...common, target: entry.target };
  const { size, contentHash, database, blockSize, runs } = entry;
  let blocks = 0;
  for (const { count, pack } of runs) blocks += pack === 0 ? 0 : count;
  return { ...common, size, contentHash, database, blockSize, allocated: Math.min(size, blocks * blockSize) };
}

/** One path that comes. */
export interface Item extends Outline {
  /** Where it goes: a path in the target folder, or `/database.db` for a configured database outside. */
  place: string;
  /** Whose content it has: its own path, except for a hard link whose first name does not come. */
  content: string;
  /** It is only there to hold what comes: made when it is missing, else left as it is. */
  isAround: boolean;
  /** Other names of the same file come as well. */
  isShared: boolean;
  /** Of a database. */
  facts?: DatabaseFacts;
  /** Whether it is the database that was configured then, and goes to the one that is configured now. */
  configured: boolean;
}

export interface ItemsInput {
  /** Sorted by path, as a tree is. */
  outlines: readonly Outline[];
  databases: SnapshotFacts["databases"];
  selection: Selection;
  /** Where the configured database is now: in the target, or `/database.db`. Absent: there is none that can be restored. */
  place?: string;
  /** Whether something of ours, or something that is excluded, has this place in the target: nothing is put there. */
  isKept: (place: string, isFolder: boolean) => boolean;
}

/**
 * What of a snapshot comes, sorted by path, and what is to be said about it. Pure: whoever finishes an interrupted restore
 * finds the same.
 *
 * @throws {AmberError} SNAPSHOT_FILE_UNKNOWN; USAGE when two databases would go to one place; OBJECT_DAMAGED
 */
export function selectItems({ outlines, databases, selection, place, isKept }: ItemsInput): {
  items: Item[];
  notes: string[];
} {
  const facts = new Map(databases.map((one) => [one.path, one]));
  const configuredPath = databases.find(({ configured }) => configured)?.path;
  const wanted = selection.paths.map(cleanPath);
  const found = new Set<string>();
  const notes: string[] = [];
  const kept: string[] = [];
  const items: Item[] = [];
  const coming = new Map<string, Item>();
  const firstNames = new Map<string, string>(); // a file that does not come → the hard link that stands for it
  const byPath = new Map<string, Outline>();
  for (const outline of outlines) {
    const { path, type } = outline;
    refuseUnderFile(byPath, path);
    byPath.set(path, outline);
    const configured = path === configuredPath && outline.database;
    const isAround = type === "folder" && wanted.some((one) => one.startsWith(`${path}/`));
    const match = wanted.find((one) => path === one || path.startsWith(`${one}/`));
    if (match !== undefined) found.add(match);
    const isWanted = wanted.length > 0 ? match !== undefined : configured ? selection.database : selection.files;
    if (!isWanted && !isAround) continue;
    if (configured && place === undefined) {
      notes.push(
        `the database of the snapshot ("${path}") is left out: it is one of SQLite, and a Postgres is configured`,
      );
      continue;
    }
    const goesTo = configured ? place! : path;
    if (path === outsidePlace && !configured) {
      throw damaged(`"${path}" is a database outside the data folder, and not the configured one`);
    }
    if (!configured && goesTo === place && wanted.length === 0 && !selection.database) {
      notes.push(`"${path}" is left out: it is where the configured database lies now`);
      continue;
    }
    if (!configured && isKept(goesTo, type === "folder")) {
      kept.push(path);
      continue;
    }
    const item: Item = {
      ...outline,
      place: goesTo,
      content: path,
      isAround: isAround && match === undefined,
      isShared: false,
      configured,
      ...(facts.has(path) && outline.database ? { facts: facts.get(path)! } : {}),
    };
    if (type === "file" && outline.contentHash === undefined) throw damaged(`it has only the beginning of "${path}"`);
    items.push(type === "hardlink" ? joined(item, { byPath, coming, firstNames }) : item);
    coming.set(path, items.at(-1)!);
  }
  const missing = wanted.find((one) => !found.has(one));
  if (missing !== undefined) throw unknownPath(missing);
  if (kept.length > 0) notes.push(keptNote(kept));
  refuseSamePlace(items);
  return { items, notes };
}

/** A hard link to what comes as well; else the file itself, for which later ones can be links. */
function joined(item: Item, { byPath, coming, firstNames }: {
  byPath: ReadonlyMap<string, Outline>;
  coming: ReadonlyMap<string, Item>;
  firstNames: Map<string, string>;
}): Item {
  const target = item.target!;
  const first = coming.get(firstNames.get(target) ?? target);
  if (first?.type === "file" && !first.configured) {
    first.isShared = true;
    return { ...item, target: first.path };
  }
  const content = byPath.get(target);
  if (content?.type !== "file") throw damaged(`the hard link "${item.path}" does not lead to a file`);
  const { size, allocated, contentHash, blockSize, database } = content;
  firstNames.set(target, item.path);
  return {
    ...item,
    type: "file",
    size,
    allocated,
    contentHash,
    blockSize,
    database,
    content: target,
    target: undefined,
  };
}

/** As a person may write it: "./uploads/" is "uploads". @throws {AmberError} USAGE */
function cleanPath(path: string): string {
  if (path === outsidePlace) return path;
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.length > 0 && !parts.includes("..") && !path.startsWith("/")) return parts.join("/");
  throw new AmberError("USAGE", {
    message: `Cannot restore the path "${path}": it is not one inside the data folder`,
    hint: "Paths are relative to the data folder, as amber ls shows them: --path uploads/a.png",
  });
}

function unknownPath(path: string): AmberError {
  return new AmberError("SNAPSHOT_FILE_UNKNOWN", {
    message: `Cannot restore the path "${path}": the snapshot does not have it`,
    hint: "Paths are relative to the data folder; amber ls SNAPSHOT lists them.",
  });
}

function refuseUnderFile(byPath: ReadonlyMap<string, Outline>, path: string): void {
  for (let cut = path.lastIndexOf("/"); cut > 0; cut = path.lastIndexOf("/", cut - 1)) {
    const above = byPath.get(path.slice(0, cut));
    if (above === undefined) continue;
    if (above.type === "folder") return; // what is above that was looked at with it
    throw damaged(`"${path}" lies in "${above.path}", which is no folder`);
  }
}

function refuseSamePlace(items: readonly Item[]): void {
  const placed = new Map<string, Item>();
  const moved = items.filter((item) => item.place !== item.path);
  for (const item of [...items.filter((one) => one.place === one.path), ...moved]) {
    const above = item.place === item.path ? undefined : placed.get(folderAt(item.place, placed));
    const other = placed.get(item.place) ?? above;
    if (other) {
      throw new AmberError("USAGE", {
        message:
          `Cannot restore both "${other.path}" and "${item.path}": the configured database is now where the other one was`,
        hint: "Restore them one after the other into another folder: --path PATH --to FOLDER, or --database alone.",
      });
    }
    placed.set(item.place, item);
  }
}

/** The first folder of a path that is taken by something which is no folder; "" when there is none. */
function folderAt(path: string, placed: ReadonlyMap<string, Item>): string {
  for (let cut = path.indexOf("/", 1); cut > 0; cut = path.indexOf("/", cut + 1)) {
    const item = placed.get(path.slice(0, cut));
    if (item && item.type !== "folder") return item.place;
  }
  return "";
}

function keptNote(kept: readonly string[]): string {
  const some = kept.slice(0, 3).map((path) => `"${path}"`).join(", ");
  return `left out, since it is excluded or amber's own place now: ${some}${
    kept.length > 3 ? ` and ${kept.length - 3} more` : ""
  }`;
}

function damaged(why: string): AmberError {
  return new AmberError("OBJECT_DAMAGED", {
    message: `Cannot restore from the snapshot's list of files: ${why}`,
    hint: "amber verify says what else is damaged. Other snapshots can still be restored: amber snapshots",
  });
}
