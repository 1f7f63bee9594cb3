import assert from "node:assert/strict";
import { type CommandResult, spawnAmber } from "../support/command.ts";
import { isLong, testWith } from "../support/skip.ts";
import { type Files, tempFolder } from "../support/temp_folder.ts";
import type { Place, Setup } from "./setups.ts";

/** 32 processes share the machine's cores, and other tests run beside them. */
export const patienceMs = 300_000;
const runners = 32;
const rounds = isLong ? 50 : 3;

/** Registers the race in one set-up. A second run of any of the migrations would show in the counter or in the log. */
export function raceTest(setup: Setup): void {
  testWith(
    setup.needs,
    `${runners} runners at once, ${setup.name}: each migration is applied once, all exit 0`,
    async () => {
      for (let round = 1; round <= rounds; round++) {
        await using place = await setup.open();
        await using folder = await tempFolder(counting(place.dialect));
        const results = await runAtOnce(runners, { cwd: folder.root, env: place.env });
        refuseFailures(results);
        await refuseRepetition(place, results);
        await place.refuseLeftovers();
      }
    },
  );
}

/** 20 migrations that count, and one in the middle that cannot be a transaction: 22 in all. */
export function counting(dialect: Place["dialect"]): Files {
  const files: Files = {
    "migrations/0001_counter.sql": dialect === "postgres"
      ? "create table counter (n int not null); insert into counter values (0); create table log (line text);\n" +
        "create table big (x int); insert into big select generate_series(1, 2000);"
      : "create table counter (n int not null); insert into counter values (0); create table log (line text);",
    "migrations/0012_apart.sql": dialect === "postgres"
      ? "insert into log values ('first'); create index concurrently big_x on big (x); insert into log values ('last');"
      : "-- migrate:up transaction:false\n" +
        "insert into log values ('first'); create index log_line on log (line); insert into log values ('last');",
  };
  for (let number = 2; number <= 22; number++) {
    if (number === 12) continue;
    files[`migrations/${String(number).padStart(4, "0")}_count.sql`] = "update counter set n = n + 1;";
  }
  return files;
}

export async function runAtOnce(
  count: number,
  options: { cwd: string; env: Record<string, string>; args?: string[] },
): Promise<CommandResult[]> {
  const args = ["migrate", "--json", ...options.args ?? []];
  const running = Array.from(
    { length: count },
    () => spawnAmber(args, { cwd: options.cwd, env: options.env, timeoutMs: patienceMs }),
  );
  try {
    return await Promise.all(running.map((one) => one.result));
  } finally {
    for (const one of running) await one[Symbol.asyncDispose]();
  }
}

export function refuseFailures(results: readonly CommandResult[]): void {
  const failed = results.filter((result) => result.code !== 0);
  assert.deepEqual(failed.map(({ code, stdout, stderr }) => `exit ${code}\n${stdout.slice(-1500)}\n${stderr}`), []);
}

export async function refuseRepetition(place: Place, results: readonly CommandResult[]): Promise<void> {
  const applied = results.flatMap((result) =>
    result.json.findLast((line) => line.type === "result")!.applied as string[]
  );
  assert.equal(applied.length, 22, `the runners say that they applied ${applied}`);
  assert.equal(new Set(applied).size, 22);
  assert.deepEqual(await place.sql("select n from counter"), [{ n: 20 }]);
  assert.deepEqual(await place.sql("select line from log order by line"), [{ line: "first" }, { line: "last" }]);
  const history = await place.sql("select name, state from amber_migrations order by name");
  assert.deepEqual(history.map((row) => row.name), [...new Set(applied)].sort());
  assert.deepEqual([...new Set(history.map((row) => row.state))], ["applied"]);
}
