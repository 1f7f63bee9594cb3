/**
 * `deno task bench:start`: what a start of the compiled binary costs, beside a compiled empty program and dbmate: medians in
 * one run. `--check` exits 1 when a target is missed, `--quick` measures fewer rounds.
 */
import { command, projectFolder } from "../support/command.ts";
import { compiledAmber, missingBinary, refreshBinary } from "../support/compiled.ts";
import { dbmate } from "../support/dbmate.ts";
import { missingNeed } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { writeMigrations } from "./many_migrations.ts";

const rounds = Deno.args.includes("--quick") ? 7 : 25;
const reason = await refreshBinary() ?? missingBinary();
if (reason) throw new Error(`There is no compiled amber to measure: ${reason}`);
await using folder = await tempFolder({ "empty.ts": "", "many/": "", "ten/": "" });
const plain = compiledAmber();
writeMigrations(folder.path("many"), 1000, "sqlite");
writeMigrations(folder.path("ten"), 10, "sqlite");
await run(Deno.execPath(), ["compile", "--quiet", "-A", "--output", folder.path("empty"), folder.path("empty.ts")]);
for (const name of ["many", "ten"]) {
  const args = ["run", "--quiet", "-A", "compile.ts", "--migrations", folder.path(name)];
  await run(Deno.execPath(), [...args, "--output", folder.path(`amber-${name}`)], { cwd: projectFolder });
  await run(folder.path(`amber-${name}`), ["migrate"], { env: { DB_PATH: `${name}.db` } });
}
await run(plain, ["migrate", "-d", "many"], { env: { DB_PATH: "folder.db" } });
const hasDbmate = missingNeed("dbmate") === undefined;
const dbmateRun = () =>
  dbmate(["--no-dump-schema", "-d", "many", "up"], { cwd: folder.root, env: { DATABASE_URL: "sqlite:dbmate.db" } });
if (hasDbmate) await dbmateRun();

console.log(`starts of the binary, ${rounds} rounds: median, least, most (ms)`);
const programs: Record<string, () => Promise<unknown>> = {
  "an empty program": () => run(folder.path("empty"), []),
  "amber --version": () => run(plain, ["--version"]),
  "migrate, 10 inside": () => run(folder.path("amber-ten"), ["migrate"], { env: { DB_PATH: "ten.db" } }),
  "migrate, 1,000 inside": () => run(folder.path("amber-many"), ["migrate"], { env: { DB_PATH: "many.db" } }),
  "migrate, 1,000 in a folder": () => run(plain, ["migrate", "-d", "many"], { env: { DB_PATH: "folder.db" } }),
  ...(hasDbmate ? { "dbmate, 1,000 in a folder": dbmateRun } : {}),
};
const times: Record<string, number[]> = Object.fromEntries(Object.keys(programs).map((name) => [name, []]));
for (let round = 0; round <= rounds; round++) {
  for (const [name, start] of Object.entries(programs)) {
    const started = performance.now();
    await start();
    if (round > 0) times[name]!.push(performance.now() - started); // the first one warms the disk
  }
}
for (const [name, list] of Object.entries(times)) {
  const shown = [median(list), Math.min(...list), Math.max(...list)].map((ms) => ms.toFixed(0).padStart(5)).join(" ");
  console.log(`  ${name.padEnd(28)} ${shown}`);
}

const beside = (name: string) => median(times[name]!) / median(times["an empty program"]!);
const sizeMb = (path: string) => Deno.statSync(path).size / 1e6;
const targets = [
  { what: "amber --version", measured: beside("amber --version"), atMost: 1.3, unit: "times" },
  { what: "migrate, 10 inside", measured: beside("migrate, 10 inside"), atMost: 2, unit: "times" },
  { what: "migrate, 1,000 inside", measured: beside("migrate, 1,000 inside"), atMost: 2, unit: "times" },
  { what: "migrate, 1,000 in a folder", measured: beside("migrate, 1,000 in a folder"), atMost: 3, unit: "times" },
  { what: "larger than an empty one", measured: sizeMb(plain) - sizeMb(folder.path("empty")), atMost: 5, unit: "MB" },
];
console.log("\ntargets");
for (const { what, measured, atMost, unit } of targets) {
  const state = measured <= atMost ? "met   " : "missed";
  console.log(`  ${state}  ${what}: ${measured.toFixed(2)} ${unit} (at most ${atMost})`);
}
if (Deno.args.includes("--check") && targets.some(({ measured, atMost }) => measured > atMost)) Deno.exit(1);

async function run(program: string, args: string[], options: { cwd?: string; env?: Record<string, string> } = {}) {
  const runtime: Record<string, string> = Deno.env.has("DENORT_BIN") ? { DENORT_BIN: Deno.env.get("DENORT_BIN")! } : {};
  const { code, stderr } = await command(program, args, {
    cwd: folder.root,
    ...options,
    env: { ...runtime, ...options.env },
    timeoutMs: 300_000,
  });
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${stderr}`);
}

function median(list: readonly number[]): number {
  return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!;
}
