import { type PostgresAddress, where } from "../../database_url.ts";
import { AmberError } from "../../errors.ts";
import {
  type Engine,
  type LockRequest,
  type OpenOptions,
  quoteName,
  type Row,
  type Runnable,
  StatementFailure,
  type Value,
} from "../engine.ts";
import { BlockerWatch, describe } from "./blockers.ts";
import { connect } from "./connect.ts";
import { type Connection, ConnectionLost } from "./connection.ts";
import { type HeldLock, heldSql, keyName, takeLock } from "./lock.ts";
import { sendAll, shortLockMs } from "./pipeline.ts";
import { settleUnfinished } from "./unfinished.ts";

const historyTable = "amber_migrations";
const cleanSession = "reset session authorization; reset role; reset all";

const hello =
  `select pg_catalog.current_schema() as amber_schema, pg_catalog.current_setting('server_version') as amber_version,
  pg_catalog.current_setting('server_version_num')::int as amber_number,
  pg_catalog.hashtextextended(pg_catalog.current_database() || '/' || pg_catalog.current_schema() || '/${historyTable}', 0)::text as amber_key`;

/** Postgres 13 to 18, direct or behind a transaction pooler. */
export class PostgresEngine implements Engine {
  readonly dialect = "postgres";
  readonly where: string;
  readonly history: string;
  readonly version: string;
  asked?: Row[];
  #first: Connection;
  #work?: Connection;
  #held?: HeldLock;
  #workPid?: number;
  /** Behind a pooler, what tells a later run that a statement of this one still runs: see unfinished.ts. */
  #mark?: string;
  #inTransaction = false;
  readonly #serverVersion: number;
  readonly #key: bigint;
  readonly #watch: BlockerWatch;

  private constructor(
    private readonly address: PostgresAddress,
    private readonly options: OpenOptions,
    first: Connection,
    facts: Row,
  ) {
    this.#first = first;
    this.where = where(address, { reached: true });
    if (facts.amber_schema === null || facts.amber_schema === undefined) {
      throw new AmberError("DATABASE_FORBIDDEN", {
        message: "Cannot use the database: no schema of the search_path exists or may be used by this role",
        where: this.where,
        hint: "create schema …, or set search_path, e.g. in the URL: ?options=-c%20search_path%3Dapp",
      });
    }
    this.history = `${quoteName(String(facts.amber_schema))}.${historyTable}`;
    this.version = String(facts.amber_version);
    this.#serverVersion = Number(facts.amber_number);
    this.#key = BigInt(String(facts.amber_key));
    this.#watch = new BlockerWatch(address, options.report);
  }

  static async open(address: PostgresAddress, options: OpenOptions): Promise<PostgresEngine> {
    const { connection, rows } = await greet(address, options);
    try {
      const engine = new PostgresEngine(address, options, connection, rows[0] ?? {});
      // An outer join: one row of facts alone when the answer is empty.
      if (rows[0] && "name" in rows[0]) engine.asked = rows.filter((row) => row.name !== null);
      return engine;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  async query(sql: string, params: readonly Value[] = []): Promise<Row[]> {
    return await this.#connection().query(sql, params).catch((error) => this.#fail(error));
  }

  async run(statements: readonly Runnable[]): Promise<void> {
    this.#watch.start(() => this.#workPid);
    try {
      const inTransaction = this.#inTransaction;
      const mark = inTransaction ? undefined : this.#mark;
      await sendAll(this.#connection(), statements, { inTransaction, mark, stop: this.options.stop });
    } catch (error) {
      const isLockTimeout = error instanceof StatementFailure && error.code === "55P03";
      if (isLockTimeout && this.#workPid !== undefined && this.#watch.latest.length > 0) {
        const who = describe(this.#watch.latest);
        const message = `gave up a lock after ${shortLockMs / 1000} s so that others can go on; it was held by ${who}`;
        this.options.report({ type: "note", message });
      }
      return this.#fail(error);
    } finally {
      this.#watch.stop();
    }
  }

  /** Runs `COPY … FROM stdin` in the transaction that `begin()` began; gives how many rows came. */
  async copyIn(sql: string, source: AsyncIterable<Uint8Array>): Promise<number> {
    return await this.#connection().copyIn(sql, source, { signal: this.options.stop }).catch((error) =>
      this.#fail(error)
    );
  }

  async lock(request: LockRequest): Promise<void> {
    if (this.#held) return;
    this.#held = await takeLock(this.#first, this.#key, request, {
      ...this.options,
      serverVersion: this.#serverVersion,
      where: this.where,
    }).catch((error) => this.#fail(error));
    const name = `amber work ${keyName(this.#key)}`;
    // A pooler leaves the name on its server's session for a client that has none of its own: see begin() and run().
    if (await this.#first.isPooled()) this.#mark = name;
    const opened = await connect(this.address, {
      ...this.options,
      waitMs: Math.max(this.options.waitMs, 5_000),
      create: false,
      applicationName: label(this.address, this.#mark ? `amber ${this.options.by}` : name),
      hello: "select pg_catalog.pg_backend_pid() as pid",
    }).catch((error) => {
      if (!this.#mark || !(error instanceof AmberError) || error.code !== "DATABASE_SILENT") throw error;
      throw new AmberError("DATABASE_POOLED", {
        message: "Cannot get a second connection from the pooler: one keeps the lock, one does the work",
        where: this.where,
        hint: "Give its pool at least 3 connections (default_pool_size), or connect to the server directly.",
        cause: error,
      });
    });
    this.#work = opened.connection;
    await settleUnfinished(this.#work, name, {
      ...this.options,
      waitMs: request.waitMs ?? 60_000,
      where: this.where,
    }).catch((error) => this.#fail(error));
  }

  async unlock(): Promise<void> {
    await this.rollback();
    await this.#watch.close();
    await this.#work?.close();
    this.#work = undefined;
    if (this.#held) await this.#first.query("rollback").catch(() => {}); // lost: then the lock is gone as well
    this.#held = undefined;
  }

  async begin(): Promise<{ changed: boolean }> {
    if (this.#inTransaction) return { changed: false };
    const settings = [
      "begin isolation level read committed",
      "set local lock_timeout = 0",
      "set local idle_in_transaction_session_timeout = 0",
      "set local standard_conforming_strings = on", // what the splitter reads by
      // The server notices the death of a client while a statement runs.
      ...(this.#serverVersion >= 140000 ? ["set local client_connection_check_interval = '2s'"] : []),
      ...(this.#mark ? [`set local application_name = '${this.#mark}'`] : []),
      "select pg_catalog.pg_backend_pid() as pid",
    ];
    const [row] = await this.query(settings.join("; "));
    this.#workPid = Number(row?.pid);
    this.#inTransaction = true;
    return { changed: false };
  }

  lockHeldSql(): string {
    return this.#held ? heldSql(this.#held) : "true";
  }

  async commit(): Promise<void> {
    try {
      await this.query("commit");
    } finally {
      this.#inTransaction = false;
      this.#workPid = undefined;
    }
  }

  async commitWith(change: string): Promise<boolean> {
    try {
      // No row makes 1 / 0, an error that skips the commit behind it.
      await this.query(`${cleanSession}; with changed as (${change}) select 1 / count(*) as hit from changed; commit`);
      this.#inTransaction = false;
      this.#workPid = undefined;
      return true;
    } catch (error) {
      if (error instanceof StatementFailure && error.code === "22012") return false;
      throw error;
    }
  }

  async rollback(): Promise<void> {
    if (!this.#inTransaction) return;
    this.#inTransaction = false;
    this.#workPid = undefined;
    await this.#connection().query("rollback").catch(() => {}); // lost: the server rolls back by itself
  }

  /** Inside the migration's own transaction, so that a pooler's next client finds a clean session. */
  async reset(): Promise<void> {
    await this.query(cleanSession);
  }

  /**
   * Outside a transaction: makes sure that no `lock_timeout` or `statement_timeout` of the role cuts off a concurrent
   * build, which would leave an invalid index. `release` undoes it. Behind a pooler a SET would leak to other clients.
   *
   * @throws {AmberError} DATABASE_POOLED
   */
  async withoutTimeouts<T>(work: () => Promise<T>): Promise<T> {
    const rows = await this.query(
      "select name, setting from pg_catalog.pg_settings where name in ('lock_timeout', 'statement_timeout') and setting <> '0'",
    );
    if (rows.length > 0 && await this.isPooled()) {
      const names = rows.map((row) => row.name).join(" and ");
      throw new AmberError("DATABASE_POOLED", {
        message:
          `Cannot run a statement outside a transaction: ${names} is set for this role, and a pooler stands before the server`,
        where: this.where,
        hint: rows.map((row) => `alter role ${quoteName(this.address.user)} set ${row.name} = 0;`).join(" ") +
          " Or connect to the server directly.",
      });
    }
    for (const row of rows) await this.query(`set ${row.name} = 0`);
    const [row] = await this.query("select pg_catalog.pg_backend_pid() as pid");
    this.#workPid = Number(row?.pid);
    try {
      return await work();
    } finally {
      this.#workPid = undefined;
      for (const row of rows) await this.#connection().query(`reset ${row.name}`).catch(() => {}); // the session may be gone
    }
  }

  /** Whether a pooler hands out server processes: its greeting names a process of its own making. */
  async isPooled(): Promise<boolean> {
    return await this.#connection().isPooled();
  }

  /** Who blocked the work just now, for messages. */
  blockers(): string {
    return describe(this.#watch.latest);
  }

  // deno-lint-ignore require-await
  async cancel(): Promise<void> {
    this.#work?.cancel();
  }

  async close(): Promise<void> {
    await this.unlock();
    await this.#first.close();
  }

  #connection(): Connection {
    return this.#work ?? this.#first;
  }

  #fail(error: unknown): never {
    if (error instanceof ConnectionLost || (error instanceof StatementFailure && /^57P0[123]/.test(error.code ?? ""))) {
      throw new AmberError("DATABASE_LOST", {
        message: `Cannot go on: ${
          error instanceof StatementFailure ? error.message : "the connection to the database was lost"
        }`,
        where: this.where,
        hint: "What was not committed is rolled back. Run the same command again.",
        cause: error,
      });
    }
    throw error;
  }
}

/** Connects; the facts, and the answer to `ask` with them in one query, unless its table is missing. */
async function greet(address: PostgresAddress, options: OpenOptions) {
  const by = { ...options, applicationName: label(address, `amber ${options.by}`) };
  if (options.ask) {
    const both =
      `with facts as materialized (${hello}), asked as (${options.ask}) select * from facts left join asked on true`;
    try {
      return await connect(address, { ...by, hello: both });
    } catch (error) {
      const refused = error instanceof AmberError ? error.cause : error;
      // No such table or column, no right to read it: that has its own words later, and the rest of the answer is needed.
      if (!(refused instanceof StatementFailure) || !["42P01", "42501", "42703"].includes(refused.code ?? "")) {
        throw error;
      }
    }
  }
  return await connect(address, { ...by, hello });
}

/** The user's own application_name stays visible in front of ours; Postgres keeps 63 bytes. */
function label(address: PostgresAddress, name: string): string {
  const own = address.applicationName ? `${address.applicationName.slice(0, 30)} ` : "";
  return `${own}${name}`.slice(0, 63);
}
