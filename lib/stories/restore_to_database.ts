import type { RestorePlan } from "../capture/restore_plan.ts";
import type { PostgresAddress } from "../database_url.ts";
import { AmberError } from "../errors.ts";
import { besideDriver, BlockPool } from "../repository/pool.ts";
import { SnapshotReader } from "../repository/reader.ts";
import { find, refusePartial, shown, waitOf } from "./restore_request.ts";
import { takeSafety } from "./restore_steps.ts";
import type { RestoreOptions, RestoreResult } from "./restore_types.ts";

export interface RestoreToDatabaseOptions extends RestoreOptions {
  /** Another Postgres database than the configured one, or one table of it. */
  address: PostgresAddress;
  /** Only this table, `schema.name` or `name`; `as`: beside the one that is there, under this name. */
  table?: { name: string; as?: string };
}

/**
 * Brings the Postgres database of a snapshot, or a table of it, into a database, and nothing else: no file is touched.
 *
 * @throws {AmberError} SNAPSHOT_*, RESTORE_BLOCKED, OBJECT_DAMAGED, DATABASE_*; nothing is changed then.
 */
export async function restoreToDatabase(options: RestoreToDatabaseOptions): Promise<RestoreResult> {
  const { address, report, stop, schema = false, replay, by = "amber", table } = options;
  const snapshot = (await find(options))!;
  refusePartial(snapshot);
  if (!snapshot.facts.postgres) {
    throw new AmberError("SNAPSHOT_FILE_UNKNOWN", {
      message: `Cannot restore the database: the snapshot ${shown(snapshot).id} has none of Postgres`,
      hint: "amber snapshots lists the others.",
    });
  }
  using pool = new BlockPool(besideDriver);
  const contents = new SnapshotReader(options.repository!.store, snapshot, pool);
  const { PostgresRestore } = await import("../capture/postgres/restore.ts");
  const { TableRestore } = await import("../capture/postgres/restore_table.ts");
  const { waitMs } = waitOf(options);
  const common = { address, contents, waitMs, by, stop, report };
  await using restore = table
    ? await TableRestore.open({ ...common, ...table })
    : await PostgresRestore.open({ ...common, schema, replay, create: !options.plan });
  const plan: RestorePlan = {
    ...{ items: [], databases: [], goes: [], goesCount: 0, notes: [], bytes: 0, neededBytes: 0 },
    postgres: restore.plan,
    overwrites: restore.plan.replaces,
  };
  const target = restore.plan.database;
  report({ type: "restoring", snapshot: shown(snapshot), target });
  report({ type: "restore plan", plan });
  const done = { snapshot: shown(snapshot), plan, placed: 0, unchanged: 0, gone: 0, bytes: 0, notes: [], target };
  if (options.plan) return { state: "planned", ...done };
  if (plan.overwrites) await options.confirm?.(plan, snapshot);
  const isGuarded = plan.overwrites && options.to === undefined && !options.noSafety;
  const safety = isGuarded ? await takeSafety(options) : undefined;
  if (restore instanceof TableRestore) await restore.run();
  else {
    await restore.load(options.random(16).toHex());
    await restore.commit();
    await restore.end();
  }
  return { state: "restored", ...done, ...(safety === undefined ? {} : { safety }) };
}
