import {
  type Application,
  ArgumentParseError,
  buildApplication,
  buildCommand,
  buildRouteMap,
  type CommandContext,
  text_en,
} from "@stricli/core";
import { AmberError } from "../errors.ts";
import type { AmberContext, CommonFlags } from "./context.ts";
import { commonAliases, commonFlags, parseCount, type PlanFlags, planFlags, yesFlag } from "./flags.ts";
import type { MakeFlags } from "./makemigrations.ts";
import type { MigrateFlags } from "./migrate.ts";

const name = (brief: string, placeholder: string) => ({ brief, parse: String, placeholder, optional: true }) as const;
const on = (brief: string) => ({ kind: "boolean", optional: true, withNegated: false, brief }) as const;
const text = (brief: string, placeholder: string) =>
  ({ kind: "parsed", parse: String, optional: true, brief, placeholder }) as const;
const described = (brief: string, more: string, example: string) => ({
  brief,
  fullDescription: `${brief}.\n${more}\n\nExample:\n  ${example.replaceAll("\n", "\n  ")}`,
});

const migrate = buildCommand<MigrateFlags, [string?], AmberContext>({
  loader: async () => (await import("./migrate.ts")).run,
  parameters: {
    flags: {
      ...planFlags,
      check: on("the same as amber check"),
      back: { kind: "parsed", parse: parseCount, optional: true, brief: "undo the last N", placeholder: "N" },
      oneTransaction: on("all pending ones or none"),
      allowLate: on("apply those that come before applied ones, too"),
      snapshot: text("safety snapshot before: never, risky, always", "WHEN"),
      fake: on("only record, or take out of the history, up to TARGET"),
      fakeInitial: on("record first migrations whose tables exist already"),
      accept: text("the present file of this applied, changed migration is right", "NAME"),
      ...yesFlag,
      ...commonFlags,
    },
    positional: { kind: "tuple", parameters: [name("0003, a name's beginning, or zero", "TARGET")] },
    aliases: commonAliases,
  },
  docs: described(
    "Apply what is pending, or go forwards or back to TARGET",
    "Safe to run in a hundred containers at once, and to kill at any moment.",
    "amber migrate && exec my-server\namber migrate 0003\namber migrate --back 1 --plan",
  ),
});

const makemigrations = buildCommand<MakeFlags, [string?], AmberContext>({
  loader: async () => (await import("./makemigrations.ts")).run,
  parameters: {
    flags: {
      empty: on("a file without statements (what this does today)"),
      merge: on("a migration after all the last ones"),
      check: on("only see whether the files are sound; writes nothing"),
      ...planFlags,
      ...commonFlags,
    },
    positional: { kind: "tuple", parameters: [name("what it does, e.g. add_posts", "NAME")] },
    aliases: commonAliases,
  },
  docs: described(
    "Write the next migration file",
    "Its number follows the last one.",
    "amber makemigrations add_posts\namber makemigrations --merge",
  ),
});

const showmigrations = buildCommand<CommonFlags & PlanFlags, [], AmberContext>({
  loader: async () => (await import("./showmigrations.ts")).run,
  parameters: { flags: { ...planFlags, ...commonFlags }, aliases: { ...commonAliases, p: "plan" } },
  docs: described(
    "List every migration: applied, pending, changed, missing, late",
    "--plan: only what would run, in order.",
    "amber showmigrations",
  ),
});

const sqlmigrate = buildCommand<CommonFlags & { backwards?: boolean }, [string?], AmberContext>({
  loader: async () => (await import("./sqlmigrate.ts")).run,
  parameters: {
    flags: { backwards: on("what undoing would run"), ...commonFlags },
    positional: { kind: "tuple", parameters: [name("one migration; default: all pending ones", "NAME")] },
    aliases: commonAliases,
  },
  docs: described(
    "Print the statements that a migration would run",
    "On the configured engine; runs nothing.",
    "amber sqlmigrate 0003 --backwards",
  ),
});

const check = buildCommand<CommonFlags & { allowLate?: boolean }, [], AmberContext>({
  loader: async () => (await import("./check.ts")).run,
  parameters: {
    flags: { allowLate: on("late migrations are no reason to complain"), ...commonFlags },
    aliases: commonAliases,
  },
  docs: described(
    "Is the schema current and unchanged, and are the files sound",
    "Writes nothing and takes no lock. Exit 0: current, 3: pending, 4: drift, 5: not reachable.",
    "amber check        # a probe, or a step in CI",
  ),
});

const adopt = buildCommand<CommonFlags & PlanFlags, [string], AmberContext>({
  loader: async () => (await import("./adopt.ts")).run,
  parameters: {
    flags: { ...planFlags, ...commonFlags },
    positional: { kind: "tuple", parameters: [{ brief: "dbmate", parse: String, placeholder: "TOOL" }] },
    aliases: commonAliases,
  },
  docs: described(
    "Take over the history of another migration tool",
    "Records what it applied; runs nothing.",
    "amber adopt dbmate --migrations db/migrations",
  ),
});

const wait = buildCommand<CommonFlags & { until?: string }, [], AmberContext>({
  loader: async () => (await import("./wait.ts")).run,
  parameters: {
    flags: { until: text("answers (default), or current: somebody has migrated it", "STATE"), ...commonFlags },
    aliases: commonAliases,
  },
  docs: described(
    "Wait until the database answers",
    "At most a minute, or --wait.",
    "amber wait --until current --wait 5m && exec my-worker",
  ),
});

const status = buildCommand<CommonFlags, [], AmberContext>({
  loader: async () => (await import("./status.ts")).run,
  parameters: { flags: { ...commonFlags }, aliases: commonAliases },
  docs: described(
    "Show configuration, database and migrations on one screen",
    "Every value with where it came from; no secrets.",
    "amber status",
  ),
});

const dbshell = buildCommand<CommonFlags, string[], AmberContext>({
  loader: async () => (await import("./dbshell.ts")).run,
  parameters: {
    flags: { ...commonFlags },
    positional: {
      kind: "array",
      parameter: { brief: "arguments for sqlite3 or psql, after --", parse: String, placeholder: "ARG" },
    },
    aliases: commonAliases,
  },
  docs: described(
    "Open sqlite3 or psql on the configured database",
    "When that program is installed.",
    "amber dbshell -- -header    # arguments for sqlite3 or psql",
  ),
});

/** What people type who know another tool. */
const otherWords: Record<string, string> = {
  up: "amber migrate",
  upgrade: "amber migrate",
  apply: "amber migrate",
  deploy: "amber migrate",
  run: "amber migrate && exec CMD",
  new: "amber makemigrations NAME",
  create: "amber makemigrations NAME",
  generate: "amber makemigrations NAME",
  revision: "amber makemigrations NAME",
  down: "amber migrate --back 1",
  rollback: "amber migrate --back 1",
  revert: "amber migrate --back 1",
  undo: "amber migrate --back 1",
  downgrade: "amber migrate --back 1",
  info: "amber showmigrations",
  list: "amber showmigrations",
  history: "amber showmigrations",
  validate: "amber check",
  baseline: "amber migrate --fake NAME",
  stamp: "amber migrate --fake NAME",
  repair: "amber migrate --accept NAME",
  merge: "amber makemigrations --merge",
  psql: "amber dbshell",
  sqlite3: "amber dbshell",
  help: "amber --help",
  version: "amber --version",
};

/**
 * The command line.
 *
 * @param given.args What was typed, for hints.
 * @param given.mistaken Told of a mistake in it, or in amber, so that it is reported like every other error.
 */
export function buildApp(
  { version, args, mistaken }: {
    version: string;
    args: readonly string[];
    mistaken: (error: unknown) => void;
  },
): Application<AmberContext & CommandContext> {
  const routes = { migrate, makemigrations, showmigrations, sqlmigrate, check, adopt, wait, status, dbshell };
  const command = args[0] !== undefined && args[0] in routes ? args[0] : "COMMAND";
  const root = buildRouteMap<string, AmberContext>({
    routes,
    docs: {
      brief: "Brings an app's database schema up to date, on SQLite or Postgres.",
      fullDescription: "Brings an app's database schema up to date, on SQLite or Postgres.\n" +
        "The database comes from DATABASE_URL, from DB_HOST and its kin, or from DB_PATH; without any of them it is local.db.\n\n" +
        "Example:\n  amber makemigrations initial    # then write SQL into the file\n  amber migrate",
    },
  });
  const usage = (exc: unknown) => {
    const message = exc instanceof ArgumentParseError
      ? `${flagName(exc.externalFlagNameOrPlaceholder)}: ${textOf(exc.exception)}`
      : textOf(exc);
    mistaken(
      exc instanceof AmberError ? exc : new AmberError("USAGE", {
        message: `Cannot read the command line: ${message}`,
        hint: `amber ${command} --help`,
      }),
    );
    return "";
  };
  const unexpected = (exc: unknown) => {
    mistaken(exc);
    return "";
  };
  return buildApplication(root, {
    name: "amber",
    versionInfo: { currentVersion: version },
    scanner: { caseStyle: "allow-kebab-for-camel", allowArgumentEscapeSequence: true },
    documentation: { onlyRequiredInUsageLine: true, disableAnsiColor: true, caseStyle: "convert-camel-to-kebab" },
    localization: {
      loadText: () => ({
        ...text_en,
        exceptionWhileParsingArguments: usage,
        exceptionWhileLoadingCommandFunction: unexpected,
        exceptionWhileRunningCommand: unexpected,
        noCommandRegisteredForInput: ({ input, corrections }) => {
          const near = corrections[0]?.replaceAll("`", "");
          const known = otherWords[input.toLowerCase()] ?? (near ? `amber ${near}` : undefined);
          mistaken(
            new AmberError("COMMAND_UNKNOWN", {
              message: input.startsWith("-")
                ? `Cannot find a command: "${input}" stands before it`
                : `Cannot find a command "${input}"`,
              hint: input.startsWith("-")
                ? "Flags come after the command: amber migrate --json"
                : known
                ? `Did you mean: ${known}`
                : "amber --help lists them.",
            }),
          );
          return "";
        },
      }),
    },
  });
}

/** `oneTransaction` as it is typed; the placeholder of an argument is left alone. */
function flagName(name: string): string {
  return /^[a-z]/.test(name) ? `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}` : name;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message.split("\n")[0]! : String(error);
}
