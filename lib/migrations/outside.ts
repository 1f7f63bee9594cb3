import { type Engine, literal, quoteName, type Row } from "../engines/engine.ts";
import type { Unit } from "./script.ts";

/** Journal of a statement outside a transaction, written before it begins. */
export interface Begun {
  /** Index of the statement in its section. */
  statement: number;
  /** The index that it builds: the file may say another when the next run comes. */
  index?: { name?: Named; table: Named };
  /** Oids of the indexes on the table that were there before, for an index without a name. */
  indexes?: string[];
  /** The database has refused it: it has not taken effect, and may have left an invalid index. */
  refused?: boolean;
}

type Outside = NonNullable<Unit["outside"]>;
interface Named {
  schema?: string;
  name: string;
}

/** What to note before the statement begins, so that it can be recognised after a crash. */
export async function noteBefore(engine: Engine, outside: Outside, statement: number): Promise<Begun> {
  if (outside.kind !== "createIndex") return { statement };
  const index = { name: outside.name, table: outside.table };
  if (outside.name) return { statement, index };
  const rows = await engine.query(
    `select indexrelid::text as oid from pg_catalog.pg_index where indrelid = ${regclass(outside.table)}`,
  );
  return { statement, index, indexes: rows.map((row) => String(row.oid)) };
}

/**
 * Clears away what a failed or killed try of this statement left: an invalid index, which `IF NOT EXISTS` would then
 * accept, or the halves of a concurrent REINDEX. Only under the lock: nobody else is building it.
 */
export async function clearAway(engine: Engine, outside: Outside, begun: Begun | undefined): Promise<string[]> {
  const dropped: string[] = [];
  const drop = async (rows: Row[]) => {
    for (const row of rows) {
      const name = `${quoteName(String(row.schema))}.${quoteName(String(row.name))}`;
      await engine.run([{ text: `drop index concurrently if exists ${name}` }]);
      dropped.push(name);
    }
  };
  const invalid = `select n.nspname as schema, c.relname as name from pg_catalog.pg_index i
    join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where not i.indisvalid and c.relkind = 'i'`;
  const dropInvalid = async ({ name, table }: { name?: Named; table: Named }) => {
    const which = name ? `c.relname = ${literal(name.name, "postgres")}` : fresh(begun);
    if (which) await drop(await engine.query(`${invalid} and i.indrelid = ${regclass(table)} and ${which}`));
  };
  if (begun?.index) await dropInvalid(begun.index);
  if (outside.kind === "createIndex") await dropInvalid(outside);
  else if (outside.kind === "again" && outside.target?.isConcurrent) {
    const halves = String.raw`c.relname ~ '_cc(new|old)[0-9]*$' and c.relname !~ '^pg_'`;
    await drop(await engine.query(`${invalid} and ${halves} and ${within(outside.target)}`));
  }
  return dropped;
}

/**
 * Whether a statement that was begun by a killed run has taken effect: `done`, `again` (it has not, or may run twice),
 * or `unknown`. A partition that is half detached is detached for good here.
 */
export async function outcome(engine: Engine, outside: Outside, begun: Begun): Promise<"done" | "again" | "unknown"> {
  const exists = async (sql: string) => (await engine.query(`select 1 as found where exists (${sql})`)).length > 0;
  const text = (name: string) => literal(name, "postgres");
  switch (outside.kind) {
    case "call":
      return "unknown";
    case "createIndex": {
      const which = outside.name ? `c.relname = ${text(outside.name.name)}` : fresh(begun) ?? "false";
      return await exists(
          `select from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
         where i.indisvalid and i.indrelid = ${regclass(outside.table)} and ${which}`,
        )
        ? "done"
        : "again";
    }
    case "dropIndex": {
      for (const name of outside.names) if (await exists(`select where ${regclass(name)} is not null`)) return "again";
      return "done";
    }
    case "detachPartition": {
      const link = `from pg_catalog.pg_inherits where inhrelid = ${regclass(outside.partition)} and inhparent = ${
        regclass(outside.parent)
      }`;
      if (!(await exists(`select ${link}`))) return "done";
      if (!(await exists(`select ${link} and inhdetachpending`))) return "again";
      await engine.run([{
        text: `alter table ${quoted(outside.parent)} detach partition ${quoted(outside.partition)} finalize`,
      }]);
      return "done";
    }
    case "createDatabase":
      return await exists(`select from pg_catalog.pg_database where datname = ${text(outside.name)}`)
        ? "done"
        : "again";
    case "dropDatabase":
      return await exists(`select from pg_catalog.pg_database where datname = ${text(outside.name)}`)
        ? "again"
        : "done";
    case "createTablespace":
      return await exists(`select from pg_catalog.pg_tablespace where spcname = ${text(outside.name)}`)
        ? "done"
        : "again";
    case "dropTablespace":
      return await exists(`select from pg_catalog.pg_tablespace where spcname = ${text(outside.name)}`)
        ? "again"
        : "done";
    case "createSubscription":
      return await exists(subscription(outside.name)) ? "done" : "again";
    case "dropSubscription":
      return await exists(subscription(outside.name)) ? "again" : "done";
    case "changePublications": {
      const [row] = await engine.query(
        `select to_json(subpublications)::text as list from pg_catalog.pg_subscription where subname = ${
          text(outside.subscription)
        }`,
      );
      const list = new Set(JSON.parse(String(row?.list ?? "[]")) as string[]);
      return outside.publications.every((name) => list.has(name) === (outside.change === "add")) ? "done" : "again";
    }
    case "endPrepared":
      return await exists(`select from pg_catalog.pg_prepared_xacts where gid = ${text(outside.id)}`)
        ? "again"
        : "done";
    case "again":
      return "again";
  }
}

/** Where a concurrent REINDEX leaves its halves; elsewhere somebody else's may be at work. */
function within({ kind, name }: NonNullable<Extract<Outside, { kind: "again" }>["target"]>): string {
  if (!name || kind === "database" || kind === "system") return "true";
  if (kind === "schema") return `n.nspname = ${literal(name.name, "postgres")}`;
  if (kind === "table") return `i.indrelid = ${regclass(name)}`;
  return `i.indrelid = (select indrelid from pg_catalog.pg_index where indexrelid = ${regclass(name)})`;
}

function fresh(begun: Begun | undefined): string | undefined {
  if (!begun?.indexes) return undefined;
  return begun.indexes.length === 0
    ? "true"
    : `c.oid not in (${begun.indexes.map((oid) => String(BigInt(oid))).join(", ")})`;
}

function subscription(name: string): string {
  return `select from pg_catalog.pg_subscription where subname = ${literal(name, "postgres")}
    and subdbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())`;
}

function quoted(name: Named): string {
  return name.schema ? `${quoteName(name.schema)}.${quoteName(name.name)}` : quoteName(name.name);
}

function regclass(name: Named): string {
  return `pg_catalog.to_regclass(${literal(quoted(name), "postgres")})`;
}
