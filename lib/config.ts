import { type DatabaseAddress, parseDatabaseUrl, postgresFromParts } from "./database_url.ts";
import { parseDuration } from "./duration.ts";
import { AmberError } from "./errors.ts";
import { holdsLogin, linesOf, readSnapshotConfig, type SnapshotConfig, snapshotSecrets } from "./snapshot_config.ts";
import {
  type ConfigInput,
  databaseVariables,
  find,
  label,
  type Level,
  levelsOf,
  otherVariables,
  partVariables,
  readFilled,
  type Setting,
  sourceOf,
  type Variable,
} from "./variables.ts";

export type { ConfigInput, Flags, Setting, Variable } from "./variables.ts";

const snapshotModes = ["never", "risky", "always"] as const;

export type SnapshotMode = typeof snapshotModes[number];

const defaults: Partial<Record<Variable, string>> = {
  AMBER_DATA: "data",
  AMBER_MIGRATIONS: "migrations",
  AMBER_SNAPSHOT_BEFORE_MIGRATE: "risky",
};

/** One line of `amber status`. */
export interface ShownSetting {
  variable: Variable;
  shown: string; // no secret; "" when it is not set and has no default
  source: string; // as in Setting
}

export interface Config extends SnapshotConfig {
  database: DatabaseAddress;
  databaseSource: { source: string; variable: "DATABASE_URL" | "DB_HOST" | "DB_PATH" };
  production: boolean;
  data: Setting;
  migrations: Setting;
  snapshotBeforeMigrate: Setting<SnapshotMode>;
  waitMs?: number; // absent: as long as the command waits by itself
  settings: ShownSetting[];
  secrets: string[]; // for redactor(); also the ones of places that another one beats
}

/** The database, and the variables of the one level that named it. */
interface Found {
  database: DatabaseAddress;
  databaseSource: Config["databaseSource"];
  used: readonly Variable[];
  level?: Level; // absent: the default
}

/**
 * Decides every value: a flag beats the environment, the environment beats `.env`, `.env` beats the default. For the
 * database the highest of these that names any of its variables decides alone: no address is put together from two
 * places, and half of one never ends in an empty SQLite file. What comes back is frozen.
 *
 * @throws {AmberError} CONFIG_EMPTY, CONFIG_INCOMPLETE, CONFIG_VALUE, and what parseDatabaseUrl() throws; USAGE for
 * `--wait`. All name the variable and its source, none a value that may be a secret.
 */
export function readConfig(input: ConfigInput): Config {
  const { flags } = input;
  const levels = levelsOf(input);
  const take = (name: Variable) => find(levels, name) ?? { value: defaults[name] ?? "", source: "default" };
  const data = take("AMBER_DATA");
  const snapshot = take("AMBER_SNAPSHOT_BEFORE_MIGRATE");
  const snapshotMode = snapshotModes.find((mode) => mode === snapshot.value);
  if (snapshotMode === undefined) {
    const name = label("AMBER_SNAPSHOT_BEFORE_MIGRATE", snapshot.source);
    throw new AmberError("CONFIG_VALUE", {
      message: `Cannot use ${name}: it is none of ${snapshotModes.join(", ")}`,
      hint: "Write never, risky or always.",
    });
  }
  const amber = find(levels, "AMBER_PRODUCTION")?.value;
  const plash = find(levels, "PLASH_PRODUCTION")?.value;
  const isDeclared = [amber, plash].some((value) => value !== undefined && value !== "0");
  const found = findDatabase(levels, isDeclared ? `${data.value.replace(/\/+$/, "")}/prod.db` : "local.db");
  const snapshots = readSnapshotConfig(levels, data.value);
  return freeze({
    ...snapshots,
    database: found.database,
    databaseSource: found.databaseSource,
    production: isDeclared || (amber !== "0" && isElsewhere(found.database)),
    data,
    migrations: find(levels, "AMBER_MIGRATIONS") ?? standardMigrations(input),
    snapshotBeforeMigrate: { value: snapshotMode, source: snapshot.source },
    waitMs: flags.wait === undefined ? undefined : parseDuration(flags.wait),
    settings: showSettings(levels, found, { ...snapshots, migrations: standardMigrations(input) }),
    secrets: [...new Set([...listSecrets(levels, found.database), ...snapshotSecrets(levels)])],
  });
}

/** What a binary carries comes before the folder: a mount that was forgotten must not lead to another state. */
function standardMigrations({ carriedMigrations }: ConfigInput): Setting {
  return carriedMigrations === undefined
    ? { value: defaults.AMBER_MIGRATIONS!, source: "default" }
    : { value: carriedMigrations, source: "inside this binary" };
}

function findDatabase(levels: Level[], standardPath: string): Found {
  const level = levels.find(({ values }) => databaseVariables.some((name) => values[name] !== undefined));
  if (level === undefined) {
    const databaseSource = { source: "default", variable: "DB_PATH" } as const;
    return { database: { engine: "sqlite", path: standardPath }, databaseSource, used: [] };
  }
  const set = databaseVariables.filter((name) => level.values[name] !== undefined);
  const values = Object.fromEntries(set.map((name) => [name, readFilled(level, name)])) as Level["values"];
  const source = sourceOf(level, "DATABASE_URL");

  if (values.DATABASE_URL !== undefined) {
    const database = parseDatabaseUrl(values.DATABASE_URL, label("DATABASE_URL", source));
    return { database, databaseSource: { source, variable: "DATABASE_URL" }, used: ["DATABASE_URL"], level };
  }
  if (values.DB_PATH !== undefined) {
    const database = { engine: "sqlite", path: checkPath(values.DB_PATH, set, source) } as const;
    return { database, databaseSource: { source, variable: "DB_PATH" }, used: ["DB_PATH"], level };
  }
  const { DB_HOST: host, DB_NAME: name, DB_USER: user } = values;
  if (host === undefined || name === undefined || user === undefined) {
    const missing = (["DB_HOST", "DB_NAME", "DB_USER"] as const).filter((needed) => values[needed] === undefined);
    throw new AmberError("CONFIG_INCOMPLETE", {
      message: `Cannot put together a Postgres address from ${set.join(", ")} (${source}): no ${missing.join(", no ")}`,
      hint: "Set DB_HOST, DB_NAME and DB_USER in the same place, or DATABASE_URL instead of all of them.",
    });
  }
  const { DB_PORT: port, DB_PASSWORD: password, DB_SSLMODE: sslmode } = values;
  const database = postgresFromParts({ host, port, name, user, password, sslmode }, source);
  return { database, databaseSource: { source, variable: "DB_HOST" }, used: partVariables, level };
}

/** A path is taken exactly as it is, but must be one: what is no path may be a secret in the wrong variable. */
function checkPath(path: string, set: Variable[], source: string): string {
  const others = set.filter((name) => name !== "DB_PATH");
  const fail = (reason: string, hint: string) =>
    new AmberError("CONFIG_VALUE", { message: `Cannot use ${label("DB_PATH", source)}: ${reason}`, hint });
  if (others.length > 0) {
    throw fail(`${others.join(", ")} are set there too`, "Keep DB_PATH for SQLite, or the others for Postgres.");
  }
  if (path === ":memory:") throw fail('":memory:" does not last', "Name a file.");
  if (path.includes("\0")) throw fail("it holds a NUL byte", "Name a file.");
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(path)) throw fail("it holds a URL", "Set DATABASE_URL to it instead.");
  return path;
}

/** Whether a database is on another machine: a Postgres reached neither over loopback nor over a socket. */
function isElsewhere(database: DatabaseAddress): boolean {
  if (database.engine === "sqlite" || database.host.startsWith("/")) return false;
  return !/^(localhost|[^/]+\.localhost|127(\.\d{1,3}){3}|::1|0:0:0:0:0:0:0:1)$/i.test(database.host);
}

function showSettings(
  levels: Level[],
  found: Found,
  { repository, scratch, cache, migrations }: SnapshotConfig & { migrations: Setting },
): ShownSetting[] {
  const { database, used, level: deciding } = found;
  const standard = {
    ...defaults,
    AMBER_MIGRATIONS: migrations.value,
    AMBER_REPOSITORY: repository.value,
    AMBER_SCRATCH: scratch.value,
    AMBER_CACHE: cache.value,
  };
  if (deciding === undefined && database.engine === "sqlite") standard.DB_PATH = database.path;
  if (used === partVariables) Object.assign(standard, { DB_PORT: "5432", DB_SSLMODE: "prefer" });
  return [...databaseVariables, ...otherVariables].map((variable) => {
    const level = levels.find(({ values }) => values[variable] !== undefined);
    const source = variable === "AMBER_MIGRATIONS" ? migrations.source : "default";
    if (level === undefined) return { variable, shown: standard[variable] ?? "", source };
    const isOther = otherVariables.some((name) => name === variable);
    const isUsed = isOther || (level === deciding && used.includes(variable));
    const shown = isUsed ? hide(variable, level.values[variable]!, database) : "(not used)";
    return { variable, shown, source: sourceOf(level, variable) };
  });
}

function hide(variable: Variable, value: string, database: DatabaseAddress): string {
  if (variable === "DB_PASSWORD" || variable === "AMBER_PING_URL") return "***";
  if (variable === "AMBER_REPOSITORY" && holdsLogin(value)) return "***";
  if (variable === "AMBER_EXCLUDE") return linesOf(value).join(", ");
  return variable === "DATABASE_URL" && database.engine === "postgres" ? "postgres://***" : value;
}

function listSecrets(levels: Level[], database: DatabaseAddress): string[] {
  const urls = levels.map(({ values }) => values.DATABASE_URL?.replace(/[\r\n]+$/, ""));
  const passwords = levels.map(({ values }) => values.DB_PASSWORD);
  if (database.engine === "postgres") passwords.push(database.password);
  const encoded = passwords.map((password) => password && encodeURIComponent(password.toWellFormed()));
  if (database.engine === "postgres") passwords.push(database.passwordAsWritten);
  // The URL of a SQLite file is no secret, and masking it would hide where the data are.
  const secretUrls = urls.filter((url) => url && !/^(sqlite3?|file):/i.test(url));
  return [...secretUrls, ...passwords, ...encoded].filter((text): text is string => Boolean(text));
}

function freeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === "object") freeze(part);
  return Object.freeze(value);
}
