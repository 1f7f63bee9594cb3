/** Every code that amber's errors carry, with the exit status that it leads to. Codes are never reused. */
export const exitStatuses = {
  // 1: it failed: a statement, a file
  STATEMENT_FAILED: 1,
  STATEMENT_UNCERTAIN: 1,
  CODE_FAILED: 1,
  ROWS_LOST: 1,
  FOREIGN_KEY_BROKEN: 1,
  MIGRATION_MALFORMED: 1,
  MIGRATION_NAME: 1,
  MIGRATION_VARIANT_MISSING: 1,
  FILE_UNWRITABLE: 1,
  FILE_UNREADABLE: 1,
  DISK_FULL: 1,
  STORE_FAILED: 1,
  STORE_FULL: 1,
  SAFETY_SNAPSHOT_FAILED: 1,
  RESTORE_UNFINISHED: 1,
  RESTORE_BLOCKED: 1,
  DATA_CHANGING: 1,
  UNEXPECTED: 1,
  // 2: ask differently
  USAGE: 2,
  COMMAND_UNKNOWN: 2,
  CONFIG_EMPTY: 2,
  CONFIG_INCOMPLETE: 2,
  CONFIG_UNREADABLE: 2,
  CONFIG_VALUE: 2,
  DATABASE_URL_MALFORMED: 2,
  DATABASE_URL_AMBIGUOUS: 2,
  DATABASE_REFUSED: 2,
  DATABASE_UNKNOWN: 2,
  DATABASE_FORBIDDEN: 2,
  DATABASE_PATH: 2,
  DATABASE_FORMAT: 2,
  DATABASE_POOLED: 2,
  MIGRATIONS_MISSING: 2,
  MIGRATION_UNKNOWN: 2,
  MIGRATION_AMBIGUOUS: 2,
  MIGRATION_IRREVERSIBLE: 2,
  CONFIRMATION_NEEDED: 2,
  DATA_MISSING: 2,
  DATA_EMPTY: 2,
  REPOSITORY_MISSING: 2,
  REPOSITORY_FOREIGN: 2,
  REPOSITORY_NEWER: 2,
  STORE_FORBIDDEN: 2,
  SNAPSHOT_UNKNOWN: 2,
  SNAPSHOT_AMBIGUOUS: 2,
  SNAPSHOT_FILE_UNKNOWN: 2,
  PROGRAM_MISSING: 2,
  // 3: the answer is no
  MIGRATIONS_PENDING: 3,
  SNAPSHOT_TOO_OLD: 3,
  // 4: drift
  MIGRATION_DRIFT: 4,
  MIGRATION_MISSING: 4,
  MIGRATION_LATE: 4,
  MIGRATION_CONFLICT: 4,
  MIGRATION_CYCLE: 4,
  MIGRATION_PARENT_MISSING: 4,
  HISTORY_FOREIGN: 4,
  // 5: not now
  DATABASE_SILENT: 5,
  DATABASE_LOST: 5,
  DATABASE_UNREADABLE: 5,
  LOCK_HELD: 5,
  LOCK_LOST: 5,
  TABLE_LOCKED: 5,
  DATABASE_BUSY: 5,
  RESTORE_RUNNING: 5,
  STORE_SILENT: 5,
  // 6: the snapshot is done, but not of everything
  SNAPSHOT_INCOMPLETE: 6,
  // 7: stored data are damaged
  OBJECT_DAMAGED: 7,
  OBJECT_MISSING: 7,
  DRILL_FAILED: 7,
  // 126: `run`: CMD is there and cannot be started. One that is not found is PROGRAM_MISSING with 127
  PROGRAM_REFUSED: 126,
  // 130 and 143: interrupted
  INTERRUPTED: 130,
  TERMINATED: 143,
} as const;

/** One of the codes above: programs branch on it, never on the text. */
export type ErrorCode = keyof typeof exitStatuses;

export interface ErrorParts {
  /** What could not be done and why. Starts with the action, quotes names, no full stop. Never a password. */
  message: string;
  /** File with line and column, or the database. */
  where?: string;
  /** The one thing to do next, with the command if there is one. */
  hint?: string;
  /** More lines to show between message and hint: the statement with its caret, the database's own words. */
  detail?: string;
  cause?: unknown;
  /** Exit status where it is not the code's own: `run` has some for what keeps it from starting its CMD. */
  exit?: number;
}

/** A failure that can happen to a user: a stable code for programs, a message and a hint for people. */
export class AmberError extends Error {
  /** What happened, for programs. */
  readonly code: ErrorCode;
  /** File with line and column, or the database. */
  readonly where?: string;
  /** The one thing to do next. */
  readonly hint?: string;
  /** The statement with its caret, the database's own words. */
  readonly detail?: string;
  /** The exit status that the command line ends with. */
  readonly exitStatus: number;

  /** An error with a code of the table. */
  constructor(code: ErrorCode, parts: ErrorParts) {
    super(parts.message, { cause: parts.cause });
    this.name = "AmberError";
    this.code = code;
    this.where = parts.where;
    this.hint = parts.hint;
    this.detail = parts.detail;
    this.exitStatus = parts.exit ?? exitStatuses[code];
  }
}
