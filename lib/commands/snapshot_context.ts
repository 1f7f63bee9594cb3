import { AmberError } from "../errors.ts";
import { statOrNone } from "../fs.ts";
import { realPath as migrationsPath } from "../migrations/carried.ts";
import type { Event } from "../output/events.ts";
import { compilePatterns } from "../patterns.ts";
import { Repository } from "../repository/repository.ts";
import { openStore, repositoryFolder } from "../stores/open.ts";
import type { RestorePlaces } from "../stories/restore_types.ts";
import { guardAgainstRestore } from "../stories/unfinished_restore.ts";
import { unfinishedWork } from "../stories/unfinished_work.ts";
import { finishWipe } from "../stories/unfinished_wipe.ts";
import type { WipePlaces } from "../stories/wipe_target.ts";
import { version } from "../version.ts";
import { runOptions, type Setting } from "./context.ts";

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
    ...replaying(setting),
  };
}

/** Where the app's migrations are at hand they are the first way to an empty Postgres database's schema. */
function replaying(setting: Setting): Pick<RestorePlaces, "replay"> {
  const { database, migrations } = setting.config;
  if (database.engine !== "postgres" || !statOrNone(migrationsPath(migrations.value))?.isDirectory) return {};
  return {
    replay: async (target) => {
      const { migrate } = await import("../stories/migrate.ts");
      await migrate({ ...runOptions(setting, version), target });
    },
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

/** Where things are, for wiping. */
export function wipePlaces(setting: Setting): WipePlaces {
  const { cache, exclude, data, ...rest } = snapshotSetting(setting);
  return {
    ...{ ...rest, data },
    leaveAlone: [cache],
    exclude: compilePatterns(exclude, { data }),
    program: Deno.execPath(),
    random: (size) => crypto.getRandomValues(new Uint8Array(size)),
  };
}

/**
 * For commands that write, before anything else: waits for a restore or a wipe that runs, finishes what was interrupted,
 * and keeps others from beginning until it is disposed of.
 */
export async function guardWriting(setting: Setting): Promise<Disposable> {
  const { scratch, stop, report, data, waitMs = 5_000 } = snapshotSetting(setting);
  if (isNoFolder(data)) return { [Symbol.dispose]: () => {} };
  await finishWipe(wipePlaces(setting));
  return await guardAgainstRestore(scratch, { stop, report, waitMs }, () => restorePlaces(setting));
}

/** For commands that only read: what was interrupted is told, and finished by whoever writes next. */
export function reportUnfinishedRestore({ config: { data, scratch }, reporter }: Setting): void {
  for (const message of isNoFolder(data.value) ? [] : unfinishedWork(scratch.value)) {
    reporter.event({ type: "note", message });
  }
}

/** What is no folder has nothing unfinished in it; whoever works with it refuses it in words of its own. */
function isNoFolder(data: string): boolean {
  return statOrNone(data)?.isDirectory === false;
}
