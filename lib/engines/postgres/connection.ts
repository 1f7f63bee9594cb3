import postgres from "postgres";
import type { Socket } from "node:net";
import type { PostgresAddress } from "../../database_url.ts";
import { type Row, StatementFailure, type Value } from "../engine.ts";
import { openSocket, ReachFailure } from "./socket.ts";

/** A connection that ended without being asked to. What was in its transaction is rolled back by the server. */
export class ConnectionLost extends Error {
  constructor(cause?: unknown) {
    super("the connection to the server was lost", { cause });
    this.name = "ConnectionLost";
  }
}

export interface Notice {
  severity: string;
  message: string;
}

export interface ConnectionOptions {
  applicationName: string;
  timeoutMs: number;
  notice?: (notice: Notice) => void;
  /** The first query, sent as soon as the server greets. */
  hello?: string;
}

export interface Opened {
  connection: Connection;
  rows: Row[]; // of the first query
}

/**
 * One session with a server, through npm:postgres. It never reconnects: the driver would, in the middle of a
 * transaction, and run the rest of it outside. Simple-protocol statements are sent at once and answered in order.
 */
export class Connection {
  readonly lost: Promise<never>;
  #sql: postgres.Sql;
  #isLost = false;
  #closing = false;
  #cancelling = false;
  /** Sent and not answered, in order: the server works on the first of them. */
  #running = new Set<{ cancel(): void }>();

  private constructor(
    address: PostgresAddress,
    applicationName: string,
    timeoutMs: number,
    notice: (n: Notice) => void,
  ) {
    const lost = Promise.withResolvers<never>();
    lost.promise.catch(() => {}); // everybody who waits races with it
    this.lost = lost.promise;
    let opened = false;
    const socket = async (): Promise<Socket> => {
      if (opened && !this.#cancelling) throw new ConnectionLost();
      const first = !opened;
      opened = true;
      const made = await openSocket(address, timeoutMs);
      if (first) {
        made.once("close", () => {
          this.#isLost = true;
          lost.reject(new ConnectionLost());
        });
      }
      return made;
    };
    // Everything is given, because the driver takes what is missing from PG* variables; `pass` as a function for the same reason.
    const options = {
      host: address.host.startsWith("/") ? "localhost" : address.host,
      port: address.port,
      database: address.database,
      user: address.user,
      pass: () => address.password ?? "",
      ssl: false,
      sslnegotiation: null,
      max: 1,
      idle_timeout: null,
      max_lifetime: null,
      connect_timeout: null,
      keep_alive: 60,
      max_pipeline: 1000,
      prepare: false,
      fetch_types: false,
      debug: false,
      backoff: 0,
      publications: "",
      connection: {
        application_name: applicationName,
        ...(address.options ? { options: address.options } : {}),
      },
      onnotice: (raw: Record<string, string>) => {
        // After a refused COMMIT our ROLLBACK finds no transaction: no news for anybody.
        if (raw.code === "25P01") return;
        notice({ severity: raw.severity ?? raw.severity_local ?? "NOTICE", message: raw.message ?? "" });
      },
      socket,
    };
    this.#sql = postgres(options as unknown as postgres.Options<Record<string, never>>);
  }

  /** Connects and logs in, within `timeoutMs`. @throws {ReachFailure} or {StatementFailure} with the server's SQLSTATE. */
  static async open(address: PostgresAddress, options: ConnectionOptions): Promise<Opened> {
    const { password = "" } = address;
    const prepared = normalizedPassword(password);
    try {
      return await Connection.#open({ ...address, password: prepared }, options);
    } catch (error) {
      // The server takes a password as it is where SASLprep does not allow it (an emoji is too new), and with md5 always.
      const isRefused = error instanceof StatementFailure && /^28/.test(error.code ?? "");
      if (!isRefused || prepared === password) throw error;
      return await Connection.#open(address, options);
    }
  }

  static async #open(address: PostgresAddress, options: ConnectionOptions): Promise<Opened> {
    const connection = new Connection(
      address,
      options.applicationName,
      options.timeoutMs,
      options.notice ?? (() => {}),
    );
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const silence = `no answer within ${Math.ceil(options.timeoutMs / 1000)} s`;
      timer = setTimeout(() => reject(new ReachFailure(silence, true)), options.timeoutMs);
    });
    try {
      const rows = await Promise.race([connection.query(options.hello ?? "select 1"), late]);
      return { connection, rows };
    } catch (error) {
      await connection.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends one statement (or several, without parameters) and gives the rows of the last that has any. */
  async query(text: string, params: readonly Value[] = []): Promise<Row[]> {
    if (this.#isLost || this.#closing) throw new ConnectionLost();
    const query = this.#sql.unsafe(text, params.map(toDriver) as never[]);
    const running = query as unknown as { cancel(): void };
    this.#running.add(running);
    const answer = Promise.resolve(query as unknown as Promise<postgres.RowList<Row[]>>);
    answer.catch(() => {}); // the race below may end first
    try {
      const result = await Promise.race([answer, this.lost]);
      return lastRows(result);
    } catch (error) {
      throw failure(error, text);
    } finally {
      this.#running.delete(running);
    }
  }

  /** Runs `COPY … FROM stdin` with the given rows. The driver's stream never settles by itself when the server refuses. */
  async copyIn(text: string, data: string): Promise<void> {
    if (this.#isLost || this.#closing) throw new ConnectionLost();
    const query = this.#sql.unsafe(text) as unknown as {
      writable(): Promise<import("node:stream").Writable>;
      reject(error: unknown): void;
    };
    const ended = Promise.withResolvers<void>();
    ended.promise.catch(() => {});
    try {
      const stream = await Promise.race([query.writable(), this.lost]);
      query.reject = (error: unknown) => ended.reject(error); // called with the server's refusal after the stream began
      stream.once("error", (error) => ended.reject(error));
      stream.once("finish", () => ended.resolve());
      for (let at = 0; at < data.length; at += 65536) {
        if (!stream.write(data.slice(at, at + 65536))) {
          await Promise.race([new Promise((drained) => stream.once("drain", drained)), ended.promise, this.lost]);
        }
      }
      stream.end();
      await Promise.race([ended.promise, this.lost]);
    } catch (error) {
      throw failure(error, text);
    }
  }

  /** Asks the server to stop the running statement. */
  cancel(): void {
    this.#cancelling = true;
    try {
      for (const first of this.#running) return first.cancel();
    } catch {
      // nothing runs any more
    }
  }

  /** Whether a pooler stands before the server: it greets with a process number of its own making. */
  async isPooled(): Promise<boolean> {
    const result = await this.#sql.unsafe("select pg_catalog.pg_backend_pid() as pid");
    const greeted = (result as unknown as { state?: { pid: number } }).state?.pid;
    return greeted !== undefined && greeted !== Number(result[0]?.pid);
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    await this.#sql.end({ timeout: 0 }).catch(() => {});
  }
}

function toDriver(value: Value): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

/** A multi-statement answer is a list of results: the last one with columns counts. */
function lastRows(result: unknown): Row[] {
  const results =
    (Array.isArray(result) && result.length > 0 && Array.isArray(result[0]) ? result : [result]) as Row[][];
  return [...(results.findLast((one) => (one as { columns?: unknown[] }).columns?.length) ?? [])].map((row) => ({
    ...row,
  }));
}

/**
 * Passwords are prepared as the server prepared them when they were set (SASLprep, RFC 4013: NFKC, other spaces to a
 * space, soft hyphens and the like away). The driver sends them raw.
 */
function normalizedPassword(password: string): string {
  // deno-lint-ignore no-control-regex
  if (/^[\x00-\x7f]*$/.test(password)) return password;
  return password
    .replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, " ")
    .replace(/[\u00ad\u034f\u1806\u180b-\u180d\u200c\u200d\u2060\ufe00-\ufe0f\ufeff]/g, "")
    .normalize("NFKC");
}

/** How the driver and the socket under it say that the other side is gone. */
const lostCodes = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_DESTROYED",
  "CONNECTION_ENDED",
  "ECONNRESET",
  "EPIPE",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_WRITE_AFTER_END",
  "ETIMEDOUT",
]);

/** The driver's error as ours. `position` counts characters from 1 over the whole text. */
function failure(error: unknown, text: string): unknown {
  const raw = error as Record<string, string | undefined> & Error;
  if (raw?.name !== "PostgresError") {
    return lostCodes.has(raw?.code ?? "") ? new ConnectionLost(error) : error;
  }
  return new StatementFailure(raw.message, {
    code: raw.code,
    offset: raw.position === undefined ? undefined : utf16Offset(text, Number(raw.position) - 1),
    detail: raw.detail,
    hint: raw.hint,
    context: raw.where,
    cause: error,
  });
}

function utf16Offset(text: string, characters: number): number {
  let offset = 0;
  for (let i = 0; i < characters && offset < text.length; i++) offset += text.codePointAt(offset)! > 0xffff ? 2 : 1;
  return offset;
}
