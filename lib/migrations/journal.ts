import { AmberError } from "../errors.ts";
import { type Engine, StatementFailure } from "../engines/engine.ts";
import { isLockFailure, rowOf, type Runner, runScript } from "./apply.ts";
import { codeFailure, migrationDatabase } from "./code.ts";
import { deleteRow, readHistory, updateRow, writeRow } from "./history.ts";
import type { HistoryRow } from "./history_row.ts";
import { type Begun, clearAway, noteBefore, outcome } from "./outside.ts";
import { setsLockTimeout, settings } from "./postgres_facts.ts";
import type { Prepared } from "./prepare.ts";
import { prefixHash, type Script, type Unit } from "./script.ts";
import { positionOf, type Statement } from "./splitter.ts";
import { guardAfter, guardBefore } from "./sqlite_guard.ts";

/**
 * Runs one step that cannot be one transaction: statement by statement, the history row keeping how many are done. Killed
 * anywhere, the next run goes on behind the last one that was done. The caller has no transaction open.
 *
 * @throws {AmberError} STATEMENT_FAILED, STATEMENT_UNCERTAIN, MIGRATION_DRIFT, DATABASE_POOLED, LOCK_LOST
 */
export async function applyJournaled(step: Prepared, runner: Runner): Promise<void> {
  const started = performance.now();
  const row = await begin(step, runner);
  if (step.script) await runUnits(step, step.script, row, runner);
  else await runRounds(step, runner);
  const end = async () => {
    if (step.direction === "down") return await deleteRow(runner.engine, step.name);
    const { name: _name, ...fields } = rowOf(step, runner, performance.now() - started);
    await updateRow(runner.engine, step.name, fields);
  };
  await transaction(runner.engine, end, { reopen: step.script?.reopen });
}

/**
 * Writes the row `running` or `reverting`, or takes up the one that a killed run left. It is read here once more: this may
 * be the second try of a run whose first statements are done already.
 */
async function begin(step: Prepared, runner: Runner): Promise<HistoryRow> {
  const state = step.direction === "up" ? "running" : "reverting";
  return await transaction(runner.engine, async () => {
    const known = (await readHistory(runner.engine))?.find((row) => row.name === step.name);
    if (known?.state === state) {
      await refuseChangedPrefix(step, known);
      return known;
    }
    const fresh: HistoryRow = { ...rowOf(step, runner, 0), state, done: 0, doneHash: await prefixHash([], 0) };
    const { done, doneHash, begun, checkpoint } = fresh;
    if (step.direction === "up") await writeRow(runner.engine, fresh);
    else await updateRow(runner.engine, step.name, { state, done, doneHash, begun, checkpoint });
    return fresh;
  });
}

/** What was done already must still stand in the file as it was run. */
async function refuseChangedPrefix(step: Prepared, row: HistoryRow): Promise<void> {
  if (!step.script || row.doneHash === null) return;
  if (await prefixHash(step.script.statements, row.done) === row.doneHash) return;
  throw new AmberError("MIGRATION_DRIFT", {
    message: `Cannot go on with "${step.name}": its first ${row.done} statements are done, and they have changed since`,
    where: step.path,
    hint:
      `Put these ${row.done} back as they were; what follows them may be mended. Or, if they are right as they are: amber migrate --accept ${step.name}`,
  });
}

async function runUnits(step: Prepared, script: Script, row: HistoryRow, runner: Runner): Promise<void> {
  const { engine } = runner;
  let begun = row.begun === null ? undefined : JSON.parse(row.begun) as Begun;
  if (script.settings.length > 0 && await engine.isPooled()) {
    throw new AmberError("DATABASE_POOLED", {
      message:
        `Cannot run "${step.name}": it changes session settings outside a transaction, and a pooler would hand them to other clients`,
      where: step.path,
      hint: "Connect to the server directly, or take the SET out (alter role … set …).",
    });
  }
  // The session of the killed run is gone, and its settings with it.
  for (const index of script.settings.filter((index) => index < row.done)) {
    await engine.run([{ text: script.statements[index]!.text }]);
  }
  for (const unit of script.units) {
    if (unit.from < row.done) continue;
    const after = {
      done: unit.from + unit.count,
      doneHash: await prefixHash(script.statements, unit.from + unit.count),
      begun: null,
    };
    if (unit.outside) {
      const known = begun?.statement === unit.from ? begun : undefined;
      if (!known || known.refused || await settle(step, unit, known, runner) === "again") {
        await runOutside(step, script, unit, known, runner);
      }
      begun = undefined;
      await record(step, after, runner);
    } else {
      await runInside(step, script, unit, runner, after);
    }
  }
  if (script.settings.length > 0) await engine.reset();
}

/** A unit with a transaction of its own, in which the journal advances too. */
async function runInside(
  step: Prepared,
  script: Script,
  unit: Unit,
  runner: Runner,
  after: Partial<HistoryRow>,
): Promise<void> {
  const { engine } = runner;
  await engine.begin({ foreignKeys: script.foreignKeys });
  try {
    const guard = engine.dialect === "sqlite"
      ? await guardBefore(engine, {
        statements: unit.run.map(({ index }) => script.statements[index]!),
        earlier: script.statements.slice(0, unit.from),
        later: script.statements.slice(unit.from + unit.count),
        additive: script.additive,
        rows: script.rows,
      })
      : undefined;
    // The engine's own limits, set as the transaction began, would hide the one that the file has set before.
    const limit = script.settings.findLast((index) => index < unit.from && setsLockTimeout(script.statements[index]!));
    if (limit !== undefined) await engine.run([{ text: script.statements[limit]!.text, lockWait: "own" }]);
    await runScript(step, script, unit.run, engine, stopped(unit));
    if (guard) {
      const { name, path, direction } = step;
      const found = await guardAfter(engine, guard, { name, path, direction, aftermath: stopped(unit) });
      for (const message of found) runner.report({ type: "note", message });
    }
    await asOurselves(script, engine);
    await updateRow(engine, step.name, after);
    await engine.commit();
  } catch (error) {
    await engine.rollback();
    throw error;
  }
}

async function runOutside(
  step: Prepared,
  script: Script,
  unit: Unit,
  known: Begun | undefined,
  runner: Runner,
): Promise<void> {
  const { engine } = runner;
  const outside = unit.outside!;
  let begun: Begun | undefined;
  if (engine.dialect === "postgres") {
    await engine.withoutTimeouts(async () => {
      for (const name of await clearAway(engine, outside, known)) {
        runner.report({ type: "note", message: `dropped the invalid index ${name} that an earlier try left` });
      }
    });
    begun = await noteBefore(engine, outside, unit.from);
    await record(step, { begun: JSON.stringify(begun) }, runner);
  }
  try {
    await engine.withoutTimeouts(() => runScript(step, script, unit.run, engine, stopped(unit)));
  } catch (error) {
    // The database said no, so nothing is in doubt: the next run begins with this statement, and clears away what is left.
    const refused = error instanceof AmberError && error.cause instanceof StatementFailure && !isCutOff(error.cause);
    if (refused && begun) await record(step, { begun: JSON.stringify({ ...begun, refused }) }, runner);
    throw error;
  }
}

/** What a killed run left of this statement: nothing to do any more, or to be run again. */
async function settle(step: Prepared, unit: Unit, begun: Begun, runner: Runner): Promise<"done" | "again"> {
  const found = await runner.engine.withoutTimeouts(() => outcome(runner.engine, unit.outside!, begun));
  if (found !== "unknown") return found;
  const script = step.script!;
  const { line, column } = positionOf(script.text, script.statements[unit.from]!.offset);
  throw new AmberError("STATEMENT_UNCERTAIN", {
    message: `Cannot go on with "${step.name}": a run was killed during statement ${
      unit.from + 1
    }, and nobody can tell whether it took effect`,
    where: `${step.path}:${line}:${column}`,
    hint:
      `Look (amber dbshell). If it did not, or may run twice: amber migrate --accept ${step.name}, then amber migrate. ` +
      "If it did: take the statement out of the file first, then the same two commands.",
  });
}

/** Journals in a transaction of its own. */
async function record(step: Prepared, fields: Partial<HistoryRow>, { engine }: Runner): Promise<void> {
  await transaction(engine, async () => {
    if (step.script) await asOurselves(step.script, engine);
    await updateRow(engine, step.name, fields);
  });
}

/** A file may have changed the role, and only the one that connected may write the history. Until the commit. */
async function asOurselves(script: Script, engine: Engine): Promise<void> {
  const changed = new Set(
    script.settings.flatMap((index) => settings(script.statements[index]!)).map(({ name }) => name),
  );
  const undo = [
    ...(changed.has("session_authorization") ? ["set local session authorization default"] : []),
    ...(changed.has("session_authorization") || changed.has("role") ? ["set local role none"] : []),
  ];
  if (undo.length > 0) await engine.run(undo.map((text) => ({ text, lockWait: "own" })));
}

/** Code with `atomic = false`: it commits by itself, round by round. */
async function runRounds(step: Prepared, runner: Runner): Promise<void> {
  const { engine } = runner;
  const executed = new Map<string, Statement>();
  const checkpoint = {
    read: async () => {
      const [row] = await engine.query(
        `select checkpoint from ${engine.history} where name = '${step.name.replaceAll("'", "''")}'`,
      );
      return JSON.parse(String(row?.checkpoint ?? "{}")) as Record<string, string>;
    },
    write: (keys: Record<string, string>) => updateRow(engine, step.name, { checkpoint: JSON.stringify(keys) }),
  };
  const work = step.direction === "up" ? step.code!.up : step.code!.down!;
  try {
    await work(migrationDatabase(engine, step.file!, { checkpoint, executed }));
  } catch (error) {
    await engine.rollback();
    if (isLockFailure(error)) throw error;
    throw codeFailure(
      error,
      step.file!,
      step.name,
      "What it committed stays; the next run starts it again, batches go on where they stood.",
    );
  }
  await engine.rollback();
}

async function transaction<T>(engine: Engine, work: () => Promise<T>, options?: { reopen?: boolean }): Promise<T> {
  await engine.begin();
  try {
    const result = await work();
    await engine.commit(options);
    return result;
  } catch (error) {
    await engine.rollback();
    throw error;
  }
}

/** Cancelled or terminated: the statement may or may not have left something. */
function isCutOff(failure: StatementFailure): boolean {
  return /^57/.test(failure.code ?? "");
}

function stopped(unit: Unit): string {
  return unit.from === 0
    ? "Nothing of this migration was done; earlier ones stay."
    : unit.from === 1
    ? "The first statement of this migration is done and stays; the next run goes on behind it."
    : `The first ${unit.from} statements of this migration are done and stay; the next run goes on behind them.`;
}
