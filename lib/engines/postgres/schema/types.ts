import type { Row } from "../../engine.ts";
import { type Found, idOf, ownerSql, type Part, plain, rightsOf } from "./found.ts";
import { quoteText } from "./options.ts";
import { isOwn, isUserSchema, json, qualified, type Reading, rightsColumns, roleName } from "./reading.ts";
import type { Relation } from "./relations.ts";

/** Enums, domains, composite, range and base types, and those that are only announced. */
export async function readTypes(
  { query, major }: Reading,
  relations: Map<number, Relation>,
  domains: Map<number, Part[]>,
): Promise<Found[]> {
  const procedure = (column: string) => `case when ${column}::oid <> 0 then ${column}::regproc::text end`;
  const rows = await query(`select t.oid, ${qualified("n.nspname", "t.typname")} as name, t.typname as raw,
      t.typtype as type, t.typisdefined as is_defined, t.typarray as array_type, t.typrelid as relation,
      ${roleName("t.typowner")} as owner, ${rightsColumns("'T'", "t.typacl", "t.typowner")},
      (select ${
    json("array_agg(e.enumlabel order by e.enumsortorder)")
  } from pg_enum e where e.enumtypid = t.oid) as labels,
      case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end as base,
      case when t.typtype = 'd' and t.typcollation <> b.typcollation
        then ${qualified("cn.nspname", "co.collname")} end as collation,
      t.typnotnull as not_null, coalesce(pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)) as default_sql,
      format_type(r.rngsubtype, null) as subtype, ${qualified("rn.nspname", "rc.collname")} as range_collation,
      case when not k.opcdefault then ${qualified("kn.nspname", "k.opcname")} end as range_class,
      ${procedure("r.rngcanonical")} as canonical, ${procedure("r.rngsubdiff")} as subdiff,
      ${major >= 14 ? qualified("mn.nspname", "m.typname") : "null"} as multirange,
      ${major >= 14 ? "m.oid" : "0"} as multirange_oid, ${major >= 14 ? "m.typarray" : "0"} as multirange_array,
      ${procedure("t.typinput")} as input, ${procedure("t.typoutput")} as output,
      ${procedure("t.typreceive")} as receive, ${procedure("t.typsend")} as send,
      ${procedure("t.typmodin")} as typmod_in, ${procedure("t.typmodout")} as typmod_out,
      ${procedure("t.typanalyze")} as analyze,
      ${major >= 14 ? procedure("t.typsubscript") : "null"} as subscript,
      t.typlen as length, t.typbyval as by_value, t.typalign as alignment, t.typstorage as storage,
      t.typcategory as category, t.typispreferred as is_preferred, t.typdelim as delimiter,
      case when t.typelem <> 0 then format_type(t.typelem, null) end as element,
      t.typcollation <> 0 as is_collatable, t.typdefault as plain_default
    from pg_type t
    join pg_namespace n on n.oid = t.typnamespace
    left join pg_type b on b.oid = t.typbasetype
    left join pg_collation co on co.oid = t.typcollation
    left join pg_namespace cn on cn.oid = co.collnamespace
    left join pg_range r on r.rngtypid = t.oid
    left join pg_collation rc on rc.oid = r.rngcollation
      and rc.oid <> (select typcollation from pg_type where oid = r.rngsubtype)
    left join pg_namespace rn on rn.oid = rc.collnamespace
    left join pg_opclass k on k.oid = r.rngsubopc
    left join pg_namespace kn on kn.oid = k.opcnamespace
    ${
    major >= 14
      ? "left join pg_type m on m.oid = r.rngmultitypid left join pg_namespace mn on mn.oid = m.typnamespace"
      : ""
  }
    where ${isOwn("pg_type", "t.oid")} and ${isUserSchema("n.nspname")} and t.typtype in ('e', 'd', 'c', 'r', 'b', 'p')
      and not exists (select from pg_type x where x.typarray = t.oid)
      and (t.typrelid = 0 or exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
    order by n.nspname, t.typname`);
  return rows.flatMap((row) =>
    typeFounds(row, relations.get(Number(row.relation)), domains.get(Number(row.oid)) ?? [])
  );
}

const kinds: Record<string, string> = { e: "enum", d: "domain", c: "composite type", r: "range type", b: "base type" };

function typeFounds(row: Row, relation: Relation | undefined, constraints: Part[]): Found[] {
  const name = String(row.name);
  const word = row.type === "d" ? "DOMAIN" : "TYPE";
  const id = idOf("pg_type", row.oid);
  const common = {
    id,
    also: [row.array_type, row.multirange_oid, row.multirange_array].filter(Number).map((oid) => idOf("pg_type", oid)),
    name,
    section: "pre-data" as const,
    on: `${word} ${name}`,
    owner: ownerSql(`${word} ${name}`, row.owner),
    rights: rightsOf(row, `${word} ${name}`),
  };
  if (!row.is_defined) return [plain({ ...common, kind: "shell type", sql: `CREATE TYPE ${name};` })];
  const kind = kinds[String(row.type)]!;
  if (row.type === "d") {
    return [{ ...common, kind, parts: constraints, make: (separate) => domainSql(row, constraints, separate) }];
  }
  if (row.type === "c") {
    const columns = new Map(relation!.columns.map((column) => [column.number, `${name}.${column.quoted}`]));
    const also = [...common.also, idOf("pg_class", relation!.oid)];
    return [plain({ ...common, kind, also, columns, sql: compositeSql(name, relation!) })];
  }
  if (row.type === "e") {
    const labels = ((row.labels ?? []) as string[]).map((label) => `\n    ${quoteText(label)}`);
    return [plain({ ...common, kind, sql: `CREATE TYPE ${name} AS ENUM (${labels.join(",")}\n);` })];
  }
  const announced: Found = plain({
    id: `announced:${row.oid}`,
    kind: "announced type",
    name,
    section: "pre-data",
    after: [],
    sql: `CREATE TYPE ${name};`,
  });
  if (row.type === "r") {
    const sql = rangeSql(row);
    if (row.canonical === null && row.subdiff === null) return [plain({ ...common, kind, sql })];
    return [announced, plain({ ...common, kind, after: [announced.id], sql })];
  }
  return [announced, plain({ ...common, kind, after: [announced.id], sql: baseSql(row) })];
}

function domainSql(row: Row, constraints: Part[], separate: ReadonlySet<string>): string {
  const words = [`CREATE DOMAIN ${row.name} AS ${row.base}`];
  if (row.collation !== null) words.push(` COLLATE ${row.collation}`);
  if (row.default_sql !== null) words.push(` DEFAULT ${row.default_sql}`);
  const inline = constraints.filter(({ id }) => !separate.has(id));
  const notNull = constraints.find(({ kind }) => kind === "domain not null");
  if (row.not_null && (!notNull || inline.includes(notNull))) {
    const name = notNull?.name.slice(0, -` ON ${row.name}`.length);
    words.push(name === undefined || name === `${row.raw}_not_null` ? " NOT NULL" : ` CONSTRAINT ${name} NOT NULL`);
  }
  for (const one of inline) {
    if (one === notNull) continue;
    // NOT VALID can only be said when it is added.
    if (/ NOT VALID;$/.test(one.later)) continue;
    words.push(`\n    ${one.later.slice(`ALTER DOMAIN ${row.name} ADD `.length, -1)}`);
  }
  const later = inline.filter((one) => / NOT VALID;$/.test(one.later)).map((one) => `\n${one.later}`);
  return `${words.join("")};${later.join("")}`;
}

function compositeSql(name: string, relation: Relation): string {
  const columns = relation.columns.map(({ quoted, type, row }) =>
    `\n    ${quoted} ${type}${row.collation === null ? "" : ` COLLATE ${row.collation}`}`
  );
  return `CREATE TYPE ${name} AS (${columns.join(",")}\n);`;
}

function rangeSql(row: Row): string {
  const lines = [`SUBTYPE = ${row.subtype}`];
  const add = (name: string, value: unknown) => value === null || lines.push(`${name} = ${value}`);
  add("MULTIRANGE_TYPE_NAME", row.multirange);
  add("SUBTYPE_OPCLASS", row.range_class);
  add("COLLATION", row.range_collation);
  add("CANONICAL", row.canonical);
  add("SUBTYPE_DIFF", row.subdiff);
  return `CREATE TYPE ${row.name} AS RANGE (\n    ${lines.join(",\n    ")}\n);`;
}

const alignments: Record<string, string> = { c: "char", s: "int2", i: "int4", d: "double" };
const storages: Record<string, string> = { p: "plain", e: "external", m: "main", x: "extended" };

function baseSql(row: Row): string {
  const lines: string[] = [];
  const add = (name: string, value: unknown) => value === null || lines.push(`${name} = ${value}`);
  add("INPUT", row.input);
  add("OUTPUT", row.output);
  add("RECEIVE", row.receive);
  add("SEND", row.send);
  add("TYPMOD_IN", row.typmod_in);
  add("TYPMOD_OUT", row.typmod_out);
  add("ANALYZE", row.analyze);
  add("SUBSCRIPT", row.subscript);
  add("INTERNALLENGTH", Number(row.length) < 0 ? "VARIABLE" : row.length);
  if (row.by_value) lines.push("PASSEDBYVALUE");
  add("ALIGNMENT", alignments[String(row.alignment)]);
  add("STORAGE", storages[String(row.storage)]);
  add("CATEGORY", quoteText(row.category));
  add("PREFERRED", row.is_preferred ? "true" : null);
  add("DEFAULT", row.plain_default === null ? null : quoteText(row.plain_default));
  add("ELEMENT", row.element);
  add("DELIMITER", quoteText(row.delimiter));
  add("COLLATABLE", row.is_collatable ? "true" : null);
  return `CREATE TYPE ${row.name} (\n    ${lines.join(",\n    ")}\n);`;
}
