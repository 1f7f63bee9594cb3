/**
 * `deno task bench`: what `migrate` costs, as ratios beside the engine's own shell and beside dbmate in the same run.
 * `--check` exits 1 when a target is missed. `--quick` measures with 200 migrations instead of 1,000.
 */
import { join } from "node:path";
import { command, projectFolder } from "../support/command.ts";
import { dbmate } from "../support/dbmate.ts";
import { startPostgres } from "../support/postgres.ts";
import { findProgram } from "../support/programs.ts";
import { missingNeed } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { writeMigrations } from "./many_migrations.ts";

interface Target {
  what: string;
  measured: number;
  atMost: number;
  unit: "times" | "ms" | "queries";
}

const many = Deno.args.includes("--quick") ? 200 : 1000;
const targets: Target[] = [];
await using folder = await tempFolder();
const deno = Deno.execPath();
Deno.writeTextFileSync(folder.path("empty.ts"), "");

await benchSqlite();
const missing = missingNeed("postgres");
if (missing) console.log(`postgres: left out: ${missing}`);
else await benchPostgres();

console.log("\ntargets");
for (const { what, measured, atMost, unit } of targets) {
  const shown = unit === "times" ? measured.toFixed(2) : String(Math.round(measured));
  console.log(`  ${measured <= atMost ? "met   " : "missed"}  ${what}: ${shown} ${unit} (at most ${atMost})`);
}
if (Deno.args.includes("--check") && targets.some(({ measured, atMost }) => measured > atMost)) Deno.exit(1);

async function benchSqlite(): Promise<void> {
  const script = writeMigrations(folder.path("sqlite/many"), many, "sqlite");
  writeMigrations(folder.path("sqlite/ten"), 10, "sqlite");
  Deno.writeTextFileSync(folder.path("sqlite/all.sql"), script);
  const fresh = (name: string) => {
    for (const end of ["", "-wal", "-journal"]) {
      try {
        Deno.removeSync(folder.path(name + end));
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    return folder.path(name);
  };
  const shell = findProgram("sqlite3");
  console.log(`\nsqlite: ${many} migrations on an empty database (s)`);
  const times = await alternate(5, {
    amber: () => migrate(`sqlite:${fresh("amber.db")}`, "sqlite/many"),
    ...(shell ? { sqlite3: () => time([shell, fresh("shell.db")], { stdin: script }) } : {}),
    ...(missingNeed("dbmate") ? {} : { dbmate: () => runDbmate(`sqlite:${fresh("dbmate.db")}`, "sqlite/many") }),
  });
  if (shell) {
    targets.push({
      what: `sqlite: ${many} migrations, beside sqlite3`,
      measured: ratio(times.amber!, times.sqlite3!),
      atMost: 1.5,
      unit: "times",
    });
  } else console.log("  sqlite3 is not installed: no ratio");

  await migrate(`sqlite:${fresh("ten.db")}`, "sqlite/ten");
  console.log("\nsqlite: nothing to do (s)");
  await nothingToDo("sqlite", 60, {
    empty: () => time([deno, "run", "-A", "--quiet", folder.path("empty.ts")]),
    [`amber ${many}`]: () => migrate(`sqlite:${folder.path("amber.db")}`, "sqlite/many"),
    "amber 10": () => migrate(`sqlite:${folder.path("ten.db")}`, "sqlite/ten"),
    ...(missingNeed("dbmate")
      ? {}
      : { [`dbmate ${many}`]: () => runDbmate(`sqlite:${folder.path("dbmate.db")}`, "sqlite/many") }),
  });
}

async function benchPostgres(): Promise<void> {
  await using server = await startPostgres({ settings: { log_statement: "all" } });
  const script = writeMigrations(folder.path("postgres/many"), many, "postgres");
  writeMigrations(folder.path("postgres/ten"), 10, "postgres");
  Deno.writeTextFileSync(folder.path("postgres/all.sql"), script);
  const psql = findProgram("psql");
  const url = async (label: string) =>
    server.url(await server.createDatabase(`${label}_${crypto.randomUUID().slice(0, 8)}`));
  let latest = "";
  console.log(`\npostgres ${server.version}: ${many} migrations on an empty database (s)`);
  const times = await alternate(5, {
    amber: async () => await migrate(latest = await url("amber"), "postgres/many"),
    ...(psql
      ? {
        psql: async () =>
          await time([psql, "-q", "-v", "ON_ERROR_STOP=1", "-f", folder.path("postgres/all.sql"), await url("psql")]),
      }
      : {}),
  });
  if (psql) {
    targets.push({
      what: `postgres: ${many} migrations, beside psql`,
      measured: ratio(times.amber!, times.psql!),
      atMost: 1.5,
      unit: "times",
    });
  } else console.log("  psql is not installed: no ratio");

  const ten = await url("ten");
  await migrate(ten, "postgres/ten");
  await server.sql("postgres", "select 'from here on'");
  await migrate(latest, "postgres/many");
  await new Promise((written) => setTimeout(written, 300)); // the server's log is written by another process
  const log = server.log();
  const queries = log.slice(log.lastIndexOf("from here on")).match(/LOG:\s+(statement|execute)/g)?.length ?? 0;
  targets.push({
    what: "postgres: queries when there is nothing to do",
    measured: queries,
    atMost: 1,
    unit: "queries",
  });

  console.log("\npostgres: nothing to do (s)");
  await nothingToDo("postgres", 110, {
    empty: () => time([deno, "run", "-A", "--quiet", folder.path("empty.ts")]),
    [`amber ${many}`]: () => migrate(latest, "postgres/many"),
    "amber 10": () => migrate(ten, "postgres/ten"),
  });
}

async function nothingToDo(
  engine: string,
  atMostMs: number,
  runs: Record<string, () => Promise<number>>,
): Promise<void> {
  const times = await alternate(15, runs);
  const empty = median(times.empty!);
  const ours = median(times[`amber ${many}`]!);
  targets.push({
    what: `${engine}: nothing to do with ${many} applied, over an empty program`,
    measured: (ours - empty) * 1000,
    atMost: atMostMs,
    unit: "ms",
  });
  targets.push({
    what: `${engine}: nothing to do with ${many} applied, over 10 applied`,
    measured: (ours - median(times["amber 10"]!)) * 1000,
    atMost: 40,
    unit: "ms",
  });
}

/** Runs the commands in turn, A B A B …, after one round that is not counted; prints minimum, median, maximum. */
async function alternate(
  rounds: number,
  runs: Record<string, () => Promise<number>>,
): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = Object.fromEntries(Object.keys(runs).map((name) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, run] of Object.entries(runs)) {
      const seconds = await run();
      if (round > 0) times[name]!.push(seconds);
    }
  }
  for (const [name, list] of Object.entries(times)) {
    const sorted = [...list].sort((a, b) => a - b);
    console.log(
      `  ${name.padEnd(12)} ${[sorted[0]!, median(list), sorted.at(-1)!].map((one) => one.toFixed(3)).join("  ")}`,
    );
  }
  return times;
}

async function migrate(url: string, migrations: string): Promise<number> {
  return await time([
    deno,
    "run",
    "-A",
    "--quiet",
    "--config",
    join(projectFolder, "deno.json"),
    join(projectFolder, "cli.ts"),
    "migrate",
  ], {
    env: { DATABASE_URL: url, AMBER_MIGRATIONS: folder.path(migrations) },
  });
}

async function runDbmate(url: string, migrations: string): Promise<number> {
  const started = performance.now();
  const result = await dbmate(["--migrations-dir", folder.path(migrations), "--no-dump-schema", "up"], {
    cwd: folder.root,
    env: { DATABASE_URL: url },
    timeoutMs: 300_000,
  });
  if (result.code !== 0) throw new Error(`dbmate failed: ${result.stderr}`);
  return (performance.now() - started) / 1000;
}

async function time(argv: string[], options: { env?: Record<string, string>; stdin?: string } = {}): Promise<number> {
  const started = performance.now();
  const result = await command(argv[0]!, argv.slice(1), { cwd: folder.root, timeoutMs: 300_000, ...options });
  if (result.code !== 0) throw new Error(`${argv.join(" ")} failed: ${result.stderr}`);
  return (performance.now() - started) / 1000;
}

/** Median of the ratios pair by pair: the machine's speed drifts. */
function ratio(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((one, i) => one / theirs[i]!));
}

function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
