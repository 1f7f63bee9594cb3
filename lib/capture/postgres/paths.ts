import type { SchemaTable } from "../../engines/postgres/schema/schema_object.ts";
import { postgresPrefix } from "../../repository/tree.ts";

/** What is written down of large objects, a line for each piece of this size. */
export const largeObjectPiece = 1 << 18;

/** The path of a table's rows: what stands between slashes is percent-encoded. */
export function rowsPath({ schema, name }: Pick<SchemaTable, "schema" | "name">): string {
  return `${postgresPrefix}tables/${encoded(schema)}/${encoded(name)}`;
}

function encoded(name: string): string {
  return encodeURIComponent(name).replaceAll(".", "%2E");
}
