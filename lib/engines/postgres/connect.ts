import { type PostgresAddress, where } from "../../database_url.ts";
import { AmberError } from "../../errors.ts";
import { type OpenOptions, quoteName, type Row, StatementFailure } from "../engine.ts";
import { sleep } from "../sleep.ts";
import { Connection, ConnectionLost } from "./connection.ts";
import { ReachFailure } from "./socket.ts";

export type ConnectOptions = Pick<OpenOptions, "waitMs" | "create" | "stop" | "report"> & {
  applicationName: string;
  /** The first query, sent as soon as the server greets. */
  hello: string;
};

const oneTryMs = 5_000;

/**
 * Connects, and waits for a server that does not answer yet, at most `waitMs`. A refused password or an unknown database
 * fails at once, unless `create` says that an unknown database shall be made.
 *
 * @throws {AmberError} DATABASE_SILENT, DATABASE_REFUSED, DATABASE_UNKNOWN, DATABASE_FORBIDDEN
 */
export async function connect(
  address: PostgresAddress,
  options: ConnectOptions,
): Promise<{ connection: Connection; rows: Row[] }> {
  const started = performance.now();
  let told = started - 4_000; // the first word after a second, then every five
  for (let attempt = 0;; attempt++) {
    options.stop.throwIfAborted();
    const leftMs = options.waitMs - (performance.now() - started);
    try {
      return await open(address, options, options.waitMs > 0 ? Math.max(250, Math.min(oneTryMs, leftMs)) : oneTryMs);
    } catch (error) {
      const outcome = judge(error, address);
      if (outcome.kind === "unknown" && options.create) {
        await createDatabase(address, options);
        continue;
      }
      if (outcome.kind !== "retry") throw outcome.error;
      const remainingMs = options.waitMs - (performance.now() - started);
      if (remainingMs <= 0) throw outcome.error;
      if (performance.now() - told > 5_000) {
        told = performance.now();
        options.report({
          type: "waiting",
          message: `waiting for the database (${where(address, { reached: false })}): ${outcome.reason}`,
          remainingSeconds: Math.ceil(remainingMs / 1000),
        });
      }
      await sleep(Math.min(remainingMs, 100 + Math.min(attempt, 9) * 100), options.stop);
    }
  }
}

async function open(address: PostgresAddress, options: ConnectOptions, timeoutMs: number) {
  const once = (at: PostgresAddress) =>
    Connection.open(at, {
      applicationName: options.applicationName,
      timeoutMs,
      hello: options.hello,
      notice: fewNotices(options.report),
    });
  try {
    return await once(address);
  } catch (error) {
    // sslmode "allow": plain first, TLS when the server wants it; "prefer": the other way round.
    const refusedForTls = error instanceof StatementFailure && error.code === "28000";
    if (!refusedForTls || address.host.startsWith("/")) throw error;
    if (address.sslmode === "allow") return await once({ ...address, sslmode: "require" });
    if (address.sslmode === "prefer") return await once({ ...address, sslmode: "disable" });
    throw error;
  }
}

/** A server can talk without end (VACUUM by a role that may not): the first of its notices are passed on. */
function fewNotices(report: OpenOptions["report"]): (notice: { severity: string; message: string }) => void {
  const most = 20;
  let count = 0;
  return (notice) => {
    if (count++ < most) report({ type: "notice", ...notice });
    else if (count === most + 2) {
      report({ type: "note", message: `the server says more; only its first ${most} notices are shown` });
    }
  };
}

type Judgement =
  | { kind: "retry"; reason: string; error: AmberError }
  | { kind: "unknown" | "final"; error: AmberError | unknown };

/** What a failed connection means: worth trying again, a missing database, or final. */
function judge(error: unknown, address: PostgresAddress): Judgement {
  // Before a login succeeded, the names in a URL may be parts of a badly pasted password: they are not shown, and
  // neither is what the server says about them.
  const there = where(address, { reached: false });
  if (error instanceof ReachFailure) {
    const silent = new AmberError("DATABASE_SILENT", {
      message: `Cannot reach the database: ${error.message}`,
      where: there,
      hint: error.hint ??
        "Is the server running, and are host and port right? `amber wait` waits for it; --wait 2m waits longer.",
      cause: error,
    });
    return error.retriable ? { kind: "retry", reason: error.message, error: silent } : {
      kind: "final",
      error: new AmberError("DATABASE_REFUSED", {
        message: `Cannot connect to the database: ${error.message}`,
        where: there,
        hint: silent.hint,
        cause: error,
      }),
    };
  }
  if (error instanceof ConnectionLost) {
    return {
      kind: "retry",
      reason: "the server closed the connection",
      error: new AmberError("DATABASE_SILENT", {
        message: "Cannot reach the database: the server closed the connection",
        where: there,
        hint:
          "Is it a PostgreSQL server that listens there, and does it take connections from here (pg_hba.conf)? `amber wait` waits for it.",
        cause: error,
      }),
    };
  }
  if (!(error instanceof StatementFailure)) return { kind: "final", error };
  const code = error.code ?? "";
  const text = error.message;
  if (code === "28000" && /pg_hba\.conf/.test(text)) {
    const isPlain = address.sslmode === "disable" || address.sslmode === "allow";
    return {
      kind: "final",
      error: new AmberError("DATABASE_REFUSED", {
        message: `Cannot log in to the database: ${
          address.fromUrl ? "pg_hba.conf of the server has no entry for this connection" : text
        }`,
        where: there,
        hint: isPlain && !address.host.startsWith("/")
          ? "The server may want TLS: sslmode=require. Else its pg_hba.conf must allow this user, database and address."
          : "The server's pg_hba.conf must allow this user, database and address.",
        cause: error,
      }),
    };
  }
  if (code.startsWith("28") || /password authentication failed|SASL|no such user/i.test(text)) {
    return {
      kind: "final",
      error: new AmberError("DATABASE_REFUSED", {
        message: `Cannot log in to the database: ${
          address.fromUrl ? "the server refused the user or the password" : text
        }`,
        where: there,
        hint: address.password === undefined
          ? "No password is configured: set DB_PASSWORD, or put it into DATABASE_URL."
          : "Check user and password. In a URL a literal % in a password is written %25.",
        cause: error,
      }),
    };
  }
  if (code === "3D000" || /^no such database|database "?.*"? does not exist/i.test(text)) {
    return {
      kind: "unknown",
      error: new AmberError("DATABASE_UNKNOWN", {
        message: `Cannot open the database: ${text}`,
        where: where(address, { reached: true }), // the login had succeeded
        hint: "`amber migrate` creates it when the role may; else create it as an administrator.",
        cause: error,
      }),
    };
  }
  if (/^(57P0|53300|53400|08)/.test(code) || /server login failed|pgbouncer cannot connect/i.test(text)) {
    return {
      kind: "retry",
      reason: "the server takes no connections now",
      error: new AmberError("DATABASE_SILENT", {
        message: `Cannot use the database: the server takes no connections now${address.fromUrl ? "" : ` (${text})`}`,
        where: there,
        hint: "It may be starting, stopping or full. `amber wait` waits for it.",
        cause: error,
      }),
    };
  }
  // The login has succeeded, so that the names may be shown.
  const isForbidden = code === "42501";
  return {
    kind: "final",
    error: new AmberError("DATABASE_REFUSED", {
      message: `Cannot open the database: ${address.fromUrl ? `the server refused the connection (${code})` : text}`,
      where: isForbidden ? where(address, { reached: true }) : there,
      hint: isForbidden
        ? `As its owner: grant connect on database ${quoteName(address.database)} to ${quoteName(address.user)};`
        : "The server's own log says more. Are database, user and the options in the URL right?",
      cause: error,
    }),
  };
}

/** Connects to `postgres` (else `template1`) and creates the configured database. Another runner may be faster. */
async function createDatabase(address: PostgresAddress, options: ConnectOptions): Promise<void> {
  const failures: unknown[] = [];
  for (const database of ["postgres", "template1"]) {
    let opened: { connection: Connection };
    try {
      opened = await open({ ...address, database }, { ...options, hello: "select 1" }, oneTryMs);
    } catch (error) {
      failures.push(error);
      continue;
    }
    try {
      await opened.connection.query(`create database ${quoteName(address.database)}`);
      options.report({ type: "note", message: `created the database "${address.database}"` });
      return;
    } catch (error) {
      const code = error instanceof StatementFailure ? error.code : undefined;
      if (code === "42P04" || code === "23505") return; // another runner made it
      if (code === "55006" || code === "42501") failures.push(error);
      else throw error;
      if (code === "55006") await sleep(100 + Math.random() * 300, options.stop); // template1 is being copied by another runner
    } finally {
      await opened.connection.close();
    }
  }
  const last = failures.at(-1);
  throw new AmberError("DATABASE_UNKNOWN", {
    message: `Cannot create the database "${address.database}", which does not exist: ${
      last instanceof Error ? last.message : "refused"
    }`,
    where: where(address, { reached: true }),
    hint: `As an administrator: create database ${quoteName(address.database)} owner ${quoteName(address.user)};`,
    cause: last,
  });
}
