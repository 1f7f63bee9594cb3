/** A real PgBouncer in front of a server, as distributions configure it, started by the tests and gone with them. */
import { join } from "node:path";
import { freePort, Keeper } from "./keeper.ts";
import type { PostgresAddress, UrlOptions } from "./postgres.ts";
import { findProgram } from "./programs.ts";
import { unprivilegedUser } from "./user.ts";

export interface PgBouncerOptions {
  poolMode: "transaction" | "session" | "statement";
  /** Connections to the server for each database and user. Default: PgBouncer's, 20. */
  poolSize?: number;
  /** Roles and passwords that may connect besides the superuser. */
  users?: Record<string, string>;
  /** Lines of pgbouncer.ini, above all others. What it ignores and how many may wait are PgBouncer's defaults. */
  settings?: Record<string, string>;
}

export interface PgBouncer extends AsyncDisposable {
  host: string; // 127.0.0.1
  port: number;
  socketDir: string;
  version: string; // "1.18.0"
  url(database: string, options?: UrlOptions): string;
  log(): string;
}

export function missingPgBouncer(): string | undefined {
  return findProgram("pgbouncer") === undefined ? "pgbouncer is not installed" : undefined;
}

/**
 * Starts a PgBouncer that leads to every database of the server. Whom the server trusts it trusts; where the server asks
 * for passwords it does too.
 */
export async function startPgBouncer(server: PostgresAddress, options: PgBouncerOptions): Promise<PgBouncer> {
  const program = findProgram("pgbouncer");
  if (program === undefined) throw new Error("Cannot start PgBouncer: it is not installed");
  const keeper = await Keeper.open({ name: "bouncer", user: unprivilegedUser(), lastSignal: "INT" });
  try {
    return await startIn(keeper, { program, server, options });
  } catch (error) {
    await keeper.close();
    throw error;
  }
}

async function startIn(
  keeper: Keeper,
  { program, server, options }: { program: string; server: PostgresAddress; options: PgBouncerOptions },
): Promise<PgBouncer> {
  const { folder } = keeper;
  const users = { [server.superuser]: server.password, ...options.users };
  const quote = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const userFile = join(folder, "users.txt");
  const lines = Object.entries(users).map(([name, password]) => `${quote(name)} ${quote(password)}\n`);
  await Deno.writeTextFile(userFile, lines.join(""));

  const write = async (port: number) => {
    const settings = {
      listen_addr: "127.0.0.1",
      listen_port: String(port),
      unix_socket_dir: folder,
      auth_type: server.password === "" ? "trust" : "scram-sha-256",
      auth_file: userFile,
      admin_users: server.superuser,
      pool_mode: options.poolMode,
      ...(options.poolSize === undefined ? {} : { default_pool_size: String(options.poolSize) }),
      ...options.settings,
    };
    const target = `[databases]\n* = host=${server.host} port=${server.port}\n[pgbouncer]\n`;
    const text = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`).join("");
    await Deno.writeTextFile(join(folder, "pgbouncer.ini"), target + text);
  };

  let port = freePort();
  for (let attempt = 1;; attempt++) {
    await write(port);
    const before = keeper.logEnd(Infinity).length;
    await keeper.start(program, join(folder, "pgbouncer.ini"));
    const said = () => keeper.logEnd(Infinity).slice(before);
    while (!said().includes("process up") && await keeper.isAlive());
    // It goes on without the port when only its socket can be opened.
    if (said().includes(`listening on 127.0.0.1:${port}`) && await keeper.isAlive()) break;
    if (attempt === 5) throw new Error(`PgBouncer does not start\n${said()}`);
    await keeper.stop("INT");
    port = freePort();
  }

  const url = (database: string, more: UrlOptions = {}) => {
    const user = more.user ?? server.superuser;
    const password = more.password ?? users[user] ?? "";
    const login = encodeURIComponent(user) + (password === "" ? "" : `:${encodeURIComponent(password)}`);
    const parameters = more.parameters ? `?${new URLSearchParams(more.parameters)}` : "";
    return `postgres://${login}@${more.host ?? "127.0.0.1"}:${port}/${encodeURIComponent(database)}${parameters}`;
  };
  const version = /PgBouncer (\d+\.\d+\.\d+)/.exec(keeper.logEnd(100))?.[1] ?? "unknown";
  return {
    host: "127.0.0.1",
    port,
    socketDir: folder,
    version,
    url,
    log: () => keeper.logEnd(100),
    [Symbol.asyncDispose]: () => keeper.close(),
  };
}
