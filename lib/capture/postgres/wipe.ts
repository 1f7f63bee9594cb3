import type { PostgresAddress } from "../../database_url.ts";
import { quoteName, type Row, StatementFailure } from "../../engines/engine.ts";
import type { PostgresEngine } from "../../engines/postgres/engine.ts";
import {
  arrayOf,
  defaultRightsSql,
  dropSql,
  readDatabaseWide,
  readOthers,
  readOwnedObjects,
  readSchemaCounts,
} from "../../engines/postgres/owned_objects.ts";
import { AmberError } from "../../errors.ts";
import { isMarked, mark, unmark } from "./marker.ts";
import { lockTimeout, openDatabase, type PostgresWork } from "./open.ts";

/** What goes of a Postgres database, and what stays. */
export interface PostgresToWipe {
  /** Which database, without its password. */
  database: string;
  /** What is emptied. */
  schemas: string[];
  /** Qualified and quoted. */
  tables: string[];
  /** How many objects of every kind go; large objects, and what belongs to no schema, among them. */
  objects: number;
  /** Bytes of the tables with their indexes, as the server counts them. */
  bytes: number;
  /** Schemas that stay, and how many objects are in each. */
  left: { schema: string; objects: number }[];
}

export interface PostgresWipeOptions extends PostgresWork {
  address: PostgresAddress;
  /** These too, beside those that the app uses: its search path. */
  schemas: readonly string[];
  /** All of them. */
  allSchemas: boolean;
}

const readSettings = "set local search_path = ''";

/** Removes what is in the schemas of a Postgres database, in one transaction. Extensions, and what is theirs, stay. */
export class PostgresWipe implements AsyncDisposable {
  private constructor(
    private readonly options: PostgresWipeOptions,
    private readonly engine: PostgresEngine,
    /** Those of the search path, which stay, empty. */
    private readonly used: readonly string[],
    /** Those that an extension lives in: they stay for its sake. */
    private readonly extended: readonly string[],
    readonly plan: PostgresToWipe,
  ) {}

  /** Looks; changes nothing. @throws {AmberError} USAGE for a schema that is not there, DATABASE_* */
  static async open(options: PostgresWipeOptions): Promise<PostgresWipe> {
    const engine = await openDatabase(options.address, options, { create: false });
    try {
      const rows = await engine.query("select unnest(pg_catalog.current_schemas(false)) as schema");
      const used = rows.map(({ schema }) => String(schema));
      await engine.query(`begin isolation level repeatable read read only; ${readSettings}`);
      const plan = await planOf(engine, used, options);
      const extended = await engine.query(
        "select n.nspname as schema from pg_extension x join pg_namespace n on n.oid = x.extnamespace",
      );
      await engine.query("rollback");
      return new PostgresWipe(options, engine, used, extended.map(({ schema }) => String(schema)), plan);
    } catch (error) {
      await engine.close();
      throw explained(error, engine.where);
    }
  }

  /** Whether there is nothing to remove. */
  get isEmpty(): boolean {
    return this.plan.objects === 0 && this.#goingSchemas.length === 0;
  }

  /** No migration runs and nobody writes to the tables from now on; they can be read, by a snapshot for one. */
  async hold(): Promise<void> {
    const { engine, plan, options: { waitMs } } = this;
    try {
      await engine.lock({ waitMs, journaled: false });
      await engine.begin();
      await engine.query(
        `${readSettings}; ${lockTimeout(waitMs)};
        set local statement_timeout = 0; set local client_min_messages = warning`,
      );
      for (let at = 0; at < plan.tables.length; at += 100) {
        await engine.query(`lock table ${plan.tables.slice(at, at + 100).join(", ")} in exclusive mode`);
      }
    } catch (error) {
      await engine.rollback();
      throw explained(error, engine.where);
    }
  }

  /**
   * All of it in the transaction that hold() began, and commits.
   *
   * @param id Left in the database until end(): files are to go then. Absent: this was all.
   */
  async empty(id?: string): Promise<void> {
    const { engine, options } = this;
    const query = (sql: string, params?: readonly string[]) => engine.query(sql, params);
    try {
      const before = await readOthers(query, this.plan.schemas);
      // What came since the plan goes too: it stands in the same schemas.
      const objects = await readOwnedObjects(query, this.plan.schemas);
      if (this.#isWhole) {
        await inPieces(engine, (await readDatabaseWide(query)).map(dropSql));
        await engine.query("select pg_catalog.lo_unlink(oid) from pg_catalog.pg_largeobject_metadata");
      }
      await inPieces(engine, await defaultRightsSql(query, this.plan.schemas, this.#isWhole));
      await inPieces(engine, objects.map(dropSql));
      await inPieces(engine, this.#goingSchemas.map((schema) => `drop schema ${quoteName(schema)}`));
      const after = new Set(await readOthers(query, this.plan.schemas));
      const lost = before.filter((one) => !after.has(one));
      if (lost.length > 0) throw wouldReach(lost, engine.where);
      // The files are still to go.
      if (id !== undefined) await mark(engine, "amber_wipe", id);
      options.stop.throwIfAborted();
      await engine.commit();
    } catch (error) {
      await engine.rollback();
      throw explained(error, engine.where);
    } finally {
      await engine.unlock();
    }
  }

  /** Whether the wipe of this id has committed. */
  async isDone(id: string): Promise<boolean> {
    return await isMarked(this.engine, "amber_wipe", id);
  }

  /** The files are gone as well. */
  async end(): Promise<void> {
    await unmark(this.engine, "amber_wipe");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.close();
  }

  /** Nothing of users stays elsewhere: then what belongs to the database, and to no schema, goes too. */
  get #isWhole(): boolean {
    return this.plan.left.length === 0;
  }

  /** Schemas that were asked for go themselves; one of the search path stays, for the app has to find it. */
  get #goingSchemas(): string[] {
    const staying = ["public", ...this.used, ...this.extended];
    return this.plan.schemas.filter((schema) => !staying.includes(schema));
  }
}

async function planOf(
  engine: PostgresEngine,
  used: readonly string[],
  { schemas, allSchemas }: PostgresWipeOptions,
): Promise<PostgresToWipe> {
  const query = (sql: string, params?: readonly string[]) => engine.query(sql, params);
  const counts = await readSchemaCounts(query);
  const missing = schemas.find((schema) => !counts.some((one) => one.schema === schema));
  if (missing !== undefined) {
    throw new AmberError("USAGE", {
      message: `Cannot wipe the schema "${missing}": the database has none of that name`,
      where: engine.where,
      hint: `It has: ${counts.map(({ schema }) => schema).join(", ")}`,
    });
  }
  const isGoing = (schema: string) => allSchemas || used.includes(schema) || schemas.includes(schema);
  const going = counts.filter(({ schema }) => isGoing(schema));
  const left = counts.filter(({ schema, objects }) => !isGoing(schema) && objects > 0);
  const wide = left.length > 0 ? [] : await readDatabaseWide(query);
  const names = going.map(({ schema }) => schema);
  const [large] = await query("select count(*)::int as count from pg_catalog.pg_largeobject_metadata");
  const tables = (await readOwnedObjects(query, names)).filter(({ kind }) => kind === "table");
  const [size] = await query(
    `select coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::text as bytes from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'm') and n.nspname = any($1::text[])`,
    [arrayOf(names)],
  );
  const objects = going.reduce((sum, one) => sum + one.objects, 0) + wide.length +
    (left.length > 0 ? 0 : Number(large?.count ?? 0));
  return {
    database: engine.where,
    schemas: names,
    tables: tables.map(({ identity }) => identity),
    objects,
    bytes: objects === 0 ? 0 : Number((size as Row).bytes),
    left,
  };
}

async function inPieces(engine: PostgresEngine, statements: readonly string[]): Promise<void> {
  for (let at = 0; at < statements.length; at += 50) await engine.query(statements.slice(at, at + 50).join("; "));
}

function wouldReach(lost: readonly string[], where: string): AmberError {
  const more = lost.length > 3 ? ` and ${lost.length - 3} more` : "";
  return new AmberError("USAGE", {
    message: `Cannot wipe the database: ${
      lost.slice(0, 3).join(", ")
    }${more} would go too, in a schema that is to stay`,
    where,
    hint: "Nothing was removed. To remove that schema as well: --schema NAME, or --all-schemas",
  });
}

function explained(error: unknown, where: string): unknown {
  if (!(error instanceof StatementFailure)) return error;
  const [code, hint] = error.code === "42501"
    ? ["DATABASE_FORBIDDEN", "Run it as the role that owns it: DATABASE_URL, or reassign owned by …"] as const
    : error.code === "55P03" || error.code === "40P01"
    ? ["TABLE_LOCKED", "Somebody uses a table: stop the server, or give a longer --wait."] as const
    : ["STATEMENT_FAILED", error.hint] as const;
  return new AmberError(code, {
    message: `Cannot wipe the database: ${error.message}`,
    where,
    detail: error.detail ?? error.context,
    hint: `Nothing was removed.${hint === undefined ? "" : ` ${hint}`}`,
    cause: error,
  });
}
