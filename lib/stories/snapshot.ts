import { removeStaleLinks } from "../capture/links.ts";
import type { openRegular } from "../capture/regular_file.ts";
import type { DatabaseAddress } from "../database_url.ts";
import type { EngineEvent } from "../engines/engine.ts";
import { AmberError } from "../errors.ts";
import { besideDriver, BlockPool } from "../repository/pool.ts";
import { Repository } from "../repository/repository.ts";
import { idOf, type Kind, type Remark, type Snapshot } from "../repository/snapshot_file.ts";
import type { ObjectStore } from "../stores/store.ts";
import { newest, type Unusable, whyOver } from "./parent.ts";
import type { ProgressEvent } from "./progress.ts";
import { placesOf, refuseEmpty } from "./snapshot_places.ts";
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
  /** Bytes stored, and time, after which a partial snapshot is written, so that a killed run is continued. */
  partialBytes?: number;
  partialMs?: number;
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
  /** How many there are, databases among them. */
  files: number;
  /** How many folders. */
  folders: number;
  /** Bytes of all files. */
  bytes: number;
  /** Files that are new or look changed, and their bytes; databases count by their size. */
  changed: number;
  /** Their bytes. */
  changedBytes: number;
  /** Paths of databases. */
  databases: string[];
  /** Patterns, and how many paths each leaves out. */
  excluded: Record<string, number>;
  /** Id of the snapshot that it is told apart from. */
  parent?: string;
}

/** Failures of the store's side (a pack pruned meanwhile, a damaged parent, a suspended machine) lead to a new start, but not for ever. */
const attempts = 4;

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
  using pool = new BlockPool(options.database.engine === "postgres" ? besideDriver : undefined);
  if (options.plan) {
    const parent = repository && await newest(repository, options);
    refuseEmpty(options, places, parent);
    const look = await lookAtData(options, places, repository, parent, pool);
    return { incomplete: false, planned: summary(look, parent) };
  }
  const { data } = places;
  if (data) removeStaleLinks(data);
  await repository!.store.tidy();
  const unusable: Unusable = { packs: new Set(), parents: new Set() };
  const ours = new Set<string>();
  for (let attempt = 1; attempt <= attempts; attempt++) {
    options.stop.throwIfAborted();
    const seenMs = await options.store.time(); // before the parent is looked up: from now on it may be forgotten
    // What is damaged shows up one at a time: at last nothing that is stored is relied on.
    const parent = attempt === attempts ? undefined : await newest(repository!, options, unusable);
    refuseEmpty(options, places, parent);
    if (attempt === 1) announce(options, parent);
    const run = { options, random, places, repository: repository!, parent, seenMs, pool, ours };
    try {
      const snapshot = await runSnapshot({ ...run, missing: unusable.packs });
      for (const remark of snapshot.facts.remarks) options.report({ type: "remark", remark });
      return { snapshot, id: idOf(snapshot), incomplete: isIncomplete(snapshot.facts.remarks) };
    } catch (error) {
      const why = whyOver(error, parent, unusable);
      if (why === undefined) throw error;
      options.report({ type: "note", message: `starting over: ${why}` });
    }
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

export function isIncomplete(remarks: readonly Remark[]): boolean {
  return remarks.some(({ what }) => what === "changed" || what === "unreadable" || what === "name");
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
