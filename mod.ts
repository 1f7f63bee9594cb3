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
import { parseDatabaseUrl } from "./lib/database_url.ts";
import { AmberError } from "./lib/errors.ts";
import {
  migrate as migrateStory,
  type MigrateEvent,
  type MigrateResult,
  type PlannedStep,
} from "./lib/stories/migrate.ts";
import { check as checkStory } from "./lib/stories/check.ts";
import { version } from "./lib/version.ts";

export { AmberError, type ErrorCode, exitStatuses } from "./lib/errors.ts";
export type { Blocker, EngineEvent, Row, Value } from "./lib/engines/engine.ts";
export type { BatchOptions } from "./lib/migrations/batch.ts";
export type { MigrationDatabase } from "./lib/migrations/code.ts";
export type { RebuildOptions } from "./lib/migrations/sqlite_rebuild.ts";
export type { MigrateEvent, MigrateResult, PlannedStep };

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
  /** Called once, under the lock, before a plan that could lose data. What it gives is kept in the history as the snapshot's id. */
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
