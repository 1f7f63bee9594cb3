/** One row of the table `amber_migrations`. */
export interface HistoryRow {
  name: string;
  /** SHA-256 over the statements after splitting; over the text with plain line ends for code. */
  checksum: string;
  /** Version of the splitter that made `checksum`, so that a later amber does not take its own change for an edit. */
  splitter: number;
  /** 8 hex digits for each statement, to say which one was changed. */
  hashes: string;
  /** SHA-256 of the file's bytes: equal means unchanged, whatever else. */
  rawHash: string;
  /** `running`, `reverting`: it was begun outside a transaction and has not been finished. */
  state: "applied" | "running" | "reverting";
  /** Statements done, while running or reverting. */
  done: number;
  /** SHA-256 over the first `done` statements. */
  doneHash: string | null;
  /** How many statements there are. */
  statements: number;
  /** Journal of a statement outside a transaction that was begun: JSON of `Begun`. */
  begun: string | null;
  /** Where a batch of a code migration stands: JSON. */
  checkpoint: string | null;
  /** ISO 8601, UTC. */
  appliedAt: string;
  durationMs: number;
  /** user@host */
  appliedBy: string;
  amber: string;
  /** Id of the safety snapshot that was taken before. */
  snapshot: string | null;
  /** The down section's SQL, so that an older binary can undo what a newer one did; null: irreversible, or code. */
  down: string | null;
  digest: string | null;
}

/** The version of what `normalized()` makes of statements. Raise it when checksums would change. */
export const splitterVersion = 1;
