import { RestoreLock } from "../capture/restore_lock.ts";
import { removeStaleLinks } from "../capture/links.ts";
import { wipeCalls } from "../capture/wipe_calls.ts";
import { readWipeDecision, removeWipeDecision, type WipeDecision } from "../capture/wipe_decision.ts";
import { wipeFiles } from "../capture/wipe_files.ts";
import { type FilesToWipe, lookAtFiles, mountPoints, stillGoing } from "../capture/wipe_look.ts";
import { AmberError } from "../errors.ts";
import { statOrNone } from "../fs.ts";
import { systemCode } from "../stores/file_calls.ts";
import { type WipePlaces, type WipeTarget, wipeTarget, wipeWaitMs } from "./wipe_target.ts";
import { unfinishedPostgres } from "./wipe_with_postgres.ts";

/** A wipe that was begun and is not finished. */
export interface UnfinishedWipe {
  /** When it was begun, ISO 8601. */
  time: string;
  safety?: string;
  /** For people: what it means and what to do. */
  message: string;
}

/** For commands that only read: they report it and go on. */
export function unfinishedWipe(scratch: string): UnfinishedWipe | undefined {
  const decision = readWipeDecision(scratch, wipeCalls);
  if (!decision) return undefined;
  const { time, safety } = decision;
  return {
    time,
    ...(safety === undefined ? {} : { safety }),
    message: `a wipe was interrupted: the next command that writes finishes it, amber wipe too${
      safety === undefined ? "" : `; what was there before is in snapshot ${safety}`
    }`,
  };
}

/**
 * For commands that write, before anything else: finishes a wipe that was killed, or forgets it when it had not begun to
 * remove anything. One lstat when there is none. To be called while this process does not hold the restore's lock.
 *
 * @returns Whether there was one to finish.
 * @throws {AmberError} RESTORE_RUNNING, DATABASE_BUSY, FILE_UNWRITABLE
 */
export async function finishWipe(options: WipePlaces): Promise<boolean> {
  const { calls = wipeCalls, report } = options;
  const isThere = () => readWipeDecision(options.scratch, calls) !== undefined;
  if (!isThere()) return false;
  const target = wipeTarget(options);
  using _alone = await lockAlone(options, target);
  removeStaleLinks(target.root);
  const decision = readWipeDecision(target.scratch, calls);
  if (!decision) return false;
  if (decision.root !== target.root || (decision.database ?? target.database) !== target.database) {
    report({ type: "note", message: `a wipe of "${decision.root}" was interrupted; another folder is configured now` });
    return false;
  }
  const postgres = decision.postgres === undefined ? undefined : await unfinishedPostgres(options, decision);
  if (postgres?.isOther) {
    report({
      type: "note",
      message: `a wipe of "${decision.postgres}" was interrupted; another database is configured now`,
    });
    return false;
  }
  if (postgres && !postgres.isDone) {
    inWords(() => removeWipeDecision(target.scratch, calls));
    return false;
  }
  if (decision.database !== undefined) {
    const contents = await calls.lookAtContents(decision.database, waitOf(options));
    if (contents?.marker !== decision.id) {
      inWords(() => removeWipeDecision(target.scratch, calls));
      return false;
    }
  }
  report({
    type: "note",
    message: `finishing the wipe that was interrupted${
      decision.safety === undefined ? "" : `; what was there before is put back with: amber restore ${decision.safety}`
    }`,
  });
  const found = lookAtFiles({ calls, root: target.root, whyKept: target.whyKept, mounts: mountPoints() });
  const going = stillGoing(decision.going, found, { calls, root: target.root });
  await carryOut(options, target, decision, { going }, postgres?.end);
  return true;
}

/** What has been decided is done to its end, whatever signal comes: it takes moments, and half of it is of no use. */
export async function carryOut(
  options: WipePlaces,
  target: WipeTarget,
  decision: WipeDecision,
  files: Pick<FilesToWipe, "going">,
  endPostgres?: () => Promise<void>,
): Promise<void> {
  const { calls = wipeCalls, random } = options;
  const { root, scratch } = target;
  const isThere = statOrNone(root)?.isDirectory;
  const left = isThere ? inWords(() => wipeFiles({ calls, root, going: files.going, random })) : [];
  if (decision.database !== undefined) await giveBack(options, target, decision.id);
  await endPostgres?.();
  inWords(() => removeWipeDecision(scratch, calls));
  if (left.length === 0) return;
  throw new AmberError("FILE_UNWRITABLE", {
    message: `Cannot remove "${left[0]!.place}"${left.length > 1 ? ` and ${left.length - 1} more` : ""}: ${
      left[0]!.why
    }`,
    where: `${root}/${left[0]!.place}`,
    hint: "Everything else is gone. Let this user remove it (ls -ld shows who may), then run amber wipe again.",
  });
}

export async function giveBack(options: WipePlaces, { database }: WipeTarget, id: string): Promise<void> {
  const { calls = wipeCalls, report } = options;
  // What is decided is not given up for a signal.
  const wait = { ...waitOf(options), stop: new AbortController().signal };
  if (await calls.giveBackSpace(database!, id, wait)) return;
  report({
    type: "note",
    message:
      `"${database}" is empty, but its file is as large as before until those who read it have ended: run amber wipe --database again then`,
  });
}

export function waitOf({ waitMs = wipeWaitMs, stop, report }: WipePlaces) {
  return { waitMs, stop, report };
}

export async function lockAlone(options: WipePlaces, { scratch }: WipeTarget): Promise<Disposable> {
  try {
    return (await RestoreLock.take(scratch, { for: "restore", ...waitOf(options) }))!;
  } catch (error) {
    if (!(error instanceof AmberError) || error.code !== "RESTORE_RUNNING") throw error;
    const { where, hint } = error;
    throw new AmberError("RESTORE_RUNNING", {
      message: "Cannot wipe now: another amber restores or writes here",
      where,
      hint,
      cause: error,
    });
  }
}

/** What the operating system refuses, in amber's words. */
export function inWords<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const code = systemCode(error);
    if (error instanceof AmberError || code === undefined) throw error;
    const isFull = code === "ENOSPC" || code === "EDQUOT";
    throw new AmberError(isFull ? "DISK_FULL" : "FILE_UNWRITABLE", {
      message: `Cannot wipe: ${(error as Error).message}`,
      hint: `${isFull ? "Make room on the disk" : "Mend that"}, then run amber wipe again: it goes on where it was.`,
      cause: error,
    });
  }
}
