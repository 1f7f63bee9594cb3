import type { CommonFlags } from "./context.ts";
import type { MetricsFlag, PlanFlags } from "./flags.ts";

/** Flags of the commands that are about snapshots. */

export interface SnapshotFlags extends CommonFlags, PlanFlags, MetricsFlag {
  tag?: string[];
  /** Beside AMBER_EXCLUDE: readConfig() puts them together. */
  exclude?: string[];
  /** Read all files, also those that look unchanged. */
  reread?: boolean;
}

export interface VerifyFlags extends CommonFlags, MetricsFlag {
  /** `1/7`: the first of seven parts. */
  share?: string;
}

export type DrillFlags = CommonFlags & MetricsFlag;

export interface RestoreFlags extends CommonFlags, PlanFlags, MetricsFlag {
  /** A time: parseTime() reads it. */
  at?: string;
  path?: string[];
  files?: boolean;
  database?: boolean;
  /** Another folder. */
  to?: string;
  ifEmpty?: boolean;
  replace?: boolean;
  schema?: boolean;
  table?: string;
  as?: string;
  owners?: boolean;
  noSafety?: boolean;
  /** The name that production wants. */
  confirm?: string;
  yes?: boolean;
  /** Drop an interrupted restore instead of finishing it. */
  discard?: boolean;
}

export interface PruneFlags extends CommonFlags, PlanFlags, MetricsFlag {
  /** Instead of AMBER_KEEP: in the configuration. */
  keep?: string;
  keepTag?: string[];
  remove?: string[];
  undo?: string;
  yes?: boolean;
}

export interface ExportFlags extends CommonFlags {
  /** `-o`; absent: stdout. */
  output?: string;
}

export interface WipeFlags extends CommonFlags, PlanFlags, MetricsFlag {
  files?: boolean;
  database?: boolean;
  /** Of a Postgres: beside those of its search path. */
  schema?: string[];
  allSchemas?: boolean;
  noSafety?: boolean;
  /** The name that production wants. */
  confirm?: string;
  yes?: boolean;
}
