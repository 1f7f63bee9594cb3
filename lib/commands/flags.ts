/** Flags that every command takes, as the command line library wants them described. */
export const commonFlags = {
  url: {
    kind: "parsed",
    parse: String,
    optional: true,
    brief: "database, instead of DATABASE_URL (a password typed here shows in the process list)",
    placeholder: "URL",
  },
  migrations: {
    kind: "parsed",
    parse: String,
    optional: true,
    brief: "folder of migrations (default: migrations)",
    placeholder: "DIR",
  },
  data: {
    kind: "parsed",
    parse: String,
    optional: true,
    brief: "folder of the app's data (default: data)",
    placeholder: "DIR",
  },
  repository: {
    kind: "parsed",
    parse: String,
    optional: true,
    brief: "where snapshots are kept (default: backups in the data folder)",
    placeholder: "DIR",
  },
  envFile: {
    kind: "parsed",
    parse: String,
    optional: true,
    brief: "file with variables (default: .env)",
    placeholder: "FILE",
  },
  wait: {
    kind: "parsed",
    parse: String,
    optional: true,
    brief: "longest wait for database and lock, e.g. 30s",
    placeholder: "TIME",
  },
  json: { kind: "boolean", optional: true, withNegated: false, brief: "one JSON object a line, for programs" },
} as const;

export const commonAliases = { u: "url", d: "migrations", r: "repository" } as const;

/** `--plan`, and `--dry-run` for those who know that word. */
export const planFlags = {
  plan: { kind: "boolean", optional: true, withNegated: false, brief: "show what would be done, and stop" },
  dryRun: { kind: "boolean", optional: true, withNegated: false, brief: "the same as --plan" },
} as const;

export interface PlanFlags {
  plan?: boolean;
  dryRun?: boolean;
}

export const yesFlag = { yes: { kind: "boolean", optional: true, withNegated: false, brief: "do not ask" } } as const;

/** Of the commands that do work. */
export const metricsFlag = {
  metrics: {
    kind: "parsed",
    parse: String,
    optional: true,
    brief: "write into this file how it went, for Prometheus",
    placeholder: "FILE",
  },
} as const;

export interface MetricsFlag {
  metrics?: string;
}

/** A whole number from 1. */
export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new SyntaxError(`"${text}" is not a whole number from 1`);
  return Number(text);
}

/** A flag without a value. */
export const on = (brief: string) => ({ kind: "boolean", optional: true, withNegated: false, brief }) as const;

/** A flag with a value. */
export const text = (brief: string, placeholder: string) =>
  ({ kind: "parsed", parse: String, optional: true, brief, placeholder }) as const;

/** A flag with a value that may be given several times. */
export const repeated = (brief: string, placeholder: string) =>
  ({ kind: "parsed", parse: String, optional: true, variadic: true, brief, placeholder }) as const;

/** An argument that may be left out. */
export const name = (brief: string, placeholder: string) =>
  ({ brief, parse: String, placeholder, optional: true }) as const;

/** What `--help` says of a command. */
export const described = (brief: string, more: string, example: string) => ({
  brief,
  fullDescription: `${brief}.\n${more}\n\nExample:\n  ${example.replaceAll("\n", "\n  ")}`,
});
