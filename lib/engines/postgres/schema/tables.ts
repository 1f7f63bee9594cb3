import {
  columnRest,
  inheritedDefault,
  isNotNullInherited,
  isWritten,
  type TableContext,
  writtenNotNull,
} from "./column_sql.ts";
import type { CheckConstraint } from "./constraints.ts";
import { type Found, type Id, idOf, ownerSql, type Part, rightsOf, textOf } from "./found.ts";
import { createInOrder, isReordered } from "./inherited_order.ts";
import { foreignOptions, quoteText, storageOptions } from "./options.ts";
import type { Relation } from "./relations.ts";

/** A table with everything that stands in CREATE TABLE, and the settings of its columns. */
export function tableFound(relation: Relation, context: TableContext): Found {
  const { oid, name, row } = relation;
  const word = relation.kind === "f" ? "FOREIGN TABLE" : "TABLE";
  return {
    id: idOf("pg_class", oid),
    also: [idOf("pg_type", row.row_type)],
    kind: word.toLowerCase(),
    name,
    section: "pre-data",
    on: `${word} ${name}`,
    table: name,
    owner: ownerSql(`${word} ${name}`, row.owner),
    rights: relationRights(relation, "TABLE"),
    columns: new Map(relation.columns.map((column) => [column.number, `${name}.${column.quoted}`])),
    within: relation.columns.map((column) => writtenNotNull(relation, column, context)).filter((one) =>
      one !== undefined
    )
      .map((one) => ({ id: one.id, on: `CONSTRAINT ${one.quoted} ON ${name}` })),
    parts: [...defaultParts(relation), ...checkParts(relation, context.checks)],
    // Partitions are made as tables of their own and attached: that keeps their order of columns.
    notAfter: relation.isPartition ? relation.parents.map((parent) => idOf("pg_class", parent)) : [],
    make: (separate) =>
      [
        ...(isReordered(relation, context.relations)
          ? createInOrder(relation, context, separate, tableEnd(relation))
          : [createTable(relation, context, separate)]),
        ...alterTable(relation, context, separate),
      ].join("\n"),
  };
}

/** The rights on a relation and on its columns. */
export function relationRights(relation: Relation, on: string) {
  const own = rightsOf(relation.row, `${on} ${relation.name}`);
  const columns = relation.columns.filter(({ row }) => row.touched).map((column) => ({
    column: column.quoted,
    grants: rightsOf(column.row, "", String(relation.row.owner))!.grants,
  })).filter(({ grants }) => grants.length > 0);
  if (columns.length === 0) return own;
  const none = { on: `${on} ${relation.name}`, owner: String(relation.row.owner), grants: [], born: [] };
  return { ...(own ?? none), columns };
}

/** Defaults that can be set later. What generates a column cannot. */
function defaultParts({ oid, name, columns }: Relation): Part[] {
  return columns.filter(({ defaultSql, generated }) => defaultSql !== undefined && generated === "").map((column) => ({
    id: idOf("pg_attrdef", column.defaultOid),
    kind: "default",
    name: `${name}.${column.quoted}`,
    later: `ALTER TABLE ONLY ${name} ALTER COLUMN ${column.quoted} SET DEFAULT ${column.defaultSql};`,
  })).filter(() => oid > 0);
}

function checkParts({ name, isPartition }: Relation, checks: CheckConstraint[]): Part[] {
  return checks.filter((check) => check.isInline && (check.isLocal || isPartition)).map((check) => ({
    id: check.id,
    kind: "check constraint",
    name: `${check.quoted} ON ${name}`,
    on: `CONSTRAINT ${check.quoted} ON ${name}`,
    later: `ALTER TABLE ${name} ADD CONSTRAINT ${check.quoted} ${check.sql};`,
  }));
}

function createTable(relation: Relation, context: TableContext, separate: ReadonlySet<Id>): string {
  const { row, name } = relation;
  const ofType = row.of_type !== null;
  const elements: string[] = [];
  for (const column of relation.columns) {
    if (!isWritten(relation, column)) continue;
    const rest = columnRest(relation, column, context, separate);
    if (ofType) {
      if (rest !== "") elements.push(`${column.quoted} WITH OPTIONS${rest}`);
    } else elements.push(`${column.quoted} ${column.type}${rest}`);
  }
  for (const column of relation.columns) {
    const notNull = writtenNotNull(relation, column, context);
    if (!isWritten(relation, column) && notNull) {
      elements.push(`CONSTRAINT ${notNull.quoted} NOT NULL ${column.quoted}${notNull.noInherit}`);
    }
  }
  for (const check of context.checks) {
    if (!check.isInline || separate.has(check.id) || !(check.isLocal || relation.isPartition)) continue;
    elements.push(`CONSTRAINT ${check.quoted} ${check.sql}`);
  }
  const body = elements.length > 0 ? ` (\n    ${elements.join(",\n    ")}\n)` : ofType ? "" : " (\n)";
  const parents = relation.isPartition ? [] : relation.parents.map((parent) => context.relations.get(parent)!.name);
  const kind = relation.kind === "f" ? "FOREIGN TABLE" : row.persistence === "u" ? "UNLOGGED TABLE" : "TABLE";
  return [
    `CREATE ${kind} ${name}`,
    ofType ? ` OF ${row.of_type}` : "",
    body,
    parents.length > 0 ? `\nINHERITS (${parents.join(", ")})` : "",
    tableEnd(relation),
    ";",
  ].join("");
}

/** What follows the columns. */
function tableEnd({ row }: Relation): string {
  const options = [storageOptions(row.options), storageOptions(row.toast_options, "toast.")].filter(Boolean).join(", ");
  return [
    row.partition_key !== null ? `\nPARTITION BY ${row.partition_key}` : "",
    row.access_method !== null ? `\nUSING ${row.access_method}` : "",
    row.server !== null ? `\nSERVER ${row.server}${foreignOptions(row.foreign_options)}` : "",
    options ? `\nWITH (${options})` : "",
  ].join("");
}

const storages: Record<string, string> = { p: "PLAIN", e: "EXTERNAL", m: "MAIN", x: "EXTENDED" };
const compressions: Record<string, string> = { p: "pglz", l: "lz4" };

/** What a column has and CREATE TABLE cannot say in all versions, or for inherited ones. */
function* alterTable(relation: Relation, context: TableContext, separate: ReadonlySet<Id>): Generator<string> {
  const alter = `ALTER ${relation.kind === "f" ? "FOREIGN TABLE" : "TABLE"} ONLY ${relation.name}`;
  for (const column of relation.columns) {
    const { row, quoted } = column;
    const change = `${alter} ALTER COLUMN ${quoted}`;
    if (!isWritten(relation, column)) {
      const id = idOf("pg_attrdef", column.defaultOid);
      if (column.defaultSql !== undefined && column.generated === "" && !separate.has(id)) {
        if (column.defaultSql !== inheritedDefault(relation, column, context)) {
          yield `${change} SET DEFAULT ${column.defaultSql};`;
        }
      } else if (column.defaultSql === undefined && inheritedDefault(relation, column, context) !== undefined) {
        yield `${change} DROP DEFAULT;`;
      }
      if (row.not_null && !context.areNotNullsObjects && !isNotNullInherited(relation, column, context)) {
        yield `${change} SET NOT NULL;`;
      }
    }
    if (row.storage !== null) yield `${change} SET STORAGE ${storages[String(row.storage)]};`;
    const compression = compressions[String(row.compression)];
    if (compression) yield `${change} SET COMPRESSION ${compression};`;
    if (Number(row.statistics) >= 0) yield `${change} SET STATISTICS ${row.statistics};`;
    const options = storageOptions(row.options);
    if (options) yield `${change} SET (${options});`;
  }
  const words: Record<string, string> = { f: "FULL", n: "NOTHING" };
  const identity = words[String(relation.row.replica_identity)];
  if (identity && relation.kind !== "f") yield `${alter} REPLICA IDENTITY ${identity};`;
}

/** Binds a partition to its table. */
export function attachFound(relation: Relation, relations: Map<number, Relation>): Found {
  const parent = relations.get(relation.parents[0]!)!;
  return {
    id: `attach:${relation.oid}`,
    kind: "partition",
    name: relation.name,
    section: "pre-data",
    after: [idOf("pg_class", relation.oid), idOf("pg_class", parent.oid)],
    table: relation.name,
    make: () => `ALTER TABLE ONLY ${parent.name} ATTACH PARTITION ${relation.name} ${textOf(relation.row, "bound")};`,
  };
}

/** COMMENT ON takes a text or NULL. */
export function commentSql(on: string, text: unknown): string {
  return `COMMENT ON ${on} IS ${quoteText(text)};`;
}
