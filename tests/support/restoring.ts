/** An app with data, a database and a repository in one temporary folder, and its snapshots and restores. */
import { compilePatterns } from "../../lib/patterns.ts";
import { Repository } from "../../lib/repository/repository.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { restore } from "../../lib/stories/restore.ts";
import type { RestoreEvent, RestoreOptions, RestorePlaces, RestoreResult } from "../../lib/stories/restore_types.ts";
import { snapshot, type SnapshotOptions } from "../../lib/stories/snapshot.ts";
import { AmberError } from "../../lib/errors.ts";

export interface App {
  /** The temporary folder: data/, and beside it repository/. */
  root: string;
  data: string;
  /** The configured database's file. */
  database: string;
  repository: string;
  scratch: string;
  exclude: string[];
}

export function appIn(root: string, parts: Partial<App> = {}): App {
  return {
    root,
    data: `${root}/data`,
    database: `${root}/data/prod.db`,
    repository: `${root}/repository`,
    scratch: `${parts.data ?? `${root}/data`}/.amber`,
    exclude: [],
    ...parts,
  };
}

const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));
const never = new AbortController().signal;

/** Takes a snapshot; gives its id. */
export async function take(app: App, options: Partial<SnapshotOptions> = {}): Promise<string> {
  const { id } = await snapshot({
    store: new DirectoryStore(app.repository),
    repositoryFolder: app.repository,
    data: app.data,
    database: { engine: "sqlite", path: app.database },
    scratch: app.scratch,
    exclude: app.exclude,
    by: "test@here",
    amber: "0.0.0",
    now: () => new Date(),
    report: () => {},
    stop: never,
    random,
    ...options,
  });
  return id!;
}

/** What restore() and its relatives need to know of the app. */
export async function placesOf(app: App): Promise<RestorePlaces> {
  return {
    repository: await openOrNone(app.repository),
    repositoryFolder: app.repository,
    data: app.data,
    database: { engine: "sqlite", path: app.database },
    scratch: app.scratch,
    exclude: compilePatterns(app.exclude),
    now: () => new Date(),
    random,
    stop: never,
    report: () => {},
  };
}

async function openOrNone(folder: string): Promise<Repository | undefined> {
  try {
    return await Repository.open(new DirectoryStore(folder));
  } catch (error) {
    if (error instanceof AmberError && error.code === "REPOSITORY_MISSING") return undefined;
    throw error;
  }
}

/** Takes the safety snapshot that a restore asks for. */
export async function takeSafety(app: App): Promise<{ id: string; incomplete: boolean }> {
  return { id: await take(app, { kind: "safety", before: "restore" }), incomplete: false };
}

/** Restores, and gives what was reported as well. */
export async function putBack(
  app: App,
  options: Partial<RestoreOptions> = {},
): Promise<RestoreResult & { events: RestoreEvent[] }> {
  const events: RestoreEvent[] = [];
  const result = await restore({
    ...await placesOf(app),
    wanted: "latest",
    takeSafety: () => takeSafety(app),
    report: (event) => events.push(event),
    ...options,
  });
  return { ...result, events };
}
