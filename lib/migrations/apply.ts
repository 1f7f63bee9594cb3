import { AmberError } from "../errors.ts";
import { type Engine, type EngineEvent, type Runnable, StatementFailure } from "../engines/engine.ts";
import { codeFailure, migrationDatabase } from "./code.ts";
import { explain } from "./explain.ts";
import { deleteRowSql, writeRowSql } from "./history.ts";
import { type HistoryRow, splitterVersion } from "./history_row.ts";
import type { Prepared } from "./prepare.ts";
import type { Script } from "./script.ts";
import type { Statement } from "./splitter.ts";
import { guardAfter, guardBefore } from "./sqlite_guard.ts";

/** Who runs migrations, and what they tell while they run. */
export interface Runner {
  engine: Engine;
  report: (event: EngineEvent) => void;
  /** user@host */
  by: string;
  amber: string;
  now: () => Date;
  /** Id of the safety snapshot taken before this run, if any. */
  snapshot?: string;
}

const rolledBack = "Everything of this migration was rolled back; earlier ones stay.";

/**
 * Runs one step in the transaction that is open. The caller has begun it, and commits it together with the change of
 * the history that this gives, or rolls it back.
 *
 * @throws {AmberError} STATEMENT_FAILED, CODE_FAILED, ROWS_LOST, FOREIGN_KEY_BROKEN, LOCK_LOST
 */
export async function applyInside(step: Prepared, runner: Runner): Promise<string> {
  const { engine } = runner;
  const started = performance.now();
  const executed = new Map<string, Statement>();
  const guard = engine.dialect === "sqlite"
    ? await guardBefore(engine, {
      statements: step.script?.statements,
      additive: !step.risky,
      rows: step.script?.rows ?? step.code?.rows ?? [],
    })
    : undefined;
  const isMerge = (step.migration?.parents.length ?? 0) > 1;
  if (step.direction === "up" && step.script?.statements.length === 0 && !isMerge) {
    runner.report({ type: "note", message: `"${step.name}" has no statement yet; one that is added later is an edit` });
  }
  if (step.script) {
    await runScript(
      step,
      step.script,
      step.script.units.flatMap((unit) => unit.run),
      engine,
      rolledBack,
    );
  } else await runCode(step, engine, executed);
  if (guard) {
    const found = await guardAfter(engine, guard, {
      name: step.name,
      path: step.path,
      direction: step.direction,
      executed: step.code && [...executed.values()],
    });
    for (const message of found) runner.report({ type: "note", message });
  }
  return step.direction === "up"
    ? writeRowSql(engine, rowOf(step, runner, performance.now() - started))
    : deleteRowSql(engine, step.name);
}

/** Runs some of a script's statements; a refusal names file, line and column. */
export async function runScript(
  step: Prepared,
  script: Script,
  run: readonly (Runnable & { index: number })[],
  engine: Engine,
  aftermath: string,
): Promise<void> {
  try {
    await engine.run(run);
  } catch (error) {
    if (!(error instanceof StatementFailure)) throw error;
    throw explain(error, {
      name: step.name,
      path: script.path,
      text: script.text,
      statement: script.statements[run[error.index]?.index ?? -1],
      aftermath,
      hint: hintFor(error),
    });
  }
}

async function runCode(step: Prepared, engine: Engine, executed: Map<string, Statement>): Promise<void> {
  const file = step.file!;
  const work = step.direction === "up" ? step.code!.up : step.code!.down!;
  try {
    await work(migrationDatabase(engine, file, { executed }));
  } catch (error) {
    if (isLockFailure(error)) throw error;
    throw codeFailure(error, file, step.name, rolledBack);
  }
}

/** What is checked only at the end (a deferred constraint) was broken. @throws {AmberError} STATEMENT_FAILED */
export function refusedCommit(error: unknown, step: Prepared): never {
  if (!(error instanceof StatementFailure) || isLockFailure(error)) throw error;
  throw explain(error, {
    name: step.name,
    path: step.path,
    text: step.script?.text ?? "",
    aftermath: rolledBack,
    hint: hintFor(error),
  });
}

/** The row of a migration that is applied with this. */
export function rowOf(
  step: Prepared,
  runner: Pick<Runner, "by" | "amber" | "now" | "snapshot">,
  durationMs: number,
): HistoryRow {
  return {
    name: step.name,
    ...step.fingerprint,
    splitter: splitterVersion,
    state: "applied",
    done: step.script?.statements.length ?? 0,
    doneHash: null,
    statements: step.script?.statements.length ?? 0,
    begun: null,
    checkpoint: null,
    appliedAt: runner.now().toISOString(),
    durationMs: Math.round(durationMs),
    appliedBy: runner.by,
    amber: runner.amber,
    snapshot: runner.snapshot ?? null,
    down: step.downSql,
    digest: null,
  };
}

/** A lock that was not to be had in time, or a deadlock: worth trying again once others have passed. */
export function isLockFailure(error: unknown): boolean {
  const failure = error instanceof AmberError ? error.cause : error;
  return failure instanceof StatementFailure && (failure.code === "55P03" || failure.code === "40P01");
}

/** What to do about errors that people meet often. */
function hintFor(error: StatementFailure): string | undefined {
  switch (error.code) {
    case "42501":
      return "Give the role this right, or migrate as the owner.";
    case "25006":
      return "This server only reads: migrate on the primary.";
    case "55P04":
      return "A new enum value can be used after it is committed: put the ALTER TYPE … ADD VALUE into a migration of its own.";
    case "25001":
      return "It cannot run inside a transaction: -- migrate:up transaction:false";
    default:
      return undefined;
  }
}
