import type { RestoreCalls } from "../capture/restore_calls.ts";
import type { Asked, Decision } from "../capture/restore_decision.ts";
import { unfinishable } from "../capture/restore_decision.ts";
import type { PlannedPostgres, RestorePlan } from "../capture/restore_plan.ts";
import type { SnapshotReader } from "../repository/reader.ts";
import { type Emptiness, judgeEmptiness } from "./restore_if_empty.ts";
import type { PostgresRestore } from "../capture/postgres/restore.ts";
import { waitOf } from "./restore_request.ts";
import type { RestoreTarget } from "./restore_target.ts";
import type { RestoreOptions, RestorePlaces } from "./restore_types.ts";

// The driver is loaded only for Postgres, hence every import of what needs it is in a function.

/** The Postgres side of a restore; undefined when nothing of it comes. Nothing is changed yet. */
export async function postgresFor(
  options: RestoreOptions,
  { contents, target, asked }: { contents: SnapshotReader; target: RestoreTarget; asked: Asked },
): Promise<PostgresRestore | undefined> {
  if (!contents.snapshot.facts.postgres || !asked.selection.database || target.isElsewhere) return undefined;
  const { waitMs } = waitOf(options);
  return await openPostgres({ ...options, waitMs }, contents, !options.plan);
}

async function openPostgres(
  { database, schema = false, waitMs = 5_000, by = "amber", replay, stop, report }: RestorePlaces,
  contents: SnapshotReader,
  create: boolean,
): Promise<PostgresRestore | undefined> {
  if (database?.engine !== "postgres") return undefined;
  const { PostgresRestore } = await import("../capture/postgres/restore.ts");
  return await PostgresRestore.open({ address: database, contents, schema, create, waitMs, by, replay, stop, report });
}

export function addPostgres(plan: RestorePlan, postgres: PlannedPostgres): void {
  plan.postgres = postgres;
  plan.overwrites ||= postgres.replaces;
}

/** Which parts are empty, Postgres too. */
export async function emptiness(
  { database, waitMs = 60_000, by = "amber", stop, report }: RestoreOptions,
  target: RestoreTarget,
  calls: RestoreCalls,
): Promise<Emptiness> {
  const judged = judgeEmptiness(target, calls);
  if (database?.engine !== "postgres") return judged;
  const { isPostgresEmpty } = await import("../capture/postgres/restore.ts");
  return { ...judged, database: await isPostgresEmpty(database, { waitMs, by, stop, report }) };
}

/** For whoever finishes an interrupted restore: what is left to do of its Postgres side, to be called when its turn comes. */
export function postgresOf(
  places: RestorePlaces,
  { id, postgres }: Decision,
  contents: SnapshotReader,
  { folder }: RestoreTarget,
): { commit(): Promise<void>; end(): Promise<void> } | undefined {
  if (!postgres) return undefined;
  const within = async (work: (restore: PostgresRestore) => Promise<void>) => {
    await using restore = await openPostgres({ ...places, schema: postgres.schema }, contents, false);
    if (restore?.plan.database !== postgres.database) {
      throw unfinishable(
        folder,
        `it was for the database "${postgres.database}", which is not the one that is configured`,
      );
    }
    await work(restore);
  };
  return {
    commit: () =>
      within(async (restore) => {
        if (await restore.isDone(id)) return;
        await restore.load(id);
        await restore.commit();
      }),
    end: () => within((restore) => restore.end()),
  };
}
