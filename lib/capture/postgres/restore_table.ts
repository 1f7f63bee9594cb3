import { quoteName } from "../../engines/engine.ts";
import type { PostgresEngine } from "../../engines/postgres/engine.ts";
import { onlyTable, replaceRows, tablesWithRows } from "../../engines/postgres/load.ts";
import { type DatabaseSchema, readSchema, type SchemaTable } from "../../engines/postgres/schema/read_schema.ts";
import { AmberError } from "../../errors.ts";
import type { PlannedPostgres } from "../restore_plan.ts";
import { makeSettings } from "./make.ts";
import { lockTimeout, openDatabase, type PostgresWork } from "./open.ts";
import { explained, inTransaction, type PostgresRestoreOptions, refuseOtherCount } from "./restore.ts";
import { StoredPostgres } from "./stored.ts";

export interface TableRestoreOptions extends PostgresWork, Pick<PostgresRestoreOptions, "address" | "contents"> {
  /** `schema.name`, or `name` where only one schema has it. */
  name: string;
  /** Beside the table that is there: the new one's name, in the same schema. */
  as?: string;
}

/** Brings one table's rows back: in the place of those that are there, or as a new table beside it. */
export class TableRestore implements AsyncDisposable {
  private constructor(
    private readonly options: TableRestoreOptions,
    private readonly engine: PostgresEngine,
    private readonly stored: StoredPostgres,
    private readonly table: SchemaTable,
    readonly plan: PlannedPostgres,
  ) {}

  /** Changes nothing. @throws {AmberError} SNAPSHOT_FILE_UNKNOWN, RESTORE_BLOCKED, DATABASE_* */
  static async open(options: TableRestoreOptions): Promise<TableRestore> {
    const { contents, address, as } = options;
    const stored = (await StoredPostgres.open(contents))!;
    const table = named(stored.schema, options.name);
    const engine = await openDatabase(address, options, { create: false });
    try {
      const here = await inTransaction(engine, () => readSchema((sql) => engine.query(sql)));
      if (as === undefined) placeOf(here, table, engine.where);
      const rows = contents.snapshot.facts.postgres!.rows[table.quoted] ?? 0;
      const plan: PlannedPostgres = {
        database: engine.where,
        way: as === undefined ? "table" : "beside",
        tables: 1,
        rows,
        replaces: as === undefined,
      };
      return new TableRestore(options, engine, stored, table, plan);
    } catch (error) {
      await engine.close();
      throw explained(error, engine.where);
    }
  }

  /** All in one transaction. @throws {AmberError} nothing is changed then. */
  async run(): Promise<void> {
    const { engine, options: { waitMs, as } } = this;
    try {
      await engine.lock({ waitMs, journaled: false });
      await engine.begin();
      await engine.query(`${makeSettings}; ${lockTimeout(waitMs)}`);
      const count = as === undefined ? await this.#exchange() : await this.#makeBeside(as);
      refuseOtherCount(this.table.quoted, count ?? 0, this.plan.rows);
      await engine.commit();
    } catch (error) {
      await engine.rollback();
      throw explained(error, engine.where);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.close();
  }

  async #exchange(): Promise<number | undefined> {
    const { engine, table } = this;
    await engine.query(`lock table only ${table.quoted} in access exclusive mode`);
    const here = await readSchema((sql) => engine.query(sql));
    const source = this.stored.source();
    const sequences = source.sequences.filter(({ name }) => table.sequences.includes(name));
    const place = placeOf(here, table, engine.where);
    const counts = await replaceRows(engine, onlyTable(here, place), {
      ...source,
      sequences,
      largeObjects: "keep",
      refreshes: [],
    });
    return counts[table.quoted];
  }

  /** Columns and rows: defaults, constraints and indexes would bear names that are taken. */
  async #makeBeside(as: string): Promise<number> {
    const { engine, table: { schema, columns }, stored } = this;
    const name = `${quoteName(schema)}.${quoteName(as)}`;
    const types = columns.map(({ quoted, type }) => `${quoted} ${type}`).join(", ");
    await engine.query(`create table ${name} (${types})`);
    const rows = stored.source().rows(this.table);
    if (!rows) return 0;
    return await engine.copyIn(`copy ${name} (${columns.map(({ quoted }) => quoted).join(", ")}) from stdin`, rows);
  }
}

/** The table of a snapshot that somebody named. @throws {AmberError} SNAPSHOT_FILE_UNKNOWN */
function named(stored: DatabaseSchema, wanted: string): SchemaTable {
  const all = tablesWithRows(stored);
  const found = all.filter(({ schema, name, quoted }) => [`${schema}.${name}`, name, quoted].includes(wanted));
  if (found.length === 1) return found[0]!;
  const names = all.map(({ schema, name }) => `${schema}.${name}`);
  throw new AmberError("SNAPSHOT_FILE_UNKNOWN", {
    message: found.length === 0
      ? `Cannot restore the table "${wanted}": the snapshot has none of that name`
      : `Cannot tell which table "${wanted}" is: ${found.map(({ quoted }) => quoted).join(", ")}`,
    hint: names.length > 20 ? "amber diff and amber ls show what is in it." : `It has: ${names.join(", ")}`,
  });
}

/** The table that is there, with the same columns. @throws {AmberError} RESTORE_BLOCKED */
function placeOf({ tables }: DatabaseSchema, table: SchemaTable, where: string): SchemaTable {
  const here = tables.find(({ quoted, kind }) => quoted === table.quoted && kind === "table");
  const columnsOf = ({ columns }: SchemaTable) =>
    columns.map(({ quoted, type }) => `${quoted} ${type}`).sort().join(", ");
  if (here && columnsOf(here) === columnsOf(table)) return here;
  throw new AmberError("RESTORE_BLOCKED", {
    message: here
      ? `Cannot restore the rows of ${table.quoted}: it has other columns now`
      : `Cannot restore the rows of ${table.quoted}: there is no such table`,
    where,
    hint: `Nothing was touched. To have them in a table of its own: --as ${table.name}_restored`,
  });
}
