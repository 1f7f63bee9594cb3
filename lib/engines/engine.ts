import type { Dialect } from "../migrations/lexer.ts";

/** What goes into a statement as a parameter. On SQLite a whole number is bound as INTEGER, any other as REAL. */
export type Value = string | number | bigint | boolean | null | Uint8Array;
/** One row: column names and values. */
export type Row = Record<string, unknown>;

/** One statement as an engine runs it. */
export interface Runnable {
  text: string;
  /** Rows of a `COPY … FROM stdin`, as they stand in the file. */
  data?: string;
  /**
   * How long it may wait for a table lock: `short` for what takes locks that stop others (tried again by the caller),
   * `none` for what must not be cut off (concurrent builds, backfills), `own` when the file sets its own limit.
   */
  lockWait?: "short" | "none" | "own";
}

/** A session that holds something that a statement waits for. */
export interface Blocker {
  /** Its server process. */
  pid: number;
  /** Its application_name. */
  application: string;
  /** Its role. */
  user: string;
  /** e.g. `idle in transaction` */
  state: string;
  /** Since when its transaction runs, in seconds. */
  ageSeconds: number;
  /** When its latest query began, ISO 8601. */
  queryStart?: string;
  /** Its latest query, at most 200 characters; when this role may see it. */
  query?: string;
}

/** What engines tell while they work; stories pass it on to the reporter. */
export type EngineEvent =
  | { type: "note"; message: string }
  | { type: "waiting"; message: string; remainingSeconds?: number }
  | { type: "blocked"; message: string; blockers: Blocker[] }
  | { type: "notice"; severity: string; message: string };

/** A statement that the database refused. */
export class StatementFailure extends Error {
  /** Which of the statements handed to `run()`, from 0. */
  index = 0;
  /** Where in that statement's text, in UTF-16 units, when the database says so. */
  offset?: number;
  /** SQLSTATE, or `SQLITE_BUSY` and the like. */
  readonly code?: string;
  readonly detail?: string;
  readonly hint?: string;
  /** The database's own call stack, for errors inside functions. */
  readonly context?: string;

  constructor(
    message: string,
    parts: { offset?: number; code?: string; detail?: string; hint?: string; context?: string; cause?: unknown } = {},
  ) {
    super(message, { cause: parts.cause });
    this.name = "StatementFailure";
    this.offset = parts.offset;
    this.code = parts.code;
    this.detail = parts.detail;
    this.hint = parts.hint;
    this.context = parts.context;
  }
}

export interface OpenOptions {
  /** How long to wait for a database that does not answer; 0: one try of at most 5 s. */
  waitMs: number;
  /** How long to wait for a SQLite file that somebody else has locked. Default: 10 minutes; `lock()` sets its own. */
  patienceMs?: number;
  /** Create a Postgres database or a SQLite file that does not exist. */
  create: boolean;
  /** Look only: nothing is written or created, no lock is taken, also on a read-only disk. */
  readOnly: boolean;
  /** With `readOnly`, for a command that writes later: may roll back what a killed writer left half written (SQLite). */
  recover?: boolean;
  /** A query that Postgres answers together with the greeting's facts, to save the usual start a round trip: see `Engine.asked`. */
  ask?: string;
  /** Aborts every wait; its reason is thrown. */
  stop: AbortSignal;
  /** Who runs this, `user@host`: goes into the history and into names that other runners see. */
  by: string;
  report: (event: EngineEvent) => void;
}

export interface LockRequest {
  /** How long to wait for another amber; undefined: as long as its session lives (Postgres), 10 minutes (SQLite). */
  waitMs?: number;
  /** The plan has steps that commit in between: on SQLite a lock file then keeps other runners out throughout. */
  journaled: boolean;
}

/** SQLite or Postgres: what running migrations needs of a database. tests/engines/contract.ts holds for both. */
export interface Engine {
  readonly dialect: Dialect;
  /** For people: which database; never a password. */
  readonly where: string;
  /** The history table's name, qualified and quoted. */
  readonly history: string;
  /** Server or library version, e.g. `15.18` or `3.53.2`. */
  readonly version: string;

  /** The answer to `ask`; undefined when it was not asked, or its table is missing. */
  readonly asked?: Row[];

  /** Rows of one statement. @throws {StatementFailure} */
  query(sql: string, params?: readonly Value[]): Promise<Row[]>;
  /** Runs statements in order, each in full, results dropped. @throws {StatementFailure} with the index of the first that failed. */
  run(statements: readonly Runnable[]): Promise<void>;

  /** Takes the migration lock. On SQLite that is a write transaction, which the first `begin()` then uses. @throws {AmberError} LOCK_HELD */
  lock(request: LockRequest): Promise<void>;
  unlock(): Promise<void>;

  /**
   * Begins a transaction, or goes on in the one that `lock()` opened. `changed`: others may have written since the last
   * call, so that the history must be read again (SQLite only: on Postgres the lock keeps them out).
   */
  begin(options?: { foreignKeys?: boolean }): Promise<{ changed: boolean }>;
  /** SQL for a WHERE: true while this runner still holds its lock as the server sees it. */
  lockHeldSql(): string;
  /** `reopen`: the migration left something in the connection that must not reach the next one (SQLite). */
  commit(options?: { reopen?: boolean }): Promise<void>;
  /**
   * Cleans the session as `reset()` does, makes one change that must hit exactly one row, and commits: one round trip.
   *
   * @param change An INSERT, UPDATE or DELETE with RETURNING.
   * @returns false when it hit none; then nothing is committed.
   */
  commitWith(change: string, options?: { reopen?: boolean }): Promise<boolean>;
  /** Ends the transaction, if any, and undoes it. Never throws: a lost connection rolls back by itself. */
  rollback(): Promise<void>;
  /** Postgres, inside the migration's transaction: undoes what it did to the session's settings and role. */
  reset(): Promise<void>;
  /** Runs statements outside any transaction, with nothing of the session's that could cut them off. @throws {AmberError} DATABASE_POOLED */
  withoutTimeouts<T>(work: () => Promise<T>): Promise<T>;
  /** Whether a pooler stands before the server, so that session settings would leak to others. */
  isPooled(): Promise<boolean>;
  /** Who held up the latest statement, for messages; empty when nobody is known. */
  blockers(): string;

  /** Asks the running statement to stop, as far as the engine can. */
  cancel(): Promise<void>;
  close(): Promise<void>;
}

/** A text or number as it stands in a statement; Postgres strings are read alike under both settings of standard_conforming_strings. */
export function literal(value: string | number | bigint | boolean | null | undefined, dialect: Dialect): string {
  if (value === null || value === undefined) return "NULL";
  if (typeof value === "boolean") return dialect === "postgres" ? String(value) : value ? "1" : "0";
  if (typeof value !== "string") return String(value);
  const quoted = `'${value.replaceAll("'", "''")}'`;
  return dialect === "postgres" && value.includes("\\") ? ` E${quoted.replaceAll("\\", "\\\\")}` : quoted;
}

/** A name as it stands in a statement. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
