import { AmberError } from "../errors.ts";
import { sleep } from "../engines/sleep.ts";

export interface RunOptions {
  /** The program and its arguments. */
  command: readonly [string, ...string[]];
  /** Its whole environment, PATH too. */
  env: Record<string, string | undefined>;
  /** A terminal gives its signals to CMD itself, which is in the same group of processes. */
  isTerminal: boolean;
  /** From now on signals go there, and stop nothing. */
  handOverSignals: (receive: (signal: Deno.Signal) => void) => void;
  /** Aborted: CMD is not started. */
  stop: AbortSignal;
  snapshots?: {
    everyMs: number;
    /** Takes one, tells what went wrong, and never throws. Its signal is aborted when CMD has ended. */
    take: (stop: AbortSignal) => Promise<void>;
  };
}

/** How CMD ended. */
export interface RunResult {
  /** As a shell gives it: its own, or 128 and the number of the signal that it died by. */
  exit: number;
  signal?: string;
}

/** What the keyboard or the window of a terminal sends to everybody in the foreground. */
const terminalSignals: readonly Deno.Signal[] = ["SIGINT", "SIGQUIT", "SIGWINCH"];

/** How long a snapshot may take to stop when CMD has ended: shorter than the 10 s that containers are given. */
const graceMs = 8_000;

/** Longest sleep of a timer; more than 24 days would be none at all. */
const longestSleepMs = 3_600_000;

/**
 * Starts CMD in the foreground, passes signals on to it, and takes snapshots while it runs. When it has ended, none is begun
 * any more and the one under way is stopped; a signal then, or some seconds, end the waiting for that.
 *
 * @throws {AmberError} PROGRAM_MISSING with exit 127, PROGRAM_REFUSED; what `stop` was aborted with.
 */
export async function run(options: RunOptions): Promise<RunResult> {
  const { isTerminal, stop, snapshots } = options;
  stop.throwIfAborted();
  const impatient = Promise.withResolvers<void>();
  let hasEnded = false;
  options.handOverSignals((signal) => {
    if (hasEnded) return impatient.resolve();
    if (isTerminal && terminalSignals.includes(signal)) return;
    passOn(child, signal); // one that comes while CMD starts is told afterwards
  });
  const child = start(options);
  const ended = new AbortController();
  const taking = snapshots ? takeSnapshots(snapshots, ended.signal) : Promise.resolve();
  const { code, signal } = await child.status;
  hasEnded = true;
  ended.abort(new AmberError("TERMINATED", { message: "Stopped the snapshot under way: the server has ended" }));
  const late = new AbortController();
  await Promise.race([taking, impatient.promise, sleep(graceMs, late.signal).catch(() => {})]);
  late.abort();
  return { exit: code, ...(signal === null ? {} : { signal }) };
}

function start({ command: [program, ...args], env }: RunOptions): Deno.ChildProcess {
  // Over what is inherited: amber takes one variable out of its own environment.
  const all = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  try {
    return new Deno.Command(program, {
      args,
      env: Object.fromEntries(all),
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
  } catch (cause) {
    throw explain(cause, program, env.PATH ?? "");
  }
}

function explain(cause: unknown, program: string, path: string): AmberError {
  const places = program.includes("/") ? [program] : path.split(":").map((folder) => `${folder || "."}/${program}`);
  const found = program === "" ? undefined : places.find((place) => isThere(place));
  const cannot = `Cannot start "${program}"`;
  if (cause instanceof Deno.errors.NotFound && found === undefined) {
    return new AmberError("PROGRAM_MISSING", {
      message: program.includes("/") ? `${cannot}: there is no such file` : `${cannot}: it is in no folder of PATH`,
      hint: "Is it installed here, and spelled like that? The migrations are done; run the same command again.",
      exit: 127,
      cause,
    });
  }
  // A program that is there and yet not found is a script: its interpreter is what is missing. Shells give 127 as well.
  const isScript = cause instanceof Deno.errors.NotFound && found === program;
  const why = isScript
    ? "the interpreter in its first line does not exist, or a library that it needs"
    : cause instanceof Deno.errors.PermissionDenied || cause instanceof Deno.errors.NotFound
    ? "it is not executable"
    : cause instanceof Error
    ? cause.message
    : String(cause);
  return new AmberError("PROGRAM_REFUSED", {
    message: `${cannot}: ${why}`,
    where: found,
    ...(why === "it is not executable" ? { hint: `chmod +x ${found ?? program}, if it is a program.` } : {}),
    ...(isScript ? { exit: 127 } : {}),
    cause,
  });
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path) !== undefined;
  } catch {
    return false;
  }
}

function passOn(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    // It has ended this moment; its status is on its way.
    if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** At every multiple of the time since the start; what a long snapshot has overtaken is left out. Ends when CMD does. */
async function takeSnapshots(
  { everyMs, take }: NonNullable<RunOptions["snapshots"]>,
  ended: AbortSignal,
): Promise<void> {
  const started = performance.now();
  try {
    for (;;) {
      const next = started + (Math.floor((performance.now() - started) / everyMs) + 1) * everyMs;
      for (let leftMs = everyMs; leftMs > 0; leftMs = next - performance.now()) {
        await sleep(Math.max(1, Math.min(next - performance.now(), longestSleepMs)), ended);
      }
      await take(ended);
    }
  } catch (error) {
    if (!ended.aborted) throw error;
  }
}
