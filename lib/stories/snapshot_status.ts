import { pathInside, realPath } from "../capture/inside.ts";
import type { Config } from "../config.ts";
import { formatDuration } from "../duration.ts";
import { AmberError } from "../errors.ts";
import { statOrNone } from "../fs.ts";
import { readDrills } from "../repository/drills.ts";
import { Repository } from "../repository/repository.ts";
import type { Snapshot } from "../repository/snapshot_file.ts";
import { openStore } from "../stores/open.ts";
import { isIncomplete } from "./snapshot.ts";
import { showDrill, type ShownDrill, type ShownSnapshot, showSnapshot } from "./snapshots.ts";
import { unfinishedWork } from "./unfinished_work.ts";

/** The snapshots' part of `status`. */
export interface SnapshotStatus {
  repository: string;
  repositoryFrom: string;
  /** The repository lies inside the data folder, and lives no longer than that. */
  isInsideData: boolean;
  /** Snapshot files of every kind; absent when the repository cannot be read. */
  count?: number;
  /** The newest ordinary one in which nothing is missing and no drill found damage. */
  newest?: ShownSnapshot;
  /** The latest drill of any. */
  drill?: ShownDrill & { snapshot: string };
  /** Snapshot files that could not be read on the way to the newest good one, and the like. */
  notes: string[];
  /** Why the repository could not be read. That there is none yet is no problem. */
  problem?: AmberError;
}

/**
 * Looks for the newest good snapshot, from the newest back. Reads no more than it needs: a repository may hold ten thousand.
 */
export async function snapshotStatus(config: Config): Promise<SnapshotStatus> {
  const { repository, data, scratch } = config;
  const status: SnapshotStatus = {
    repository: repository.value,
    repositoryFrom: repository.source,
    isInsideData: false,
    notes: statOrNone(data.value)?.isDirectory === false ? [] : unfinishedWork(scratch.value),
  };
  try {
    const store = openStore(repository.value);
    status.isInsideData = pathInside(realPath(data.value), realPath(repository.value)) !== undefined;
    const opened = await openIfThere(store);
    if (opened === undefined) return { ...status, count: 0 };
    const names = await opened.names();
    status.count = names.length;
    const drills = await readDrills(store, ({ message }) => status.notes.push(message));
    const last = [...drills.values()].sort((a, b) => (a.time < b.time ? -1 : 1)).at(-1);
    if (last) status.drill = { ...showDrill(last), snapshot: last.snapshot.slice(0, 10) };
    const failed = new Set([...drills.values()].filter(({ ok }) => !ok).map(({ snapshot }) => snapshot));
    const newest = await newestGood(opened, names, failed, (message) => status.notes.push(message));
    if (newest) status.newest = showSnapshot(newest, drills.get(newest.hash));
  } catch (error) {
    if (!(error instanceof AmberError)) throw error;
    status.problem = error;
  }
  return status;
}

async function openIfThere(store: ReturnType<typeof openStore>): Promise<Repository | undefined> {
  try {
    return await Repository.open(store);
  } catch (error) {
    if (error instanceof AmberError && error.code === "REPOSITORY_MISSING") return undefined;
    throw error;
  }
}

async function newestGood(
  repository: Repository,
  names: readonly string[],
  failed: ReadonlySet<string>,
  note: (message: string) => void,
): Promise<Snapshot | undefined> {
  for (const name of names.toReversed()) {
    let snapshot: Snapshot;
    try {
      snapshot = await repository.read(name);
    } catch (error) {
      if (!(error instanceof AmberError) || !["OBJECT_DAMAGED", "OBJECT_MISSING"].includes(error.code)) throw error;
      if (error.code === "OBJECT_DAMAGED") note(error.message);
      continue;
    }
    const { kind, hash, facts } = snapshot;
    if (kind === "ordinary" && !isIncomplete(facts.remarks) && !failed.has(hash)) return snapshot;
  }
  return undefined;
}

/**
 * The error when the newest good snapshot is older than it may be, or there is none; undefined when all is well.
 *
 * @param now By this machine's clock, like the times of snapshots.
 */
export function tooOld(status: SnapshotStatus, maxAgeMs: number, now: Date): AmberError | undefined {
  const { newest, repository } = status;
  const ageMs = now.getTime() - Date.parse(newest?.time ?? "");
  if (ageMs <= maxAgeMs) return undefined;
  return new AmberError("SNAPSHOT_TOO_OLD", {
    message: newest
      ? `The newest good snapshot, ${newest.id}, is ${formatDuration(ageMs)} old, and ${
        formatDuration(maxAgeMs)
      } is the most`
      : "There is no good snapshot",
    where: repository,
    hint: newest
      ? "Does the cron line with amber snapshot still run? Run it, and read what it says."
      : "amber snapshot",
  });
}
