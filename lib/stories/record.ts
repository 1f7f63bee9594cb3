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
  const engine = await openEngine(options.database, { ...openOptions(options, 60_000), create: true, readOnly: false });
  try {
    const steps = async () => {
      const found = await compare(folder, await readHistory(engine), engine.dialect);
      refuseDrift(found.entries, { allowLate: true }); // nothing is run, so nothing runs late
      return stepsTo(found.entries, options.target);
    };
    const early = await steps();
    const back = early.filter((step) => step.direction === "down").map((step) => step.name);
    if (options.plan) return { recorded: ups(early), unrecorded: back };
    if (back.length > 0 && !(await confirm(back))) {
      throw new AmberError("CONFIRMATION_NEEDED", { message: "Stopped: nothing was changed" });
    }
    return await locked(engine, options, async () => {
      const now = await steps();
      await createHistory(engine);
      await recordAll(engine, now, options);
      return {
        recorded: ups(now),
        unrecorded: now.filter((step) => step.direction === "down").map((step) => step.name),
      };
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
  const engine = await openEngine(options.database, { ...openOptions(options, 60_000), create: true, readOnly: false });
  try {
    const present = async () => {
      const found = await compare(folder, await readHistory(engine), engine.dialect);
      refuseDrift(found.entries, { allowLate: options.allowLate ?? false });
      const steps: Step[] = [];
      for (const { name, state, migration, row } of found.entries) {
        if (state !== "pending" || !migration || migration.parents.length > 0 || migration.kind === "code") continue;
        if (await allExist(engine, initialTables(migration, engine.dialect))) {
          steps.push({ name, direction: "up", migration, row });
        }
      }
      return steps;
    };
    const early = await present();
    if (options.plan || early.length === 0) return { recorded: ups(early), unrecorded: [] };
    return await locked(engine, options, async () => {
      const now = await present();
      await createHistory(engine);
      await recordAll(engine, now, options);
      return { recorded: ups(now), unrecorded: [] };
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
    return await locked(engine, options, async () => {
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

/** Under the migration lock, in one transaction. */
async function locked<T>(engine: Engine, options: RecordOptions, work: () => Promise<T>): Promise<T> {
  await engine.lock({ waitMs: options.waitMs, journaled: false });
  try {
    await engine.begin();
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

function ups(steps: readonly Step[]): string[] {
  return steps.filter((step) => step.direction === "up").map((step) => step.name);
}

async function allExist(engine: Engine, tables: readonly { schema?: string; name: string }[]): Promise<boolean> {
  for (const table of tables) if (!(await tableExists(engine, table))) return false;
  return tables.length > 0;
}
