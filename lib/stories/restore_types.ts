import type { RestoreCalls } from "../capture/restore_calls.ts";
import type { RestorePlan } from "../capture/restore_plan.ts";
import type { DatabaseAddress } from "../database_url.ts";
import type { EngineEvent } from "../engines/engine.ts";
import type { Patterns } from "../patterns.ts";
import type { Repository } from "../repository/repository.ts";
import type { Kind, Snapshot } from "../repository/snapshot_file.ts";
import type { ProgressEvent } from "./progress.ts";

/** What is told while a restore runs. */
export type RestoreEvent =
  /** `note`: something a person should know; `waiting`: for another restore, or for a database's lock. */
  | Extract<EngineEvent, { type: "note" | "waiting" }>
  /** Which snapshot it is; `latest` and a time are decided now. */
  | { type: "restoring"; snapshot: RestoredSnapshot; target: string }
  | { type: "restore plan"; plan: RestorePlan }
  /** The safety snapshot exists; `command` puts it back. */
  | { type: "safety"; id: string; command: string }
  /** `what`: `restoring` (bytes, while everything is staged), `putting into place` (files), `writing databases`. */
  | ProgressEvent
  /** plan.json is written: from now on the restore is decided, and any later writing command would finish it. */
  | { type: "decided"; id: string };

/** The snapshot that a restore puts back. */
export interface RestoredSnapshot {
  /** The beginning of its hash. */
  id: string;
  /** 64 hex digits. */
  hash: string;
  /** ISO 8601. */
  time: string;
  /** What it was taken for. */
  kind: Kind;
}

/** Where things are: what restore() and finishing an interrupted one both need. */
export interface RestorePlaces {
  /** Absent: there is none yet. */
  repository?: Repository;
  /** The repository's folder, when it is one: it is left alone wherever it lies. */
  repositoryFolder?: string;
  data: string;
  /** The configured database. */
  database?: DatabaseAddress;
  scratch: string;
  /** Other folders that are left alone: the cache. */
  leaveAlone?: readonly string[];
  /** What snapshots leave out is left where it is. */
  exclude: Patterns;
  /** Longest wait for another restore and for a database's lock, ms. Default 5 s; with `ifEmpty` 10 minutes. */
  waitMs?: number;
  now: () => Date;
  random: (size: number) => Uint8Array;
  /** user@host, for the database's own lists. */
  by?: string;
  stop: AbortSignal;
  report: (event: RestoreEvent) => void;
  /** Rename where a database cannot be written through SQLite: only when no server has it open. */
  replace?: boolean;
  /** The snapshot's own schema.sql may make the tables of an empty Postgres database: it is run as it is. */
  schema?: boolean;
  /** Runs the app's own migrations up to this one, in an empty Postgres database. Absent: there are none. */
  replay?: (name: string) => Promise<void>;
  /** Give owners, and set-id bits, as the snapshot has them. */
  owners?: boolean;
  /** For tests: file and database calls that fail, or kill the process. */
  calls?: RestoreCalls;
}

export interface RestoreOptions extends RestorePlaces {
  /** `latest`, or the beginning of an id. */
  wanted: string;
  /** With `latest`: the newest one that is not younger. */
  at?: Date;
  /** Default: everything. Neither `files` nor `database` nor `paths`: everything as well. */
  selection?: { paths?: readonly string[]; files?: boolean; database?: boolean };
  /** Another folder, which must be empty or missing. Nothing of the app is touched then. */
  to?: string;
  /** Stop after planning. */
  plan?: boolean;
  /** Touch only what is empty: files and database are judged separately. Needs no confirmation. */
  ifEmpty?: boolean;
  /** Called with the plan when it overwrites something, before anything is done; throws to stop. */
  confirm?: (plan: RestorePlan, snapshot: Snapshot) => Promise<void> | void;
  /** Takes the safety snapshot. It is called while this story holds the restore's lock. */
  takeSafety: () => Promise<{ id: string; incomplete: boolean }>;
  /** Do without a safety snapshot: only after it was confirmed. */
  noSafety?: boolean;
}

/** What has been done. */
export interface RestoreResult {
  /**
   * `restored`; `finished`: an interrupted one, the same that was asked for; `planned`: with `plan`; `nothing`: with
   * `ifEmpty`, see `reason`.
   */
  state: "restored" | "finished" | "planned" | "nothing";
  /** Why nothing was done. */
  reason?: "no snapshot" | "not empty";
  /** What was put back. */
  snapshot?: RestoredSnapshot;
  /** Absent when an interrupted restore was finished. */
  plan?: RestorePlan;
  /** The safety snapshot's id. */
  safety?: string;
  /** Paths put into place, databases among them; those that were right already; those that went. */
  placed: number;
  /** Paths that were right already. */
  unchanged: number;
  /** Paths that went. */
  gone: number;
  /** Bytes put into place. */
  bytes: number;
  /** Where it went, absolute. */
  target: string;
  /** What a person should know: old damage in a database, what was left out. Each was reported as a note too. */
  notes: string[];
}
