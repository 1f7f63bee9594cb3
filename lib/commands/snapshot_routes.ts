import { buildCommand } from "@stricli/core";
import type { AmberContext, CommonFlags } from "./context.ts";
import {
  commonAliases,
  commonFlags,
  described,
  metricsFlag,
  name,
  on,
  planFlags,
  repeated,
  text,
  yesFlag,
} from "./flags.ts";
import type {
  DrillFlags,
  ExportFlags,
  PruneFlags,
  RestoreFlags,
  SnapshotFlags,
  VerifyFlags,
  WipeFlags,
} from "./snapshot_flags.ts";

/** An argument that must be there. */
const needed = (brief: string, placeholder: string) => ({ brief, parse: String, placeholder }) as const;
const whichSnapshot = "latest, or the beginning of an id";

const confirmFlags = {
  noSafety: on("without a safety snapshot, when none can be taken; wants --confirm"),
  confirm: text("the name of what is overwritten, which production wants", "NAME"),
  ...yesFlag,
} as const;

export const snapshot = buildCommand<SnapshotFlags, [], AmberContext>({
  loader: async () => (await import("./snapshot.ts")).run,
  parameters: {
    flags: {
      tag: repeated("a word to find it by, and to keep it by (prune --keep-tag)", "TAG"),
      exclude: repeated("leave out what matches, beside AMBER_EXCLUDE: *.tmp, /cache/", "PATTERN"),
      reread: on("read all files, also those that look unchanged"),
      ...planFlags,
      ...metricsFlag,
      ...commonFlags,
    },
    aliases: commonAliases,
  },
  docs: described(
    "Take one consistent instant of data/ and the database",
    "While the app runs. With AMBER_KEEP it prunes afterwards. Exit 6: done, but not of every file.",
    "amber snapshot    # a cron line",
  ),
});

export const snapshots = buildCommand<CommonFlags, [], AmberContext>({
  loader: async () => (await import("./snapshots.ts")).run,
  parameters: { flags: { ...commonFlags }, aliases: commonAliases },
  docs: described(
    "List them: kind, size, migration, and whether they were drilled",
    "The newest one last. Times are UTC.",
    "amber snapshots",
  ),
});

export const ls = buildCommand<CommonFlags, [string, string?], AmberContext>({
  loader: async () => (await import("./ls.ts")).run,
  parameters: {
    flags: { ...commonFlags },
    positional: {
      kind: "tuple",
      parameters: [needed(whichSnapshot, "SNAPSHOT"), name("a file or folder; default: everything", "PATH")],
    },
    aliases: commonAliases,
  },
  docs: described("List the files of a snapshot", "Databases with their tables and rows.", "amber ls latest uploads"),
});

export const diff = buildCommand<CommonFlags, [string, string?], AmberContext>({
  loader: async () => (await import("./diff.ts")).run,
  parameters: {
    flags: { ...commonFlags },
    positional: {
      kind: "tuple",
      parameters: [needed(whichSnapshot, "SNAPSHOT"), name("the later one; default: latest", "SNAPSHOT")],
    },
    aliases: commonAliases,
  },
  docs: described(
    "Show what changed between two snapshots",
    "Files that are new, gone or changed; of databases the tables with their rows.",
    "amber diff 3f81a0",
  ),
});

export const cat = buildCommand<CommonFlags, [string, string], AmberContext>({
  loader: async () => (await import("./cat.ts")).run,
  parameters: {
    flags: { ...commonFlags },
    positional: {
      kind: "tuple",
      parameters: [needed(whichSnapshot, "SNAPSHOT"), needed("a file, as ls shows it", "PATH")],
    },
    aliases: commonAliases,
  },
  docs: described(
    "Write one file of a snapshot to stdout",
    "A database comes out as a whole .db file.",
    "amber cat latest uploads/cat.jpg > cat.jpg",
  ),
});

export const verify = buildCommand<VerifyFlags, [], AmberContext>({
  loader: async () => (await import("./verify.ts")).run,
  parameters: {
    flags: { share: text("only a part: 1/7, 2/7 … a part each day", "N/M"), ...metricsFlag, ...commonFlags },
    aliases: commonAliases,
  },
  docs: described(
    "Read what is stored and compare it with its hashes",
    "Exit 7: something is damaged.",
    "amber verify\namber verify --share 1/7",
  ),
});

export const drill = buildCommand<DrillFlags, [], AmberContext>({
  loader: async () => (await import("./drill.ts")).run,
  parameters: { flags: { ...metricsFlag, ...commonFlags }, aliases: commonAliases },
  docs: described(
    "Restore the newest snapshot to scratch, check and count",
    "Touches no data. The result is kept and shown by amber snapshots. Exit 7: something is wrong.",
    "amber drill    # a cron line",
  ),
});

export const restore = buildCommand<RestoreFlags, [string?], AmberContext>({
  loader: async () => (await import("./restore.ts")).run,
  parameters: {
    flags: {
      at: text('the newest one from before this time: 2h, "2026-11-24 13:00" (UTC)', "TIME"),
      path: repeated("only this file or folder", "PATH"),
      files: on("only the files, not the configured database"),
      database: on("only the configured database"),
      to: text("into another folder or Postgres database; touches nothing else", "DIR or URL"),
      table: text("one table of Postgres, in the place of its rows", "NAME"),
      as: text("with --table: as another table beside it", "NAME"),
      ifEmpty: on("only what is empty: for a container's first start"),
      replace: on("rename databases into place; only while no server runs"),
      schema: on("an empty Postgres database: make its tables by the snapshot's own schema.sql"),
      owners: on("owners and set-id bits too"),
      discard: on("drop an interrupted restore instead of finishing it"),
      ...planFlags,
      ...confirmFlags,
      ...metricsFlag,
      ...commonFlags,
    },
    positional: { kind: "tuple", parameters: [name(whichSnapshot, "SNAPSHOT")] },
    aliases: commonAliases,
  },
  docs: described(
    "Put a snapshot back",
    "Shows its plan, and takes a safety snapshot of what is there before.",
    "amber restore latest --plan\namber restore latest --path uploads/cat.jpg\namber restore --at 2h --to /tmp/before",
  ),
});

export const prune = buildCommand<PruneFlags, [], AmberContext>({
  loader: async () => (await import("./prune.ts")).run,
  parameters: {
    flags: {
      keep: text('what stays, instead of AMBER_KEEP: "24 hourly, 7 daily, 5 last", plash', "POLICY"),
      keepTag: repeated("what has this tag stays", "TAG"),
      remove: repeated("take out this snapshot", "ID"),
      undo: text("bring back one that was taken out in the last 20 hours", "ID"),
      ...planFlags,
      ...yesFlag,
      ...metricsFlag,
      ...commonFlags,
    },
    aliases: commonAliases,
  },
  docs: described(
    "Forget old snapshots, and free what no snapshot uses",
    "Without a policy it forgets none. Never the newest good one.",
    'amber prune --keep "24 hourly, 7 daily, 4 weekly" --plan\namber prune --undo 3f81a0',
  ),
});

export const exportSnapshot = buildCommand<ExportFlags, [string], AmberContext>({
  loader: async () => (await import("./export.ts")).run,
  parameters: {
    flags: { output: text("write it there; default: stdout", "FILE"), ...commonFlags },
    positional: { kind: "tuple", parameters: [needed(whichSnapshot, "SNAPSHOT")] },
    aliases: { ...commonAliases, o: "output" },
  },
  docs: described(
    "Write a snapshot as a plain tar",
    "Databases as ordinary .db files: amber is never needed to read your data.",
    "amber export latest | tar t\namber export latest -o data.tar",
  ),
});

export const wipe = buildCommand<WipeFlags, [], AmberContext>({
  loader: async () => (await import("./wipe.ts")).run,
  parameters: {
    flags: {
      files: on("only the files, not the configured database"),
      database: on("only the configured database"),
      schema: repeated("Postgres: this one too, beside those that the app uses", "NAME"),
      allSchemas: on("Postgres: every schema of the database"),
      ...planFlags,
      ...confirmFlags,
      ...metricsFlag,
      ...commonFlags,
    },
    aliases: commonAliases,
  },
  docs: described(
    "Remove all data, on purpose",
    "Shows what goes, and takes a safety snapshot before.",
    "amber wipe --plan\namber wipe --database",
  ),
});
