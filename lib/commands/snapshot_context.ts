import { AmberError } from "../errors.ts";
import type { Event } from "../output/events.ts";
import { compilePatterns } from "../patterns.ts";
import { Repository } from "../repository/repository.ts";
import { openStore, repositoryFolder } from "../stores/open.ts";
import type { RestorePlaces } from "../stories/restore_types.ts";
import { guardAgainstRestore, unfinishedRestore } from "../stories/unfinished_restore.ts";
import { version } from "../version.ts";
import type { Setting } from "./context.ts";

/** What stories about snapshots want to know of the configuration and of the run. Nothing is read or made yet. */
export function snapshotSetting({ config, world, reporter }: Setting) {
  return {
    store: openStore(config.repository.value),
    repositoryFolder: repositoryFolder(config.repository.value),
    data: config.data.value,
    database: config.database,
    scratch: config.scratch.value,
    cache: config.cache.value,
    exclude: config.exclude.value,
    by: world.by,
    amber: version,
    now: world.now,
    stop: world.stop,
    waitMs: config.waitMs,
    report: (event: Event) => reporter.event(event),
  };
}

/** Where things are, for restoring. The repository is opened; there is none when nothing was stored yet. */
export async function restorePlaces(setting: Setting): Promise<RestorePlaces> {
  const { store, exclude, cache, ...rest } = snapshotSetting(setting);
  return {
    ...rest,
    repository: await openIfThere(store),
    leaveAlone: [cache],
    exclude: compilePatterns(exclude, { data: rest.data }),
    random: (size) => crypto.getRandomValues(new Uint8Array(size)),
  };
}

async function openIfThere(store: ReturnType<typeof openStore>): Promise<Repository | undefined> {
  try {
    return await Repository.open(store);
  } catch (error) {
    if (error instanceof AmberError && error.code === "REPOSITORY_MISSING") return undefined;
    throw error;
  }
}

/**
 * For commands that write, before anything else: waits for a restore that runs, finishes one that was interrupted, and
 * keeps others from beginning until it is disposed of.
 */
export async function guardWriting(setting: Setting): Promise<Disposable> {
  const { scratch, stop, report, waitMs = 5_000 } = snapshotSetting(setting);
  return await guardAgainstRestore(scratch, { stop, report, waitMs }, () => restorePlaces(setting));
}

/** For commands that only read: that a restore was interrupted is told, and finished by whoever writes next. */
export function reportUnfinishedRestore({ config, reporter }: Setting): void {
  try {
    const found = unfinishedRestore(config.scratch.value);
    if (found) reporter.event({ type: "note", message: found.message });
  } catch (error) {
    if (!(error instanceof AmberError)) throw error;
    reporter.event({ type: "note", message: error.hint ? `${error.message}. ${error.hint}` : error.message });
  }
}
