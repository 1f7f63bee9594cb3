import type { DatabaseAddress } from "../database_url.ts";
import { openStore, repositoryFolder } from "../stores/open.ts";
import { snapshot, type SnapshotEvent, type SnapshotOptions } from "./snapshot.ts";

/** What is told while a safety snapshot is taken. */
export type SafetyEvent =
  | SnapshotEvent
  /** It exists; `command` puts it back. */
  | { type: "safety"; id: string; command: string };

/** Where a safety snapshot is kept and what is in it: plain values, which a worker can be sent. */
export interface SafetySettings {
  /** The repository's address. */
  repository: string;
  data: string;
  database: DatabaseAddress;
  scratch: string;
  cache: string;
  /** Patterns of what is left out. */
  exclude: readonly string[];
}

export interface SafetyRun extends Pick<SnapshotOptions, "waitMs" | "by" | "amber" | "now" | "report" | "stop"> {
  /** What it is taken before. */
  before: "restore" | "wipe" | "migrate";
  /** Files of databases on which this process holds a write transaction. */
  held?: ReadonlySet<string>;
}

/**
 * Takes a snapshot of the data folder and of the configured database before they are changed.
 *
 * @returns Its id, and whether files are missing in it.
 * @throws {AmberError} what snapshot() throws
 */
export async function takeSafety(
  { repository, ...settings }: SafetySettings,
  run: SafetyRun,
): Promise<{ id: string; incomplete: boolean }> {
  const { id, incomplete } = await snapshot({
    ...settings,
    ...run,
    store: openStore(repository),
    repositoryFolder: repositoryFolder(repository),
    kind: "safety",
  });
  return { id: id!, incomplete };
}
