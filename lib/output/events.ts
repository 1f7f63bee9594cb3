import type { DiffEvent } from "../stories/diff.ts";
import type { DrillEvent } from "../stories/drill.ts";
import type { ListEvent } from "../stories/list_files.ts";
import type { MigrateEvent } from "../stories/migrate.ts";
import type { ProgressEvent } from "../stories/progress.ts";
import type { RehearseEvent } from "../stories/rehearse.ts";
import type { RestoreEvent } from "../stories/restore_types.ts";
import type { SnapshotEvent } from "../stories/snapshot.ts";
import type { WipeEvent } from "../stories/wipe.ts";

/** Everything that a story can report while it works. */
export type Event =
  | MigrateEvent
  | ProgressEvent
  | SnapshotEvent
  | RestoreEvent
  | ListEvent
  | DiffEvent
  | DrillEvent
  | RehearseEvent
  | WipeEvent;

/** What a command ends with: facts for programs, lines for people. */
export interface Outcome {
  /** The fields of the last JSON line, beside `type: "result"`. */
  result: Record<string, unknown>;
  /** What a person reads on stdout. */
  lines: string[];
  /** Exit status; default 0. */
  exit?: number;
}
