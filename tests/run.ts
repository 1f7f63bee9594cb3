/**
 * What `deno task test` runs: the servers first, then `deno test`, and at the very end one line with the counts.
 *
 *     deno task test [--long] [--serial] [--filter PATTERN] [FILE or FOLDER …]
 *
 * --long adds *_long_test.ts and more rounds; --serial runs one file after the other, for output that is easier to
 * follow. tests/bench/ has its own task.
 */
import { join, relative, resolve } from "node:path";
import { compiledAmber, refreshBinary } from "./support/compiled.ts";
import { isStrict } from "./support/skip.ts";
import { describeServer, type PostgresServer, startPostgres } from "./support/postgres.ts";

interface Options {
  isLong: boolean;
  isSerial: boolean;
  filter: string | undefined;
  paths: string[];
}

const project = join(import.meta.dirname!, "..");

export function readOptions(args: string[]): Options {
  const options: Options = { isLong: false, isSerial: false, filter: undefined, paths: [] };
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--long") options.isLong = true;
    else if (arg === "--serial") options.isSerial = true;
    else if (arg === "--filter") options.filter = rest.shift();
    else if (arg.startsWith("--filter=")) options.filter = arg.slice("--filter=".length);
    else if (arg.startsWith("-") && arg !== "--") throw new Error(`Unknown option "${arg}"`);
    else if (arg !== "--") options.paths.push(arg);
  }
  return options;
}

/** The files to run, relative to the project. A file that is named is taken even when it is a long one. */
export function findTests(folder: string, { isLong, paths }: Pick<Options, "isLong" | "paths">): string[] {
  const files: string[] = [];
  const walk = (path: string) => {
    for (const entry of Deno.readDirSync(path)) {
      const inside = join(path, entry.name);
      if (entry.isDirectory && relative(folder, inside) !== join("tests", "bench")) walk(inside);
      else if (entry.name.endsWith("_long_test.ts") ? isLong : entry.name.endsWith("_test.ts")) files.push(inside);
    }
  };
  for (const path of paths.length > 0 ? paths : ["tests"]) {
    const full = resolve(folder, path);
    if (Deno.statSync(full).isDirectory) walk(full);
    else files.push(full);
  }
  return files.map((file) => relative(folder, file)).sort();
}

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Reads what `deno test` says last, such as "FAILED | 12 passed (3 steps) | 1 failed | 2 ignored (4s)". */
export function readSummary(output: string): Counts | undefined {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  const line = plain.split("\n").findLast((line) => /^(ok|FAILED) \| \d+ passed/.test(line));
  if (line === undefined) return undefined;
  const count = (word: string) => Number(new RegExp(`\\| (\\d+) ${word}`).exec(line)?.[1] ?? 0);
  return { passed: count("passed"), failed: count("failed"), skipped: count("ignored") };
}

export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** What the end-to-end tests run. With CI set the source in the binary's place is a failure. */
export function driveLine(binary: string, missing: string | undefined): string {
  return missing === undefined
    ? `End-to-end tests drive ${binary}`
    : `End-to-end tests drive the source, and with CI set that is a failure: ${missing}`;
}

async function run(args: string[]): Promise<{ counts: Counts; status: number }> {
  const options = readOptions(args);
  const files = findTests(project, options);
  const none = { counts: { passed: 0, failed: 0, skipped: 0 }, status: 1 };
  if (files.length === 0) return none;
  const env: Record<string, string> = { DENO_JOBS: Deno.env.get("DENO_JOBS") ?? "2" };
  if (options.isLong) env.AMBER_TEST_LONG = "1";
  if (Deno.stdout.isTerminal() && !Deno.env.has("NO_COLOR")) env.FORCE_COLOR = "1";

  await using server = await tryToStart(env);
  if (server) console.log(`PostgreSQL ${server.version} (${server.source}) on port ${server.port}`);
  const hasEndToEnd = files.some((file) => file.startsWith(join("tests", "e2e")));
  let isBinaryMissing = false;
  if (hasEndToEnd || files.some(needsBinary)) {
    const reason = await refreshBinary();
    if (reason === undefined) env.AMBER_TEST_E2E_BINARY = compiledAmber();
    else {
      env.AMBER_TEST_NO_BINARY = reason;
      isBinaryMissing = hasEndToEnd && isStrict();
    }
    if (hasEndToEnd) console.log(driveLine(relative(project, compiledAmber()), reason));
  }

  const child = new Deno.Command(Deno.execPath(), {
    args: [
      // Types are checked by `deno task ok:static`, once and not in each worker that a test starts.
      ...["test", "--allow-all", "--no-prompt", "--no-check"],
      ...(options.isSerial ? [] : ["--parallel"]),
      ...(options.filter === undefined ? [] : ["--filter", options.filter]),
      ...files,
    ],
    cwd: project,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    // A session of its own, so that a signal can end it with all that the tests have started.
    detached: true,
  }).spawn();
  let interrupted = 0;
  for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15], ["SIGHUP", 1]] as const) {
    Deno.addSignalListener(signal, () => {
      interrupted = 128 + number;
      new Deno.Command("/bin/sh", { args: ["-c", `kill -KILL -${child.pid}`], stderr: "null" }).outputSync();
    });
  }
  const [output, status] = await Promise.all([passOn(child.stdout), child.status]);
  const counts = readSummary(output) ?? none.counts;
  if (isBinaryMissing) counts.failed++;
  // Files that do not compile, or a runner that was killed, are in no summary.
  if (status.code !== 0 && counts.failed === 0) counts.failed = 1;
  if (counts.passed + counts.failed + counts.skipped === 0) return none;
  return { counts, status: interrupted || status.code || (isBinaryMissing ? 1 : 0) };
}

/** Whether a test file has a test that needs the compiled amber: see support/skip.ts. */
function needsBinary(file: string): boolean {
  return /testWith\(\s*(\[[^\]]*)?"binary"/.test(Deno.readTextFileSync(join(project, file)));
}

async function tryToStart(env: Record<string, string>): Promise<PostgresServer | undefined> {
  try {
    const server = await startPostgres();
    env.AMBER_TEST_PG = describeServer(server);
    return server;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    env.AMBER_TEST_PG = `missing: ${message.split("\n")[0]}`;
    console.error(message);
    return undefined;
  }
}

/** Copies the stream to stdout and returns its end, which has the summary. */
async function passOn(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  const sink = Deno.stdout.writable.getWriter();
  let end = "";
  for await (const bytes of stream) {
    await sink.write(bytes);
    end = (end + decoder.decode(bytes, { stream: true })).slice(-20_000);
  }
  sink.releaseLock();
  return end;
}

if (import.meta.main) {
  const { counts, status } = await run(Deno.args);
  if (counts.passed + counts.failed + counts.skipped === 0) console.error("No test matches");
  console.log(closingLine(counts));
  Deno.exit(status);
}
