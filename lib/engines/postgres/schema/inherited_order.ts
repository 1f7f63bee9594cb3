import { columnRest, isNotNullInherited, type TableContext } from "./column_sql.ts";
import { type Id, idOf } from "./found.ts";
import type { Column, Relation } from "./relations.ts";

/** Whether such a child is made by createInOrder(). */
export function isReordered(relation: Relation, relations: Map<number, Relation>): boolean {
  return differs(relation, relations) && canBeOrdered(relation);
}

/** Names the children whose columns come in another order when they are made from the text. */
export function orderNotes(relations: Map<number, Relation>): string[] {
  return [...relations.values()].filter((one) =>
    one.extension === undefined && differs(one, relations) && !canBeOrdered(one)
  ).map(({ name }) => `table ${name}: made from this text, its inherited columns come first`);
}

/**
 * Whether INHERITS would bring the columns in another order than they have: parents' first, then its own. It is so when
 * a parent got a column later, or when the table became a child later. An INSERT without names would write the wrong
 * columns.
 */
function differs({ isPartition, parents, columns }: Relation, relations: Map<number, Relation>): boolean {
  if (isPartition || parents.length === 0) return false;
  const brought = parents.flatMap((parent) => relations.get(parent)!.columns.map(({ name }) => name));
  const order = new Set([...brought, ...columns.map(({ name }) => name)]);
  return [...order].some((name, i) => name !== columns[i]?.name);
}

/** What generates an inherited column needs its other columns beside it. */
function canBeOrdered({ kind, columns }: Relation): boolean {
  return kind === "r" && !columns.some(({ isLocal, generated }) => !isLocal && generated !== "");
}

/**
 * The statements that make such a child: what is inherited comes, column by column, from a table that stands in for the
 * parents and is dropped at the end.
 *
 * @param end What follows the columns of CREATE TABLE.
 */
export function createInOrder(
  relation: Relation,
  context: TableContext,
  separate: ReadonlySet<Id>,
  end: string,
): string[] {
  const { name, columns, row } = relation;
  const unlogged = row.persistence === "u" ? "UNLOGGED " : "";
  const standIn = `${name.slice(0, name.length - lastPart(name).length)}amber_stand_in`;
  const firstLocal = columns.findIndex(({ isLocal }) => isLocal);
  const first = firstLocal < 0 ? columns : columns.slice(0, firstLocal);
  const statements = [
    `CREATE ${unlogged}TABLE ${standIn} (${
      first.map((column) => standInColumn(relation, column, context)).join(", ")
    });`,
    `CREATE ${unlogged}TABLE ${name} () INHERITS (${standIn})${end};`,
  ];
  for (const column of columns.slice(first.length)) {
    statements.push(
      column.isLocal
        ? `ALTER TABLE ONLY ${name} ADD COLUMN ${column.quoted} ${column.type}${
          localRest(relation, column, context, separate)
        };`
        : `ALTER TABLE ${standIn} ADD COLUMN ${standInColumn(relation, column, context)};`,
    );
  }
  for (const { quoted, isLocal, defaultSql, defaultOid } of columns) {
    if (isLocal || defaultSql === undefined || separate.has(idOf("pg_attrdef", defaultOid))) continue;
    statements.push(`ALTER TABLE ONLY ${name} ALTER COLUMN ${quoted} SET DEFAULT ${defaultSql};`);
  }
  for (const column of columns) {
    const own = context.notNulls.get(relation.oid)?.get(column.number);
    if (column.isLocal || !own?.isLocal || !own.isValid) continue;
    statements.push(`ALTER TABLE ${name} ADD CONSTRAINT ${own.quoted} NOT NULL ${column.quoted}${own.noInherit};`);
  }
  for (const check of context.checks) {
    if (!check.isInline || separate.has(check.id)) continue;
    const to = check.isLocal ? name : standIn;
    statements.push(`ALTER TABLE ${to} ADD CONSTRAINT ${check.quoted} ${check.sql};`);
  }
  return [
    ...statements,
    ...relation.parents.map((parent) => `ALTER TABLE ${name} INHERIT ${context.relations.get(parent)!.name};`),
    `ALTER TABLE ${name} NO INHERIT ${standIn};`,
    `DROP TABLE ${standIn};`,
  ];
}

/** What INHERITS would bring has to be said, since there are no parents yet. */
function localRest(relation: Relation, column: Column, context: TableContext, separate: ReadonlySet<Id>): string {
  const rest = columnRest({ ...relation, parents: [] }, column, context, separate);
  const isMissing = column.row.not_null && !context.areNotNullsObjects && !rest.endsWith(" NOT NULL");
  return isMissing ? `${rest} NOT NULL` : rest;
}

function standInColumn(relation: Relation, column: Column, context: TableContext): string {
  const { quoted, type, row } = column;
  const own = context.notNulls.get(relation.oid)?.get(column.number);
  const isNotNull = own ? own.isValid && !own.isLocal : row.not_null && isNotNullInherited(relation, column, context);
  const collation = row.collation === null ? "" : ` COLLATE ${row.collation}`;
  return `${quoted} ${type}${collation}${isNotNull ? `${own ? ` CONSTRAINT ${own.quoted}` : ""} NOT NULL` : ""}`;
}

/** The name without its schema. */
function lastPart(name: string): string {
  return /(?:"(?:[^"]|"")*"|[^."]+)$/.exec(name)![0];
}
