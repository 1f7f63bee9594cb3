import { buildCommand } from "@stricli/core";
import type { AmberContext, CommonFlags } from "./context.ts";
import {
  commonAliases,
  commonFlags,
  described,
  metricsFlag,
  name,
  on,
  parseCount,
  type PlanFlags,
  planFlags,
  text,
  yesFlag,
} from "./flags.ts";
import type { MakeFlags } from "./makemigrations.ts";
import type { MigrateFlags } from "./migrate.ts";
import type { RehearseFlags } from "./rehearse.ts";
import type { RunFlags } from "./run.ts";
import type { SchemaFlags } from "./schema.ts";
import type { StatusFlags } from "./status.ts";

export const migrate = buildCommand<MigrateFlags, [string?], AmberContext>({
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
      ...metricsFlag,
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

export const rehearse = buildCommand<RehearseFlags, [string?], AmberContext>({
  loader: async () => (await import("./rehearse.ts")).run,
  parameters: {
    flags: {
      from: text("copy the database from a snapshot: latest, or the beginning of an id", "SNAPSHOT"),
      allowLate: on("those that come before applied ones, too"),
      ...commonFlags,
    },
    positional: { kind: "tuple", parameters: [name("0003, a name's beginning, or zero", "TARGET")] },
    aliases: commonAliases,
  },
  docs: described(
    "Run what is pending on a copy with all rows, and remove it",
    "Finds what fails only on the real rows, how long it takes and what it locks. The database itself is only read.",
    "amber rehearse\namber rehearse --from latest",
  ),
});

export const makemigrations = buildCommand<MakeFlags, [string?], AmberContext>({
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

export const showmigrations = buildCommand<CommonFlags & PlanFlags, [], AmberContext>({
  loader: async () => (await import("./showmigrations.ts")).run,
  parameters: { flags: { ...planFlags, ...commonFlags }, aliases: { ...commonAliases, p: "plan" } },
  docs: described(
    "List every migration: applied, pending, changed, missing, late",
    "--plan: only what would run, in order.",
    "amber showmigrations",
  ),
});

export const sqlmigrate = buildCommand<CommonFlags & { backwards?: boolean }, [string?], AmberContext>({
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

export const check = buildCommand<CommonFlags & { allowLate?: boolean }, [], AmberContext>({
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

export const schema = buildCommand<SchemaFlags, [], AmberContext>({
  loader: async () => (await import("./schema.ts")).run,
  parameters: {
    flags: { noRights: on("Postgres: without owners and grants"), ...commonFlags },
    aliases: commonAliases,
  },
  docs: described(
    "Print the database's schema as SQL",
    "In an order that is always the same, for a file under version control. Without amber's own history.",
    "amber schema --no-rights > schema.sql",
  ),
});

export const adopt = buildCommand<CommonFlags & PlanFlags, [string], AmberContext>({
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

export const wait = buildCommand<CommonFlags & { until?: string }, [], AmberContext>({
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

export const status = buildCommand<StatusFlags, [], AmberContext>({
  loader: async () => (await import("./status.ts")).run,
  parameters: {
    flags: { maxAge: text("exit 3 when the newest good snapshot is older, e.g. 26h", "TIME"), ...commonFlags },
    aliases: commonAliases,
  },
  docs: described(
    "Show configuration, database, migrations and snapshots on one screen",
    "Every value with where it came from; no secrets.",
    "amber status\namber status --max-age 26h    # an alarm",
  ),
});

export const run = buildCommand<RunFlags, string[], AmberContext>({
  loader: async () => (await import("./run.ts")).run,
  parameters: {
    flags: {
      restore: on("before all: restore latest --if-empty"),
      snapshotEvery: text("take snapshots while CMD runs: 30m, 1h", "TIME"),
      ...planFlags,
      ...metricsFlag,
      ...commonFlags,
    },
    positional: {
      kind: "array",
      parameter: { brief: "the server and its arguments, after --", parse: String, placeholder: "CMD" },
    },
    aliases: commonAliases,
  },
  docs: described(
    "Wait, migrate, then run a server: amber run -- CMD",
    "Signals are passed on to CMD, and its exit status is returned; 125: CMD was never started. stdout is\n" +
      "CMD's alone: what amber says goes to stderr, with --json too. A snapshot that fails does not stop CMD.",
    "amber run -- my-server --port 8000\namber run --restore --snapshot-every 1h -- my-server",
  ),
});

export const dbshell = buildCommand<CommonFlags, string[], AmberContext>({
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
