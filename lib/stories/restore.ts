import { putBack } from "../capture/put_back.ts";
import { type RestoreCalls, restoreCalls } from "../capture/restore_calls.ts";
import { type Asked, type Decision, isSameAsk, readDecision, writeDecision } from "../capture/restore_decision.ts";
import { explainFailure } from "../capture/restore_failure.ts";
import { outsidePlace } from "../capture/restore_items.ts";
import { RestoreLock } from "../capture/restore_lock.ts";
import { stage, type Staged } from "../capture/stage.ts";
import { removeIfThere } from "../capture/target_folder.ts";
import { AmberError } from "../errors.ts";
import { statOrNone } from "../fs.ts";
import { BlockPool } from "../repository/pool.ts";
import { SnapshotReader } from "../repository/reader.ts";
import { idOf, type Snapshot } from "../repository/snapshot_file.ts";
import { type Emptiness, judgeEmptiness } from "./restore_if_empty.ts";
import { lookBefore, type Looked, refuseHopeless } from "./restore_look.ts";
import {
  otherTarget,
  ownTarget,
  refuseFilled,
  refuseMissingFolder,
  type RestoreTarget,
  selectionOf,
} from "./restore_target.ts";
import type { RestoredSnapshot, RestoreOptions, RestoreResult } from "./restore_types.ts";
import { finishRestore } from "./unfinished_restore.ts";

export type * from "./restore_types.ts";

/** Default waits, ms: for another restore and for a database's lock; the container's start is patient. */
const waits = { usual: 5_000, ifEmpty: 600_000 };

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
  const target = snapshot ? otherTarget(options.to!, snapshot) : ownTarget(options);
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
  using pool = new BlockPool();
  const contents = new SnapshotReader(options.repository!.store, snapshot, pool);
  if (options.ifEmpty) {
    const empty = judgeEmptiness(target, calls);
    if (!empty.files && !empty.database) return nothing("not empty", target);
    asked = { ...asked, selection: narrowed(asked, empty) };
  }
  const looked = await look(options, { snapshot, contents, target, asked });
  const { plan } = looked;
  refuseHopeless(looked, target);
  const isGuarded = plan.overwrites && !target.isElsewhere && !options.ifEmpty;
  if (isGuarded) await options.confirm?.(plan, snapshot);
  const safety = isGuarded && !options.noSafety ? await takeSafety(options) : undefined;
  let staged: Staged;
  let decision: Decision;
  try {
    staged = await stageAll(options, { contents, target, asked, looked });
    for (const message of staged.notes) report({ type: "note", message });
    decision = decide(options, { snapshot, target, asked, looked, staged, safety });
  } catch (error) {
    undoStaging(target, calls);
    throw error;
  }
  report({ type: "decided", id: idOf(snapshot) });
  const put = await finishStaged(options, { decision, looked, target });
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
  report({ type: "restore plan", plan: looked.plan });
  return looked;
}

async function planOnly(options: RestoreOptions): Promise<RestoreResult> {
  const calls = options.calls ?? restoreCalls;
  const asked = askedFor(options);
  const snapshot = await find(options);
  const target = options.to !== undefined && snapshot ? otherTarget(options.to, snapshot) : ownTarget(options);
  const unfinished = readDecision(target.folder, calls);
  if (unfinished) {
    const message = `an interrupted restore (of snapshot ${unfinished.snapshot.slice(0, 10)}) would be finished first`;
    options.report({ type: "note", message });
  }
  if (!snapshot) return nothing("no snapshot", target);
  if (options.ifEmpty) {
    const empty = judgeEmptiness(target, calls);
    if (!empty.files && !empty.database) return nothing("not empty", target);
    asked.selection = narrowed(asked, empty);
  }
  using pool = new BlockPool();
  const contents = new SnapshotReader(options.repository!.store, snapshot, pool);
  const { plan } = await look(options, { snapshot, contents, target, asked });
  return { ...nothing(undefined, target), state: "planned", snapshot: shown(snapshot), plan, notes: plan.notes };
}

/** undefined: with `ifEmpty`, where there is no snapshot yet. @throws {AmberError} SNAPSHOT_UNKNOWN, SNAPSHOT_AMBIGUOUS */
async function find({ repository, wanted, at, ifEmpty, report }: RestoreOptions): Promise<Snapshot | undefined> {
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

function askedFor({ wanted, at, selection, owners = false, ifEmpty = false }: RestoreOptions): Asked {
  return { wanted, ...(at ? { at: at.toISOString() } : {}), selection: selectionOf(selection), owners, ifEmpty };
}

function narrowed({ selection }: Asked, empty: Emptiness): Asked["selection"] {
  return { ...selection, files: selection.files && empty.files, database: selection.database && empty.database };
}

async function takeSafety({ takeSafety, report }: RestoreOptions): Promise<string> {
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

interface Prepared {
  contents: SnapshotReader;
  target: RestoreTarget;
  asked: Asked;
  looked: Looked;
}

async function stageAll(options: RestoreOptions, { contents, target, asked, looked }: Prepared): Promise<Staged> {
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
function decide(
  { calls = restoreCalls, random, now }: RestoreOptions,
  { snapshot, target, asked, looked, staged, safety }: Omit<Prepared, "contents"> & {
    snapshot: Snapshot;
    staged: Staged;
    safety: string | undefined;
  },
): Decision {
  const decision: Decision = {
    id: random(16).toHex(),
    snapshot: snapshot.hash,
    name: snapshot.name,
    asked,
    target: target.root,
    ...(target.database === undefined ? {} : { database: target.database }),
    ...(safety === undefined ? {} : { safety }),
    time: now().toISOString(),
    names: staged.names,
    databases: looked.items.filter(({ database }) => database).map(({ place }) => place),
    goes: looked.plan.goes,
  };
  writeDecision(target.folder, decision, calls);
  return decision;
}

async function finishStaged(
  options: RestoreOptions,
  { decision, looked, target }: { decision: Decision; looked: Looked; target: RestoreTarget },
): Promise<{ placed: number; gone: number; bytes: number }> {
  const { calls = restoreCalls, stop, report, replace = false } = options;
  try {
    const { waitMs } = waitOf(options);
    return await putBack({
      ...{ calls, decision, replace, stop, report, waitMs },
      folder: target.folder,
      items: looked.items,
      root: target.root,
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
function undoStaging({ folder, scratch, isElsewhere }: RestoreTarget, calls: RestoreCalls): void {
  try {
    removeIfThere(isElsewhere ? scratch : folder, calls);
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
  }
}

export function waitOf(
  { waitMs, stop, report, ifEmpty }: Pick<RestoreOptions, "waitMs" | "stop" | "report" | "ifEmpty">,
): { waitMs: number; stop: AbortSignal; report: RestoreOptions["report"] } {
  return { waitMs: waitMs ?? (ifEmpty ? waits.ifEmpty : waits.usual), stop, report };
}

function refusePartial(snapshot: Snapshot): void {
  if (snapshot.kind !== "partial") return;
  throw new AmberError("SNAPSHOT_UNKNOWN", {
    message: `Cannot restore ${idOf(snapshot)}: it is the trace of a snapshot that was never finished`,
    hint: "amber snapshots lists those that are whole.",
  });
}

/** Who asks for the database alone is not served with nothing. */
function refuseNoDatabase({ database, to }: RestoreOptions, snapshot: Snapshot, { selection }: Asked): void {
  if (!selection.database || selection.files) return;
  if (to === undefined && database?.engine === "postgres") {
    throw new AmberError("USAGE", {
      message: "Cannot restore the database: this version restores SQLite only, and a Postgres is configured",
      hint: "amber restore SNAPSHOT --files restores the rest.",
    });
  }
  if (hasDatabase(snapshot)) return;
  throw new AmberError("SNAPSHOT_FILE_UNKNOWN", {
    message: `Cannot restore the database: the snapshot ${idOf(snapshot)} has none`,
    hint: "amber snapshots lists the others.",
  });
}

function hasDatabase({ facts }: Snapshot): boolean {
  return facts.databases.some(({ configured }) => configured);
}

export function shown(snapshot: Snapshot): RestoredSnapshot {
  const { hash, time, kind } = snapshot;
  return { id: idOf(snapshot), hash, time, kind };
}

function nothing(reason: RestoreResult["reason"], target: RestoreTarget): RestoreResult {
  const none = { placed: 0, unchanged: 0, gone: 0, bytes: 0, notes: [], target: target.root };
  return { state: "nothing", ...(reason === undefined ? {} : { reason }), ...none };
}
