import type { DatabaseAddress } from "../database_url.ts";
import { AmberError } from "../errors.ts";
import type { Engine, EngineEvent, LockRequest } from "../engines/engine.ts";
import { openEngine } from "../engines/open.ts";
import { digest } from "../migrations/digest.ts";
import { type Folder, readFolder } from "../migrations/folder.ts";
import { askedHistory, createHistory, historyQuestion, readHistory, writeDigest } from "../migrations/history.ts";
import type { HistoryRow } from "../migrations/history_row.ts";
import { refuseOtherTool } from "../migrations/other_tools.ts";
import { type Goal, planSteps, resolveName } from "../migrations/plan.ts";
import { prepare, type Prepared } from "../migrations/prepare.ts";
import { notes, refuseDrift } from "../migrations/survey.ts";
import { compare, isCurrent, type Look } from "./look.ts";
import { hasRows } from "../migrations/rows.ts";
import { runSteps } from "./run_steps.ts";

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
  /** Called once, under the lock, before a plan with a risky step; gives the safety snapshot's id, if it took one. */
  beforeRisky?: (plan: PlannedStep[], held: Held) => Promise<string | undefined>;
}

/** What has been done. */
export interface MigrateResult {
  /** Names, in the order in which they were applied. */
  applied: string[];
  /** Names, in the order in which they were undone. */
  unapplied: string[];
  /** What would be run, with `plan`. */
  planned?: PlannedStep[];
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
  const dialect = options.database.engine;
  const folder = readFolder(options.migrations, dialect);
  const seen = await glance(options, folder);
  let work: Engine | undefined;
  try {
    if (seen.done) return { applied: [], unapplied: [] };
    const steps = await decide(await compare(folder, seen.rows, dialect), options);
    if (seen.engine && !seen.rows?.length && steps.length > 0) await refuseOtherTool(seen.engine);
    if (options.plan) return await preview(steps, seen.engine, options);
    if (steps.length === 0) return await rest(seen, folder, options);
    work = await engineToWrite(seen, folder, options);
    return await stoppable(work, options, () => migrateLocked(work!, folder, { rows: seen.rows, steps }, options));
  } finally {
    await work?.close();
    await seen.engine?.close();
  }
}

/** On SQLite the glance only looked; a database that did not exist is made now that its files are known to be sound. */
async function engineToWrite(seen: Glance, folder: Folder, options: MigrateOptions): Promise<Engine> {
  if (seen.engine?.dialect === "postgres") return seen.engine;
  const engine = await openEngine(options.database, { ...openOptions(options, 60_000), create: true, readOnly: false });
  if (!seen.engine) announce(options, engine, folder);
  return engine;
}

/** A statement that still runs a second after the signal is asked to stop. */
async function stoppable<T>(engine: Engine, { stop }: MigrateOptions, work: () => Promise<T>): Promise<T> {
  const cancel = () => setTimeout(() => engine.cancel(), 1_000);
  stop.addEventListener("abort", cancel, { once: true });
  try {
    return await work();
  } finally {
    stop.removeEventListener("abort", cancel);
  }
}

interface Glance {
  engine?: Engine;
  rows?: HistoryRow[];
  done: boolean;
}

/** The usual start: one query without a lock. A database that does not exist yet is looked at as an empty one. */
async function glance(options: MigrateOptions, folder: Folder): Promise<Glance> {
  let engine: Engine;
  try {
    engine = await openEngine(options.database, {
      ...openOptions(options, 60_000),
      create: false,
      readOnly: options.database.engine === "sqlite",
      recover: !options.plan,
      ask: historyQuestion,
    });
  } catch (error) {
    if (error instanceof AmberError && error.code === "DATABASE_UNKNOWN") return { done: false };
    throw error;
  }
  try {
    announce(options, engine, folder);
    const rows = askedHistory(engine) ?? await readHistory(engine);
    const isUsual = options.target === undefined && options.back === undefined;
    const done = isUsual && await isCurrent(folder, rows);
    return { engine, rows, done };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** Under the lock: what others did meanwhile is read again before anything is run. */
async function migrateLocked(
  engine: Engine,
  folder: Folder,
  known: { rows: HistoryRow[] | undefined; steps: Prepared[] },
  options: MigrateOptions,
): Promise<MigrateResult> {
  const result: MigrateResult = { applied: [], unapplied: [] };
  const decideAgain = async (rows: HistoryRow[] | undefined, goal: MigrateOptions = options) =>
    await decide(await compare(folder, rows, engine.dialect), goal);
  let { steps } = known;
  for (;;) {
    const journaled = steps.some((step) => !step.atomic);
    await engine.lock({ waitMs: options.waitMs, journaled });
    try {
      const rows = await lockedHistory(engine, { waitMs: options.waitMs, journaled }, steps.length > 0);
      if (!isSame(rows, known.rows)) steps = await decideAgain(rows);
      const planned = await describe(steps, engine);
      if (steps.length > 0) options.report({ type: "plan", steps: planned });
      if (options.beforeRisky && result.snapshot === undefined && planned.some((step) => step.risky)) {
        result.snapshot = await options.beforeRisky(planned, { engine });
      }
      const replan = async (left: number) =>
        await decideAgain(await readHistory(engine), options.back === undefined ? options : { ...options, back: left });
      const end = await runSteps(engine, steps, replan, { ...options, snapshot: result.snapshot, journaled }, result);
      if (end === "done") {
        await keepDigest(engine, folder);
        return result;
      }
      known = { rows: undefined, steps: steps = await decideAgain(await readHistory(engine)) };
    } finally {
      await engine.unlock();
    }
  }
}

/** The history as it is under the lock; its table is made first when there is something to record. */
async function lockedHistory(engine: Engine, request: LockRequest, create: boolean): Promise<HistoryRow[] | undefined> {
  const rows = await readHistory(engine);
  if (rows !== undefined || !create) return rows;
  await engine.begin();
  await createHistory(engine);
  await engine.commit();
  await engine.lock(request); // on SQLite the commit has let go
  return await readHistory(engine);
}

function isSame(rows: readonly HistoryRow[] | undefined, others: readonly HistoryRow[] | undefined): boolean {
  const order = (list: readonly HistoryRow[]) => JSON.stringify([...list].sort((a, b) => (a.name < b.name ? -1 : 1)));
  return order(rows ?? []) === order(others ?? []);
}

/** Reads, compares, refuses, plans and loads: everything up to the doing, and the same for a preview. */
async function decide(
  found: Look,
  options: Pick<MigrateOptions, "target" | "back" | "allowLate" | "report" | "database" | "oneTransaction">,
): Promise<Prepared[]> {
  refuseDrift(found.entries, { allowLate: options.allowLate ?? false });
  const goal: Goal = options.back !== undefined
    ? { kind: "back", count: options.back }
    : options.target === undefined
    ? { kind: "latest" }
    : options.target === "zero"
    ? { kind: "zero" }
    : { kind: "target", name: resolveName(options.target, found.entries) };
  const steps = await prepare(planSteps(found.entries, goal), options.database.engine);
  const apart = options.oneTransaction ? steps.find((step) => !step.atomic) : undefined;
  if (apart) {
    throw new AmberError("USAGE", {
      message: `Cannot run everything in one transaction: "${apart.name}" cannot run inside one`,
      where: apart.path,
      hint: apart.direction === "up"
        ? `Run up to it first: amber migrate ${apart.name}`
        : "Leave --one-transaction out.",
    });
  }
  return steps;
}

/** What `--plan` shows. */
export async function describe(steps: readonly Prepared[], engine: Engine | undefined): Promise<PlannedStep[]> {
  const matters = engine !== undefined && steps.some((step) => step.risky) && await hasRows(engine);
  return steps.map((step) => ({
    name: step.name,
    direction: step.direction,
    path: step.path,
    kind: step.code ? "code" : "sql",
    risky: matters && step.risky,
    atomic: step.atomic,
    done: step.row && step.row.state !== "applied" ? step.row.done : 0,
    fromHistory: step.migration === undefined,
  }));
}

async function preview(
  steps: readonly Prepared[],
  engine: Engine | undefined,
  options: MigrateOptions,
): Promise<MigrateResult> {
  const planned = await describe(steps, engine);
  options.report({ type: "plan", steps: planned });
  return { applied: [], unapplied: [], planned };
}

/** Nothing pending, but the digest did not say so: say what is odd, and keep the digest for the next start if that is possible. */
async function rest({ engine, rows }: Glance, folder: Folder, options: MigrateOptions): Promise<MigrateResult> {
  const found = await compare(folder, rows, options.database.engine);
  for (const message of notes(found.entries)) options.report({ type: "note", message });
  const pending = found.entries.some((entry) => entry.state !== "applied" && entry.migration);
  if (engine && rows?.length && !pending) {
    try {
      if (engine.dialect === "postgres") await keepDigest(engine, folder);
      else {
        const writer = await openEngine(options.database, {
          ...openOptions(options, 0),
          waitMs: 0,
          create: false,
          readOnly: false,
        });
        try {
          await writer.lock({ waitMs: 0, journaled: false });
          await keepDigest(writer, folder);
        } finally {
          await writer.close();
        }
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error; // a role that only reads, a busy file: the next start looks closer once more
    }
  }
  return { applied: [], unapplied: [] };
}

/** Written only when nothing is pending; it covers the rows, so a race makes it useless and never wrong. */
async function keepDigest(engine: Engine, folder: Folder): Promise<void> {
  const rows = await readHistory(engine);
  if (!rows?.length) return;
  const applied = new Set(rows.filter((row) => row.state === "applied").map((row) => row.name));
  if (rows.length !== folder.files.length || folder.files.some((file) => !applied.has(file.name))) return;
  const last = rows.reduce((a, b) => (a.name > b.name ? a : b)).name;
  await engine.begin();
  await writeDigest(engine, last, await digest(folder.files, rows));
  await engine.commit();
}

function announce(options: MigrateOptions, engine: Engine, folder: Folder): void {
  options.report({ type: "start", database: engine.where, migrations: folder.path, files: folder.files.length });
}
