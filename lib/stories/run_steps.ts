import { AmberError } from "../errors.ts";
import type { Engine } from "../engines/engine.ts";
import { sleep } from "../engines/sleep.ts";
import { applyInside, isLockFailure, refusedCommit, type Runner } from "../migrations/apply.ts";
import { applyJournaled } from "../migrations/journal.ts";
import { change, changeAndCommit } from "../migrations/history.ts";
import type { Prepared } from "../migrations/prepare.ts";
import type { MigrateOptions, MigrateResult } from "./migrate.ts";

/** How long a statement's lock is tried for when `--wait` says nothing. */
const lockPatienceMs = 60_000;

/** Steps of one commit on SQLite, and how long others wait for it at most. */
const groupSize = 32;
const groupMs = 50;

/**
 * Runs the steps in order and notes each in `result`. "lock again": a step came up that needs the lock file, which the
 * plan that was locked for had no need of.
 *
 * @param replan What is left to do, asked when somebody else has written meanwhile (SQLite: others may run between two of
 * our transactions).
 */
export async function runSteps(
  engine: Engine,
  steps: readonly Prepared[],
  replan: (left: number) => Promise<Prepared[]>,
  options: MigrateOptions & { snapshot?: string; journaled: boolean },
  result: MigrateResult,
): Promise<"done" | "lock again"> {
  if (options.oneTransaction) {
    await runTogether(engine, steps, options, result);
    return "done";
  }
  let queue = [...steps];
  while (queue.length > 0) {
    options.stop.throwIfAborted();
    const group = groupOf(engine, queue);
    if (group.length > 1) {
      queue = await patiently(engine, options, async () => {
        const { changed } = await engine.begin();
        if (changed) {
          const left = await replan(queue.length);
          if (!isSamePlan(left, queue)) return left;
        }
        return queue.slice(await runGroup(engine, group, options, result));
      });
      if (queue.length === 0) await engine.rollback();
      continue;
    }
    const step = queue[0]!;
    const started = performance.now();
    if (step.atomic) {
      const outcome = await patiently(engine, options, async () => {
        const { changed } = await engine.begin({ foreignKeys: step.script?.foreignKeys ?? false });
        if (changed) {
          const left = await replan(queue.length);
          if (!isSamePlan(left, queue)) return left;
        }
        options.report({ type: "begin", name: step.name, direction: step.direction });
        const record = await applyInside(step, runnerOf(engine, options));
        await options.beforeCommit?.(step.name, engine);
        await changeAndCommit(engine, step.name, record, { reopen: step.script?.reopen }).catch((error) =>
          refusedCommit(error, step)
        );
        return undefined;
      });
      if (outcome) {
        queue = outcome; // the transaction stays open: the next begin() goes on in it
        if (queue.length === 0) await engine.rollback();
        continue;
      }
    } else {
      if (!options.journaled) return "lock again"; // another runner left it half done since the lock was taken
      await engine.rollback(); // of the lock's own transaction on SQLite; the lock file keeps others out
      options.report({ type: "begin", name: step.name, direction: step.direction });
      await patiently(engine, options, () => applyJournaled(step, runnerOf(engine, options)));
    }
    finish(step, performance.now() - started, options, result);
    queue = queue.slice(1);
  }
  return "done";
}

function isSamePlan(left: readonly Prepared[], queue: readonly Prepared[]): boolean {
  return left.length === queue.length && left[0]?.name === queue[0]?.name && left[0]?.direction === queue[0]?.direction;
}

/**
 * The next steps that may be committed together: on SQLite a commit costs more than a small migration, and what is only
 * added needs no commit of its own. Each is still applied as a whole or not at all, in a savepoint.
 */
function groupOf(engine: Engine, queue: readonly Prepared[]): Prepared[] {
  if (engine.dialect !== "sqlite") return [];
  const next = queue.slice(0, groupSize);
  const end = next.findIndex(({ atomic, direction, risky, script }) =>
    !atomic || direction === "down" || risky || !script || script.foreignKeys || script.reopen ||
    !script.statements.every(isBrief)
  );
  return end < 0 ? next : next.slice(0, end);
}

/** Takes no time by itself: what reads tables could, and then those before it would wait for their commit. */
function isBrief({ text }: { text: string }): boolean {
  return /^(?:create|alter|insert)\b/i.test(text) &&
    (!/\bselect\b/i.test(text) || /^create\s+(?:temp(?:orary)?\s+)?(?:view|trigger)\b/i.test(text));
}

/**
 * Runs steps in savepoints of the transaction that is open, and commits. None is told or counted as applied before that. One that
 * fails is undone alone; those before it are committed, then its error is thrown.
 *
 * @returns How many were committed: fewer than given when others shall get a turn.
 */
async function runGroup(
  engine: Engine,
  group: readonly Prepared[],
  options: MigrateOptions & { snapshot?: string },
  result: MigrateResult,
): Promise<number> {
  const opened = performance.now();
  const spent: number[] = [];
  let failure: { error: unknown } | undefined;
  for (const step of group) {
    if (options.stop.aborted || performance.now() - opened > groupMs) break;
    const started = performance.now();
    await engine.query("savepoint amber_step");
    try {
      const record = await applyInside(step, runnerOf(engine, options));
      await change(engine, step.name, record);
      await engine.query("release amber_step");
      spent.push(performance.now() - started);
    } catch (error) {
      if (spent.length === 0) throw error;
      failure = { error };
      break;
    }
  }
  if (failure) {
    try {
      await engine.query("rollback to amber_step");
      await engine.query("release amber_step");
    } catch {
      throw failure.error; // SQLite has rolled back all of it by itself (disk full, RAISE(ROLLBACK)): none is applied
    }
  }
  await engine.commit();
  for (const [i, ms] of spent.entries()) {
    options.report({ type: "begin", name: group[i]!.name, direction: "up" });
    finish(group[i]!, ms, options, result);
  }
  if (failure) throw failure.error;
  options.stop.throwIfAborted();
  return spent.length;
}

/** `--one-transaction`: all or none. */
async function runTogether(
  engine: Engine,
  steps: readonly Prepared[],
  options: MigrateOptions,
  result: MigrateResult,
): Promise<void> {
  const times = await patiently(engine, options, async () => {
    await engine.begin({ foreignKeys: steps.some((step) => step.script?.foreignKeys) });
    const spent: number[] = [];
    for (const step of steps) {
      options.stop.throwIfAborted();
      const started = performance.now();
      options.report({ type: "begin", name: step.name, direction: step.direction });
      const record = await applyInside(step, runnerOf(engine, options));
      await engine.reset();
      await change(engine, step.name, record);
      spent.push(performance.now() - started);
    }
    await engine.commit({ reopen: true }).catch((error) => refusedCommit(error, steps.at(-1)!));
    return spent;
  });
  for (const [i, step] of steps.entries()) finish(step, times[i]!, options, result);
}

/**
 * Tries again when a table lock was not to be had within the short limit, which lets those pass that queue behind us.
 * @throws {AmberError} TABLE_LOCKED after `--wait`, or a minute.
 */
async function patiently<T>(engine: Engine, options: MigrateOptions, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  for (let attempt = 1;; attempt++) {
    try {
      return await work();
    } catch (error) {
      await engine.rollback();
      options.stop.throwIfAborted();
      if (!isLockFailure(error)) throw error;
      const elapsedMs = performance.now() - started;
      if (elapsedMs > (options.waitMs ?? lockPatienceMs)) {
        const who = engine.blockers();
        throw new AmberError("TABLE_LOCKED", {
          message: `Cannot get a lock that the migration needs within ${Math.round(elapsedMs / 1000)} s${
            who ? `: it is held by ${who}` : ""
          }`,
          where: error instanceof AmberError ? error.where : engine.where,
          detail: error instanceof AmberError ? error.detail : undefined,
          hint:
            "Everything of this migration was rolled back. Run it again when that session has ended, or end it: select pg_terminate_backend(PID);",
          cause: error,
        });
      }
      await sleep(Math.min(200 * attempt, 2_000) * (0.5 + Math.random()), options.stop);
    }
  }
}

function runnerOf(engine: Engine, options: MigrateOptions & { snapshot?: string }): Runner {
  const { report, by, amber, now, snapshot } = options;
  return { engine, report, by, amber, now, snapshot };
}

function finish(step: Prepared, durationMs: number, options: MigrateOptions, result: MigrateResult): void {
  (step.direction === "up" ? result.applied : result.unapplied).push(step.name);
  options.report({
    type: step.direction === "up" ? "applied" : "unapplied",
    name: step.name,
    durationMs: Math.round(durationMs),
  });
}
