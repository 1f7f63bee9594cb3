import { quoteName, type Row } from "../engine.ts";

/** A table whose form has to stay as it is while its rows are read. */
export interface ListedTable {
  oid: string;
  schema: string;
  name: string;
  kind: "r" | "p"; // as pg_class.relkind: a table, a partitioned table
}

/** Why a role cannot read a table. */
export interface Refusal {
  table: ListedTable;
  /** What is missing: SELECT on the table, USAGE on its schema; or row security hides rows from this role. */
  missing: "select" | "usage" | "bypassrls";
}

/**
 * Tables and partitioned tables of users, and those of an extension that it marks as configuration. Views and
 * materialized views are no tables to LOCK TABLE; foreign tables have no rows here; temporary ones are a session's own.
 */
export const tableListSql =
  `select c.oid::pg_catalog.text as oid, n.nspname as schema, c.relname as name, c.relkind as kind,
  pg_catalog.has_table_privilege(c.oid, 'select') as may_select,
  pg_catalog.has_schema_privilege(n.oid, 'usage') as may_use,
  pg_catalog.row_security_active(c.oid) as is_filtered
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and (not exists (select from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
    or exists (select from pg_catalog.pg_extension e where c.oid = any (e.extconfig)))
order by c.oid`;

/** An answer to `tableListSql`. */
export function tablesOf(rows: readonly Row[]): { tables: ListedTable[]; refusals: Refusal[] } {
  const refusals: Refusal[] = [];
  const tables = rows.map((row) => {
    const table: ListedTable = {
      oid: String(row.oid),
      schema: String(row.schema),
      name: String(row.name),
      kind: row.kind as ListedTable["kind"],
    };
    // NULL: it has been dropped meanwhile, which is noticed elsewhere.
    if (row.may_use === false) refusals.push({ table, missing: "usage" });
    else if (row.may_select === false) refusals.push({ table, missing: "select" });
    else if (row.is_filtered === true) refusals.push({ table, missing: "bypassrls" });
    return table;
  });
  return { tables, refusals };
}

export function quoted({ schema, name }: Pick<ListedTable, "schema" | "name">): string {
  return `${quoteName(schema)}.${quoteName(name)}`;
}

/** Locks that keep everybody from changing the form of the tables, and nobody from writing rows. */
export function lockSql(tables: readonly ListedTable[]): string[] {
  const batchSize = 500; // bounds the length of one statement
  const statements: string[] = [];
  for (let at = 0; at < tables.length; at += batchSize) {
    const names = tables.slice(at, at + batchSize).map((table) => `only ${quoted(table)}`);
    statements.push(`lock table ${names.join(", ")} in access share mode`);
  }
  return statements;
}

/** What has changed from one list to the next, a line for each table; empty when nothing has. */
export function changesBetween(before: readonly ListedTable[], after: readonly ListedTable[]): string[] {
  const earlier = new Map(before.map((table) => [table.oid, table]));
  const later = new Set(after.map(({ oid }) => oid));
  const changes: string[] = [];
  for (const table of after) {
    const was = earlier.get(table.oid);
    if (!was) changes.push(`${quoted(table)} was made`);
    else if (quoted(was) !== quoted(table)) changes.push(`${quoted(was)} became ${quoted(table)}`);
    else if (was.kind !== table.kind) changes.push(`${quoted(table)} is another kind of table`);
  }
  for (const table of before) if (!later.has(table.oid)) changes.push(`${quoted(table)} was dropped`);
  return changes;
}

/** Message and hint for tables that a role cannot read whole. */
export function explainRefusals(refusals: readonly Refusal[], role: string): { message: string; hint: string } {
  const shown = 5;
  const names = refusals.slice(0, shown).map(({ table }) => quoted(table)).join(", ");
  const more = refusals.length > shown ? ` and ${refusals.length - shown} more` : "";
  const { table, missing } = refusals[0]!;
  const who = quoteName(role);
  const hints = {
    usage: `As its owner: grant usage on schema ${quoteName(table.schema)} to ${who};`,
    select: refusals.length === 1
      ? `As its owner: grant select on ${quoted(table)} to ${who};`
      : `As their owner: grant select on all tables in schema ${quoteName(table.schema)} to ${who};`,
    bypassrls: `Row security hides rows from ${who}. As an administrator: alter role ${who} bypassrls;`,
  };
  return { message: `Cannot read ${names}${more} as ${who}: ${words[missing]}`, hint: hints[missing] };
}

const words = {
  usage: "permission denied for the schema",
  select: "permission denied",
  bypassrls: "row security would leave out rows",
};
