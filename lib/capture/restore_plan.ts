import { AmberError } from "../errors.ts";
import type { DatabaseFacts } from "../repository/snapshot_file.ts";
import { comparePaths } from "../repository/tree.ts";
import { companionEndings } from "./databases.ts";
import type { Item, Selection } from "./restore_items.ts";
import type { Scanned } from "./scan.ts";

/** One path that comes, as it is shown. */
export interface PlannedItem {
  /** Its path in the snapshot. */
  path: string;
  /** Where it goes: a path in the target folder, or `/database.db` for a configured database outside. */
  place: string;
  /** A second name of a file is a `hardlink`. */
  type: "file" | "folder" | "link" | "hardlink";
  /** Bytes, of a file. */
  size: number;
  /** `same`: as it is there now, by size, time and mode; whether its content is, is found out when it is read. */
  how: "new" | "replaced" | "same";
}

/** A database that comes. */
export interface PlannedDatabase extends PlannedItem {
  /** Whether it was the configured one, and goes to what is configured now. */
  configured: boolean;
  /** `live`: a database is there, and is written through SQLite, last; `rename`: none is, or --replace was given. */
  way: "live" | "rename";
  /** Bytes. */
  pageSize: number;
  /** Rows in all its tables. */
  rows: number;
  /** The migration state that it is restored with. */
  migrations?: DatabaseFacts["migrations"];
  /** Why it can be restored with --replace only, the server stopped. */
  blocked?: string;
}

/** What will be done to a Postgres database. */
export interface PlannedPostgres {
  /** Which one; never a password. */
  database: string;
  /**
   * `rows`: the schema is there, rows are exchanged; it is empty, and `migrations`: the app's own ones make the schema
   * first, or `schema`: the snapshot's schema.sql does. `table`: one table alone; `beside`: as another table.
   */
  way: "rows" | "migrations" | "schema" | "table" | "beside";
  /** How many tables come, and rows in all of them. */
  tables: number;
  /** Rows in all of them. */
  rows: number;
  /** Whether there are tables whose rows go. */
  replaces: boolean;
  /** The migration state that it is restored with. */
  migrations?: DatabaseFacts["migrations"];
}

/** What a restore would do, or does. Paths are sorted. */
export interface RestorePlan {
  /** Files, links and folders, databases aside. */
  items: PlannedItem[];
  /** Databases, live ones too. */
  databases: PlannedDatabase[];
  /** The Postgres database, when it comes. */
  postgres?: PlannedPostgres;
  /** What will not be there any more; a folder stands for all that is in it. */
  goes: string[];
  /** How many paths that is. */
  goesCount: number;
  /** What stays although the snapshot does not have it, or does not come although it has it, and why. */
  notes: string[];
  /** Bytes of all that comes. */
  bytes: number;
  /** Bytes that must be free, at most: everything is staged before anything is touched. */
  neededBytes: number;
  /** Bytes that are free; absent when nobody can say. */
  freeBytes?: number;
  /** Whether anything that is there now is overwritten or goes: then a safety snapshot is taken, and it is asked. */
  overwrites: boolean;
}

/** What stands where a database is to go: see lookAtLive(). */
export interface Occupant {
  state: "none" | "empty" | "database" | "unusable";
  pageSize?: number;
  tables?: number;
  why?: string;
}

export interface PlanInput {
  items: readonly Item[];
  /** Every path of the snapshot, not only those that come: what it has does not go. */
  known: ReadonlySet<string>;
  /** What lies in the target now, kept things left out. */
  present: readonly Scanned[];
  /** Which file system the target is on: a mount point in it stays. */
  device?: number;
  /** Places in the target that stay whatever they are: ours, what is excluded, what could not be looked at, sockets. */
  kept: readonly string[];
  selection: Selection;
  /** Where the configured database is now. */
  place?: string;
  /** Places of databases that come → what stands there. */
  occupants: ReadonlyMap<string, Occupant>;
  replace: boolean;
  owners: boolean;
  freeBytes?: number;
}

/**
 * Compares what comes with what is there. Pure.
 *
 * @throws {AmberError} RESTORE_BLOCKED when something stays that lies in the way of what comes.
 */
export function planRestore(input: PlanInput): RestorePlan {
  const { items, freeBytes } = input;
  const present = new Map(input.present.map((one) => [one.path, one]));
  const databases: PlannedDatabase[] = [];
  const others: PlannedItem[] = [];
  let neededBytes = 0;
  for (const item of items) {
    if (item.isAround && present.get(item.place)?.type === "folder") continue;
    if (item.database) {
      const planned = planDatabase(item, input);
      databases.push(planned);
      // A live database is written once more: into its journal or -wal, and from there into its file.
      neededBytes += item.allocated * (planned.way === "live" ? 2 : 1);
    } else {
      const how = howItComes(item, present.get(item.place), input.owners);
      others.push({ ...shown(item), how });
      if (how !== "same") neededBytes += item.allocated;
    }
  }
  const { goes, count } = whatGoes(input, present);
  const all = [...others, ...databases];
  return {
    items: others,
    databases,
    goes,
    goesCount: count,
    notes: [],
    bytes: all.reduce((sum, { size }) => sum + size, 0),
    neededBytes,
    ...(freeBytes === undefined ? {} : { freeBytes }),
    // What looks the same may have another content: that is found out later, and would be overwritten.
    overwrites: goes.length > 0 ||
      all.some(({ how, type }) => how === "replaced" || (how === "same" && type === "file")),
  };
}

function shown({ path, place, type, size }: Item): Pick<PlannedItem, "path" | "place" | "type" | "size"> {
  return { path, place, type, size };
}

function planDatabase(item: Item, { occupants, replace }: PlanInput): PlannedDatabase {
  const { facts, configured, blockSize } = item;
  const occupant = occupants.get(item.place) ?? { state: "none" };
  const blocked = replace ? undefined : whyBlocked(occupant, blockSize);
  return {
    ...shown(item),
    how: occupant.state === "none" || (occupant.state === "empty" || occupant.tables === 0) ? "new" : "replaced",
    configured,
    way: occupant.state === "none" || replace ? "rename" : "live",
    pageSize: blockSize,
    rows: Object.values(facts?.rows ?? {}).reduce((sum, count) => sum + count, 0),
    ...(facts?.migrations ? { migrations: facts.migrations } : {}),
    ...(blocked === undefined ? {} : { blocked }),
  };
}

/** Why SQLite cannot write an image over what is there; undefined when it can. */
export function whyBlocked({ state, pageSize, why }: Occupant, imagePageSize: number): string | undefined {
  if (state === "unusable") return why ?? "it cannot be opened";
  if (state !== "database" || pageSize === imagePageSize) return undefined;
  return `its pages have ${pageSize} bytes, those of the snapshot ${imagePageSize}`;
}

function howItComes(item: Item, there: Scanned | undefined, owners: boolean): PlannedItem["how"] {
  if (!there) return "new";
  if (item.type === "folder") return there.type === "folder" ? "same" : "replaced";
  const isSame = there.type === item.type && there.mtimeMs === item.mtimeMs &&
    (item.type === "link"
      ? there.target === item.target
      : there.size === item.size && hasModeOf(there, item, owners)) &&
    // What has several names is put together anew.
    !item.isShared && (item.type === "link" || there.names === 1);
  return isSame ? "same" : "replaced";
}

function hasModeOf(there: Scanned, item: Item, owners: boolean): boolean {
  return there.mode === modeOf(item, owners) && (!owners || (there.uid === item.uid && there.gid === item.gid));
}

/** Set-id bits only together with the owners that they mean. */
export function modeOf({ mode }: { mode: number }, owners: boolean): number {
  return owners ? mode : mode & 0o1777;
}

/**
 * What the snapshot does not have, and what is in the way. Nothing else when only paths or the database are asked for;
 * not the configured database, which only a wipe empties; no folder with something in it that stays.
 */
function whatGoes(input: PlanInput, present: ReadonlyMap<string, Scanned>): { goes: string[]; count: number } {
  const { items, known, selection, place } = input;
  const coming = new Map(items.map((item) => [item.place, item]));
  const staying = stayingPlaces(input, coming);
  for (const path of mountPoints(present, input.device)) staying.add(path);
  const isWhole = selection.paths.length === 0 && selection.files;
  const going = new Set<string>();
  const holding = new Map<string, string>(); // folders that cannot go → what stays in them
  const hold = (path: string) => {
    for (const above of foldersAbove(path)) if (!holding.has(above)) holding.set(above, path);
  };
  for (const path of staying) hold(path);
  for (const [path, here] of present) {
    const item = coming.get(path);
    const isInTheWay = item && !fits(item, kindOf(here), path === place);
    if (item ? isInTheWay : isWhole && !known.has(path) && !staying.has(path)) going.add(path);
    else if (!staying.has(path)) hold(path);
  }
  // What lies in a folder that is in the way goes with it, asked for or not: it cannot stay where no folder is.
  for (const path of going) if (coming.has(path)) refuseHeld(path, present, staying);
  const goes = [...going].filter((path) => coming.has(path) || !holding.has(path)).sort(comparePaths);
  const tops = new Set(goes);
  return { goes: goes.filter((path) => !foldersAbove(path).some((above) => tops.has(above))), count: going.size };
}

function mountPoints(present: ReadonlyMap<string, Scanned>, device: number | undefined): string[] {
  return [...present.values()].filter((one) => {
    const above = foldersAbove(one.path)[0];
    const around = above === undefined ? device : present.get(above)?.device;
    return one.type === "folder" && around !== undefined && around !== one.device;
  }).map(({ path }) => path);
}

function kindOf({ type }: Scanned): { isFolder: boolean; isLink: boolean } {
  return { isFolder: type === "folder", isLink: type === "link" };
}

function stayingPlaces({ items, place, kept }: PlanInput, coming: ReadonlyMap<string, Item>): Set<string> {
  const staying = new Set(kept);
  if (place !== undefined && !coming.has(place)) staying.add(place);
  const databases = items.filter((one) => one.database).map((one) => one.place);
  for (const path of place === undefined ? databases : [...databases, place]) {
    for (const ending of companionEndings) staying.add(path + ending);
  }
  return staying;
}

/** @throws {AmberError} RESTORE_BLOCKED */
function refuseHeld(path: string, present: ReadonlyMap<string, Scanned>, staying: ReadonlySet<string>): void {
  if (present.get(path)?.type !== "folder") return;
  const held = [...staying].find((one) => one === path || one.startsWith(`${path}/`));
  if (held === undefined) return;
  throw new AmberError("RESTORE_BLOCKED", {
    message: held === path
      ? `Cannot restore "${path}": it is a mount point now`
      : `Cannot restore "${path}": it is a folder now, with "${held}" in it, which stays`,
    where: path,
    hint: held === path
      ? "Unmount it, or restore into another folder: --to FOLDER"
      : `Move "${held}" elsewhere, or restore into another folder: --to FOLDER`,
  });
}

function foldersAbove(path: string): string[] {
  const above: string[] = [];
  for (let cut = path.lastIndexOf("/"); cut > 0; cut = path.lastIndexOf("/", cut - 1)) above.push(path.slice(0, cut));
  return above;
}

/**
 * Whether what comes can take the place of what is there by a rename, or through SQLite.
 *
 * @param isConfigured It goes to the configured database, whose path may be a link.
 */
export function fits(item: Item, here: { isFolder: boolean; isLink: boolean }, isConfigured: boolean): boolean {
  if (item.type === "folder") return here.isFolder;
  return !here.isFolder && !(item.database && here.isLink && !isConfigured);
}
