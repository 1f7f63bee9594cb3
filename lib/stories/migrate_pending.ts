import type { Engine, LockRequest } from "../engines/engine.ts";
import { openEngine } from "../engines/open.ts";
import { AmberError } from "../errors.ts";
import { digest, filesDigest } from "../migrations/digest.ts";
import type { Folder } from "../migrations/folder.ts";
import { createHistory, readHistory, writeDigest } from "../migrations/history.ts";
import type { HistoryRow } from "../migrations/history_row.ts";
import { refuseOtherTool } from "../migrations/other_tools.ts";
import { type Goal, planSteps, resolveName } from "../migrations/plan.ts";
import { prepare, type Prepared } from "../migrations/prepare.ts";
import { hasRows } from "../migrations/rows.ts";
import { notes, refuseDrift } from "../migrations/survey.ts";
import { compare, type Look } from "./look.ts";
import {
  announce,
  type Glance,
  type MigrateOptions,
  type MigrateResult,
  openOptions,
  type PlannedStep,
} from "./migrate.ts";
import { runSteps } from "./run_steps.ts";

/**
 * `migrate` when the first look did not say that all is done: compares, plans, and unless only the plan is wanted, runs.
 * The caller closes what `seen` holds.
 */
export async function migratePending(seen: Glance, folder: Folder, options: MigrateOptions): Promise<MigrateResult> {
  const dialect = options.database.engine;
  const rows = seen.rows && await readHistory(seen.engine!);
  const steps = await decide(await compare(folder, rows, dialect), options);
  if (seen.engine && !rows?.length && steps.length > 0) await refuseOtherTool(seen.engine);
  if (options.plan) return await preview(steps, seen.engine, options);
  if (steps.length === 0) return await rest(seen.engine, rows, folder, options);
  const work = await engineToWrite(seen, folder, options);
  try {
    return await stoppable(work, options, () => migrateLocked(work, folder, { rows, steps }, options));
  } finally {
    await work.close();
  }
}

/** On SQLite the glance only looked; a database that did not exist is made now that its files are known to be sound. */
async function engineToWrite(seen: Glance, folder: Folder, options: MigrateOptions): Promise<Engine> {
  if (seen.engine?.dialect === "postgres") return seen.engine;
  const engine = await openEngine(options.database, { ...openOptions(options, 60_000), create: true, readOnly: false });
  if (!seen.engine) announce(options, engine, { path: folder.path, count: folder.files.length });
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
  let isKept = false;
  for (;;) {
    const journaled = steps.some((step) => !step.atomic);
    await engine.lock({ waitMs: options.waitMs, journaled });
    try {
      const rows = await lockedHistory(engine, { waitMs: options.waitMs, journaled }, steps.length > 0);
      if (!isSame(rows, known.rows)) steps = await decideAgain(rows);
      const planned = await describe(steps, engine);
      if (steps.length > 0) options.report({ type: "plan", steps: planned });
      if (options.beforeRisky && !isKept && await wantsSnapshot(planned, engine, options)) {
        const snapshot = await options.beforeRisky(planned, { engine });
        if (snapshot !== undefined) result.snapshot = snapshot;
        isKept = true;
      }
      const replan = async (left: number) =>
        await decideAgain(await readHistory(engine), options.back === undefined ? options : { ...options, back: left });
      const end = await runSteps(engine, steps, replan, { ...options, snapshot: result.snapshot, journaled }, result);
      if (end === "done") {
        await keepDigest(engine, folder);
        return result;
      }
      known = { rows: undefined, steps: steps = await decideAgain(await readHistory(engine)) };
    } catch (error) {
      if (result.snapshot === undefined) throw error;
      const { withWayBack } = await import("./safety_before_migrate.ts");
      throw withWayBack(error, result.snapshot, engine.dialect);
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

/** Whether anything can be lost that a snapshot would keep. */
async function wantsSnapshot(
  planned: readonly PlannedStep[],
  engine: Engine | undefined,
  { beforeAny }: MigrateOptions,
): Promise<boolean> {
  if (planned.some((step) => step.risky)) return true;
  return beforeAny === true && planned.length > 0 && engine !== undefined && await hasRows(engine);
}

async function preview(
  steps: readonly Prepared[],
  engine: Engine | undefined,
  options: MigrateOptions,
): Promise<MigrateResult> {
  const planned = await describe(steps, engine);
  options.report({ type: "plan", steps: planned });
  const wants = await wantsSnapshot(planned, engine, options);
  const { serverBytesOf } = await import("./safety_before_migrate.ts");
  const databaseBytes = wants && engine ? await serverBytesOf(engine) : undefined;
  return {
    ...{ applied: [], unapplied: [], planned, wantsSnapshot: wants },
    ...(databaseBytes === undefined ? {} : { databaseBytes }),
  };
}

/** Nothing pending, but the digest did not say so: say what is odd, and keep the digest for the next start if that is possible. */
async function rest(
  engine: Engine | undefined,
  rows: HistoryRow[] | undefined,
  folder: Folder,
  options: MigrateOptions,
): Promise<MigrateResult> {
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
  await writeDigest(engine, last, await digest(await filesDigest(folder.files), rows));
  await engine.commit();
}
