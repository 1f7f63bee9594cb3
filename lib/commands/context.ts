import type { CommandContext } from "@stricli/core";
import { type Config, type Flags, readConfig } from "../config.ts";
import { AmberError } from "../errors.ts";
import type { Outcome } from "../output/events.ts";
import type { MetricsFlag, PlanFlags } from "./flags.ts";
import { Reporter, type Streams } from "../output/reporter.ts";
import { redactor } from "../secrets.ts";

/** The world outside, as cli.ts hands it in. */
export interface World extends Streams {
  env: Record<string, string | undefined>;
  /** How the migrations inside the binary are named, when it has any. */
  carriedMigrations?: string;
  /** A file's text; undefined when there is none. */
  readText(path: string): string | undefined;
  /** Bytes as they are, for what is no text; false when nobody reads any more. */
  stdoutBytes(bytes: Uint8Array): boolean;
  /** Somebody can be asked. */
  isTerminal: boolean;
  isColoured: boolean;
  json: boolean;
  ask(question: string): string | null;
  now: () => Date;
  /** user@host */
  by: string;
  /** What no text may show, whatever the configuration says: see argumentSecrets(). */
  secrets: readonly string[];
  stop: AbortSignal;
  /** The command line as it was typed. */
  args: readonly string[];
  /** From now on signals stop nothing: they are handed over, also those that amber does not listen to otherwise. */
  handOverSignals(receive: (signal: Deno.Signal) => void): void;
}

/** What every command's function has as `this`. */
export interface AmberContext extends CommandContext {
  world: World;
  exit: number;
}

/** Flags that every command takes. */
export interface CommonFlags extends Omit<Flags, "snapshot" | "exclude" | "keep"> {
  json?: boolean;
  envFile?: string;
}

/** What a command works with. */
export interface Setting {
  config: Config;
  world: World;
  reporter: Reporter;
}

/**
 * Reads the configuration, does the command's work, reports how it ended; the exit status goes into the context. With
 * `--metrics` it is written there too, unless the flags say that nothing is to be done.
 */
export async function act(
  context: AmberContext,
  flags: CommonFlags & MetricsFlag & PlanFlags & { check?: boolean },
  work: (setting: Setting) => Promise<Outcome>,
): Promise<void> {
  const { world } = context;
  let reporter = new Reporter(world, {
    json: flags.json ?? world.json,
    colour: world.isColoured,
    redact: redactor([...world.secrets]),
  });
  const whole = async () => {
    const config = await configOf(flags, world);
    reporter = reporter.hiding(redactor([...config.secrets, ...world.secrets]));
    return await work({ config, world, reporter });
  };
  const { metrics, plan, dryRun, check } = flags;
  try {
    const outcome = metrics === undefined || plan || dryRun || check
      ? await whole()
      : await (await import("./measured.ts")).measured({
        file: metrics,
        command: world.args[0]!,
        now: world.now,
        stop: world.stop,
        note: (message) => reporter.event({ type: "note", message }),
      }, whole);
    reporter.outcome(outcome);
    context.exit = outcome.exit ?? 0;
  } catch (error) {
    context.exit = reporter.error(world.stop.aborted ? world.stop.reason : error);
  }
}

async function configOf(flags: CommonFlags, world: World): Promise<Config> {
  const file = flags.envFile ?? ".env";
  const text = world.readText(file);
  if (text === undefined && flags.envFile !== undefined) {
    throw new AmberError("CONFIG_UNREADABLE", {
      message: `Cannot read the environment file "${file}": there is no such file`,
      where: file,
      hint: "Is the path behind --env-file right? It is relative to the working directory.",
    });
  }
  const dotenv = text === undefined ? undefined : (await import("../dotenv.ts")).parseDotenv(text, file);
  return readConfig({ env: world.env, dotenv, dotenvFile: file, flags, carriedMigrations: world.carriedMigrations });
}

/**
 * Shows what would be removed and asks. Without a terminal it takes `--yes`.
 * @throws {AmberError} CONFIRMATION_NEEDED
 */
export function confirm(
  world: World,
  reporter: Reporter,
  question: { what: string[]; ask: string; yes: boolean },
): boolean {
  if (question.yes) return true;
  for (const line of question.what) reporter.event({ type: "note", message: line });
  if (!world.isTerminal) {
    throw new AmberError("CONFIRMATION_NEEDED", {
      message: `${question.ask} Nobody can be asked here`,
      hint: "Add --yes if that is what you want.",
    });
  }
  reporter.makeRoom();
  return /^y(es)?$/i.test(world.ask(`${question.ask} [y/N]`) ?? "");
}

/** What stories want to know of the run. */
export function runOptions({ config, world, reporter }: Setting, version: string) {
  return {
    database: config.database,
    migrations: config.migrations.value,
    waitMs: config.waitMs,
    by: world.by,
    amber: version,
    now: world.now,
    stop: world.stop,
    report: (event: Parameters<Reporter["event"]>[0]) => reporter.event(event),
  };
}
