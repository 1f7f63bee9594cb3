import { putBack } from "../capture/put_back.ts";
import { type RestoreCalls, restoreCalls } from "../capture/restore_calls.ts";
import { type Asked, type Decision, writeDecision } from "../capture/restore_decision.ts";
import { explainFailure } from "../capture/restore_failure.ts";
import { stage, type Staged } from "../capture/stage.ts";
import { removeIfThere } from "../capture/target_folder.ts";
import { AmberError } from "../errors.ts";
import type { PostgresRestore } from "../capture/postgres/restore.ts";
import type { SnapshotReader } from "../repository/reader.ts";
import type { Snapshot } from "../repository/snapshot_file.ts";
import type { Looked } from "./restore_look.ts";
import { waitOf } from "./restore_request.ts";
import type { RestoreTarget } from "./restore_target.ts";
import type { RestoreOptions } from "./restore_types.ts";

export async function takeSafety({ takeSafety, report }: RestoreOptions): Promise<string> {
  const hint = "Nothing was touched. Mend that first; or, when it cannot be: --no-safety together with --confirm NAME.";
  let taken: { id: string; incomplete: boolean };
  try {
    taken = await takeSafety();
  } catch (cause) {
    if (cause instanceof AmberError && cause.exitStatus > 128) throw cause; // interrupted
    const why = cause instanceof Error ? cause.message : String(cause);
    const where = cause instanceof AmberError ? cause.where : undefined;
    throw new AmberError("SAFETY_SNAPSHOT_FAILED", {
      message: `Cannot restore: what is there now cannot be kept in a safety snapshot. ${why}`,
      where,
      hint,
      cause,
    });
  }
  if (taken.incomplete) {
    throw new AmberError("SAFETY_SNAPSHOT_FAILED", {
      message:
        `Cannot restore: the safety snapshot ${taken.id} of what is there now is incomplete, some files could not be read`,
      hint,
    });
  }
  report({ type: "safety", id: taken.id, command: `amber restore ${taken.id}` });
  return taken.id;
}

/** The Postgres database that comes, when one does. */
export type PostgresPart = Pick<PostgresRestore, "plan" | "load" | "commit" | "isDone" | "end">;

export interface Prepared {
  contents: SnapshotReader;
  target: RestoreTarget;
  asked: Asked;
  looked: Looked;
}

export async function stageAll(
  options: RestoreOptions,
  { contents, target, asked, looked }: Prepared,
): Promise<Staged> {
  const { calls = restoreCalls, stop, report } = options;
  const { plan, items, full } = looked;
  let done = 0;
  return await stage({
    calls,
    contents,
    folder: target.folder,
    items,
    same: new Set(plan.items.filter(({ how }) => how === "same").map(({ path }) => path)),
    live: new Set(plan.databases.filter(({ way }) => way === "live").map(({ path }) => path)),
    full,
    owners: asked.owners,
    stop,
    progress: (bytes) => {
      done += bytes;
      report({ type: "progress", what: "restoring", done, total: plan.bytes, unit: "bytes" });
    },
  });
}

/** From the moment that this returns the restore is decided. */
export function decide(
  { calls = restoreCalls, now }: RestoreOptions,
  { id, snapshot, target, asked, looked, staged, safety, postgres }: Omit<Prepared, "contents"> & {
    id: string;
    snapshot: Snapshot;
    postgres: { database: string; schema: boolean } | undefined;
    staged: Staged;
    safety: string | undefined;
  },
): Decision {
  const decision: Decision = {
    id,
    snapshot: snapshot.hash,
    name: snapshot.name,
    asked,
    target: target.root,
    ...(target.database === undefined ? {} : { database: target.database }),
    ...(postgres === undefined ? {} : { postgres }),
    ...(safety === undefined ? {} : { safety }),
    time: now().toISOString(),
    names: staged.names,
    databases: looked.items.filter(({ database }) => database).map(({ place }) => place),
    goes: looked.plan.goes,
  };
  writeDecision(target.folder, decision, calls);
  return decision;
}

export async function finishStaged(
  options: RestoreOptions,
  { decision, looked, target, postgres }: {
    decision: Decision;
    looked: Looked;
    target: RestoreTarget;
    postgres: PostgresPart | undefined;
  },
): Promise<{ placed: number; gone: number; bytes: number }> {
  const { calls = restoreCalls, stop, report, replace = false } = options;
  try {
    const { waitMs } = waitOf(options);
    return await putBack({
      ...{ calls, decision, replace, stop, report, waitMs },
      folder: target.folder,
      items: looked.items,
      root: target.root,
      ...(postgres ? { postgres } : {}),
      ...(target.database === undefined ? {} : { database: target.database }),
      isKept: target.isKept,
      progress: (what, done, total) =>
        report({ type: "progress", what, done, total, unit: what === "writing databases" ? "databases" : "files" }),
    });
  } catch (error) {
    throw explainFailure(error, "decided");
  }
}

/** What is staged and not decided is of no use to anybody. Failing at that is no news: the next restore removes it. */
export function undoStaging({ folder, scratch, isElsewhere }: RestoreTarget, calls: RestoreCalls): void {
  try {
    removeIfThere(isElsewhere ? scratch : folder, calls);
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
  }
}
