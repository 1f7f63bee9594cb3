import { RestoreLock } from "../capture/restore_lock.ts";
import { statOrNone } from "../fs.ts";
import type { MigrateOptions } from "../stories/migrate.ts";
import type { SafetyBefore } from "../stories/safety_before_migrate.ts";
import type { Setting } from "./context.ts";

/** How long another amber is awaited that restores or wipes: as long as one that migrates. */
const patienceMs = 600_000;

/** The safety snapshot that this run may want; undefined for none. */
export function safetyOf({ config }: Setting): SafetyBefore | undefined {
  const { snapshotBeforeMigrate: { value: mode, source }, repository, data, database, scratch, cache, exclude } =
    config;
  if (mode === "never") return undefined;
  const settings = {
    repository: repository.value,
    data: data.value,
    database: { ...database },
    scratch: scratch.value,
    cache: cache.value,
    exclude: [...exclude.value],
  };
  const isPassing = database.engine === "postgres" && config.production && repository.source === "default";
  return { settings, mode, source, isPassing };
}

/** For a run in this thread: takes the safety snapshot under the lock, before a plan that wants one. */
export function takingSafety(
  safety: SafetyBefore | undefined,
  options: MigrateOptions,
  { reporter }: Setting,
): Pick<MigrateOptions, "beforeRisky" | "beforeAny"> {
  if (!safety) return {};
  return {
    beforeAny: safety.mode === "always",
    beforeRisky: async (_plan, held) => {
      const { takeSafetyBefore } = await import("../stories/safety_before_migrate.ts");
      return await takeSafetyBefore(safety, { ...options, report: (event) => reporter.event(event) }, held);
    },
  };
}

/**
 * Waits for a restore or a wipe that runs, finishes one that was interrupted, and keeps others from beginning until it is
 * disposed of. The usual start pays for two looks and an open: what finishes is loaded when there is something to finish.
 */
export async function beginWriting(setting: Setting): Promise<Disposable> {
  const { config, world, reporter } = setting;
  if (isNoFolder(setting)) return { [Symbol.dispose]: () => {} };
  const waitMs = config.waitMs ?? patienceMs;
  const lock = await RestoreLock.take(config.scratch.value, {
    for: "write",
    waitMs,
    stop: world.stop,
    report: (event) => reporter.event(event),
  });
  if (!lock) return { [Symbol.dispose]: () => {} };
  if (!isUnfinished(setting)) return lock;
  lock[Symbol.dispose]();
  const { guardWriting } = await import("./snapshot_context.ts");
  return await guardWriting({ ...setting, config: { ...config, waitMs } });
}

/** For `--plan`, which only reads. */
export async function reportUnfinished(setting: Setting): Promise<void> {
  if (isNoFolder(setting) || !isUnfinished(setting)) return;
  const { reportUnfinishedRestore } = await import("./snapshot_context.ts");
  reportUnfinishedRestore(setting);
}

/** What is no folder has nothing unfinished in it, nor what is closed to us; whoever needs it says so in words of its own. */
function isNoFolder({ config: { data } }: Setting): boolean {
  return look(data.value, (info) => info?.isDirectory === false, true);
}

function isUnfinished({ config: { scratch } }: Setting): boolean {
  return ["restore", "wipe.json"].some((name) => look(`${scratch.value}/${name}`, (info) => info !== undefined, false));
}

function look(path: string, answer: (info: Deno.FileInfo | undefined) => boolean, otherwise: boolean): boolean {
  try {
    return answer(statOrNone(path));
  } catch {
    return otherwise;
  }
}
