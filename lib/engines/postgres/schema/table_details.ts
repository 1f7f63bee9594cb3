import type { Constraints } from "./constraints.ts";
import type { Relation } from "./relations.ts";
import type { SchemaTable } from "./schema_object.ts";
import type { Extensions } from "./schemas.ts";
import type { Sequences } from "./sequences.ts";

export interface Details {
  relations: Map<number, Relation>;
  constraints: Constraints;
  sequences: Sequences;
  extensions: Extensions;
}

const kinds: Partial<Record<Relation["kind"], SchemaTable["kind"]>> = {
  r: "table",
  p: "partitioned table",
  m: "materialized view",
  f: "foreign table",
};

/** What a dump of the rows wants to know of each table, by schema and name. Tables of extensions only where they hold users' rows. */
export function tableDetails({ relations, constraints, sequences, extensions }: Details): SchemaTable[] {
  const tables: SchemaTable[] = [];
  for (const relation of relations.values()) {
    const kind = kinds[relation.kind];
    const extension = extensions.tables.get(relation.oid);
    if (kind === undefined || (relation.extension !== undefined && !extension)) continue;
    const columns = relation.columns.filter(({ generated }) => generated === "");
    tables.push({
      oid: relation.oid,
      schema: String(relation.row.schema),
      name: String(relation.row.raw),
      quoted: relation.name,
      kind,
      persistence: relation.row.persistence === "u" ? "unlogged" : "permanent",
      columns: columns.map(({ name, quoted, type }) => ({ name, quoted, type })),
      identity: columns.filter(({ row }) => row.identity !== "").map(({ name }) => name),
      sequences: sequences.ofTable.get(relation.oid) ?? [],
      isPartition: relation.isPartition,
      isChild: relation.parents.length > 0,
      isPopulated: relation.row.is_populated === true,
      foreignKeys: constraints.foreignKeys.get(relation.oid) ?? [],
      ...(extension ? { extension } : {}),
    });
  }
  return tables;
}
