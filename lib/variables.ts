import { AmberError } from "./errors.ts";

export const partVariables = ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "DB_SSLMODE"] as const;
export const databaseVariables = ["DATABASE_URL", ...partVariables, "DB_PATH"] as const;
export const otherVariables = [
  "AMBER_PRODUCTION",
  "PLASH_PRODUCTION",
  "AMBER_DATA",
  "AMBER_EXCLUDE",
  "AMBER_MIGRATIONS",
  "AMBER_REPOSITORY",
  "AMBER_KEEP",
  "AMBER_SCRATCH",
  "AMBER_CACHE",
  "AMBER_SNAPSHOT_BEFORE_MIGRATE",
  "AMBER_PING_URL",
] as const;

export type Variable = typeof databaseVariables[number] | typeof otherVariables[number];

/** What was typed on the command line instead of a variable. */
export interface Flags {
  url?: string;
  data?: string;
  migrations?: string;
  repository?: string;
  exclude?: readonly string[]; // beside AMBER_EXCLUDE, not instead of it
  keep?: string;
  snapshot?: string;
  wait?: string; // a duration; has no variable
}

const flagNames: Partial<Record<Variable, keyof Flags>> = {
  DATABASE_URL: "url",
  AMBER_DATA: "data",
  AMBER_EXCLUDE: "exclude",
  AMBER_MIGRATIONS: "migrations",
  AMBER_REPOSITORY: "repository",
  AMBER_KEEP: "keep",
  AMBER_SNAPSHOT_BEFORE_MIGRATE: "snapshot",
};

export interface ConfigInput {
  env: Record<string, string | undefined>;
  dotenv?: Map<string, string>;
  dotenvFile?: string; // its name, to be shown as a source; default ".env"
  flags: Flags;
  carriedMigrations?: string; // how the migrations inside the binary are named, when it has any
}

/** A value and where it comes from: a flag (`--url`), `environment`, the name of the `.env` file, or `default`. */
export interface Setting<T = string> {
  value: T;
  source: string;
}

/** One place that values come from; `source` is absent for the command line, where every value has its own flag. */
export interface Level {
  source?: string;
  values: Partial<Record<Variable, string>>;
}

/** The three places, the one that beats the others first: flags, the environment, the `.env` file. */
export function levelsOf({ env, dotenv, dotenvFile = ".env", flags }: ConfigInput): Level[] {
  return [
    { values: valuesFrom((name) => flagNames[name] && textOf(flags[flagNames[name]])) },
    { source: "environment", values: valuesFrom((name) => env[name]) },
    { source: dotenvFile, values: valuesFrom((name) => dotenv?.get(name)) },
  ];
}

function valuesFrom(get: (name: Variable) => string | undefined): Level["values"] {
  const pairs = [...databaseVariables, ...otherVariables].map((name) => [name, get(name)] as const);
  return Object.fromEntries(pairs.filter(([, value]) => value !== undefined));
}

/** A flag that is given several times, one a line as in its variable. An empty one among them makes the whole empty. */
function textOf(flag: string | readonly string[] | undefined): string | undefined {
  if (flag === undefined || typeof flag === "string") return flag;
  if (flag.length === 0) return undefined;
  return flag.some((one) => one.trim() === "") ? "" : flag.join("\n");
}

/** The value of the highest level that has one; undefined when none does. @throws {AmberError} CONFIG_EMPTY */
export function find(levels: Level[], name: Variable): Setting | undefined {
  const level = levels.find(({ values }) => values[name] !== undefined);
  return level && { value: readFilled(level, name), source: sourceOf(level, name) };
}

/** @throws {AmberError} CONFIG_EMPTY for a variable that is set and empty: usually a secret that did not arrive. */
export function readFilled(level: Level, name: Variable): string {
  const value = level.values[name] ?? "";
  if (name === "DB_PASSWORD" ? value !== "" : value.trim() !== "") return value;
  throw new AmberError("CONFIG_EMPTY", {
    message: `Cannot use ${label(name, sourceOf(level, name))}: it is set but empty`,
    hint: "Unset it or give it a value: an empty one is usually a secret that did not arrive.",
  });
}

export function sourceOf(level: Level, name: Variable): string {
  return level.source ?? `--${flagNames[name]}`;
}

/** What messages call a variable: with its source, or by its flag alone. */
export function label(name: Variable, source: string): string {
  return source.startsWith("--") ? source : `${name} (${source})`;
}
