import postgres from "postgres";
import type { PostgresAddress } from "../../database_url.ts";
import { type Row, StatementFailure, type Value } from "../engine.ts";
import { requestCancel } from "./cancel.ts";
import { ConnectionLost, failure } from "./connection_failure.ts";
import { copyIn, type CopyOptions, copyOut, type CopySession, encoded } from "./copy.ts";
import { CopySocket } from "./copy_socket.ts";
import { Interruption } from "./interruption.ts";
import { openSocket, ReachFailure } from "./socket.ts";

export { ConnectionLost };

/** How long a server may take to hear that we go. */
const goodbyeMs = 2_000;

/** What is used of the driver's query, beside its promise. */
interface DriverQuery {
  /** Whom to name when it shall be stopped. */
  state: { pid: number | null; secret: number | null } | null;
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
  #sql: postgres.Sql;
  #socket?: CopySocket;
  #isLost = false;
  readonly #lost = new Interruption();
  #closing = false;
  #copying = false;
  /** Sent and not answered, in order: the server works on the first of them. */
  #running = new Set<DriverQuery>();

  private constructor(
    private readonly address: PostgresAddress,
    applicationName: string,
    timeoutMs: number,
    notice: (n: Notice) => void,
  ) {
    let opened = false;
    const socket = async (): Promise<CopySocket> => {
      if (opened) throw new ConnectionLost();
      opened = true;
      const made = new CopySocket(await openSocket(address, timeoutMs));
      made.once("close", () => {
        this.#isLost = true;
        this.#lost.end(new ConnectionLost());
      });
      this.#socket = made;
      // Closed while it was being opened.
      if (this.#closing) made.destroy();
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
    if (this.#copying) throw new TypeError("a query during a COPY");
    return lastRows(await this.#send(text, params));
  }

  async #send(text: string, params: readonly Value[]): Promise<unknown> {
    if (this.#isLost || this.#closing) throw new ConnectionLost();
    const query = this.#sql.unsafe(text, params.map(toDriver) as never[]);
    const running = query as unknown as DriverQuery;
    this.#running.add(running);
    try {
      return await this.#lost.during(query as unknown as Promise<unknown>);
    } catch (error) {
      throw failure(error, text);
    } finally {
      this.#running.delete(running);
    }
  }

  /** Runs `COPY … TO STDOUT`: see copyOut(). Nothing else may run on this connection meanwhile. */
  copyOut(text: string, options: CopyOptions = {}): AsyncGenerator<Uint8Array, void, void> {
    return copyOut(() => this.#beginCopy(), text, options);
  }

  /** Runs `COPY … FROM stdin`: see copyIn(). Nothing else may run on this connection meanwhile. */
  copyIn(text: string, source: AsyncIterable<Uint8Array> | string, options: CopyOptions = {}): Promise<number> {
    return copyIn(() => this.#beginCopy(), text, typeof source === "string" ? encoded(source) : source, options);
  }

  #beginCopy(): CopySession {
    if (this.#isLost || this.#closing || !this.#socket) throw new ConnectionLost();
    if (this.#copying || this.#running.size > 0) throw new TypeError("a COPY while something else runs");
    this.#copying = true;
    return {
      socket: this.#socket,
      send: async (text) => Number((await this.#send(text, []) as { count?: number }).count ?? 0),
      cancel: () => this.cancel(),
      end: () => this.#copying = false,
    };
  }

  /** Asks the server to stop the running statement, and returns when it has been told. Never rejects. */
  async cancel(): Promise<void> {
    const [first] = this.#running;
    const { pid, secret } = first?.state ?? {};
    if (typeof pid === "number" && typeof secret === "number") await requestCancel(this.address, { pid, secret });
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

  /** When the server was last heard, as performance.now() counts. A reader that is not ready does not listen. */
  get heardAtMs(): number {
    return this.#socket === undefined || this.#socket.isPaused ? performance.now() : this.#socket.heardAtMs;
  }

  /** Ends it without a word, for a server that does not answer: who waits learns that it was lost. */
  destroy(): void {
    this.#socket?.destroy(new ConnectionLost());
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const socket = this.#socket;
    if (socket?.isPaused) socket.resume(); // what has come and is not wanted stands before the end
    await this.#sql.end({ timeout: 0 }).catch(() => {});
    // Where nobody answers, the goodbye would keep the process alive.
    const timer = setTimeout(() => socket?.destroy(), goodbyeMs);
    Deno.unrefTimer(timer);
    if (this.#isLost || !socket) clearTimeout(timer);
    else socket.once("close", () => clearTimeout(timer));
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
