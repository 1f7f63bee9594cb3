/**
 * amber as a library: what the commands do, with events instead of printing.
 *
 * @example Migrate before an app starts
 * ```ts
 * import { migrate } from "@amber/amber";
 *
 * const folder = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${folder}/0001_initial.sql`, "create table notes (id integer primary key, body text);");
 *
 * const first = await migrate({ database: `sqlite:${folder}/app.db`, migrations: folder });
 * console.assert(first.applied.join() === "0001_initial");
 *
 * const second = await migrate({ database: `sqlite:${folder}/app.db`, migrations: folder });
 * console.assert(second.applied.length === 0);
 * ```
 *
 * @module
 */
import {
  dataOf,
  type DataOptions,
  guardData,
  repositoryOf,
  type RepositoryOptions,
  restorePlacesOf,
  wipePlacesOf,
} from "./lib/commands/data_options.ts";
import { parseDatabaseUrl } from "./lib/database_url.ts";
import { AmberError } from "./lib/errors.ts";
import {
  migrate as migrateStory,
  type MigrateEvent,
  type MigrateResult,
  type PlannedStep,
} from "./lib/stories/migrate.ts";
import { parseKeep } from "./lib/repository/keep_policy.ts";
import type { Remark } from "./lib/repository/snapshot_file.ts";
import type { Verification } from "./lib/repository/verify.ts";
import { check as checkStory } from "./lib/stories/check.ts";
import { drill as drillStory, type DrillEvent, type DrillResult } from "./lib/stories/drill.ts";
import type { ProgressEvent } from "./lib/stories/progress.ts";
import { prune as pruneStory, type PruneResult } from "./lib/stories/prune.ts";
import { restore as restoreStory } from "./lib/stories/restore.ts";
import type { RestoreEvent, RestoreResult } from "./lib/stories/restore_types.ts";
import { takeSafety } from "./lib/stories/safety_snapshot.ts";
import { snapshot as snapshotStory, type SnapshotEvent, type SnapshotPlan } from "./lib/stories/snapshot.ts";
import { type ShownSnapshot, showSnapshot } from "./lib/stories/snapshots.ts";
import { finishWipe } from "./lib/stories/unfinished_wipe.ts";
import { verify as verifyStory, type VerifyEvent } from "./lib/stories/verify.ts";
import { wipe as wipeStory, type WipeEvent, type WipePlan, type WipeResult } from "./lib/stories/wipe.ts";
import { version } from "./lib/version.ts";

export { AmberError, type ErrorCode, exitStatuses } from "./lib/errors.ts";
export type { Blocker, EngineEvent, Row, Value } from "./lib/engines/engine.ts";
export type { BatchOptions } from "./lib/migrations/batch.ts";
export type { MigrationDatabase } from "./lib/migrations/code.ts";
export type { RebuildOptions } from "./lib/migrations/sqlite_rebuild.ts";
export type { MigrateEvent, MigrateResult, PlannedStep };
export type { GoingEntry, Kept } from "./lib/capture/wipe_look.ts";
export type { PlannedDatabase, PlannedItem, PlannedPostgres, RestorePlan } from "./lib/capture/restore_plan.ts";
export type { PostgresToWipe } from "./lib/capture/postgres/wipe.ts";
export type { Drill } from "./lib/repository/drills.ts";
export type { Finding } from "./lib/repository/findings.ts";
export type { DatabaseFacts, Kind, PostgresFacts } from "./lib/repository/snapshot_file.ts";
export type { Removed } from "./lib/repository/unused.ts";
export type { CheckedSnapshot } from "./lib/repository/verify.ts";
export type { JudgedSnapshot } from "./lib/stories/prune.ts";
export type { RestoredSnapshot } from "./lib/stories/restore_types.ts";
export type { ShownDrill } from "./lib/stories/snapshots.ts";
export type {
  DataOptions,
  DrillEvent,
  DrillResult,
  ProgressEvent,
  PruneResult,
  Remark,
  RepositoryOptions,
  RestoreEvent,
  RestoreResult,
  ShownSnapshot,
  SnapshotEvent,
  SnapshotPlan,
  Verification,
  VerifyEvent,
  WipeEvent,
  WipePlan,
  WipeResult,
};

/** What a database and its migrations are called, and how long to wait. */
export interface DatabaseOptions {
  /** `sqlite:PATH`, or `postgres://user:password@host:port/database`. */
  database: string;
  /** Folder of migration files. Default: `migrations`. */
  migrations?: string;
  /** Longest wait for the database and for other runners, in ms. Default: 60 s for the database, others as long as they live. */
  waitMs?: number;
  /** What happens on the way. Default: nobody is told. */
  report?: (event: MigrateEvent) => void;
  /** Stops after the running statement, or rolls back; its reason is thrown. */
  signal?: AbortSignal;
}

/** Options of `migrate()`; the flags of `amber migrate` by other names. */
export interface MigrateOptions extends DatabaseOptions {
  /** Where to go: a name, a number, a prefix, or `zero`. Default: everything that is pending. */
  target?: string;
  /** Undo this many instead. */
  back?: number;
  /** Only say what would be done: `planned` in the result. */
  plan?: boolean;
  /** All pending migrations or none. */
  oneTransaction?: boolean;
  /** Apply pending migrations that come before applied ones. */
  allowLate?: boolean;
  /**
   * Called once, under the lock, before a plan that could lose data. What it gives is kept in the history as the snapshot's
   * id. On SQLite this process holds the database's write lock then: see `held` of `snapshot()`.
   */
  beforeRisky?: (plan: PlannedStep[]) => Promise<string | undefined>;
}

/**
 * Brings a database up to date, or to a target, like `amber migrate`.
 *
 * @throws {AmberError} with a `code`; nothing of the migration that failed remains, earlier ones stay.
 */
export async function migrate(options: MigrateOptions): Promise<MigrateResult> {
  const { target, back, plan, oneTransaction, allowLate, beforeRisky } = options;
  const refuse = (message: string) => {
    throw new AmberError("USAGE", { message, hint: "Give `target` to go to a migration, or `back` to undo some." });
  };
  if (back !== undefined && target !== undefined) refuse("Cannot go to a target and back at once");
  if (back !== undefined && !(Number.isInteger(back) && back > 0)) refuse(`Cannot go back ${back} migrations`);
  return await migrateStory({ ...base(options), target, back, plan, oneTransaction, allowLate, beforeRisky });
}

/**
 * Is the schema current and unchanged, and are the files sound? Writes nothing, takes no lock.
 *
 * @throws {AmberError} MIGRATIONS_PENDING, and whatever `migrate()` would refuse.
 */
export async function check(options: DatabaseOptions): Promise<{ applied: number }> {
  return await checkStory(base(options));
}

function base({ database, migrations = "migrations", waitMs, report = () => {}, signal }: DatabaseOptions) {
  return {
    database: parseDatabaseUrl(database, "options.database"),
    migrations,
    waitMs,
    by: "library",
    amber: version,
    now: () => new Date(),
    report,
    stop: signal ?? new AbortController().signal,
  };
}

/** Options of `snapshot()`; the flags of `amber snapshot` by other names. */
export interface SnapshotOptions extends DataOptions {
  /** Words to find it by, and to keep it by. */
  tags?: readonly string[];
  /** Read all files, also those that look unchanged. */
  reread?: boolean;
  /** Only say what would be stored: `planned` in the result. */
  plan?: boolean;
  /**
   * Files of SQLite databases on which this process has a write transaction open, on a connection of its own: they need not
   * be held any more, and waiting for them would be waiting for oneself. What that transaction has written is not in the
   * snapshot.
   */
  held?: readonly string[];
  /** What happens on the way. Default: nobody is told. */
  report?: (event: SnapshotEvent) => void;
}

/** What was taken. */
export interface SnapshotResult {
  /** Its id; absent with `plan`. */
  id?: string;
  /** What is in it; absent with `plan`. */
  snapshot?: ShownSnapshot;
  /** Some files changed while being read, or could not be read. */
  incomplete: boolean;
  /** What could not be kept, or was not as expected. */
  remarks: Remark[];
  /** What would be stored, with `plan`. */
  planned?: SnapshotPlan;
}

/**
 * Takes one consistent instant of the data folder and the database, like `amber snapshot`, while others write.
 *
 * @example Before a migration that could lose data
 * ```ts
 * import { migrate, snapshot } from "@amber/amber";
 *
 * const folder = await Deno.makeTempDir();
 * const database = `sqlite:${folder}/data/app.db`;
 * await Deno.mkdir(`${folder}/data`);
 * await Deno.mkdir(`${folder}/migrations`);
 * await Deno.writeTextFile(`${folder}/migrations/0001_notes.sql`, "create table notes (body text); insert into notes values ('one');");
 * const options = { database, migrations: `${folder}/migrations` };
 * await migrate(options);
 *
 * await Deno.writeTextFile(`${folder}/migrations/0002_drop.sql`, "drop table notes;");
 * const { snapshot: id } = await migrate({
 *   ...options,
 *   beforeRisky: async () => (await snapshot({ database, data: `${folder}/data`, held: [`${folder}/data/app.db`] })).id,
 * });
 * console.assert(id !== undefined);
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @throws {AmberError} with a `code`; nothing was stored then that anything refers to.
 */
export async function snapshot(options: SnapshotOptions): Promise<SnapshotResult> {
  const { tags, reread, plan, held = [], report = () => {} } = options;
  const settings = dataOf(options);
  const { store, repositoryFolder, safety: { repository: _, ...data }, run } = settings;
  using _guard = plan ? undefined : await guardData(settings, report);
  const taken = await snapshotStory({
    ...{ ...data, ...run, store, repositoryFolder, tags, reread, plan, report },
    held: new Set(held.map((path) => Deno.realPathSync(path))),
  });
  return {
    ...(taken.id === undefined ? {} : { id: taken.id }),
    ...(taken.snapshot ? { snapshot: showSnapshot(taken.snapshot) } : {}),
    incomplete: taken.incomplete,
    remarks: taken.snapshot?.facts.remarks ?? [],
    ...(taken.planned ? { planned: taken.planned } : {}),
  };
}

/** Options of `restore()`; the flags of `amber restore` by other names. */
export interface RestoreOptions extends DataOptions {
  /** `latest`, or the beginning of an id. Default: `latest`. */
  snapshot?: string;
  /** With `latest`: the newest one that is not younger. */
  at?: Date;
  /** Only the configured database, or all files but that. Default: both. */
  part?: "database" | "files";
  /** Only these files and folders, as they are called in the snapshot. */
  paths?: readonly string[];
  /** Into another folder, new or empty; nothing of the app is touched then. */
  to?: string;
  /** Only say what would be done: `plan` in the result. */
  plan?: boolean;
  /** Touch only what is empty: for a container's first start. */
  ifEmpty?: boolean;
  /** Rename databases into place that cannot be written through SQLite: only while nobody has them open. */
  replace?: boolean;
  /** An empty Postgres database: the snapshot's own schema.sql may make its tables. */
  schema?: boolean;
  /** Owners and set-id bits too. */
  owners?: boolean;
  /** Without a safety snapshot of what is there: when none can be taken. */
  noSafety?: boolean;
  /** Called with the plan before anything is overwritten; what it throws stops. Nobody else is asked. */
  confirm?: (plan: RestoreResult["plan"] & object) => void | Promise<void>;
  /** What happens on the way. Default: nobody is told. */
  report?: (event: RestoreEvent | SnapshotEvent) => void;
}

/**
 * Puts a snapshot back, like `amber restore`: after a safety snapshot of what is there, every file checked before any is
 * touched. Killed at any moment, the next call that writes finishes it.
 *
 * @example A bad day
 * ```ts
 * import { restore, snapshot } from "@amber/amber";
 *
 * const folder = await Deno.makeTempDir();
 * const options = { database: `sqlite:${folder}/none.db`, data: `${folder}/data` };
 * await Deno.mkdir(options.data);
 * await Deno.writeTextFile(`${options.data}/cat.txt`, "a cat");
 * await snapshot(options);
 *
 * await Deno.writeTextFile(`${options.data}/cat.txt`, "a dog");
 * const { safety } = await restore(options);
 * console.assert(await Deno.readTextFile(`${options.data}/cat.txt`) === "a cat");
 *
 * await restore({ ...options, snapshot: safety });
 * console.assert(await Deno.readTextFile(`${options.data}/cat.txt`) === "a dog");
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @throws {AmberError} with a `code`.
 */
export async function restore(options: RestoreOptions): Promise<RestoreResult> {
  const { snapshot: wanted = "latest", at, part, paths, to, plan, ifEmpty, replace, schema, owners, noSafety } =
    options;
  const { confirm, report = () => {} } = options;
  const settings = dataOf(options);
  if (!plan) await finishWipe(wipePlacesOf(settings, report));
  return await restoreStory({
    ...await restorePlacesOf(settings, report),
    ...{ wanted, at, to, plan, ifEmpty, replace, schema, owners, noSafety, confirm },
    selection: { paths, files: part === "files", database: part === "database" },
    takeSafety: () => takeSafety(settings.safety, { ...settings.run, before: "restore", report }),
  });
}

/** Options of `verify()`. */
export interface VerifyOptions extends RepositoryOptions {
  /** `1/7`: a seventh today, another one tomorrow, and all in seven days. Default: everything. */
  share?: string;
  /** What happens on the way. Default: nobody is told. */
  report?: (event: VerifyEvent) => void;
}

/**
 * Reads what is stored and compares it with its hashes, like `amber verify`. What is damaged is no error but a finding.
 *
 * @example
 * ```ts
 * import { snapshot, verify } from "@amber/amber";
 *
 * const folder = await Deno.makeTempDir();
 * const options = { database: `sqlite:${folder}/none.db`, data: `${folder}/data` };
 * await Deno.mkdir(options.data);
 * await Deno.writeTextFile(`${options.data}/cat.txt`, "a cat");
 * await snapshot(options);
 * const { findings } = await verify({ data: options.data });
 * console.assert(findings.length === 0);
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @throws {AmberError} with a `code`.
 */
export async function verify(options: VerifyOptions): Promise<Verification> {
  const { share, report = () => {} } = options;
  const { store, run: { now, stop } } = repositoryOf(options);
  return await verifyStory({ store, share, now, stop, report });
}

/** Options of `drill()`. */
export interface DrillOptions extends RepositoryOptions {
  /** What happens on the way. Default: nobody is told. */
  report?: (event: DrillEvent) => void;
}

/**
 * Restores the newest snapshot to the scratch folder, checks and counts, like `amber drill`; touches no data. What is wrong
 * is no error but a result: `ok` and `problems`.
 *
 * @example
 * ```ts
 * import { drill, snapshot } from "@amber/amber";
 *
 * const folder = await Deno.makeTempDir();
 * const options = { database: `sqlite:${folder}/none.db`, data: `${folder}/data` };
 * await Deno.mkdir(options.data);
 * await Deno.writeTextFile(`${options.data}/cat.txt`, "a cat");
 * const { id } = await snapshot(options);
 * const drilled = await drill({ data: options.data });
 * console.assert(drilled.ok && drilled.id === id);
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @throws {AmberError} with a `code`.
 */
export async function drill(options: DrillOptions): Promise<DrillResult> {
  const { store, scratch, run } = repositoryOf(options);
  return await drillStory({ ...run, store, scratch, report: options.report ?? (() => {}) });
}

/** Options of `prune()`; the flags of `amber prune` by other names. */
export interface PruneOptions extends RepositoryOptions {
  /** `24 hourly, 7 daily, 5 last`, or `plash`. Default: no snapshot is forgotten, and only what none uses is freed. */
  keep?: string;
  /** Snapshots with one of these tags stay. */
  keepTags?: readonly string[];
  /** Take out these, by the beginnings of their ids, and judge none of the others. */
  remove?: readonly string[];
  /** Only say what would be done. */
  plan?: boolean;
  /** What happens on the way. Default: nobody is told. */
  report?: (event: ProgressEvent | { type: "note"; message: string }) => void;
}

/**
 * Forgets old snapshots and frees what no snapshot uses, like `amber prune`. Runs beside snapshots and other prunes.
 *
 * @example
 * ```ts
 * import { prune, snapshot } from "@amber/amber";
 *
 * const folder = await Deno.makeTempDir();
 * const options = { database: `sqlite:${folder}/none.db`, data: `${folder}/data` };
 * await Deno.mkdir(options.data);
 * await Deno.writeTextFile(`${options.data}/cat.txt`, "a cat");
 * const { id } = await snapshot(options);
 * const { snapshots, forgotten } = await prune({ data: options.data, keep: "7 daily" });
 * console.assert(snapshots[0]?.id === id && forgotten.length === 0);
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @throws {AmberError} with a `code`.
 */
export async function prune(options: PruneOptions): Promise<PruneResult> {
  const { keep, keepTags, remove, plan, report = () => {} } = options;
  const { store, run: { stop } } = repositoryOf(options);
  const policy = keep === undefined ? undefined : parseKeep(keep);
  return await pruneStory({ store, policy, keepTags, remove, plan, stop, report });
}

/** Options of `wipe()`; the flags of `amber wipe` by other names. */
export interface WipeOptions extends DataOptions {
  /** Only the configured database, or all files but that. Default: both. */
  part?: "database" | "files";
  /** Only say what would be done: `plan` in the result. */
  plan?: boolean;
  /** Without a safety snapshot of what is there: when none can be taken. */
  noSafety?: boolean;
  /** Called with the plan before anything is removed; what it throws stops. Nobody else is asked, in production neither. */
  confirm?: (plan: WipePlan) => void | Promise<void>;
  /** What happens on the way. Default: nobody is told. */
  report?: (event: WipeEvent | SnapshotEvent) => void;
}

/**
 * Removes all data on purpose, like `amber wipe`, after a safety snapshot. A SQLite database is emptied, not unlinked.
 *
 * @example
 * ```ts
 * import { restore, wipe } from "@amber/amber";
 *
 * const folder = await Deno.makeTempDir();
 * const options = { database: `sqlite:${folder}/none.db`, data: `${folder}/data` };
 * await Deno.mkdir(options.data);
 * await Deno.writeTextFile(`${options.data}/cat.txt`, "a cat");
 * const { safety } = await wipe(options);
 * await restore({ ...options, snapshot: safety });
 * console.assert(await Deno.readTextFile(`${options.data}/cat.txt`) === "a cat");
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @throws {AmberError} with a `code`.
 */
export async function wipe(options: WipeOptions): Promise<WipeResult> {
  const { part, plan, noSafety, confirm, report = () => {} } = options;
  const settings = dataOf(options);
  // A restore that was interrupted is finished before; from then on the wipe's own lock keeps others out.
  if (!plan) (await guardData(settings, report))[Symbol.dispose]();
  return await wipeStory({
    ...wipePlacesOf(settings, report),
    ...{ report, plan, noSafety, confirm },
    selection: { files: part === "files", database: part === "database" },
    takeSafety: (held) => takeSafety(settings.safety, { ...settings.run, before: "wipe", held, report }),
  });
}
