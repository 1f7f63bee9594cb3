import type { Row } from "../../engine.ts";
import { type Found, type Id, idOf, type Part, plain, textOf } from "./found.ts";
import { storageOptions } from "./options.ts";
import { isUserSchema, json, qualified, type Reading } from "./reading.ts";
import type { ForeignKey } from "./schema_object.ts";

/** A CHECK of a table. */
export interface CheckConstraint {
  id: Id;
  quoted: string;
  sql: string; // `CHECK (…)`
  isLocal: boolean;
  /** It stands in CREATE TABLE; what is not valid is added after the rows. */
  isInline: boolean;
}

/** A NOT NULL that is an object: from version 18 on. */
export interface NotNull {
  id: Id;
  name: string; // as it is
  quoted: string;
  isLocal: boolean;
  isValid: boolean;
  noInherit: string; // "" or " NO INHERIT"
}

export interface Constraints {
  checks: Map<number, CheckConstraint[]>; // by the table's oid
  notNulls: Map<number, Map<number, NotNull>>; // by the table's oid, the column's number
  areNotNullsObjects: boolean;
  domains: Map<number, Part[]>; // by the type's oid
  foreignKeys: Map<number, ForeignKey[]>; // by the table's oid
  found: Found[];
}

/** Constraints of users' tables and domains. */
export async function readConstraints({ query, major }: Reading): Promise<Constraints> {
  const rows = await query(`select c.oid, c.conname as raw, quote_ident(c.conname) as name, c.contype as type,
      c.conrelid as relation, c.contypid as domain, c.conislocal as is_local, c.convalidated as is_valid,
      c.connoinherit as no_inherit, c.conindid as index, c.conparentid as parent, c.conkey[1] as first_column,
      pg_get_constraintdef(c.oid) as sql, ${qualified("n.nspname", "r.relname")} as table, r.relkind as kind,
      case when c.confrelid <> 0 then ${qualified("fn.nspname", "f.relname")} end as other,
      ${qualified("tn.nspname", "t.typname")} as domain_name, ${qualified("n.nspname", "i.relname")} as index_name,
      ${json("i.reloptions")} as options, x.indisclustered as is_clustered, x.indisreplident as is_identity,
      ${major >= 18 ? "c.conenforced" : "true"} as is_enforced
    from pg_constraint c
    left join pg_class r on r.oid = c.conrelid
    left join pg_namespace n on n.oid = r.relnamespace
    left join pg_class f on f.oid = c.confrelid
    left join pg_namespace fn on fn.oid = f.relnamespace
    left join pg_type t on t.oid = c.contypid
    left join pg_namespace tn on tn.oid = t.typnamespace
    left join pg_class i on i.oid = c.conindid and c.contype in ('p', 'u', 'x')
    left join pg_index x on x.indexrelid = i.oid
    where c.oid >= 16384 and c.contype in ('c', 'n', 'p', 'u', 'x', 'f')
      and ${isUserSchema("coalesce(n.nspname, tn.nspname)")}
    order by c.conrelid, c.contypid, c.conname, c.oid`);
  const read: Constraints = {
    checks: new Map(),
    notNulls: new Map(),
    areNotNullsObjects: major >= 18,
    domains: new Map(),
    foreignKeys: new Map(),
    found: [],
  };
  for (const row of rows) {
    const relation = Number(row.relation);
    if (relation === 0) push(read.domains, Number(row.domain), domainPart(row));
    else if (row.type === "c") addCheck(read, relation, row);
    else if (row.type === "n") addNotNull(read, relation, row);
    else if (row.type === "f") addForeignKey(read, relation, row);
    else read.found.push(keyFound(row));
  }
  return read;
}

function domainPart(row: Row): Part {
  const sql = row.type === "n" ? "NOT NULL" : textOf(row, "sql");
  return {
    id: idOf("pg_constraint", row.oid),
    kind: row.type === "n" ? "domain not null" : "domain constraint",
    name: `${row.name} ON ${row.domain_name}`,
    on: `CONSTRAINT ${row.name} ON DOMAIN ${row.domain_name}`,
    later: `ALTER DOMAIN ${row.domain_name} ADD CONSTRAINT ${row.name} ${sql};`,
  };
}

function addCheck(read: Constraints, relation: number, row: Row): void {
  const check: CheckConstraint = {
    id: idOf("pg_constraint", row.oid),
    quoted: String(row.name),
    sql: textOf(row, "sql"),
    isLocal: row.is_local === true,
    isInline: row.is_valid === true,
  };
  push(read.checks, relation, check);
  if (!check.isInline && check.isLocal) read.found.push(addedFound(row, "check constraint"));
}

function addNotNull(read: Constraints, relation: number, row: Row): void {
  const one: NotNull = {
    id: idOf("pg_constraint", row.oid),
    name: String(row.raw),
    quoted: String(row.name),
    isLocal: row.is_local === true,
    isValid: row.is_valid === true,
    noInherit: row.no_inherit === true ? " NO INHERIT" : "",
  };
  const ofTable = read.notNulls.get(relation) ?? new Map<number, NotNull>();
  ofTable.set(Number(row.first_column), one);
  read.notNulls.set(relation, ofTable);
  if (!one.isValid && one.isLocal) read.found.push(addedFound(row, "not null constraint"));
}

function addForeignKey(read: Constraints, relation: number, row: Row): void {
  if (Number(row.parent) !== 0) return; // comes with that of the partitioned table
  const found = addedFound(row, "foreign key");
  read.found.push(found);
  push(read.foreignKeys, relation, {
    name: String(row.name),
    references: String(row.other),
    sql: found.make(new Set()),
  });
}

/** A constraint that is added to a table with rows. */
function addedFound(row: Row, kind: string): Found {
  // A foreign key of a partitioned table reaches its partitions, so there is no ONLY.
  const only = row.type === "f" && row.kind !== "p" ? "ONLY " : "";
  return plain({
    id: idOf("pg_constraint", row.oid),
    kind,
    name: `${row.name} ON ${row.table}`,
    on: `CONSTRAINT ${row.name} ON ${row.table}`,
    section: "post-data",
    table: String(row.table),
    sql: `ALTER TABLE ${only}${row.table} ADD CONSTRAINT ${row.name} ${textOf(row, "sql")};`,
  });
}

const keyKinds: Record<string, string> = { p: "primary key", u: "unique constraint", x: "exclusion constraint" };

/** A constraint with an index of the same name. */
function keyFound(row: Row): Found {
  const statements = [`ALTER TABLE ONLY ${row.table} ADD CONSTRAINT ${row.name} ${textOf(row, "sql")};`];
  const options = storageOptions(row.options);
  if (options && row.type !== "x") statements.push(`ALTER INDEX ${row.index_name} SET (${options});`);
  statements.push(...indexMarks(String(row.table), String(row.name), row));
  return plain({
    id: idOf("pg_constraint", row.oid),
    also: [idOf("pg_class", row.index)],
    kind: keyKinds[String(row.type)]!,
    name: `${row.name} ON ${row.table}`,
    on: `CONSTRAINT ${row.name} ON ${row.table}`,
    indexOn: `INDEX ${row.index_name}`,
    section: "post-data",
    table: String(row.table),
    sql: statements.join("\n"),
  });
}

/** What a table says of one of its indexes. `row` has `is_clustered` and `is_identity`. */
export function indexMarks(table: string, index: string, row: Row): string[] {
  return [
    ...(row.is_clustered ? [`ALTER TABLE ${table} CLUSTER ON ${index};`] : []),
    ...(row.is_identity ? [`ALTER TABLE ONLY ${table} REPLICA IDENTITY USING INDEX ${index};`] : []),
  ];
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
