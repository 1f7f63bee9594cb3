import { parseDatabaseUrl } from "../database_url.ts";
import type { EngineEvent } from "../engines/engine.ts";
import { AmberError } from "../errors.ts";
import { compilePatterns } from "../patterns.ts";
import { Repository } from "../repository/repository.ts";
import type { ObjectStore } from "../stores/store.ts";
import { openStore, repositoryFolder } from "../stores/open.ts";
import type { RestorePlaces } from "../stories/restore_types.ts";
import type { SafetySettings } from "../stories/safety_snapshot.ts";
import { guardAgainstRestore } from "../stories/unfinished_restore.ts";
import { finishWipe } from "../stories/unfinished_wipe.ts";
import type { WipePlaces } from "../stories/wipe_target.ts";
import { version } from "../version.ts";

/** Where snapshots are kept. */
export interface RepositoryOptions {
  /** The data folder. Default: `data`. */
  data?: string;
  /** A folder. Default: `backups` in the data folder, which lives as long as that does. */
  repository?: string;
  /** Room for staging and drills. Default: `.amber` in the data folder. */
  scratch?: string;
  /** Stops as soon as that can be done without leaving anything half; its reason is thrown. */
  signal?: AbortSignal;
}

/** What an app's data are. */
export interface DataOptions extends RepositoryOptions {
  /** `sqlite:PATH`, or `postgres://user:password@host:port/database`. */
  database: string;
  /** Patterns of what snapshots leave out, and restores and wipes leave alone: `*.tmp`, `/cache/`. */
  exclude?: readonly string[];
  /** Longest wait for a database's lock and for another amber, in ms. Default: 5 s. */
  waitMs?: number;
}

/** What the stories want to know, derived from a caller's options as the command line derives it from variables. */
export interface DataSettings {
  store: ObjectStore;
  repositoryFolder?: string;
  safety: SafetySettings;
  /** What every run is told. */
  run: { by: string; amber: string; now: () => Date; stop: AbortSignal; waitMs?: number };
}

export function repositoryOf(options: RepositoryOptions): Omit<DataSettings, "safety"> & {
  repository: string;
  scratch: string;
} {
  const data = (options.data ?? "data").replace(/(?<=.)\/+$/, "");
  const { repository = `${data}/backups`, scratch = `${data}/.amber`, signal } = options;
  return {
    ...{ repository, scratch },
    store: openStore(repository),
    repositoryFolder: repositoryFolder(repository),
    run: { by: "library", amber: version, now: () => new Date(), stop: signal ?? new AbortController().signal },
  };
}

export function dataOf(options: DataOptions): DataSettings {
  const { repository, scratch, run, ...found } = repositoryOf(options);
  const { data = "data", exclude = [], waitMs } = options;
  const database = parseDatabaseUrl(options.database, "options.database");
  return {
    ...found,
    run: { ...run, ...(waitMs === undefined ? {} : { waitMs }) },
    safety: { repository, data, database, scratch, cache: `${scratch}/cache`, exclude },
  };
}

const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));

export async function restorePlacesOf(
  { store, repositoryFolder, safety, run }: DataSettings,
  report: RestorePlaces["report"],
): Promise<RestorePlaces> {
  const { data, database, scratch, cache, exclude } = safety;
  return {
    ...{ ...run, data, database, scratch, random, report },
    ...(repositoryFolder === undefined ? {} : { repositoryFolder }),
    repository: await openIfThere(store),
    leaveAlone: [cache],
    exclude: compilePatterns(exclude, { data }),
  };
}

export function wipePlacesOf(
  { repositoryFolder, safety, run }: DataSettings,
  report: WipePlaces["report"],
): WipePlaces {
  const { data, database, scratch, cache, exclude } = safety;
  return {
    ...{ ...run, data, database, scratch, random, report },
    ...(repositoryFolder === undefined ? {} : { repositoryFolder }),
    leaveAlone: [cache],
    exclude: compilePatterns(exclude, { data }),
    program: Deno.execPath(),
  };
}

/**
 * Before anything is written: waits for a restore or a wipe that runs, finishes what was interrupted, and keeps others from
 * beginning until it is disposed of.
 */
export async function guardData(
  settings: DataSettings,
  report: (event: Extract<EngineEvent, { type: "note" | "waiting" }>) => void,
): Promise<Disposable> {
  const { safety: { scratch }, run: { stop, waitMs = 5_000 } } = settings;
  // What finishing a restore tells besides is of no interest to who asked for something else.
  const tell: RestorePlaces["report"] = (event) => {
    if (event.type === "note" || event.type === "waiting") report(event);
  };
  await finishWipe(wipePlacesOf(settings, tell));
  return await guardAgainstRestore(scratch, { stop, report: tell, waitMs }, () => restorePlacesOf(settings, tell));
}

async function openIfThere(store: ObjectStore): Promise<Repository | undefined> {
  try {
    return await Repository.open(store);
  } catch (error) {
    if (error instanceof AmberError && error.code === "REPOSITORY_MISSING") return undefined;
    throw error;
  }
}
