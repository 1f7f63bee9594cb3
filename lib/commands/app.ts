import {
  type Application,
  ArgumentParseError,
  buildApplication,
  buildRouteMap,
  type CommandContext,
  type RouteMap,
  text_en,
} from "@stricli/core";
import { AmberError } from "../errors.ts";
import type { AmberContext } from "./context.ts";
import { helpText } from "./help.ts";
import {
  adopt,
  check,
  dbshell,
  makemigrations,
  migrate,
  rehearse,
  run,
  schema,
  showmigrations,
  sqlmigrate,
  status,
  wait,
} from "./migration_routes.ts";
import { otherWords } from "./other_words.ts";
import { completions, init } from "./setup_routes.ts";
import {
  cat,
  diff,
  drill,
  exportSnapshot,
  ls,
  prune,
  restore,
  snapshot,
  snapshots,
  verify,
  wipe,
} from "./snapshot_routes.ts";

const groups = {
  "The schema": { migrate, rehearse, makemigrations, showmigrations, sqlmigrate, schema, check, adopt },
  "The data": { snapshot, snapshots, ls, diff, cat, verify, drill, restore, prune, export: exportSnapshot, wipe },
  "Both": { init, run, status, wait, dbshell, completions },
};
/** Every command by the name that is typed. */
export const routes = { ...groups["The schema"], ...groups["The data"], ...groups["Both"] };

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
  const command = args[0] !== undefined && args[0] in routes ? args[0] : "COMMAND";
  const root: RouteMap<AmberContext> = {
    ...buildRouteMap<string, AmberContext>({ routes, docs: { brief: "Keeps an app's data safe" } }),
    formatHelp: () => helpText(groups),
  };
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
