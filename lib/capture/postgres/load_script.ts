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
    ...schema.tables.filter(({ kind }) => kind === "table").flatMap((table) => rowsLines(table, options)),
    ...sequences.map(({ name, value, isCalled }) =>
      `select pg_catalog.setval(${literal(name)}, ${value}, ${isCalled});`
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
  return [`\\copy ${table.quoted} (${columns}) from ${literal(file)}`];
}

function largeObjectLines(file: string): string[] {
  return [
    "create temporary table amber_large_objects (id oid, piece bigint, bytes bytea) on commit drop;",
    `\\copy pg_temp.amber_large_objects from ${literal(file)}`,
    "select pg_catalog.lo_create(id) from (select distinct id from pg_temp.amber_large_objects order by id) one;",
    `select pg_catalog.lo_put(id, piece * ${largeObjectPiece}, bytes) from pg_temp.amber_large_objects ` +
    "where pg_catalog.length(bytes) > 0;",
    "drop table pg_temp.amber_large_objects;",
  ];
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
