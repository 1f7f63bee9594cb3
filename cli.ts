/**
 * The command line: argv, environment, exit status and signals, and nothing else.
 *
 * @module
 */
import { run } from "@stricli/core";
import { buildApp } from "./lib/commands/app.ts";
import type { AmberContext, World } from "./lib/commands/context.ts";
import { AmberError } from "./lib/errors.ts";
import { carriedPath, readCarriedIndex } from "./lib/migrations/carried.ts";
import { argumentSecrets, redactor } from "./lib/secrets.ts";
import { version } from "./lib/version.ts";

/** A second signal, or this long after the first, ends the process as it stands: the database rolls back. */
const graceMs = 8_000;

/** Runs one command; gives its exit status. */
export async function main(args: string[]): Promise<number> {
  const stop = new AbortController();
  const handOverSignals = listenForSignals(stop);
  const end = args.indexOf("--");
  const secrets = argumentSecrets(args);
  const json = (end < 0 ? args : args.slice(0, end)).includes("--json");
  const world = worldOf({ args, json, secrets, stop: stop.signal, handOverSignals });
  // What a migration's code prints is no result: stdout is for ours.
  console.log = console.info = console.debug = (...texts: unknown[]) => console.error(...texts);

  let mistake: unknown;
  const app = buildApp({ version, args, mistaken: (error) => mistake = error });
  const context: AmberContext & { process: { exitCode?: number | string | null } } = {
    process: {
      stdout: { write: world.stdout },
      stderr: { write: (text: string) => text.trim() !== "" && world.stderr(text) },
    },
    world,
    exit: 0,
  };
  await run(app, args.length === 0 ? ["--help"] : args, context as never);
  if (mistake) {
    // Loaded only now: what shows a version or a help needs no more than its text.
    const { Reporter } = await import("./lib/output/reporter.ts");
    return new Reporter(world, { json, colour: world.isColoured, redact: redactor(secrets) }).error(mistake);
  }
  const status = Number(context.process.exitCode ?? 0);
  return context.exit !== 0 ? context.exit : status === 0 ? 0 : status < 0 ? 2 : 1;
}

function worldOf(given: Pick<World, "args" | "json" | "secrets" | "stop" | "handOverSignals">): World {
  const env = Deno.env.toObject();
  // The driver takes this one from the environment whatever it is given, and throws at libpq's own default, "any".
  Deno.env.delete("PGTARGETSESSIONATTRS");
  const terminal = Deno.stdout.isTerminal();
  return {
    env,
    carriedMigrations: readCarriedIndex() && carriedPath,
    readText: (path) => {
      try {
        return Deno.readTextFileSync(path);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
        throw new AmberError("CONFIG_UNREADABLE", {
          message: `Cannot read the environment file "${path}": ${
            error instanceof Deno.errors.IsADirectory
              ? "it is a folder"
              : error instanceof Deno.errors.PermissionDenied
              ? "this user may not read it"
              : error instanceof Error
              ? error.message
              : error
          }`,
          where: path,
          hint: error instanceof Deno.errors.IsADirectory
            ? "Put the file there, or name it with --env-file. (Docker makes a folder of a file that was to be mounted and did not exist.)"
            : "Let this user read it, or name another one with --env-file.",
          cause: error,
        });
      }
    },
    stdout: (text) => void writeAll(Deno.stdout, new TextEncoder().encode(text)),
    stderr: (text) => void writeAll(Deno.stderr, new TextEncoder().encode(text)),
    stdoutBytes: (bytes) => writeAll(Deno.stdout, bytes),
    isTerminal: Deno.stdin.isTerminal() && Deno.stderr.isTerminal(),
    // A log that only looks like a terminal (CI) is written line by line.
    ...(Deno.stderr.isTerminal() && env.TERM !== "dumb" && !env.CI ? { columns: terminalColumns } : {}),
    isColoured: env.NO_COLOR ? false : env.FORCE_COLOR ? true : terminal,
    ...given,
    ask: (question) => prompt(question),
    now: () => new Date(),
    by: `${env.USER ?? env.LOGNAME ?? "unknown"}@${hostname()}`,
  };
}

/** Writes to the end; a reader that went away (`amber … | head`) is no failure, and gives false. */
function writeAll(stream: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): boolean {
  try {
    for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    return false;
  }
}

function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80; // a terminal that does not tell
  }
}

/** What else a server may be told by a signal. Not known on Windows. */
const otherSignals = ["SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"] as const;

/** SIGTERM and SIGINT stop what runs, until somebody takes them over. */
function listenForSignals(stop: AbortController): World["handOverSignals"] {
  let receiver: ((signal: Deno.Signal) => void) | undefined;
  const signals = { SIGTERM: "TERMINATED", SIGINT: "INTERRUPTED" } as const;
  for (const [signal, code] of Object.entries(signals) as [keyof typeof signals, "TERMINATED" | "INTERRUPTED"][]) {
    Deno.addSignalListener(signal, () => {
      if (receiver) return receiver(signal);
      const error = new AmberError(code, {
        message: `Stopped by ${signal}: what was not committed is rolled back`,
        hint: "Run the same command again: it goes on from here.",
      });
      if (stop.signal.aborted) Deno.exit(error.exitStatus);
      stop.abort(error);
      setTimeout(() => Deno.exit(error.exitStatus), graceMs);
    });
  }
  return (receive) => {
    receiver = receive;
    for (const signal of Deno.build.os === "windows" ? [] : otherSignals) {
      Deno.addSignalListener(signal, () => receive(signal));
    }
  };
}

function hostname(): string {
  try {
    return Deno.hostname();
  } catch {
    return "localhost";
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
