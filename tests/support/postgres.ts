/** A real PostgreSQL for the tests, started by them and gone with them. */
import { join } from "node:path";
import postgres from "postgres";
import { makeCertificate } from "./certificate.ts";
import { freePort, Keeper } from "./keeper.ts";
import { majorOf, type PostgresPrograms, providePostgres, type Wanted, wantedPostgres } from "./postgres_programs.ts";
import { unprivilegedUser } from "./user.ts";

export type Row = Record<string, unknown>;

export interface PostgresOptions {
  /** `true` offers TLS, "required" refuses connections without it. Needs openssl. */
  tls?: boolean | "required";
  /** How everybody proves who they are. With "scram-sha-256" the superuser's password is `password`. Default: trust. */
  auth?: "trust" | "scram-sha-256";
  /** Lines of postgresql.conf. */
  settings?: Record<string, string>;
  /** A major version, 13 to 18, from the machine or from npm. Default: what AMBER_TEST_POSTGRES says. */
  version?: number;
}

export interface UrlOptions {
  host?: string; // default 127.0.0.1
  user?: string; // default the superuser
  password?: string; // default the superuser's, if it needs one
  parameters?: Record<string, string>; // after the "?": sslmode, application_name, …
}

/** How to reach a server. */
export interface PostgresAddress {
  host: string; // always 127.0.0.1; the certificate also names localhost
  port: number;
  socketDir: string; // the server also listens on the unix socket in this folder
  superuser: string; // "postgres"
  password: string; // the superuser's; empty where the server asks for none
  binDir: string; // initdb and postgres; from Debian's packages also psql and pg_dump
  version: string; // "15.18"
  source: "system" | "npm";
  caFile: string | undefined; // the authority's certificate, when the server offers TLS
}

/** Databases on a server, each made for one test. */
export interface PostgresDatabases extends PostgresAddress {
  readonly major: number;
  url(database: string, options?: UrlOptions): string;
  /**
   * Runs one or more statements as the superuser, on a connection of their own, and returns the last one's rows.
   * 64-bit integers and numerics come as strings, arrays as PostgreSQL writes them.
   */
  sql(database: string, text: string): Promise<Row[]>;
  /** Makes an empty database and returns its name, which is new and unlike any other unless given. */
  createDatabase(name?: string): Promise<string>;
  /** Drops it even while somebody is connected. No error when it is not there. */
  dropDatabase(name: string): Promise<void>;
  /** An empty database that is dropped at the end of the scope. */
  database(): Promise<PostgresDatabase>;
}

export interface PostgresDatabase extends AsyncDisposable {
  name: string;
  url: string;
  server: PostgresDatabases;
  sql(text: string): Promise<Row[]>;
}

/** A server of one's own, to be stopped, paused and restarted. */
export interface PostgresServer extends PostgresDatabases, AsyncDisposable {
  readonly pid: number;
  /** The end of the server's own log. */
  log(): string;
  /** Stops it and keeps its data. "immediate" is what a power cut does; "fast" ends connections in good order. */
  stop(mode?: "immediate" | "fast"): Promise<void>;
  /** Starts it again on the same port and returns when it answers. */
  start(): Promise<void>;
  restart(mode?: "immediate" | "fast"): Promise<void>;
  /** Freezes the server with all its connections: it accepts new ones and says nothing. */
  pause(): void;
  resume(): void;
}

/** The server that all tests share. Use databases of your own, and stop nothing. */
export async function sharedPostgres(): Promise<PostgresDatabases> {
  const text = Deno.env.get("AMBER_TEST_PG");
  if (text?.startsWith("{")) return databasesOf(JSON.parse(text));
  // A test file that is run by hand has a server of its own, which ends with it.
  return await (ownServer ??= startPostgres());
}

let ownServer: Promise<PostgresServer> | undefined;

/** For tests/run.ts: what sharedPostgres() finds in the environment variable AMBER_TEST_PG. */
export function describeServer(address: PostgresAddress): string {
  const { host, port, socketDir, superuser, password, binDir, version, source, caFile } = address;
  return JSON.stringify({ host, port, socketDir, superuser, password, binDir, version, source, caFile });
}

/**
 * Starts a PostgreSQL on a free port of 127.0.0.1 and on a unix socket. As root it runs as another user. It is stopped
 * and its folder removed when disposed of, or when this process ends in whatever way.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const user = unprivilegedUser();
  const wanted: Wanted = options.version === undefined ? wantedPostgres() : { major: options.version };
  const keeper = await Keeper.open({ name: "pg", user, lastSignal: "QUIT" });
  try {
    const programs = await providePostgres({ folder: keeper.folder, user, wanted });
    return await startIn(keeper, programs, options);
  } catch (error) {
    await keeper.close();
    throw error;
  }
}

async function startIn(keeper: Keeper, programs: PostgresPrograms, options: PostgresOptions): Promise<PostgresServer> {
  const { auth = "trust", tls = false, settings = {} } = options;
  const { folder } = keeper;
  const data = join(folder, "data");
  const password = auth === "trust" ? "" : crypto.randomUUID();
  const passwordFile = join(folder, "password");
  await Deno.writeTextFile(passwordFile, password + "\n");
  await keeper.run(
    join(programs.binDir, "initdb"),
    ...["--pgdata", data, "--username", "postgres", "--encoding", "UTF8", "--locale", "C", "--auth", auth, "--no-sync"],
    ...(password === "" ? [] : ["--pwfile", passwordFile]),
  );
  const certificate = tls ? await makeCertificate(keeper) : undefined;
  await Deno.writeTextFile(
    join(data, "pg_hba.conf"),
    `local all all ${auth}\n${tls === "required" ? "hostssl" : "host"} all all 127.0.0.1/32 ${auth}\n`,
  );
  const write = async (port: number) => {
    const lines = Object.entries({
      listen_addresses: "127.0.0.1",
      port: String(port),
      unix_socket_directories: folder,
      max_connections: "300",
      password_encryption: "scram-sha-256",
      ...(certificate ? { ssl: "on", ssl_cert_file: certificate.certFile, ssl_key_file: certificate.keyFile } : {}),
      ...settings,
    }).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
    await Deno.writeTextFile(join(data, "postgresql.auto.conf"), lines.join(""));
  };

  let pid = 0;
  const start = async () => {
    pid = (await keeper.start(join(programs.binDir, "postgres"), "-D", data)).pid;
    while (await keeper.isAlive()) if (await isReady(data, pid)) return;
    throw new Error(`PostgreSQL does not start\n${keeper.logEnd()}`);
  };
  let port = freePort();
  for (let attempt = 1;; attempt++) {
    await write(port);
    try {
      await start();
      break;
    } catch (error) {
      const isTaken = String(error).includes("Address already in use");
      if (!isTaken || attempt === 5) throw error;
      port = freePort();
    }
  }

  const stop = (mode: "immediate" | "fast" = "immediate") => keeper.stop(mode === "fast" ? "INT" : "QUIT");
  const databases = databasesOf({
    ...programs,
    host: "127.0.0.1",
    port,
    socketDir: folder,
    superuser: "postgres",
    password,
    caFile: certificate?.caFile,
  });
  return {
    ...databases,
    get pid() {
      return pid;
    },
    log: () => keeper.logEnd(100),
    start,
    stop,
    async restart(mode = "fast") {
      await stop(mode);
      await start();
    },
    pause: () => signal(pid, "SIGSTOP"),
    resume: () => signal(pid, "SIGCONT"),
    [Symbol.asyncDispose]: () => keeper.close(),
  };
}

/** The server says in its pid file when it accepts connections; "pg_ctl start" looks there too. */
async function isReady(data: string, pid: number): Promise<boolean> {
  try {
    const lines = (await Deno.readTextFile(join(data, "postmaster.pid"))).split("\n");
    return lines[0] === String(pid) && lines[7]?.trim() === "ready";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function signal(pid: number, name: Deno.Signal): void {
  const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ").filter(Boolean);
  for (const one of [pid, ...children.map(Number)]) {
    try {
      Deno.kill(one, name);
    } catch (error) {
      // A connection that ended in the meantime.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

function databasesOf(address: PostgresAddress): PostgresDatabases {
  const { host, port, superuser } = address;

  const url = (database: string, options: UrlOptions = {}) => {
    const user = encodeURIComponent(options.user ?? superuser);
    const password = options.password ?? (options.user === undefined ? address.password : "");
    const login = password === "" ? user : `${user}:${encodeURIComponent(password)}`;
    const parameters = options.parameters ? `?${new URLSearchParams(options.parameters)}` : "";
    return `postgres://${login}@${options.host ?? host}:${port}/${encodeURIComponent(database)}${parameters}`;
  };

  const sql = async (database: string, text: string): Promise<Row[]> => {
    const client = postgres({
      host,
      port,
      database,
      user: superuser,
      password: address.password,
      ssl: address.caFile === undefined ? false : { ca: await Deno.readTextFile(address.caFile) },
      max: 1,
      fetch_types: false,
      onnotice: () => {},
    });
    try {
      const result = await client.unsafe(text);
      // Several statements give an array of results, one gives its rows.
      const last: unknown = Array.isArray(result[0]) ? result.at(-1) : result;
      return [...(last as Row[])];
    } finally {
      await client.end();
    }
  };

  const createDatabase = async (name = `test_${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}`) => {
    await sql("postgres", `create database ${quote(name)} template template0`);
    return name;
  };

  const dropDatabase = async (name: string) => {
    await sql("postgres", `drop database if exists ${quote(name)} with (force)`);
  };

  const databases: PostgresDatabases = {
    ...address,
    major: majorOf(address.version),
    url,
    sql,
    createDatabase,
    dropDatabase,
    async database() {
      const name = await createDatabase();
      return {
        name,
        url: url(name),
        server: databases,
        sql: (text) => sql(name, text),
        [Symbol.asyncDispose]: () => dropDatabase(name),
      };
    },
  };
  return databases;
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
