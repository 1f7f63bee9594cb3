import { type PostgresAddress, where } from "../../database_url.ts";
import { AmberError } from "../../errors.ts";
import { type OpenOptions, type Row, StatementFailure } from "../engine.ts";
import { connect } from "./connect.ts";
import { type Connection, ConnectionLost } from "./connection.ts";
import { Interruption } from "./interruption.ts";
import { Liveness } from "./liveness.ts";
import { changesBetween, type ListedTable, tableListSql, tablesOf } from "./table_list.ts";
import { lockTables } from "./table_locks.ts";

export type PinnedOptions = Pick<OpenOptions, "stop" | "by" | "report"> & {
  /**
   * How long to wait for a server that does not answer, and then for tables that somebody has locked. Default: one try of
   * at most 5 s, and a minute.
   */
  waitMs?: number;
  /** How long the server may say nothing before it is looked for. Default: 30 s. */
  silenceMs?: number;
};

const hello =
  `select pg_catalog.current_setting('server_version_num')::pg_catalog.int4 as number, current_user as role`;

const goodbyeMs = 2_000;

/**
 * One read-only transaction on one connection, from which a whole database is read as it was at one moment: locked by
 * `prepare()`, pinned by `pin()`, checked by `confirm()`, then read. Each step is one round trip. It works as any role
 * that may read the tables, and through a pooler in transaction mode: nothing outlives the transaction.
 */
export class PinnedSession {
  #pid?: number;
  #isPinned = false;
  #reading = new Set<AsyncGenerator<Uint8Array, void, void>>();
  readonly #alive: Liveness;
  readonly #stopped = new Interruption();
  readonly #onStop = () => {
    this.#stopped.end(this.options.stop.reason);
    this.connection.cancel();
  };

  private constructor(
    private readonly address: PostgresAddress,
    private readonly options: PinnedOptions,
    private readonly connection: Connection,
    /** The tables that are locked, by oid. */
    readonly tables: readonly ListedTable[],
  ) {
    this.#alive = new Liveness(address, connection, { silenceMs: silenceOf(options), pid: () => this.#pid });
    options.stop.addEventListener("abort", this.#onStop);
  }

  /**
   * Begins the transaction and locks all tables against changes of their form, before any query has made it see
   * anything: whoever pins first and locks then finds tables empty that were rewritten in between.
   *
   * @throws {AmberError} as connect(); DATABASE_FORBIDDEN naming the table; TABLE_LOCKED naming table and holder;
   * DATABASE_LOST
   */
  static async prepare(address: PostgresAddress, options: PinnedOptions): Promise<PinnedSession> {
    const waitMs = options.waitMs ?? 60_000;
    const { connection, rows: [facts] } = await connect(address, {
      ...options,
      waitMs: options.waitMs ?? 0,
      create: false,
      applicationName: `amber ${options.by}`.slice(0, 63),
      hello,
    });
    const alive = new Liveness(address, connection, { silenceMs: silenceOf(options), pid: () => undefined });
    const stopped = new Interruption();
    const stop = () => stopped.end(options.stop.reason);
    options.stop.addEventListener("abort", stop);
    try {
      const deadline = performance.now() + waitMs;
      const settings = settingsFor(Number(facts?.number));
      const locking = lockTables(connection, { ...options, address, role: String(facts?.role), settings, deadline });
      const tables = await stopped.during(alive.during(locking));
      return new PinnedSession(address, options, connection, tables);
    } catch (error) {
      connection.cancel(); // a server that waits for a lock does not notice that we go
      await connection.close();
      throw options.stop.aborted ? options.stop.reason : refusal(error, address);
    } finally {
      options.stop.removeEventListener("abort", stop);
    }
  }

  /** The moment: what is read from now on is what there was now. */
  async pin(): Promise<void> {
    if (this.#isPinned) throw new TypeError("pinned already");
    this.#isPinned = true;
    const [row] = await this.query("select pg_catalog.pg_backend_pid() as pid");
    this.#pid = Number(row?.pid);
  }

  /**
   * Whether at the moment there were the tables that are locked, and no others. If not, the moment is of no use: close
   * this, prepare again, pin again. What came or went is reported as a note.
   */
  async confirm(): Promise<boolean> {
    const { tables } = tablesOf(await this.query(tableListSql));
    const changes = changesBetween(this.tables, tables);
    if (changes.length === 0) return true;
    const more = changes.length > 3 ? ` and ${changes.length - 3} more` : "";
    const message = `the tables changed while they were being locked: ${changes.slice(0, 3).join(", ")}${more}`;
    this.options.report({ type: "note", message });
    return false;
  }

  /** @throws {AmberError} DATABASE_LOST, DATABASE_FORBIDDEN, STATEMENT_FAILED; that is the end of the transaction. */
  async query(sql: string): Promise<Row[]> {
    this.#ready();
    try {
      return await this.#stopped.during(this.#alive.during(this.connection.query(sql)));
    } catch (error) {
      this.options.stop.throwIfAborted();
      throw refusal(error, this.address);
    }
  }

  /**
   * The bytes of `COPY … TO STDOUT`, cut anywhere, as fast as they are taken and no faster. One at a time, and no query
   * meanwhile. Leaving it early ends the transaction.
   *
   * @throws {AmberError} as query()
   */
  async *copyOut(sql: string): AsyncGenerator<Uint8Array, void, void> {
    this.#ready();
    const rows = this.connection.copyOut(sql, { signal: this.options.stop });
    this.#reading.add(rows);
    try {
      for (;;) {
        const { done, value } = await this.#alive.during(rows.next());
        if (done) return;
        yield value;
      }
    } catch (error) {
      this.options.stop.throwIfAborted();
      throw refusal(error, this.address);
    } finally {
      this.#reading.delete(rows);
      await rows.return();
    }
  }

  /** Ends the transaction and the connection. Never throws, and never waits long. */
  async close(): Promise<void> {
    this.options.stop.removeEventListener("abort", this.#onStop);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, goodbyeMs));
    await Promise.race([this.#rollback(), late]);
    clearTimeout(timer);
    await this.connection.close();
  }

  async #rollback(): Promise<void> {
    try {
      await this.connection.cancel(); // nothing is asked when nothing runs
      await Promise.all([...this.#reading].map((rows) => rows.return()));
      await this.connection.query("rollback"); // a pooler gives the session to somebody else
    } catch {
      // Lost or busy: the server rolls back when the connection ends.
    }
  }

  #ready(): void {
    if (!this.#isPinned) throw new TypeError("a query before the moment would be the moment");
    this.options.stop.throwIfAborted();
  }
}

function silenceOf({ silenceMs = 30_000 }: PinnedOptions): number {
  return silenceMs;
}

/** What the transaction is told at its beginning. SET takes no snapshot; `select set_config()` would. */
function settingsFor(serverVersion: number): string[] {
  const settings = [
    "search_path = ''",
    "datestyle = 'ISO, MDY'",
    "intervalstyle = 'postgres'",
    "extra_float_digits = 3",
    "bytea_output = 'hex'",
    "timezone = 'UTC'", // the same bytes whatever zone the server is in
    "client_encoding = 'UTF8'",
    "standard_conforming_strings = on",
    "quote_all_identifiers = off",
    "row_security = off", // an error instead of missing rows
    "synchronize_seqscans = off", // the same order each time
    "statement_timeout = 0",
    "idle_in_transaction_session_timeout = 0",
    ...(serverVersion >= 170000 ? ["transaction_timeout = 0"] : []),
  ];
  return settings.map((setting) => `set local ${setting}`);
}

/** A failure as people read it. */
function refusal(error: unknown, address: PostgresAddress): unknown {
  const isLost = error instanceof ConnectionLost ||
    (error instanceof StatementFailure && /^57P0/.test(error.code ?? ""));
  const there = where(address, { reached: true });
  if (isLost) {
    return new AmberError("DATABASE_LOST", {
      message: `Cannot read the database to its end: ${(error as Error).message}`,
      where: there,
      hint: "Nothing of the database was changed. Run the same command again.",
      cause: error,
    });
  }
  if (!(error instanceof StatementFailure)) return error;
  const isFull = error.code === "53200" && /lock/i.test(`${error.message} ${error.hint ?? ""}`);
  return new AmberError(error.code === "42501" ? "DATABASE_FORBIDDEN" : "STATEMENT_FAILED", {
    message: `Cannot read the database: ${error.message}`,
    where: there,
    detail: error.detail ?? error.context,
    hint: isFull ? "There are more tables than the server can lock: raise max_locks_per_transaction." : error.hint,
    cause: error,
  });
}
