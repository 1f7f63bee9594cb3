/**
 * What a database's schema is, as text that can be compared: one line for each object, sorted, without the tables in
 * which migration tools keep their history.
 */
import { DatabaseSync } from "node:sqlite";
import postgres from "postgres";

export interface FingerprintOptions {
  /** "count" adds each table's number of rows, "content" the rows themselves, sorted. Default: neither. */
  rows?: "none" | "count" | "content";
}

const historyTables = [
  "amber_migrations",
  "schema_migrations",
  "django_migrations",
  "pgmigrations",
  "knex_migrations",
  "knex_migrations_lock",
  "SequelizeMeta",
  "kysely_migration",
  "kysely_migration_lock",
  "__drizzle_migrations",
  "_prisma_migrations",
  "_sqlx_migrations",
  "__diesel_schema_migrations",
  "goose_db_version",
  "flyway_schema_history",
];

/** @param database The path of a SQLite file, or a `postgres://` URL. */
export async function schemaFingerprint(database: string, options: FingerprintOptions = {}): Promise<string> {
  const { rows = "none" } = options;
  const lines = /^postgres(ql)?:/.test(database) ? await postgresLines(database, rows) : sqliteLines(database, rows);
  return lines.sort().join("\n") + "\n";
}

type Rows = "none" | "count" | "content";

function sqliteLines(path: string, rows: Rows): string[] {
  using db = new DatabaseSync(path, { readOnly: true });
  const objects = db.prepare("select type, name, tbl_name, sql from sqlite_schema").all() as {
    type: string;
    name: string;
    tbl_name: string;
    sql: string | null;
  }[];
  const hidden = new Set([...historyTables, "sqlite_sequence"]);
  const shown = objects.filter((object) => !hidden.has(object.name) && !hidden.has(object.tbl_name));
  const lines = shown.map(({ type, name, tbl_name, sql }) => `${type} ${name} on ${tbl_name}: ${oneLine(sql ?? "")}`);
  if (rows === "none") return lines;
  // What a virtual table keeps its index in depends on the order of writing, not on the content.
  const shadows = db.prepare("select name from pragma_table_list where type = 'shadow'").all() as { name: string }[];
  const skipped = new Set(shadows.map(({ name }) => name));
  for (const { type, name } of shown) {
    if (type !== "table" || skipped.has(name)) continue;
    const table = quote(name);
    const { count } = db.prepare(`select count(*) as count from ${table}`).get() as { count: number };
    lines.push(`rows ${name} ${count}`);
    if (rows === "count") continue;
    const columns = db.prepare(`select name from pragma_table_xinfo(?) where hidden <> 1`).all(name) as {
      name: string;
    }[];
    const row = columns.map((column) => `quote(${quote(column.name)})`).join(` || ', ' || `);
    const content = db.prepare(`select ${row} as row from ${table}`).all() as { row: string }[];
    lines.push(...content.map(({ row }) => `row ${name} (${row})`));
  }
  return lines;
}

// $1: names of history tables. Objects that belong to an extension are the extension's affair.
const catalog = String.raw`
with ns as (select oid, nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'),
hist as (select unnest(string_to_array($1, ',')) as n),
rel as (
  select c.oid, c.relname, c.relkind, n.nspname, c.reloptions from pg_class c join ns n on n.oid = c.relnamespace
  where c.relname not in (select n from hist)
    and not exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
)
select 'schema ' || nspname as line from ns
union all select format('relation %s.%s %s %s', nspname, relname, relkind, reloptions)
  from rel where relkind in ('r','v','m','p','f')
union all select format('column %s.%s %s %s not null=%s default=%s identity=%s', r.nspname, r.relname, a.attname,
    format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity::text || a.attgenerated::text)
  from rel r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum where r.relkind in ('r','v','m','p','f')
union all select 'index ' || pg_get_indexdef(i.indexrelid) || ' valid=' || i.indisvalid
  from pg_index i join rel r on r.oid = i.indrelid
union all select format('constraint %s.%s %s %s', r.nspname, r.relname, c.conname, pg_get_constraintdef(c.oid))
  from pg_constraint c join rel r on r.oid = c.conrelid
union all select format('view %s.%s %s', nspname, relname, pg_get_viewdef(oid)) from rel where relkind in ('v','m')
union all select 'trigger ' || pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text
  from pg_trigger t join rel r on r.oid = t.tgrelid where not t.tgisinternal
union all select format('policy %s.%s %s %s %s %s', r.nspname, r.relname, p.polname, p.polcmd,
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
  from pg_policy p join rel r on r.oid = p.polrelid
union all select 'function ' || pg_get_functiondef(p.oid) from pg_proc p join ns on ns.oid = p.pronamespace
  where p.prokind <> 'a'
    and not exists (select 1 from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
union all select format('type %s.%s %s %s', ns.nspname, t.typname, t.typtype,
    (select string_agg(enumlabel, ',' order by enumsortorder) from pg_enum e where e.enumtypid = t.oid))
  from pg_type t join ns on ns.oid = t.typnamespace where t.typtype in ('e','d','r')
    and not exists (select 1 from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
union all select format('sequence %s.%s %s', nspname, relname,
    (select format('%s %s %s', seqtypid::regtype, seqstart, seqincrement) from pg_sequence s where s.seqrelid = rel.oid))
  from rel where relkind = 'S' and not exists (
    select 1 from pg_depend d join pg_class c on c.oid = d.refobjid
    where d.objid = rel.oid and d.deptype in ('a','i') and c.relname in (select n from hist))
union all select 'extension ' || extname from pg_extension where extname <> 'plpgsql'
union all select format('comment %s %s %s', d.objoid::regclass, d.objsubid, d.description)
  from pg_description d join rel r on r.oid = d.objoid where d.classoid = 'pg_class'::regclass
`;

async function postgresLines(url: string, rows: Rows): Promise<string[]> {
  const client = postgres(url, { max: 1, prepare: false, fetch_types: false, onnotice: () => {} });
  try {
    const objects = await client.unsafe(catalog, [historyTables.join(",")]) as unknown as { line: string }[];
    const lines = objects.map(({ line }) => oneLine(line));
    if (rows === "none") return lines;
    const tables = await client.unsafe(
      `select schemaname, tablename from pg_tables where schemaname !~ '^pg_' and schemaname <> 'information_schema'`,
    ) as unknown as { schemaname: string; tablename: string }[];
    for (const { schemaname, tablename } of tables) {
      if (historyTables.includes(tablename)) continue;
      const name = `${schemaname}.${tablename}`;
      const content = await client.unsafe(
        `select t::text as row from ${quote(schemaname)}.${quote(tablename)} as t`,
      ) as unknown as { row: string }[];
      lines.push(`rows ${name} ${content.length}`);
      if (rows === "content") lines.push(...content.map(({ row }) => `row ${name} ${row}`));
    }
    return lines;
  } finally {
    await client.end();
  }
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
