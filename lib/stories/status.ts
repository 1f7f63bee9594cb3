import type { Config } from "../config.ts";
import { where } from "../database_url.ts";
import { AmberError } from "../errors.ts";
import { showmigrations, type ShownMigration } from "./showmigrations.ts";
import type { LookOptions } from "./check.ts";
import { type SnapshotStatus, snapshotStatus } from "./snapshot_status.ts";

/** One screen: configuration without secrets, the database, the migrations, the snapshots. */
export interface Status {
  settings: Config["settings"];
  production: boolean;
  database: string;
  databaseFrom: string;
  migrationsFolder: string;
  migrations?: { applied: number; pending: number; marked: ShownMigration[]; last?: string };
  snapshots: SnapshotStatus;
  /** What could not be found out of the database, and why; the caller ends with its exit status. */
  problem?: AmberError;
}

/** Gathers all that can be said, also when the database does not answer or the files are not sound. */
export async function status(config: Config, options: LookOptions): Promise<Status> {
  const gathered: Status = {
    settings: config.settings,
    production: config.production,
    database: where(config.database, { reached: false }),
    databaseFrom: `${config.databaseSource.variable} (${config.databaseSource.source})`,
    migrationsFolder: `${config.migrations.value} (${config.migrations.source})`,
    snapshots: await snapshotStatus(config),
  };
  let isThere = false;
  try {
    const shown = await showmigrations({
      ...options,
      report: (event) => {
        if (event.type !== "start") return options.report(event);
        isThere = true;
        gathered.database = event.database;
      },
    });
    if (!isThere) gathered.database += " (does not exist yet: amber migrate creates it)";
    gathered.migrations = {
      applied: shown.filter((one) => one.state === "applied").length,
      pending: shown.filter((one) => one.state !== "applied").length,
      marked: shown.filter((one) => one.mark),
      last: shown.findLast((one) => one.state === "applied")?.name,
    };
  } catch (error) {
    if (!(error instanceof AmberError)) throw error;
    gathered.problem = error;
  }
  return gathered;
}
