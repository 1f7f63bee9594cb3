import type { PostgresAddress } from "../../database_url.ts";
import { StatementFailure } from "../../engines/engine.ts";
import type { PostgresEngine } from "../../engines/postgres/engine.ts";
import { replaceRows, tablesWithRows } from "../../engines/postgres/load.ts";
import { fingerprint } from "../../engines/postgres/schema/fingerprint.ts";
import { readSchema, readSettings } from "../../engines/postgres/schema/read_schema.ts";
import type { PlannedPostgres } from "../restore_plan.ts";
import { AmberError } from "../../errors.ts";
import type { SnapshotReader } from "../../repository/reader.ts";
import type { PostgresFacts } from "../../repository/snapshot_file.ts";
import { makeAll, makeSettings } from "./make.ts";
import { isMarked, mark, ofApp, unmark } from "./marker.ts";
import { lockTimeout, openDatabase, type PostgresWork } from "./open.ts";
import { isEmptyDatabase, wayOf } from "./way.ts";
import { StoredPostgres } from "./stored.ts";

export interface PostgresRestoreOptions extends PostgresWork {
  address: PostgresAddress;
  contents: SnapshotReader;
  /** `schema.sql` may be run where nothing else leads to the schema. */
  schema: boolean;
  /** Runs the app's own migrations up to this one, in an empty database. Absent: there are none. */
  replay?: (name: string) => Promise<void>;
  /** A database that is missing is made. */
  create: boolean;
}

/** What stands in it while migrations make the schema: until the rows are there, the database counts as empty. */
const replaying = "replaying";

/**
 * Brings a Postgres database back in one transaction: until it commits, everybody sees what was there before.
 */
export class PostgresRestore implements AsyncDisposable {
  private constructor(
    private readonly options: PostgresRestoreOptions,
    private readonly engine: PostgresEngine,
    private readonly stored: StoredPostgres,
    readonly plan: PlannedPostgres,
  ) {}

  /** Looks at both sides; changes nothing. @throws {AmberError} RESTORE_BLOCKED, OBJECT_DAMAGED, DATABASE_* */
  static async open(options: PostgresRestoreOptions): Promise<PostgresRestore> {
    const { contents, address, create, replay } = options;
    const stored = (await StoredPostgres.open(contents))!;
    const facts = contents.snapshot.facts.postgres!;
    const engine = await openDatabase(address, options, { create });
    try {
      const here = await inTransaction(engine, () => readSchema((sql) => engine.query(sql)));
      const rows = Object.values(facts.rows).reduce((sum, count) => sum + count, 0);
      const plan: PlannedPostgres = {
        database: engine.where,
        way: wayOf(fingerprint(stored.schema.objects), fingerprint(ofApp(here).objects), {
          schema: options.schema,
          canReplay: replay !== undefined && facts.migrations !== undefined,
          isReplaying: await isMarked(engine, "amber_restore", replaying),
        }, engine.where),
        tables: Object.keys(facts.rows).length,
        rows,
        replaces: tablesWithRows(here).length > 0,
        ...(facts.migrations ? { migrations: facts.migrations } : {}),
      };
      return new PostgresRestore(options, engine, stored, plan);
    } catch (error) {
      await engine.close();
      throw explained(error, engine.where);
    }
  }

  /**
   * Does everything but the commit, under the migration lock.
   *
   * @param id The restore's own, kept in the marker.
   * @throws {AmberError} RESTORE_BLOCKED, OBJECT_DAMAGED, LOCK_HELD, STATEMENT_FAILED; nothing is changed then.
   */
  async load(id: string): Promise<void> {
    const { engine, options: { waitMs } } = this;
    if (this.plan.way === "migrations") await this.#replay();
    try {
      await engine.lock({ waitMs, journaled: false });
      await engine.begin();
      await engine.query(`${makeSettings}; ${lockTimeout(waitMs)}`);
      await unmark(engine, "amber_restore");
      const counts = this.plan.way === "schema" ? await this.#make() : await this.#exchangeRows();
      this.#compare(counts);
      await mark(engine, "amber_restore", id);
    } catch (error) {
      await engine.rollback();
      throw explained(error, engine.where);
    }
  }

  async commit(): Promise<void> {
    await this.engine.commit();
  }

  /** Whether the restore of this id has committed. */
  async isDone(id: string): Promise<boolean> {
    return await isMarked(this.engine, "amber_restore", id);
  }

  /** The plan is done with: nobody asks any more. */
  async end(): Promise<void> {
    await unmark(this.engine, "amber_restore");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.close();
  }

  /** Begun, it is finished by whoever restores next: the marker says that what is there is not the app's data. */
  async #replay(): Promise<void> {
    const { engine, options: { contents, replay } } = this;
    if (!await isMarked(engine, "amber_restore", replaying)) await mark(engine, "amber_restore", replaying);
    await replay!(contents.snapshot.facts.postgres!.migrations!.last);
  }

  /** The schema is there: looked at again, now that nobody else changes it. */
  async #exchangeRows(): Promise<Record<string, number>> {
    const { engine, stored } = this;
    const read = () => readSchema((sql) => engine.query(sql));
    const before = ofApp(await read());
    const tables = tablesWithRows(before).map(({ quoted }) => `only ${quoted}`);
    if (tables.length > 0) await engine.query(`lock table ${tables.join(", ")} in access exclusive mode`);
    const wanted = fingerprint(stored.schema.objects);
    // Nothing but equal will do by now.
    wayOf(
      wanted,
      fingerprint(before.objects),
      { schema: false, canReplay: false, isReplaying: false },
      engine.where,
    );
    const counts = await replaceRows(engine, before, stored.source());
    if (fingerprint(ofApp(await read()).objects).structure !== fingerprint(before.objects).structure) {
      throw new Error("the schema is not what it was before the rows were exchanged");
    }
    return counts;
  }

  /** Makes everything, the rows in the middle. */
  async #make(): Promise<Record<string, number>> {
    const { engine, stored, options: { report } } = this;
    return await makeAll(engine, { schema: stored.schema, source: stored.source(), report });
  }

  /** Rows that came against those that were counted when the snapshot was taken. */
  #compare(counts: Record<string, number>): void {
    const { rows } = this.options.contents.snapshot.facts.postgres as PostgresFacts;
    for (const [table, count] of Object.entries(rows)) refuseOtherCount(table, counts[table] ?? 0, count);
  }
}

/** @throws {AmberError} OBJECT_DAMAGED when other rows came than were counted when the snapshot was taken. */
export function refuseOtherCount(table: string, came: number, counted: number): void {
  if (came === counted) return;
  throw new AmberError("OBJECT_DAMAGED", {
    message: `Cannot restore the table ${table}: ${came} rows came, and the snapshot counted ${counted}`,
    where: table,
    hint: "Nothing was changed. amber verify says what is damaged; other snapshots can still be restored.",
  });
}

/** Whether nothing of an app is in a database. */
export async function isPostgresEmpty(
  address: PostgresAddress,
  options: PostgresWork,
): Promise<boolean> {
  const engine = await openDatabase(address, options, { create: true });
  try {
    const here = await inTransaction(engine, () => readSchema((sql) => engine.query(sql)));
    return isEmptyDatabase(fingerprint(here.objects)) || await isMarked(engine, "amber_restore", replaying);
  } finally {
    await engine.close();
  }
}

export async function inTransaction<T>(engine: PostgresEngine, work: () => Promise<T>): Promise<T> {
  await engine.query(`begin isolation level repeatable read read only; ${readSettings}`);
  try {
    return await work();
  } finally {
    await engine.query("rollback").catch(() => {});
  }
}

export function explained(error: unknown, where: string): unknown {
  if (!(error instanceof StatementFailure)) return error;
  const isLock = error.code === "55P03";
  return new AmberError(isLock ? "TABLE_LOCKED" : "STATEMENT_FAILED", {
    message: `Cannot restore the Postgres database: ${error.message}`,
    where,
    detail: error.detail ?? error.context,
    hint: isLock ? "Nothing was changed. Somebody uses a table: stop the server, or give a longer --wait." : error.hint,
    cause: error,
  });
}
