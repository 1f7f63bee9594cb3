import type { CheckConstraint, NotNull } from "./constraints.ts";
import { type Id, idOf } from "./found.ts";
import { foreignOptions } from "./options.ts";
import type { Column, Relation } from "./relations.ts";

/** What else a table's statement holds. */
export interface TableContext {
  relations: Map<number, Relation>;
  /** Of this table: all that are in force for its rows. */
  checks: CheckConstraint[];
  /** By the table's oid and the column's number; from version 18 on they are objects. */
  notNulls: Map<number, Map<number, NotNull>>;
  areNotNullsObjects: boolean;
  /** `GENERATED … AS IDENTITY (…)` by the column's number, where the sequence is its own. */
  identities: Map<number, string>;
}

/** Whether the column stands in CREATE TABLE, and is not there by inheritance alone. */
export function isWritten(relation: Relation, column: Column): boolean {
  return column.isLocal || relation.isPartition || relation.row.of_type !== null;
}

/** What follows a column's type. */
export function columnRest(
  relation: Relation,
  column: Column,
  context: TableContext,
  separate: ReadonlySet<Id>,
): string {
  const { row, generated, defaultSql } = column;
  const words: string[] = [];
  if (row.foreign_options !== null) words.push(foreignOptions(row.foreign_options));
  if (row.collation !== null && relation.row.of_type === null) words.push(` COLLATE ${row.collation}`);
  const isSeparate = column.defaultOid !== undefined && separate.has(idOf("pg_attrdef", column.defaultOid));
  if (defaultSql !== undefined && !isSeparate) {
    words.push(
      generated === ""
        ? ` DEFAULT ${defaultSql}`
        : ` GENERATED ALWAYS AS (${defaultSql})${generated === "s" ? " STORED" : ""}`,
    );
  }
  // Else it would get its parent's.
  if (defaultSql === undefined && !relation.isPartition && inheritedDefault(relation, column, context) !== undefined) {
    words.push(" DEFAULT NULL");
  }
  const identity = context.identities.get(column.number);
  if (identity) words.push(` ${identity}`);
  words.push(notNullWords(relation, column, context));
  return words.join("");
}

function notNullWords(relation: Relation, column: Column, context: TableContext): string {
  if (context.notNulls.get(relation.oid)?.has(column.number)) {
    const object = writtenNotNull(relation, column, context);
    if (!object) return "";
    const isUsual = object.name === `${relation.row.raw}_${column.name}_not_null`;
    return `${isUsual ? "" : ` CONSTRAINT ${object.quoted}`} NOT NULL${object.noInherit}`;
  }
  if (!column.row.not_null || context.areNotNullsObjects) return "";
  if (!relation.isPartition && column.isInherited && isNotNullInherited(relation, column, context)) return "";
  return " NOT NULL";
}

/** The NOT NULL that stands in CREATE TABLE: what is not valid is added later, what is inherited comes by itself. */
export function writtenNotNull(relation: Relation, column: Column, context: TableContext): NotNull | undefined {
  const own = context.notNulls.get(relation.oid)?.get(column.number);
  if (!own?.isValid || own.isLocal || relation.isPartition) return own?.isValid ? own : undefined;
  const isBrought = relation.parents.some((parent) => {
    const same = context.relations.get(parent)?.columns.find(({ name }) => name === column.name);
    return same !== undefined && context.notNulls.get(parent)?.get(same.number)?.isValid === true;
  });
  return isBrought ? undefined : own;
}

export function isNotNullInherited(relation: Relation, column: Column, context: TableContext): boolean {
  return relation.parents.some((parent) =>
    context.relations.get(parent)?.columns.some(({ name, row }) => name === column.name && row.not_null)
  );
}

/** The default that a column gets from its parents. */
export function inheritedDefault(relation: Relation, column: Column, context: TableContext): string | undefined {
  for (const parent of relation.parents) {
    const same = context.relations.get(parent)?.columns.find(({ name }) => name === column.name);
    if (same?.defaultSql !== undefined) return same.defaultSql;
  }
  return undefined;
}
