import type { DatabaseAddress } from "../database_url.ts";
import { AmberError } from "../errors.ts";
import type { Engine, EngineEvent } from "../engines/engine.ts";
import { openEngine } from "../engines/open.ts";
import { digest } from "../migrations/digest.ts";
import { type FolderGlance, glanceAtFolder } from "../migrations/folder_glance.ts";
import { glanceQuestion, type GlanceRow, readGlance } from "../migrations/history.ts";

/** One step as `--plan` shows it. */
export interface PlannedStep {
  /** The migration's name. */
  name: string;
  /** Applied, or undone. */
  direction: "up" | "down";
  /** Its file. */
  path: string;
  /** A text or code. */
  kind: "sql" | "code";
  /** Not known to be additive, on a database that has rows. */
  risky: boolean;
  /** One transaction; else statement by statement with a journal. */
  atomic: boolean;
  /** Statements that a killed run has done already. */
  done: number;
  /** Backwards: the SQL comes from the history, because there is no file. */
  fromHistory: boolean;
}

/** What `beforeRisky` is handed: the connection that holds the migration lock, so that it does not wait for itself. */
export interface Held {
  engine: Engine;
}

/** What is told while a migration runs. */
export type MigrateEvent =
  | EngineEvent
  | { type: "start"; database: string; migrations: string; files: number }
  | { type: "plan"; steps: PlannedStep[] }
  | { type: "begin"; name: string; direction: "up" | "down" }
  | { type: "applied" | "unapplied"; name: string; durationMs: number };

export interface MigrateOptions {
  database: DatabaseAddress;
  /** The folder of migration files. */
  migrations: string;
  /** Where to go: a name, number or prefix, or `zero`. Default: everything that is pending. */
  target?: string;
  /** Undo this many instead. */
  back?: number;
  /** Only say what would be done. */
  plan?: boolean;
  /** All pending migrations or none. */
  oneTransaction?: boolean;
  allowLate?: boolean;
  /** Longest wait for the database and for another runner, in ms. Default: 60 s, and as long as the other lives. */
  waitMs?: number;
  /** `user@host` for the history. */
  by: string;
  /** amber's version for the history. */
  amber: string;
  now: () => Date;
  report: (event: MigrateEvent) => void;
  /** Aborting it stops after the running statement or rolls back; its reason is thrown. */
  stop: AbortSignal;
  /**
   * Called once, under the lock, before a plan with a risky step; gives the safety snapshot's id, if it took one. A
   * failure after that says so.
   */
  beforeRisky?: (plan: PlannedStep[], held: Held) => Promise<string | undefined>;
  /** Called before the commit of each migration that runs in a transaction of its own, inside that. */
  beforeCommit?: (name: string, engine: Engine) => Promise<void>;
  /** Call it before every plan with steps, as long as the database has rows: nothing else could be lost. */
  beforeAny?: boolean;
}

/** What has been done. */
export interface MigrateResult {
  /** Names, in the order in which they were applied. */
  applied: string[];
  /** Names, in the order in which they were undone. */
  unapplied: string[];
  /** What would be run, with `plan`. */
  planned?: PlannedStep[];
  /** With `plan`: whether `beforeRisky` would be called. */
  wantsSnapshot?: boolean;
  /** With `plan`, on Postgres, when it would be called: what the server says that the database takes. */
  databaseBytes?: number;
  /** Id of the safety snapshot that was taken before. */
  snapshot?: string;
}

/** Connection settings that every story derives from its options in the same way. */
export function openOptions(options: Pick<MigrateOptions, "waitMs" | "stop" | "by" | "report">, waitMs: number) {
  return {
    waitMs: options.waitMs ?? waitMs,
    patienceMs: options.waitMs,
    stop: options.stop,
    by: options.by,
    report: options.report,
  };
}

/**
 * Brings a database to the state that the migration files describe: reads the history without a lock, and is done when
 * nothing has changed; else locks, reads again, plans, runs each step and records it.
 *
 * @throws {AmberError} All that can be wrong with files, history and database; see the table in lib/errors.ts.
 */
export async function migrate(options: MigrateOptions): Promise<MigrateResult> {
  const folder = glanceAtFolder(options.migrations, options.database.engine);
  const seen = await glance(options, folder);
  try {
    if (seen.done) return { applied: [], unapplied: [] };
    // What plans and runs is loaded only now: the usual start ends above, and shall not pay for it.
    const { migratePending } = await import("./migrate_pending.ts");
    return await migratePending(seen, folder.read(), options);
  } finally {
    await seen.engine?.close();
  }
}

/**
 * The start of a container whose database is current, and nothing more: one query, one hash. False when there is more
 * to look at; it is reported only when it is true.
 */
export async function usualStart(options: MigrateOptions): Promise<boolean> {
  if (options.target !== undefined || options.back !== undefined) return false;
  const told: MigrateEvent[] = [];
  const folder = glanceAtFolder(options.migrations, options.database.engine);
  const { engine, done } = await glance({ ...options, report: (event) => told.push(event) }, folder);
  await engine?.close();
  if (done) { for (const event of told) options.report(event); }
  return done;
}

/** Whether nothing has changed since the last `migrate` that ended with nothing pending: one hash, nothing parsed. */
async function isCurrent(folder: FolderGlance, rows: readonly GlanceRow[] | undefined): Promise<boolean> {
  const known = rows?.find((row) => row.digest !== null)?.digest;
  return known !== undefined && known !== null && known === await digest(await folder.digest(), rows!);
}

/** What the first look at the database gave. */
export interface Glance {
  engine?: Engine;
  /** undefined: there is no history, or no database. */
  rows?: GlanceRow[];
  done: boolean;
}

/** The usual start: one query without a lock. A database that does not exist yet is looked at as an empty one. */
async function glance(options: MigrateOptions, folder: FolderGlance): Promise<Glance> {
  let engine: Engine;
  try {
    engine = await openEngine(options.database, {
      ...openOptions(options, 60_000),
      create: false,
      readOnly: options.database.engine === "sqlite",
      recover: !options.plan,
      ask: glanceQuestion,
    });
  } catch (error) {
    if (error instanceof AmberError && error.code === "DATABASE_UNKNOWN") return { done: false };
    throw error;
  }
  try {
    announce(options, engine, folder);
    const rows = await readGlance(engine);
    const isUsual = options.target === undefined && options.back === undefined;
    const done = isUsual && await isCurrent(folder, rows);
    return { engine, rows, done };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** Which database, and which folder. */
export function announce(
  options: MigrateOptions,
  engine: Engine,
  { path, count }: { path: string; count: number },
): void {
  options.report({ type: "start", database: engine.where, migrations: path, files: count });
}
