import { AmberError } from "../errors.ts";
import type { Engine } from "../engines/engine.ts";
import { openEngine } from "../engines/open.ts";
import { rowOf } from "../migrations/apply.ts";
import { readFolder } from "../migrations/folder.ts";
import { createHistory, deleteRow, readHistory, updateRow, writeRow } from "../migrations/history.ts";
import { initialTables, tableExists } from "../migrations/initial.ts";
import { type Goal, planSteps, resolveName, type Step } from "../migrations/plan.ts";
import { prepare } from "../migrations/prepare.ts";
import { prefixHash } from "../migrations/script.ts";
import { type Entry, refuseDrift } from "../migrations/survey.ts";
import { looking } from "./check.ts";
import { compare, look } from "./look.ts";
import { type MigrateOptions, openOptions } from "./migrate.ts";

/** What was written into the history without running anything. */
export interface RecordResult {
  recorded: string[];
  unrecorded: string[];
}

type RecordOptions = Omit<MigrateOptions, "back" | "oneTransaction" | "beforeRisky">;

/**
 * Django's `--fake`: records everything up to the target as applied, or, when the target is applied, takes what comes
 * after it out of the history. Runs nothing.
 *
 * @param confirm Asked before rows are taken out; false stops.
 * @throws {AmberError} CONFIRMATION_NEEDED, and what planning throws.
 */
export async function fake(
  options: RecordOptions,
  confirm: (names: string[]) => Promise<boolean>,
): Promise<RecordResult> {
  const folder = readFolder(options.migrations, options.database.engine);
  const decide = async (engine: Engine | undefined) => {
    const found = await compare(folder, engine && await readHistory(engine), options.database.engine);
    refuseDrift(found.entries, { allowLate: true }); // nothing is run, so nothing runs late
    return stepsTo(found.entries, options.target);
  };
  if (options.plan) return recorded(await looking(options, decide));
  const engine = await openEngine(options.database, { ...openOptions(options, 60_000), create: true, readOnly: false });
  try {
    const { unrecorded } = recorded(await decide(engine));
    if (unrecorded.length > 0 && !(await confirm(unrecorded))) {
      throw new AmberError("CONFIRMATION_NEEDED", { message: "Stopped: nothing was changed" });
    }
    return await recording(engine, options, async () => {
      const steps = await decide(engine);
      // Somebody else may have applied more meanwhile: what was not asked about is not taken out.
      if (recorded(steps).unrecorded.join() !== unrecorded.join()) {
        throw new AmberError("LOCK_LOST", {
          message: "Stopped: the history has changed since it was read, and nothing was written",
          where: engine.where,
          hint: "Look at the new plan: amber migrate --fake TARGET --plan",
        });
      }
      await recordAll(engine, steps, options);
      return recorded(steps);
    });
  } finally {
    await engine.close();
  }
}

/**
 * Django's `--fake-initial`: records first migrations (those that depend on nothing) whose tables all exist already.
 * The caller then migrates.
 */
export async function fakeInitial(options: RecordOptions): Promise<RecordResult> {
  const folder = readFolder(options.migrations, options.database.engine);
  const decide = async (engine: Engine | undefined) => {
    const found = await compare(folder, engine && await readHistory(engine), options.database.engine);
    refuseDrift(found.entries, { allowLate: options.allowLate ?? false });
    const steps: Step[] = [];
    for (const { name, state, migration, row } of found.entries) {
      if (state !== "pending" || !migration || migration.parents.length > 0 || migration.kind === "code") continue;
      if (engine && await allExist(engine, initialTables(migration, engine.dialect))) {
        steps.push({ name, direction: "up", migration, row });
      }
    }
    return steps;
  };
  const early = await looking(options, decide);
  if (options.plan || early.length === 0) return recorded(early);
  const engine = await openEngine(options.database, {
    ...openOptions(options, 60_000),
    create: false,
    readOnly: false,
  });
  try {
    return await recording(engine, options, async () => {
      const steps = await decide(engine);
      await recordAll(engine, steps, options);
      return recorded(steps);
    });
  } finally {
    await engine.close();
  }
}

/**
 * `--accept NAME`: the present statements of an applied, changed migration are the right ones; of a half-done one, those
 * that are done are as the file says, and none is in doubt. Runs nothing.
 *
 * @throws {AmberError} MIGRATION_UNKNOWN when it is not applied or has no file.
 */
export async function accept(name: string, options: RecordOptions): Promise<{ accepted: string; changed: boolean }> {
  const engine = await openEngine(options.database, {
    ...openOptions(options, 60_000),
    create: false,
    readOnly: false,
  });
  try {
    return await recording(engine, options, async () => {
      const { entries } = await look(engine, options.migrations);
      const entry = entries.find((one) => one.name === resolveName(name, entries))!;
      if (!entry.row || !entry.migration) {
        throw new AmberError("MIGRATION_UNKNOWN", {
          message: `Cannot accept "${entry.name}": ${entry.row ? "it has no file" : "it is not applied"}`,
          where: entry.migration?.path ?? entry.name,
          hint: entry.row ? "Bring the file back from version control." : "`amber migrate` applies it.",
        });
      }
      const [step] = await prepare(
        [{ name: entry.name, direction: "up", migration: entry.migration, row: entry.row }],
        engine.dialect,
      );
      const { checksum, hashes, rawHash, splitter, statements, down } = rowOf(step!, options, 0);
      const changed = entry.row.rawHash !== rawHash || entry.row.begun !== null || entry.row.state !== "applied";
      if (options.plan || !changed) return { accepted: entry.name, changed };
      await updateRow(engine, entry.name, {
        ...{ checksum, hashes, rawHash, splitter, statements, down, begun: null },
        ...(entry.row.state === "running" && step!.script
          ? { doneHash: await prefixHash(step!.script.statements, entry.row.done) }
          : {}),
      });
      return { accepted: entry.name, changed };
    });
  } finally {
    await engine.close();
  }
}

/** Under the migration lock, in one transaction, with a history to write into. */
export async function recording<T>(engine: Engine, options: RecordOptions, work: () => Promise<T>): Promise<T> {
  await engine.lock({ waitMs: options.waitMs, journaled: false });
  try {
    // Asked before the transaction: on Postgres the answer "there is none" would end it.
    const isThere = await readHistory(engine) !== undefined;
    await engine.begin();
    if (!isThere) await createHistory(engine);
    const result = await work();
    await engine.commit();
    return result;
  } finally {
    await engine.unlock();
  }
}

async function recordAll(engine: Engine, steps: readonly Step[], options: RecordOptions): Promise<void> {
  for (const step of steps) {
    if (step.direction === "down") await deleteRow(engine, step.name);
    else {
      const [prepared] = await prepare([step], engine.dialect);
      await writeRow(engine, rowOf(prepared!, options, 0));
    }
  }
}

function stepsTo(entries: readonly Entry[], target: string | undefined): Step[] {
  const goal: Goal = target === undefined
    ? { kind: "latest" }
    : target === "zero"
    ? { kind: "zero" }
    : { kind: "target", name: resolveName(target, entries) };
  return planSteps(entries, goal).filter((step) => step.row?.state !== "reverting" || step.direction === "up");
}

function recorded(steps: readonly Step[]): RecordResult {
  const names = (direction: Step["direction"]) =>
    steps.filter((step) => step.direction === direction).map((step) => step.name);
  return { recorded: names("up"), unrecorded: names("down") };
}

async function allExist(engine: Engine, tables: readonly { schema?: string; name: string }[]): Promise<boolean> {
  for (const table of tables) if (!(await tableExists(engine, table))) return false;
  return tables.length > 0;
}
