import { indexMarks } from "./constraints.ts";
import { type Found, idOf, plain, textOf } from "./found.ts";
import { isUserSchema, json, qualified, type Reading } from "./reading.ts";

/** Indexes of users' tables that no constraint made, and what binds a partition's index to that of its table. */
export async function readIndexes({ query }: Reading): Promise<{ found: Found[]; notes: string[] }> {
  const rows = await query(`select x.indexrelid as oid, quote_ident(i.relname) as raw,
      ${qualified("n.nspname", "i.relname")} as name, ${qualified("tn.nspname", "t.relname")} as table,
      x.indrelid as table_oid, pg_get_indexdef(x.indexrelid) as sql, x.indisclustered as is_clustered,
      x.indisreplident as is_identity, (x.indisvalid or i.relkind = 'I') and x.indisready as is_whole,
      k.oid is not null as is_key,
      ${qualified("pn.nspname", "p.relname")} as parent, p.oid as parent_oid,
      (select ${json("array_agg(a.attnum || ' ' || a.attstattarget order by a.attnum)")} from pg_attribute a
        where a.attrelid = x.indexrelid and a.attstattarget >= 0) as statistics
    from pg_index x
    join pg_class i on i.oid = x.indexrelid
    join pg_namespace n on n.oid = i.relnamespace
    join pg_class t on t.oid = x.indrelid
    join pg_namespace tn on tn.oid = t.relnamespace
    left join pg_constraint k on k.conindid = x.indexrelid and k.contype in ('p', 'u', 'x')
    left join pg_inherits h on h.inhrelid = x.indexrelid
    left join pg_class p on p.oid = h.inhparent
    left join pg_namespace pn on pn.oid = p.relnamespace
    where x.indexrelid >= 16384 and t.relkind in ('r', 'p', 'm') and t.relpersistence <> 't'
      and ${isUserSchema("tn.nspname")}
    order by tn.nspname, i.relname`);
  const found: Found[] = [];
  const notes: string[] = [];
  for (const row of rows) {
    const [table, name] = [String(row.table), String(row.name)];
    if (!row.is_whole) {
      notes.push(`index ${name} on ${table} is left out: its building failed or has not ended`);
      continue;
    }
    const targets = ((row.statistics ?? []) as string[]).map((one) => one.split(" "))
      .map(([column, target]) => `ALTER INDEX ${name} ALTER COLUMN ${column} SET STATISTICS ${target};`);
    if (!row.is_key) {
      found.push(plain({
        id: idOf("pg_class", row.oid),
        kind: "index",
        name,
        section: "post-data",
        table,
        sql: [`${textOf(row, "sql")};`, ...targets, ...indexMarks(table, String(row.raw), row)].join("\n"),
      }));
    }
    if (row.parent_oid !== null) {
      found.push(plain({
        id: `attach:${row.oid}`,
        kind: "index partition",
        name,
        section: "post-data",
        after: [idOf("pg_class", row.oid), idOf("pg_class", row.parent_oid)],
        table,
        sql: `ALTER INDEX ${row.parent} ATTACH PARTITION ${name};`,
      }));
    }
  }
  return { found, notes };
}
