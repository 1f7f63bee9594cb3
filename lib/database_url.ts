import { AmberError, type ErrorCode } from "./errors.ts";

const sslmodes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;
export type Sslmode = typeof sslmodes[number];

export type DatabaseAddress = SqliteAddress | PostgresAddress;

export interface SqliteAddress {
  engine: "sqlite";
  path: string; // as written, relative to the working directory
}

export interface PostgresAddress {
  engine: "postgres";
  host: string; // a name, an IP address without brackets, or the absolute folder of a unix socket
  port: number;
  database: string;
  user: string;
  password?: string; // never empty
  passwordAsWritten?: string; // as it stands in the URL: the redactor has to know it
  sslmode: Sslmode; // "prefer" when nothing is said, as in libpq
  sslrootcert?: string;
  applicationName?: string;
  options?: string;
  fromUrl: boolean; // true: host, user and database may hold parts of a badly pasted password; see where()
}

/** Postgres in parts, as text, exactly as given: nothing is decoded. */
export interface PostgresParts {
  host: string;
  port?: string;
  name: string;
  user: string;
  password?: string;
  sslmode?: string;
}

/** A part of a URL under its parameter's name (`dbname`, `host`), not decoded yet. */
type Part = [key: string, value: string];

const known = ["sslmode", "application_name", "options", "sslrootcert", "host", "port", "user", "password", "dbname"];
const ignored =
  /^(connect_timeout|channel_binding|pgbouncer|target_session_attrs|keepalives\w*|gssencmode|tcp_user_timeout)$/;
const foreignSchemes = ["mysql", "mariadb", "mongodb", "http", "https", "sqlserver", "redis"];
const notHost = "neither a host name, nor an IP address, nor the absolute folder of a socket";
const shape = "Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with these percent-encoded in the password: " +
  '"@" as %40, "/" as %2F, "?" as %3F, "#" as %23, "%" as %25. Or give DB_HOST, DB_NAME, DB_USER and DB_PASSWORD ' +
  "instead, which are taken as they are.";

/**
 * Reads what people paste: `sqlite:PATH`, `sqlite3:PATH`, `file:PATH`, `postgres://…` and `postgresql://…`.
 *
 * A Postgres password may hold raw `! # % / ? @ :`, because clouds show it so. Every `@` is tried as the end of the
 * credentials, and what follows it is read strictly. Exactly one reading that works is accepted; two are refused.
 * An error names a character and its escape at most: no piece of the URL, which may be a piece of the password.
 *
 * @param source Where the URL comes from, for errors: `DATABASE_URL (environment)`, `--url`.
 * @throws {AmberError} DATABASE_URL_MALFORMED, DATABASE_URL_AMBIGUOUS; CONFIG_INCOMPLETE without user or database;
 * CONFIG_EMPTY for an empty password; CONFIG_VALUE for `:memory:`.
 */
export function parseDatabaseUrl(url: string, source: string): DatabaseAddress {
  const text = url.replace(/[\r\n]+$/, ""); // a secret's file often ends with a line end
  if (/^["'`\u2018-\u201f]|^[^?]*["'`\u2018-\u201f]$/u.test(text)) {
    throw malformed(source, "it stands in quotes", "Remove the quotes around it.");
  }
  if (/^\s|\s$|\p{Cc}/u.test(text) || !text.isWellFormed()) {
    const reason = "it holds white space at an end, or a character that cannot be printed";
    throw malformed(source, reason, "Remove it; a space in a password is written %20.");
  }
  const scheme = /^[a-z][a-z0-9+.-]*(?=:)/i.exec(text)?.[0].toLowerCase() ?? "";
  const rest = text.slice(scheme.length + 1);
  if (["sqlite", "sqlite3", "file"].includes(scheme)) return readSqlite(rest, scheme, source);
  if (["postgres", "postgresql"].includes(scheme)) return readPostgres(rest, source);
  throw refuseScheme(scheme, rest, source);
}

/**
 * Postgres from values that are exactly what they say. A host that begins with "/" is the folder of a unix socket.
 *
 * @throws {AmberError} CONFIG_VALUE, naming the variable and never its value.
 */
export function postgresFromParts(parts: PostgresParts, source = "environment"): PostgresAddress {
  const fail = (variable: string, reason: string, hint?: string) =>
    new AmberError("CONFIG_VALUE", { message: `Cannot use ${variable} (${source}): ${reason}`, hint });
  const hint = "Give this part alone: a port goes into DB_PORT, a whole URL into DATABASE_URL.";
  const host = parts.host.replace(/^\[(.*)\]$/s, "$1");
  const { name, user, password, port = "5432", sslmode = "prefer" } = parts;
  for (const [variable, value = "x"] of Object.entries({ DB_NAME: name, DB_USER: user, DB_PASSWORD: password })) {
    if (value === "") throw fail(variable, "it is empty");
    if (value.includes("\0")) throw fail(variable, "it holds a NUL byte");
    if (variable !== "DB_PASSWORD" && value.includes("://")) throw fail(variable, "it holds a URL", hint);
  }
  if (!isHost(host)) throw fail("DB_HOST", `it is ${notHost}`, hint);
  if (!isPort(port)) throw fail("DB_PORT", "it is not a number from 1 to 65535", "Without DB_PORT it is 5432.");
  if (!isSslmode(sslmode)) {
    const advice = "Managed databases want require or verify-full; without DB_SSLMODE it is prefer.";
    throw fail("DB_SSLMODE", `it is none of ${sslmodes.join(", ")}`, advice);
  }
  return { engine: "postgres", host, port: Number(port), database: name, user, password, sslmode, fromUrl: false };
}

/**
 * The database for people, never with a password. Host, user and database of a URL are named only once the server was
 * reached: before that, any of them may be a piece of a password that was pasted raw.
 *
 * @param reached Whether the server let us in. One that answers but refuses the user is not reached yet: without its
 * ":", a password is a part of the user's name.
 */
export function where(address: DatabaseAddress, { reached }: { reached: boolean }): string {
  if (address.engine === "sqlite") return address.path;
  if (address.fromUrl && !reached) return "postgres, as DATABASE_URL names it";
  const { host, port, user, database } = address;
  if (host.startsWith("/")) return `postgres ${user}@${host}/${database}`;
  return `postgres ${user}@${host.includes(":") ? `[${host}]` : host}:${port}/${database}`;
}

function readSqlite(rest: string, scheme: string, source: string): SqliteAddress {
  if (rest.includes("//") && rest.includes("@")) {
    throw malformed(source, 'it names a SQLite file but holds "@"', 'In a path write "@" as %40.');
  }
  if (/[?#]/.test(rest)) {
    throw malformed(source, 'options after "?" or "#" are not known', 'In a path write "?" as %3F, "#" as %23.');
  }
  if (scheme === "file" && /^\/\/[^/]/.test(rest)) {
    throw malformed(source, 'a host follows "file://"', "Write file:PATH, or file:///PATH for an absolute one.");
  }
  const path = decode(rest.replace(/^\/\/(?!\/)/, "").replace(/^\/+/, "/")) ?? rest;
  if (path === "" || /^\s/.test(rest) || path.includes("\0")) {
    throw malformed(source, "it names no file", "Write sqlite:PATH.");
  }
  if (/(^|\/):memory:$/.test(path)) throw refuse("CONFIG_VALUE", source, '":memory:" does not last', "Name a file.");
  return { engine: "sqlite", path };
}

function readPostgres(rest: string, source: string): PostgresAddress {
  if (!rest.startsWith("//")) throw malformed(source, '"//" is missing after the scheme');
  if (/\s/u.test(rest)) throw malformed(source, "it holds raw white space; a space is written %20");
  const text = rest.slice(2);
  const ats = [...text.matchAll(/@/g)].map((match) => match.index);
  const readings = [undefined, ...ats].map((at) => read(text, at));
  const [parts, another] = readings.filter((reading) => typeof reading !== "string");
  const reason = 'it can be read in more than one way, because of a raw "@"';
  if (another !== undefined) throw refuse("DATABASE_URL_AMBIGUOUS", source, reason, shape);
  // The last "@" is the likely one: what is wrong with that reading helps most.
  if (parts === undefined) throw malformed(source, readings.at(-1) as string);
  return assemble(parts, source);
}

/** Reads a URL with the "@" at `at` as the end of its credentials (undefined: it has none), or says why that fails. */
function read(text: string, at: number | undefined): Part[] | string {
  const target = at === undefined ? text : text.slice(at + 1);
  const [, user, password] = /^([^:]*)(?::(.*))?$/s.exec(text.slice(0, at ?? 0)) ?? [];
  if (at !== undefined && !user) return "the user name is empty";
  if (/[/?#[\]]/.test(user ?? "")) return 'the user name holds a raw "/", "?", "#", "[" or "]"';

  const split = /^(\[[^\]]*:[^\]]*\]|[^:/?]*)(?::([^/?]*))?(?:\/([^?]*))?(?:\?(.*))?$/s.exec(target);
  if (split === null) return `what stands for the host is ${notHost}`;
  const [, hostText = "", port, database = "", query = ""] = split;
  if (port !== undefined && !isPort(port)) return "the port is not a number from 1 to 65535";
  if (/[/#@:"'`<>\\^{}|[\]]/.test(database) || decode(database) === undefined) {
    return "the database name holds a character that must be percent-encoded";
  }
  const params = query === "" ? [] : query.split("&").map((pair) => pair.split(/=(.*)/s, 2));
  for (const [key = "", value] of params) {
    const isKnown = known.includes(key) || ignored.test(key);
    if (value === undefined || !isKnown) return `a parameter after "?" is none of ${known.join(", ")}`;
    if (value.includes("#")) return 'a parameter after "?" holds a raw "#", which is written %23';
  }
  const used = params.filter(([key]) => known.includes(key!)) as Part[];
  if (hostText === "" && !used.some(([key]) => key === "host")) return "it names no host";
  const host = hostText.startsWith("[") ? hostText.slice(1, -1) : hostText;
  if (host !== "" && !isHost(decode(host) ?? "")) return `what stands for the host is ${notHost}`;
  const own = { user: user || undefined, password, host: host || undefined, port, dbname: database || undefined };
  return [...Object.entries(own).filter((part): part is Part => part[1] !== undefined), ...used];
}

/** Decodes the parts of the one reading; refuses what is doubled, empty, missing or not what it should be. */
function assemble(parts: Part[], source: string): PostgresAddress {
  const given: Record<string, string> = {};
  for (const [key, text] of parts) {
    if (key in given) throw malformed(source, `it gives "${key}" twice`);
    if (text === "" && key === "password") {
      const hint = 'It is usually a secret that did not arrive. Without a password, leave out the ":" before it.';
      throw refuse("CONFIG_EMPTY", source, "the password in it is empty", hint);
    }
    // A space in options is often written "+", as in a form; libpq's "-c name=value" has no other use for it.
    const value = key === "password" || key === "user"
      ? decodeCredential(key, text, source)
      : decode(key === "options" ? text.replaceAll("+", " ") : text);
    if (value === undefined) throw malformed(source, 'a parameter holds a raw "%", which is written %25');
    if (value === "" || value.includes("\0")) throw malformed(source, `"${key}" is empty or holds a NUL byte`);
    given[key] = value;
  }
  const { host = "", port = "5432", user, password, dbname, sslmode = "prefer" } = given;
  if (!user) throw refuse("CONFIG_INCOMPLETE", source, "it names no user", shape);
  if (!dbname) throw refuse("CONFIG_INCOMPLETE", source, "it names no database", shape);
  if (!isHost(host)) throw malformed(source, `the host is ${notHost}`);
  if (!isPort(port)) throw malformed(source, "the port is not a number from 1 to 65535");
  if (!isSslmode(sslmode)) throw malformed(source, `sslmode is none of ${sslmodes.join(", ")}`);
  const passwordAsWritten = parts.find(([key]) => key === "password")?.[1];
  const { sslrootcert, application_name: applicationName, options } = given;
  const server = { host, port: Number(port), database: dbname, user, password, passwordAsWritten };
  return { engine: "postgres", ...server, sslmode, sslrootcert, applicationName, options, fromUrl: true };
}

/**
 * A user name or a password. Escapes are decoded when all of it is as a URL wants it, and are plain text when none of
 * them is one. In between, nobody can tell.
 */
function decodeCredential(key: string, text: string, source: string): string {
  if (!/%[0-9A-Fa-f]{2}/.test(text)) return text;
  const raw = /%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~!$&'()*+,;=:%-]/u.exec(text)?.[0];
  const decoded = raw === undefined ? decode(text) : undefined;
  if (decoded !== undefined) return decoded;
  const character = raw ?? "%";
  const reason = `the ${key} in it holds percent escapes and also a raw "${character}"`;
  const hint = `Percent-encode all of it: "${character}" is ${encodeURIComponent(character)}, a "%" of its own is %25.`;
  throw refuse("DATABASE_URL_AMBIGUOUS", source, reason, hint);
}

/** Decodes the percent escapes of a text; undefined unless every "%" begins one and they make UTF-8. */
function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

function isHost(host: string): boolean {
  if (host.startsWith("/")) return !host.includes("\0");
  return /^[A-Za-z0-9._-]+$/.test(host) || (/^[0-9A-Fa-f:.]+$/.test(host) && URL.canParse(`http://[${host}]/`));
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
}

function isSslmode(text: string): text is Sslmode {
  return (sslmodes as readonly string[]).includes(text);
}

function refuseScheme(scheme: string, rest: string, source: string): AmberError {
  const [base = "", driver] = scheme.split("+");
  if (driver !== undefined && ["postgres", "postgresql", "sqlite"].includes(base)) {
    return malformed(source, `a driver follows "${base}"`, `Remove the "+" and the driver's name: ${base}:…`);
  }
  if (scheme === "jdbc") return malformed(source, 'it begins with "jdbc:"', 'Remove "jdbc:".');
  const isForeign = foreignSchemes.includes(scheme) && rest.startsWith("//");
  const reason = isForeign ? `"${scheme}" is not supported` : "it does not begin with postgres://, sqlite: or file:";
  return malformed(source, reason, "Use sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE.");
}

function malformed(source: string, reason: string, hint = shape): AmberError {
  return refuse("DATABASE_URL_MALFORMED", source, reason, hint);
}

function refuse(code: ErrorCode, source: string, reason: string, hint: string): AmberError {
  return new AmberError(code, { message: `Cannot read ${source}: ${reason}`, hint });
}
