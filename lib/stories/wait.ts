import { AmberError } from "../errors.ts";
import { openEngine } from "../engines/open.ts";
import { sleep } from "../engines/sleep.ts";
import { check, type LookOptions } from "./check.ts";
import { openOptions } from "./migrate.ts";

const defaultWaitMs = 60_000;

/**
 * Waits until the database answers, or, with `current`, until somebody has migrated it to what the files say.
 *
 * @throws {AmberError} DATABASE_SILENT or MIGRATIONS_PENDING's exit 5 twin LOCK_HELD when the time is over; what cannot
 * get better by waiting (a refused password, drift) at once.
 */
export async function wait(options: LookOptions & { until: "answers" | "current" }): Promise<{ waitedMs: number }> {
  const started = performance.now();
  const waitMs = options.waitMs ?? defaultWaitMs;
  let told = started - 4_000; // the first word after a second, then every five
  for (;;) {
    const leftMs = waitMs - (performance.now() - started);
    try {
      if (options.until === "current") await check({ ...options, waitMs: Math.max(0, leftMs), report: quiet(options) });
      else {
        const engine = await openEngine(options.database, {
          ...openOptions(options, 0),
          waitMs: Math.max(0, leftMs),
          create: false,
          readOnly: true,
        });
        try {
          // On SQLite only a query that reads the file shows whether it is a database.
          await engine.query(
            engine.dialect === "sqlite" ? "select count(*) from main.sqlite_schema" : "select 1 as one",
          );
        } finally {
          await engine.close();
        }
      }
      return { waitedMs: Math.round(performance.now() - started) };
    } catch (error) {
      // A SQLite file that is not there yet answers: migrate makes it.
      const isNew = options.database.engine === "sqlite" && options.until === "answers";
      if (isNew && error instanceof AmberError && error.code === "DATABASE_UNKNOWN") {
        return { waitedMs: Math.round(performance.now() - started) };
      }
      const canChange = error instanceof AmberError &&
        (error.code === "MIGRATIONS_PENDING" || error.code === "DATABASE_UNKNOWN" || error.exitStatus === 5);
      if (!canChange) throw error;
      const remainingMs = waitMs - (performance.now() - started);
      if (remainingMs <= 0) {
        if (error.code !== "MIGRATIONS_PENDING") throw error;
        throw new AmberError("DATABASE_SILENT", {
          message: `Waited ${Math.round(waitMs / 1000)} s, and nobody has migrated the database: ${error.message}`,
          where: error.where,
          hint: "Run amber migrate, or give a longer --wait.",
          cause: error,
        });
      }
      if (performance.now() - told > 5_000) {
        told = performance.now();
        options.report({
          type: "waiting",
          message: `waiting: ${error.message}`,
          remainingSeconds: Math.ceil(remainingMs / 1000),
        });
      }
      await sleep(Math.min(250, Math.max(1, remainingMs)), options.stop);
    }
  }
}

function quiet(options: LookOptions): LookOptions["report"] {
  return (event) => {
    if (event.type === "waiting") options.report(event);
  };
}
