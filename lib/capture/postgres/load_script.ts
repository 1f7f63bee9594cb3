import { literal } from "../../engines/engine.ts";
import { largeObjectSql, tablesWithRows } from "../../engines/postgres/load.ts";
import { schemaParts } from "../../engines/postgres/schema/schema_sql.ts";
import type { SchemaTable } from "../../engines/postgres/schema/schema_object.ts";
import { largeObjectPiece } from "./paths.ts";
import type { StoredPostgres } from "./stored.ts";

export interface LoadScriptOptions {
  /** Rows of each table, by its qualified and quoted name. */
  rows: Readonly<Record<string, number>>;
  /** The file that a table's rows are in, relative to the script; undefined: there are none. */
  fileOf: (table: SchemaTable) => string | undefined;
  /** The file that large objects are in. */
  largeObjects?: string;
}

/** A script for psql that makes a stored database in an empty one, from files beside it. Pure. */
export function loadScript({ schema, sequences }: StoredPostgres, options: LoadScriptOptions): string {
  const { head, preData, postData } = schemaParts(schema);
  return [
    "-- In this folder: psql -X -f load.sql postgres://… (an empty database)",
    "\\set ON_ERROR_STOP on",
    "\\o /dev/null",
    "begin;",
    head,
    preData,
    ...tablesWithRows(schema).flatMap((table) => rowsLines(table, options)),
    ...sequences.map(({ name, value, isCalled }) =>
      `select pg_catalog.setval(${literal(name, "postgres")}, ${value}, ${isCalled});`
    ),
    ...(options.largeObjects === undefined ? [] : largeObjectLines(options.largeObjects)),
    postData,
    "commit;",
    "",
  ].join("\n");
}

function rowsLines(table: SchemaTable, { rows, fileOf }: LoadScriptOptions): string[] {
  const file = fileOf(table);
  if (file === undefined) return [];
  // Of rows without a column that could be written only how many there are is known.
  if (table.columns.length === 0) {
    return [`insert into ${table.quoted} select from pg_catalog.generate_series(1, ${rows[table.quoted] ?? 0});`];
  }
  const columns = table.columns.map(({ quoted }) => quoted).join(", ");
  return [`\\copy ${table.quoted} (${columns}) from ${literal(file, "postgres")}`];
}

function largeObjectLines(file: string): string[] {
  const { receive, copy, make } = largeObjectSql(largeObjectPiece);
  return [`${receive};`, `\\${copy} ${literal(file, "postgres")}`, ...make.map((sql) => `${sql};`)];
}
