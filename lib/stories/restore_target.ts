import { pathInside, realPath } from "../capture/inside.ts";
import { isLinkFolder } from "../capture/links.ts";
import { outsidePlace, type Selection } from "../capture/restore_items.ts";
import { AmberError } from "../errors.ts";
import { folderOf, statOrNone } from "../fs.ts";
import type { Snapshot } from "../repository/snapshot_file.ts";
import type { RestorePlaces } from "./restore.ts";

/** Where a restore goes: links resolved, absolute. */
export interface RestoreTarget {
  /** The data folder, or the one that `--to` names. */
  root: string;
  /** Where staging, plan and lock are. */
  scratch: string;
  /** `<scratch>/restore` */
  folder: string;
  /** The configured database's file, when this restore may write it. */
  database?: string;
  /** Its place: in the target, or `/database.db`. Absent: it cannot be restored. */
  place?: string;
  /** Whether it is another folder than the app's. */
  isElsewhere: boolean;
  /** Ours: never written, moved or removed. */
  isOwn: (place: string, isFolder: boolean) => boolean;
  /** Ours, or left out of snapshots: left where it is. */
  isKept: (place: string, isFolder: boolean) => boolean;
}

/** The app's own data folder and database. @throws {AmberError} CONFIG_VALUE */
export function ownTarget(places: RestorePlaces): RestoreTarget {
  const root = absolute(realPath(places.data));
  refuseNoFolder(root, places.data);
  const scratch = absolute(realPath(places.scratch));
  const file = places.database?.engine === "sqlite" ? absolute(realPath(places.database.path)) : undefined;
  const inside = file === undefined ? undefined : pathInside(root, file);
  const own = [places.repositoryFolder, places.scratch, ...places.leaveAlone ?? []]
    .map((path) => path === undefined ? undefined : pathInside(root, absolute(realPath(path))))
    .filter((path) => path !== undefined);
  if (own.includes("")) {
    throw new AmberError("CONFIG_VALUE", {
      message: "Cannot restore: the repository, or the scratch folder, is the data folder itself",
      where: root,
      hint: "AMBER_REPOSITORY and AMBER_SCRATCH name folders of their own.",
    });
  }
  const isOwn = (place: string, isFolder: boolean) =>
    own.some((one) => place === one || place.startsWith(`${one}/`)) ||
    isLinkFolder(place.split("/", 1)[0]!) || (place === "lost+found" && isFolder) ||
    (inside !== undefined && place === `${inside}.amber-lock`);
  return {
    root,
    scratch,
    folder: `${scratch}/restore`,
    ...(file === undefined ? {} : { database: file, place: inside ?? outsidePlace }),
    isElsewhere: false,
    isOwn,
    isKept: (place, isFolder) => isOwn(place, isFolder) || places.exclude.match(place, isFolder) !== undefined,
  };
}

/** A folder of its own, with all that is needed in it. The database lies there as in the snapshot, else as `database.db`. */
export function otherTarget(to: string, snapshot: Snapshot, repositoryFolder: string | undefined): RestoreTarget {
  const root = absolute(realPath(to));
  refuseNoFolder(root, to);
  if (repositoryFolder !== undefined && pathInside(absolute(realPath(repositoryFolder)), root) !== undefined) {
    throw new AmberError("USAGE", {
      message: `Cannot restore into "${to}": it lies in the repository`,
      where: to,
      hint: "Name a folder of its own: what lies in a repository is amber's.",
    });
  }
  const path = snapshot.facts.databases.find(({ configured }) => configured)?.path;
  const place = path === outsidePlace ? "database.db" : path;
  const isOwn = (one: string) => one === ".amber" || one.startsWith(".amber/");
  return {
    root,
    scratch: `${root}/.amber`,
    folder: `${root}/.amber/restore`,
    ...(place === undefined ? {} : { place }),
    isElsewhere: true,
    isOwn,
    isKept: isOwn,
  };
}

/** @throws {AmberError} USAGE for another folder with something in it: nothing there is to be lost, or mixed with. */
export function refuseFilled({ root }: RestoreTarget): void {
  const other = statOrNone(root) &&
    [...Deno.readDirSync(root)].find(({ name }) => name !== ".amber" && name !== "lost+found");
  if (!other) return;
  throw new AmberError("USAGE", {
    message: `Cannot restore into "${root}": it is not empty, "${other.name}" is in it`,
    where: root,
    hint: "Name a folder that is new or empty. To restore over the app's data leave --to out.",
  });
}

function refuseNoFolder(root: string, name: string): void {
  const info = statOrNone(root);
  if (!info || info.isDirectory) return;
  throw new AmberError("USAGE", {
    message: `Cannot restore into "${name}": it is not a folder`,
    where: name,
    hint: "Name a folder, or move this file elsewhere.",
  });
}

/** What is asked for, when nothing is said of some of it. @throws {AmberError} USAGE */
export function selectionOf(
  { paths = [], files, database }: { paths?: readonly string[]; files?: boolean; database?: boolean } = {},
): Selection {
  if (paths.length > 0 && (files || database)) {
    throw new AmberError("USAGE", {
      message: "Cannot restore: --path together with --files or --database says two things",
      hint: "Paths alone say what comes: --path uploads --path notes.db",
    });
  }
  const isAll = !files && !database;
  return {
    paths,
    files: paths.length === 0 && (isAll || files === true),
    database: paths.length === 0 && (isAll || database === true),
  };
}

/** @throws {AmberError} DATABASE_PATH when the folder that the database is to lie in is not there: a wrong mount. */
export function refuseMissingFolder({ database, place }: RestoreTarget): void {
  if (database === undefined || place !== outsidePlace) return;
  const folder = folderOf(database);
  if (statOrNone(folder)?.isDirectory) return;
  throw new AmberError("DATABASE_PATH", {
    message: `Cannot restore the database to "${database}": the folder "${folder}" does not exist`,
    where: database,
    hint: `Is the volume mounted, and is DB_PATH right? If it is meant to be new: mkdir -p ${folder}`,
  });
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}
