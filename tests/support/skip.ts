/**
 * Tests that need more than Deno. Where it is missing the test is skipped and its name says why; with CI set it fails:
 * a machine that checks the project must not pass by leaving things out.
 */
import { missingBinary } from "./compiled.ts";
import { missingNamespaces } from "./container.ts";
import { npmHasPrograms } from "./npm_program.ts";
import { missingPgBouncer } from "./pgbouncer.ts";
import { missingPostgres } from "./postgres_programs.ts";
import { findProgram } from "./programs.ts";
import { isRoot } from "./user.ts";

const missing = {
  postgres: () => notStarted() ?? missingPostgres(),
  pgbouncer: () => missingPgBouncer() ?? notStarted() ?? missingPostgres(),
  dbmate: () => npmHasPrograms ? undefined : "npm has no dbmate for this system",
  binary: missingBinary,
  namespaces: missingNamespaces,
  root: () => isRoot() ? undefined : "it changes users, and only root may",
  openssl: () => missingProgram("openssl"),
  psql: () => missingProgram("psql"),
  pg_dump: () => missingProgram("pg_dump"),
  sqlite3: () => missingProgram("sqlite3"),
  script: () => missingProgram("script"),
  tar: () => missingProgram("tar"),
  zstd: () => missingProgram("zstd"),
  python3: () => missingProgram("python3"),
};

export type Need = keyof typeof missing;

type TestBody = (t: Deno.TestContext) => void | Promise<void>;

/** Registers a test that needs something which a machine may lack. */
export function testWith(needs: Need | Need[], name: string, fn: TestBody): void {
  const reason = missingNeed(needs);
  if (reason === undefined) return Deno.test(name, fn);
  if (!isStrict()) return Deno.test({ name: `${name} (skipped: ${reason})`, ignore: true, fn });
  Deno.test(name, () => {
    throw new Error(`Cannot be skipped when CI is set: ${reason}`);
  });
}

/** Why a test with these needs cannot run here, the first reason only; `undefined` when it can. */
export function missingNeed(needs: Need | Need[]): string | undefined {
  return [needs].flat().map((need) => missing[need]()).find((reason) => reason !== undefined);
}

/** Whether this is a long run: *_long_test.ts are included, and tests may do more rounds. */
export const isLong = Deno.env.get("AMBER_TEST_LONG") === "1";

/** Whether nothing may be left out. */
export function isStrict(): boolean {
  const value = Deno.env.get("CI") ?? "";
  return value !== "" && value !== "0" && value !== "false";
}

/** tests/run.ts leaves here why it could not start the shared server. */
function notStarted(): string | undefined {
  const text = Deno.env.get("AMBER_TEST_PG");
  return text?.startsWith("missing: ") ? text.slice("missing: ".length) : undefined;
}

function missingProgram(name: string): string | undefined {
  return findProgram(name) === undefined ? `${name} is not installed` : undefined;
}
