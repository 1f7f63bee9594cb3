import type { Row } from "../../engine.ts";
import { textOf } from "./found.ts";
import { isUserSchema, json, qualified, type Reading, rightsColumns, roleName } from "./reading.ts";

/** A row of pg_class with what its statements need, and its columns. */
export interface Relation {
  oid: number;
  row: Row;
  name: string; // qualified and quoted
  kind: "r" | "p" | "v" | "m" | "f" | "S" | "c";
  columns: Column[];
  parents: number[]; // in their order
  isPartition: boolean;
  /** Named when it belongs to one. */
  extension?: string;
}

export interface Column {
  number: number;
  name: string; // as it is
  quoted: string;
  type: string;
  row: Row;
  isLocal: boolean;
  isInherited: boolean;
  /** Stored or virtual; "" for ordinary columns. */
  generated: "" | "s" | "v";
  defaultOid?: number;
  defaultSql?: string;
}

/** Relations of users' schemas: tables, views, sequences, composite types. Those of extensions too: they may have rows. */
export async function readRelations({ query, major }: Reading): Promise<Map<number, Relation>> {
  const [relations, columns, parents] = await Promise.all([
    query(`select c.oid, n.nspname as schema, c.relname as raw, ${qualified("n.nspname", "c.relname")} as name,
      c.relkind as kind, c.relpersistence as persistence, c.relispartition as is_partition,
      c.relreplident as replica_identity, c.relrowsecurity as row_security, c.relforcerowsecurity as force_security,
      c.relispopulated as is_populated, c.reltype as row_type, ${roleName("c.relowner")} as owner,
      case when c.reloftype <> 0 then format_type(c.reloftype, null) end as of_type,
      case when am.amname <> 'heap' then quote_ident(am.amname) end as access_method,
      ${json("c.reloptions")} as options, ${json("toast.reloptions")} as toast_options,
      case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end as partition_key,
      case when c.relispartition then pg_get_expr(c.relpartbound, c.oid) end as bound,
      case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end as definition,
      case when c.relkind in ('v', 'm') then
        (select w.oid from pg_rewrite w where w.ev_class = c.oid and w.rulename = '_RETURN') end as view_rule,
      quote_ident(s.srvname) as server, ${json("ft.ftoptions")} as foreign_options,
      (select x.extname from pg_depend e join pg_extension x on x.oid = e.refobjid
        where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e') as extension,
      ${rightsColumns(`(case when c.relkind = 'S' then 's' else 'r' end)::"char"`, "c.relacl", "c.relowner")}
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_am am on am.oid = c.relam
    left join pg_class toast on toast.oid = c.reltoastrelid
    left join pg_foreign_table ft on ft.ftrelid = c.oid
    left join pg_foreign_server s on s.oid = ft.ftserver
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c') and c.oid >= 16384 and c.relpersistence <> 't'
      and ${isUserSchema("n.nspname")}
    order by n.nspname, c.relname`),
    query(`select a.attrelid as relation, a.attnum as number, a.attname as name, quote_ident(a.attname) as quoted,
      format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as not_null, a.attislocal as is_local,
      a.attinhcount > 0 as is_inherited, a.attidentity as identity, a.attgenerated as generated,
      case when a.attcollation <> t.typcollation then ${qualified("cn.nspname", "co.collname")} end as collation,
      case when a.attstorage <> t.typstorage then a.attstorage end as storage,
      ${major >= 14 ? "a.attcompression" : "''"} as compression, coalesce(a.attstattarget, -1) as statistics,
      ${json("a.attoptions")} as options, ${json("a.attfdwoptions")} as foreign_options,
      pg_get_expr(d.adbin, d.adrelid) as default_sql, d.oid as default_oid,
      ${rightsColumns("'c'", "a.attacl", "c.relowner")}
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    join pg_namespace n on n.oid = c.relnamespace
    join pg_type t on t.oid = a.atttypid
    left join pg_collation co on co.oid = a.attcollation
    left join pg_namespace cn on cn.oid = co.collnamespace
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c') and c.oid >= 16384
      and c.relpersistence <> 't' and ${isUserSchema("n.nspname")}
    order by a.attrelid, a.attnum`),
    query(`select inhrelid as child, inhparent as parent from pg_inherits where inhrelid >= 16384
      order by inhrelid, inhseqno`),
  ]);
  const found = new Map<number, Relation>();
  for (const row of relations) {
    const oid = Number(row.oid);
    found.set(oid, {
      oid,
      row,
      name: String(row.name),
      kind: row.kind as Relation["kind"],
      columns: [],
      parents: [],
      isPartition: row.is_partition === true,
      extension: (row.extension ?? undefined) as string | undefined,
    });
  }
  for (const row of columns) found.get(Number(row.relation))?.columns.push(columnOf(row));
  for (const row of parents) found.get(Number(row.child))?.parents.push(Number(row.parent));
  return found;
}

function columnOf(row: Row): Column {
  return {
    number: Number(row.number),
    name: String(row.name),
    quoted: String(row.quoted),
    type: String(row.type),
    row,
    isLocal: row.is_local === true,
    isInherited: row.is_inherited === true,
    generated: String(row.generated) as Column["generated"],
    defaultOid: row.default_oid === null ? undefined : Number(row.default_oid),
    defaultSql: row.default_oid === null ? undefined : textOf(row, "default_sql"),
  };
}
