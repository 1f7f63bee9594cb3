import type { Asked } from "../capture/restore_decision.ts";
import { AmberError } from "../errors.ts";
import { idOf, type Snapshot } from "../repository/snapshot_file.ts";
import type { Emptiness } from "./restore_if_empty.ts";
import { type RestoreTarget, selectionOf } from "./restore_target.ts";
import type { RestoredSnapshot, RestoreOptions, RestoreResult } from "./restore_types.ts";

/** Default waits, ms: for another restore and for a database's lock; the container's start is patient. */
const waits = { usual: 5_000, ifEmpty: 600_000 };

/** undefined: with `ifEmpty`, where there is no snapshot yet. @throws {AmberError} SNAPSHOT_UNKNOWN, SNAPSHOT_AMBIGUOUS */
export async function find({ repository, wanted, at, ifEmpty, report }: RestoreOptions): Promise<Snapshot | undefined> {
  if (!repository) {
    if (ifEmpty) return undefined;
    throw new AmberError("REPOSITORY_MISSING", {
      message: `Cannot restore "${wanted}": there is no repository yet`,
      hint:
        "The first amber snapshot makes it. If there should be one: is the volume mounted, is AMBER_REPOSITORY right?",
    });
  }
  try {
    return await repository.find(wanted, {
      ...(at ? { at } : {}),
      damaged: (error) => report({ type: "note", message: error.message }),
    });
  } catch (error) {
    const isFirst = ifEmpty && error instanceof AmberError && error.code === "SNAPSHOT_UNKNOWN" &&
      (await repository.names()).length === 0;
    if (isFirst) return undefined;
    throw error;
  }
}

export function askedFor({ wanted, at, selection, owners = false, ifEmpty = false }: RestoreOptions): Asked {
  return { wanted, ...(at ? { at: at.toISOString() } : {}), selection: selectionOf(selection), owners, ifEmpty };
}

export function narrowed({ selection }: Asked, empty: Emptiness): Asked["selection"] {
  return { ...selection, files: selection.files && empty.files, database: selection.database && empty.database };
}

export function waitOf(
  { waitMs, stop, report, ifEmpty }: Pick<RestoreOptions, "waitMs" | "stop" | "report" | "ifEmpty">,
): { waitMs: number; stop: AbortSignal; report: RestoreOptions["report"] } {
  return { waitMs: waitMs ?? (ifEmpty ? waits.ifEmpty : waits.usual), stop, report };
}

export function refusePartial(snapshot: Snapshot): void {
  if (snapshot.kind !== "partial") return;
  throw new AmberError("SNAPSHOT_UNKNOWN", {
    message: `Cannot restore ${idOf(snapshot)}: it is the trace of a snapshot that was never finished`,
    hint: "amber snapshots lists those that are whole.",
  });
}

/** Who asks for the database alone is not served with nothing. */
export function refuseNoDatabase({ database, to }: RestoreOptions, snapshot: Snapshot, { selection }: Asked): void {
  if (!selection.database || selection.files) return;
  if (to === undefined && database?.engine === "postgres" ? snapshot.facts.postgres : hasDatabase(snapshot)) return;
  throw new AmberError("SNAPSHOT_FILE_UNKNOWN", {
    message: `Cannot restore the database: the snapshot ${idOf(snapshot)} has none`,
    hint: "amber snapshots lists the others.",
  });
}

export function hasDatabase({ facts }: Snapshot): boolean {
  return facts.databases.some(({ configured }) => configured);
}

export function shown(snapshot: Snapshot): RestoredSnapshot {
  const { hash, time, kind } = snapshot;
  return { id: idOf(snapshot), hash, time, kind };
}

export function nothing(reason: RestoreResult["reason"], target: RestoreTarget): RestoreResult {
  const none = { placed: 0, unchanged: 0, gone: 0, bytes: 0, notes: [], target: target.root };
  return { state: "nothing", ...(reason === undefined ? {} : { reason }), ...none };
}
