import { accessSync, constants, statfsSync } from "node:fs";
import { type Item, type Outline, outlineOf, type Selection, selectItems } from "../capture/restore_items.ts";
import { type Occupant, planRestore, type RestorePlan } from "../capture/restore_plan.ts";
import type { RestoreCalls } from "../capture/restore_calls.ts";
import { scan, type Scanned } from "../capture/scan.ts";
import type { Contents } from "../capture/stage.ts";
import { folderAbove, TargetFolder } from "../capture/target_folder.ts";
import { formatBytes } from "../bytes.ts";
import { AmberError } from "../errors.ts";
import { statOrNone } from "../fs.ts";
import type { Snapshot } from "../repository/snapshot_file.ts";
import { postgresPrefix } from "../repository/tree.ts";
import type { RestoreTarget } from "./restore_target.ts";

/** What is known before anything is done. */
export interface Looked {
  plan: RestorePlan;
  items: Item[];
  /** Where a place is, absolute. */
  full: (place: string) => string;
}

export interface LookOptions {
  snapshot: Snapshot;
  contents: Contents;
  target: RestoreTarget;
  selection: Selection;
  replace: boolean;
  owners: boolean;
  calls: RestoreCalls;
}

/** All that is a file, folder or link: what is in a Postgres database comes another way. */
export async function outlinesOf(contents: Contents): Promise<Outline[]> {
  const outlines: Outline[] = [];
  for await (const entry of contents.entries()) {
    if (!entry.path.startsWith(postgresPrefix)) outlines.push(outlineOf(entry));
  }
  return outlines;
}

/**
 * Compares a snapshot with what is there. Changes nothing.
 *
 * @throws {AmberError} see selectItems() and planRestore(); DATABASE_BUSY
 */
export async function lookBefore(options: LookOptions): Promise<Looked> {
  const { snapshot: { facts }, target, selection, calls, replace, owners } = options;
  const outlines = await outlinesOf(options.contents);
  // What is asked for by name comes, excluded or not.
  const isKept = selection.paths.length > 0 ? target.isOwn : target.isKept;
  const { items, notes } = selectItems({
    outlines,
    databases: facts.databases,
    selection,
    ...(target.place === undefined ? {} : { place: target.place }),
    isKept,
  });
  const folder = new TargetFolder({ ...target, calls, gone: `${target.folder}/gone`, id: "" });
  const full = (place: string) => folder.full(place);
  const seen = scanTarget(target);
  const raw = new Set(facts.remarks.filter(({ what }) => what === "raw").map(({ path }) => path));
  const occupants = occupantsOf(items, { target, folder, calls });
  const freeBytes = freeBytesOf(target.scratch);
  const plan = planRestore({
    items,
    known: new Set(outlines.map(({ path }) => path)),
    present: seen.present,
    kept: seen.kept,
    selection,
    ...(target.place === undefined ? {} : { place: target.place }),
    ...(seen.device === undefined ? {} : { device: seen.device }),
    occupants,
    replace,
    owners,
    ...(freeBytes === undefined ? {} : { freeBytes }),
  });
  if (!replace) blockRaw(plan, items, raw, { target, folder, calls });
  plan.notes.push(...notes, ...seen.notes);
  return { plan, items, full };
}

interface Seen {
  present: Scanned[];
  kept: string[];
  device?: number;
  notes: string[];
}

function scanTarget({ root, isKept }: RestoreTarget): Seen {
  const info = statOrNone(root);
  if (!info) return { present: [], kept: [], notes: [] };
  const kept: string[] = [];
  const notes: string[] = [];
  const present = scan(root, {
    skip: (path, isFolder) => isKept(path, isFolder) && kept.push(path) > 0,
    remark: ({ path, what, message }) => {
      kept.push(path);
      if (what === "name" || what === "unreadable") notes.push(`"${path}" stays: ${message}`);
    },
  });
  return { present, kept, device: info.dev, notes };
}

interface Looking {
  target: RestoreTarget;
  folder: TargetFolder;
  calls: RestoreCalls;
}

function occupantsOf(items: readonly Item[], { target, folder, calls }: Looking): Map<string, Occupant> {
  const databases = items.filter(({ database }) => database);
  return new Map(databases.map(({ place }) => {
    const here = folder.look(place);
    const trusted = place === target.place;
    // A folder, or a link where none is expected, gives way.
    const isThere = here?.isFile || (trusted && here?.isSymlink);
    return [place, isThere ? calls.lookAtLive(folder.full(place), { trusted }) : { state: "none" }];
  }));
}

/**
 * What the snapshot holds as raw files, since it could not be opened, cannot be written through SQLite: it is not to be
 * renamed over a database that a server may have open.
 */
function blockRaw(plan: RestorePlan, items: readonly Item[], raw: ReadonlySet<string>, looking: Looking): void {
  const { target, folder, calls } = looking;
  for (const item of items) {
    if (item.database || item.type !== "file" || !(raw.has(item.path) || item.place === target.place)) continue;
    if (!folder.look(item.place)) continue;
    const { state } = calls.lookAtLive(folder.full(item.place), { trusted: item.place === target.place });
    if (state !== "database") continue;
    plan.databases.push({
      path: item.path,
      place: item.place,
      type: "file",
      size: item.size,
      how: "replaced",
      configured: item.place === target.place,
      way: "rename",
      pageSize: 0,
      rows: 0,
      blocked: "the snapshot holds it as plain files, since it could not be opened then",
    });
  }
}

/** Bytes that this user may still write there; undefined when the system does not say. */
export function freeBytesOf(folder: string): number | undefined {
  let path = folder;
  while (!statOrNone(path) && path !== folderAbove(path)) path = folderAbove(path);
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/**
 * Refuses before anything is touched what would fail half-way.
 *
 * @throws {AmberError} RESTORE_BLOCKED, DISK_FULL, FILE_UNWRITABLE
 */
export function refuseHopeless({ plan, items, full }: Looked, target: RestoreTarget): void {
  const blocked = plan.databases.find((one) => one.blocked !== undefined);
  if (blocked) {
    throw new AmberError("RESTORE_BLOCKED", {
      message: `Cannot restore over the database "${
        full(blocked.place)
      }" while a server may have it open: ${blocked.blocked}`,
      where: full(blocked.place),
      hint: "Nothing was touched. Stop the server, then run the same command with --replace.",
    });
  }
  const { freeBytes, neededBytes } = plan;
  if (freeBytes !== undefined && neededBytes > freeBytes) {
    throw new AmberError("DISK_FULL", {
      message: `Cannot restore: ${formatBytes(neededBytes)} are needed beside what is there, and ${
        formatBytes(freeBytes)
      } are free`,
      where: target.scratch,
      hint: "Nothing was touched. Make room, restore less (--path, --database), or elsewhere (--to FOLDER).",
    });
  }
  for (const { place } of items) refuseLongName(full(place));
  const folders = new Set<string>();
  for (const place of [...items.map((item) => item.place), ...plan.goes]) folders.add(folderAbove(full(place)));
  for (const folder of folders) refuseClosed(folder);
}

/** Bytes of a name, and of a whole path, that Linux takes. */
const longest = { name: 255, path: 4095 };

function refuseLongName(path: string): void {
  const sizeOf = (text: string) => text.length * 3 < longest.name ? 0 : new TextEncoder().encode(text).length;
  const isLong = sizeOf(path) > longest.path || path.split("/").some((name) => sizeOf(name) > longest.name);
  if (!isLong) return;
  throw new AmberError("FILE_UNWRITABLE", {
    message: `Cannot restore "${path.slice(0, 100)}…": its name is longer than this system can have`,
    where: path.slice(0, 300),
    hint: "Nothing was touched. Restore the others by their paths: --path FOLDER",
  });
}

/** A folder that we own can be opened for ourselves; another one that we may not write in stops everything. */
function refuseClosed(folder: string): void {
  const info = statOrNone(folder);
  if (!info?.isDirectory || info.uid === Deno.uid()) return;
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new AmberError("FILE_UNWRITABLE", {
      message: `Cannot restore: this user may not write in the folder "${folder}"`,
      where: folder,
      hint: "Nothing was touched. Run this as the user that owns the folder: ls -ld shows who that is.",
      cause,
    });
  }
}
