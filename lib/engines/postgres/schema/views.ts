import { type Found, idOf, ownerSql, textOf } from "./found.ts";
import { storageOptions } from "./options.ts";
import type { Relation } from "./relations.ts";
import { relationRights } from "./tables.ts";

/** A view; where it would close a circle, first one of the same columns without a query. */
export function viewFound(relation: Relation): Found {
  const { name, row } = relation;
  const query = textOf(row, "definition").replace(/;\s*$/, "");
  const all = (row.options ?? []) as string[];
  const check = all.find((option) => option.startsWith("check_option="))?.slice("check_option=".length);
  const options = storageOptions(all.filter((option) => !option.startsWith("check_option=")));
  const body = `VIEW ${name}${options ? ` WITH (${options})` : ""} AS\n${query}${
    check ? `\n  WITH ${check.toUpperCase()} CHECK OPTION` : ""
  };`;
  const rule = idOf("pg_rewrite", row.view_rule);
  const defaults = relation.columns.filter(({ defaultSql }) => defaultSql !== undefined).map(
    ({ quoted, defaultSql }) => `ALTER VIEW ${name} ALTER COLUMN ${quoted} SET DEFAULT ${defaultSql};`,
  );
  const empty = relation.columns.map(({ quoted, type, row }) =>
    `    NULL::${type}${row.collation === null ? "" : ` COLLATE ${row.collation}`} AS ${quoted}`
  );
  return {
    id: idOf("pg_class", relation.oid),
    also: [idOf("pg_type", row.row_type)],
    kind: "view",
    name,
    section: "pre-data",
    table: name,
    columns: new Map(relation.columns.map((column) => [column.number, `${name}.${column.quoted}`])),
    owner: ownerSql(`VIEW ${name}`, row.owner),
    rights: relationRights(relation, "TABLE"),
    parts: [{ id: rule, kind: "view query", name, later: [`CREATE OR REPLACE ${body}`, ...defaults].join("\n") }],
    make: (separate) =>
      separate.has(rule)
        ? `CREATE VIEW ${name} AS\n SELECT\n${empty.join(",\n")};`
        : [`CREATE ${body}`, ...defaults].join("\n"),
  };
}

/** A materialized view, without rows, and the statement that fills it when it was filled. */
export function materializedViewFound(relation: Relation): Found[] {
  const { name, row } = relation;
  const query = textOf(row, "definition").replace(/;\s*$/, "");
  const options = [storageOptions(row.options), storageOptions(row.toast_options, "toast.")].filter(Boolean).join(", ");
  const storage: Record<string, string> = { p: "PLAIN", e: "EXTERNAL", m: "MAIN", x: "EXTENDED" };
  const methods: Record<string, string> = { p: "pglz", l: "lz4" };
  const settings = relation.columns.flatMap(({ quoted, row: column }) =>
    [
      ...(column.storage === null ? [] : [`SET STORAGE ${storage[String(column.storage)]}`]),
      ...(methods[String(column.compression)] ? [`SET COMPRESSION ${methods[String(column.compression)]}`] : []),
      ...(Number(column.statistics) >= 0 ? [`SET STATISTICS ${column.statistics}`] : []),
      ...(column.options === null ? [] : [`SET (${storageOptions(column.options)})`]),
    ].map((change) => `ALTER TABLE ONLY ${name} ALTER COLUMN ${quoted} ${change};`)
  );
  const method = row.access_method === null ? "" : `\nUSING ${row.access_method}`;
  const made = `CREATE MATERIALIZED VIEW ${name}${method}${
    options ? `\nWITH (${options})` : ""
  } AS\n${query}\n  WITH NO DATA;`;
  const rule = idOf("pg_rewrite", row.view_rule);
  const id = idOf("pg_class", relation.oid);
  const view: Found = {
    id,
    also: [idOf("pg_type", row.row_type), rule],
    kind: "materialized view",
    name,
    section: "pre-data",
    table: name,
    columns: new Map(relation.columns.map((column) => [column.number, `${name}.${column.quoted}`])),
    owner: ownerSql(`MATERIALIZED VIEW ${name}`, row.owner),
    rights: relationRights(relation, "TABLE"),
    make: () => [made, ...settings].join("\n"),
  };
  if (!row.is_populated) return [view];
  return [view, {
    id: `refresh:${relation.oid}`,
    kind: "refresh",
    name,
    section: "post-data",
    after: [id],
    table: name,
    make: () => `REFRESH MATERIALIZED VIEW ${name};`,
  }];
}
