import { removeStaleLinks } from "../capture/links.ts";
import { pathInside, realPath } from "../capture/inside.ts";
import type { openRegular } from "../capture/regular_file.ts";
import type { DatabaseAddress } from "../database_url.ts";
import type { EngineEvent } from "../engines/engine.ts";
import { AmberError } from "../errors.ts";
import { statOrNone } from "../fs.ts";
import { checkDatabaseIsKept, compilePatterns, type Patterns } from "../patterns.ts";
import { BlockPool } from "../repository/pool.ts";
import { Repository } from "../repository/repository.ts";
import { idOf, type Kind, type Remark, type Snapshot } from "../repository/snapshot_file.ts";
import type { ObjectStore } from "../stores/store.ts";
import type { ProgressEvent } from "./progress.ts";
import { type Look, lookAtData, runSnapshot } from "./snapshot_run.ts";

/** What is told while a snapshot is taken. */
export type SnapshotEvent =
  | EngineEvent
  | ProgressEvent
  | { type: "snapshot begins"; data: string; repository: string; parent?: string }
  | { type: "remark"; remark: Remark };

export interface SnapshotOptions {
  /** Where the repository is kept; `folder` when it is one: never part of a snapshot. */
  store: ObjectStore;
  repositoryFolder?: string;
  /** The data folder. */
  data: string;
  database: DatabaseAddress;
  /** Scratch and cache: never part of a snapshot. */
  scratch: string;
  cache?: string;
  /** Patterns of what is left out. */
  exclude: readonly string[];
  tags?: readonly string[];
  kind?: Kind;
  /** For a safety snapshot: what it is taken before. */
  before?: string;
  /** Read all files, also those that look unchanged. */
  reread?: boolean;
  /** Only say what would be stored. */
  plan?: boolean;
  /** Databases (their files) on which the caller holds a write transaction in this process. */
  held?: ReadonlySet<string>;
  waitMs?: number;
  by: string;
  amber: string;
  now: () => Date;
  report: (event: SnapshotEvent) => void;
  stop: AbortSignal;
  random?: (size: number) => Uint8Array;
  /** Bytes stored after which a partial snapshot is written, so that a killed run is continued. */
  partialBytes?: number;
  /** For tests: how files are opened. */
  openFile?: typeof openRegular;
}

export interface SnapshotResult {
  /** Absent with `plan`. */
  snapshot?: Snapshot;
  id?: string;
  /** Some files changed while being read, or could not be read: exit 6. */
  incomplete: boolean;
  planned?: SnapshotPlan;
}

/** What `--plan` shows: from a look without a barrier. */
export interface SnapshotPlan {
  files: number;
  folders: number;
  bytes: number;
  /** Files that are new or look changed, and their bytes; databases count by their size. */
  changed: number;
  changedBytes: number;
  databases: string[];
  excluded: Record<string, number>;
  parent?: string;
}

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

/** Several failures of the store's side (a pack pruned meanwhile, a suspended machine) lead to a new start; more than these do not. */
const attempts = 3;

/**
 * Takes a consistent snapshot of the data folder and of every SQLite database in it, and of the configured one.
 *
 * @throws {AmberError} DATA_MISSING, DATA_EMPTY, DATABASE_BUSY, REPOSITORY_*, STORE_*, FILE_UNREADABLE; nothing exists
 * then but, perhaps, packs that the next run goes on with.
 */
export async function snapshot(options: SnapshotOptions): Promise<SnapshotResult> {
  const random = options.random ?? ((size: number) => crypto.getRandomValues(new Uint8Array(size)));
  const places = placesOf(options);
  const repository = await openRepository(options, random);
  using pool = new BlockPool();
  if (options.plan) {
    const parent = repository && await newest(repository, options);
    refuseEmpty(options, places, parent);
    const look = await lookAtData(options, places, repository, parent, pool);
    return { incomplete: false, planned: summary(look, parent) };
  }
  const { data } = places;
  if (data) removeStaleLinks(data);
  await repository!.store.tidy();
  const missing = new Set<string>();
  for (let attempt = 1; attempt <= attempts; attempt++) {
    options.stop.throwIfAborted();
    const seenMs = await options.store.time(); // before the parent is looked up: from now on it may be forgotten
    const parent = await newest(repository!, options);
    refuseEmpty(options, places, parent);
    if (attempt === 1) announce(options, parent);
    const end = await runSnapshot({
      options,
      random,
      places,
      repository: repository!,
      parent,
      seenMs,
      pool,
      missing,
    });
    if ("again" in end) {
      options.report({ type: "note", message: `starting over: ${end.again}` });
      continue;
    }
    const { snapshot } = end;
    for (const remark of snapshot.facts.remarks) options.report({ type: "remark", remark });
    return { snapshot, id: idOf(snapshot), incomplete: isIncomplete(snapshot.facts.remarks) };
  }
  throw new AmberError("STORE_FAILED", {
    message: `Cannot take a snapshot: packs kept vanishing from "${options.store.where}" while it was written`,
    where: options.store.where,
    hint: "Does something else remove files there? Run it again when that has stopped.",
  });
}

function announce({ report, data, store }: SnapshotOptions, parent: Snapshot | undefined): void {
  report({ type: "snapshot begins", data, repository: store.where, ...(parent ? { parent: idOf(parent) } : {}) });
}

async function openRepository(
  options: SnapshotOptions,
  random: (size: number) => Uint8Array,
): Promise<Repository | undefined> {
  if (!options.plan) return await Repository.openOrCreate(options.store, random);
  try {
    return await Repository.open(options.store);
  } catch (error) {
    if (error instanceof AmberError && error.code === "REPOSITORY_MISSING") return undefined;
    throw error;
  }
}

/** The snapshot that this one will be told apart from: the newest that can be read, of whatever kind. */
async function newest(repository: Repository, { report }: SnapshotOptions): Promise<Snapshot | undefined> {
  for (const name of (await repository.names()).reverse()) {
    try {
      return await repository.read(name);
    } catch (error) {
      if (!(error instanceof AmberError)) throw error;
      if (error.code === "REPOSITORY_NEWER") throw error;
      if (error.code === "OBJECT_DAMAGED") report({ type: "note", message: error.message });
    }
  }
  return undefined;
}

export function isIncomplete(remarks: readonly Remark[]): boolean {
  return remarks.some(({ what }) => what === "changed" || what === "unreadable" || what === "name");
}

function placesOf(options: SnapshotOptions): Places {
  const info = statOrNone(options.data);
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
  const file = options.database.engine === "sqlite" && statOrNone(options.database.path)?.isFile
    ? Deno.realPathSync(options.database.path)
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
 * @throws {AmberError} DATA_MISSING, DATA_EMPTY; a note where it can be right.
 */
function refuseEmpty(options: SnapshotOptions, places: Places, parent: Snapshot | undefined): void {
  const { data, configured, own, patterns } = places;
  const isOwn = (name: string) =>
    name === "lost+found" || own.includes(name) || patterns.match(name, false) !== undefined || /^\.amber/.test(name);
  const isEmpty = data === undefined || [...Deno.readDirSync(data)].every(({ name }) => isOwn(name));
  if (!isEmpty) return;
  const state = data === undefined ? "does not exist" : "is empty";
  const { database } = options;
  const belongsInside = database.engine === "sqlite" &&
    pathInside(realPath(options.data), realPath(database.path)) !== undefined;
  const why = configured === undefined && database.engine === "sqlite" && !belongsInside
    ? "there is no database either"
    : belongsInside && configured === undefined
    ? `the configured database "${(database as { path: string }).path}" should lie in it`
    : database.engine === "postgres"
    ? "there is nothing else that this version could take a snapshot of"
    : (parent?.facts.files ?? 0) > (parent?.facts.databases.filter(({ path }) => path.startsWith("/")).length ?? 0)
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

function summary(look: Look, parent: Snapshot | undefined): SnapshotPlan {
  const files = look.files.filter(({ type }) => type === "file");
  const changed = files.filter(({ isKnown }) => !isKnown);
  return {
    files: files.length,
    folders: look.files.filter(({ type }) => type === "folder").length,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    changed: changed.length,
    changedBytes: changed.reduce((sum, { size }) => sum + size, 0),
    databases: look.databases,
    excluded: look.excluded,
    ...(parent ? { parent: idOf(parent) } : {}),
  };
}
