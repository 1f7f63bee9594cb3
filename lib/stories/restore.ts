import { restoreCalls } from "../capture/restore_calls.ts";
import { type Asked, type Decision, isSameAsk, readDecision } from "../capture/restore_decision.ts";
import { explainFailure } from "../capture/restore_failure.ts";
import { outsidePlace } from "../capture/restore_items.ts";
import { RestoreLock } from "../capture/restore_lock.ts";
import type { Staged } from "../capture/stage.ts";
import { removeIfThere } from "../capture/target_folder.ts";
import { AmberError } from "../errors.ts";
import { statOrNone } from "../fs.ts";
import { besideDriver, BlockPool } from "../repository/pool.ts";
import { SnapshotReader } from "../repository/reader.ts";
import { idOf, type Snapshot } from "../repository/snapshot_file.ts";
import { addPostgres, emptiness, postgresFor } from "./restore_with_postgres.ts";
import { lookBefore, type Looked, refuseHopeless } from "./restore_look.ts";
import {
  askedFor,
  find,
  hasDatabase,
  narrowed,
  nothing,
  refuseNoDatabase,
  refusePartial,
  shown,
  waitOf,
} from "./restore_request.ts";
import { decide, finishStaged, stageAll, takeSafety, undoStaging } from "./restore_steps.ts";
import { otherTarget, ownTarget, refuseFilled, refuseMissingFolder, type RestoreTarget } from "./restore_target.ts";
import type { RestoreOptions, RestoreResult } from "./restore_types.ts";
import { finishRestore } from "./unfinished_restore.ts";

export type * from "./restore_types.ts";

/**
 * Puts a snapshot back: looks and plans, asks, takes a safety snapshot, stages everything and checks it, decides, puts it
 * into place. Until it is decided nothing of the target is touched; from then on it will be finished, by this or by the
 * next command that writes.
 *
 * @throws {AmberError} SNAPSHOT_UNKNOWN and the like; SAFETY_SNAPSHOT_FAILED, RESTORE_BLOCKED, RESTORE_RUNNING,
 * RESTORE_UNFINISHED, DATABASE_BUSY, DISK_FULL, OBJECT_DAMAGED, FILE_UNWRITABLE
 */
export async function restore(options: RestoreOptions): Promise<RestoreResult> {
  try {
    return await (options.plan ? planOnly(options) : restoreNow(options));
  } catch (error) {
    throw explainFailure(error, "staging");
  }
}

async function restoreNow(options: RestoreOptions): Promise<RestoreResult> {
  if (options.at && options.wanted !== "latest") {
    throw new AmberError("USAGE", {
      message: `Cannot restore "${options.wanted}" as of a time: an id means one snapshot, of its own time`,
      hint: "Write latest together with --at, or the id alone.",
    });
  }
  const asked = askedFor(options);
  // Another folder is worked in by itself: it has its own lock, and its own plan.
  const snapshot = options.to === undefined ? undefined : await find(options);
  const target = snapshot ? otherTarget(options.to!, snapshot, options.repositoryFolder) : ownTarget(options);
  // The first deployment: nothing is made where nothing is to be done, least of all a data folder that is not mounted.
  if (options.ifEmpty && !statOrNone(target.folder) && !await find(options)) return nothing("no snapshot", target);
  using _lock = await RestoreLock.take(target.scratch, { ...waitOf(options), for: "restore" });
  const unfinished = readDecision(target.folder, options.calls ?? restoreCalls);
  if (unfinished) {
    const finished = await finishRestore({ ...options, waitMs: waitOf(options).waitMs }, unfinished, target);
    if (target.isElsewhere) removeIfThere(target.scratch, options.calls ?? restoreCalls);
    if (isSameAsk(unfinished.asked, asked)) return { ...finished, state: "finished" };
  }
  const found = snapshot ?? await find(options);
  if (!found) return nothing("no snapshot", target);
  return await restoreSnapshot(options, found, target, asked);
}

async function restoreSnapshot(
  options: RestoreOptions,
  snapshot: Snapshot,
  target: RestoreTarget,
  asked: Asked,
): Promise<RestoreResult> {
  const { report, calls = restoreCalls } = options;
  using pool = new BlockPool(snapshot.facts.postgres ? besideDriver : undefined);
  const contents = new SnapshotReader(options.repository!.store, snapshot, pool);
  if (options.ifEmpty) {
    const empty = await emptiness(options, target, calls);
    if (!empty.files && !empty.database) return nothing("not empty", target);
    asked = { ...asked, selection: narrowed(asked, empty) };
  }
  const looked = await look(options, { snapshot, contents, target, asked });
  const { plan } = looked;
  refuseHopeless(looked, target);
  await using postgres = await postgresFor(options, { contents, target, asked });
  if (postgres) addPostgres(plan, postgres.plan);
  report({ type: "restore plan", plan });
  const isGuarded = plan.overwrites && !target.isElsewhere && !options.ifEmpty;
  if (isGuarded) await options.confirm?.(plan, snapshot);
  const safety = isGuarded && !options.noSafety ? await takeSafety(options) : undefined;
  let staged: Staged;
  let decision: Decision;
  try {
    staged = await stageAll(options, { contents, target, asked, looked });
    for (const message of staged.notes) report({ type: "note", message });
    const id = options.random(16).toHex();
    // All of it but the commit: what cannot be loaded is not decided either.
    await postgres?.load(id);
    const { schema = false } = options;
    const there = postgres && { database: postgres.plan.database, schema };
    decision = decide(options, { id, snapshot, target, asked, looked, staged, safety, postgres: there });
  } catch (error) {
    undoStaging(target, calls);
    throw error;
  }
  report({ type: "decided", id: idOf(snapshot) });
  const put = await finishStaged(options, { decision, looked, target, postgres });
  if (target.isElsewhere) removeIfThere(target.scratch, calls);
  return {
    state: "restored",
    snapshot: shown(snapshot),
    plan,
    ...(safety === undefined ? {} : { safety }),
    ...put,
    unchanged: staged.unchanged.length,
    target: target.root,
    notes: [...plan.notes, ...staged.notes],
  };
}

/** What is found is reported, for whoever asks and for whoever reads the log. */
async function look(
  options: RestoreOptions,
  { snapshot, contents, target, asked }: {
    snapshot: Snapshot;
    contents: SnapshotReader;
    target: RestoreTarget;
    asked: Asked;
  },
): Promise<Looked> {
  const { report, replace = false, calls = restoreCalls } = options;
  refusePartial(snapshot);
  if (target.isElsewhere) refuseFilled(target);
  report({ type: "restoring", snapshot: shown(snapshot), target: target.root });
  const { selection, owners } = asked;
  refuseNoDatabase(options, snapshot, asked);
  const looked = await lookBefore({ snapshot, contents, target, selection, replace, owners, calls });
  if (looked.items.some(({ place }) => place === outsidePlace)) refuseMissingFolder(target);
  if (selection.files && selection.database && !hasDatabase(snapshot) && options.database?.engine === "sqlite") {
    looked.plan.notes.push("the snapshot has no configured database: what is configured now is left as it is");
  }
  for (const message of looked.plan.notes) report({ type: "note", message });
  return looked;
}

async function planOnly(options: RestoreOptions): Promise<RestoreResult> {
  const calls = options.calls ?? restoreCalls;
  const asked = askedFor(options);
  const snapshot = await find(options);
  const target = options.to !== undefined && snapshot
    ? otherTarget(options.to, snapshot, options.repositoryFolder)
    : ownTarget(options);
  const unfinished = readDecision(target.folder, calls);
  if (unfinished) {
    const message = `an interrupted restore (of snapshot ${unfinished.snapshot.slice(0, 10)}) would be finished first`;
    options.report({ type: "note", message });
  }
  if (!snapshot) return nothing("no snapshot", target);
  if (options.ifEmpty) {
    const empty = await emptiness(options, target, calls);
    if (!empty.files && !empty.database) return nothing("not empty", target);
    asked.selection = narrowed(asked, empty);
  }
  using pool = new BlockPool();
  const contents = new SnapshotReader(options.repository!.store, snapshot, pool);
  const { plan } = await look(options, { snapshot, contents, target, asked });
  await using postgres = await postgresFor(options, { contents, target, asked });
  if (postgres) addPostgres(plan, postgres.plan);
  options.report({ type: "restore plan", plan });
  return { ...nothing(undefined, target), state: "planned", snapshot: shown(snapshot), plan, notes: plan.notes };
}
