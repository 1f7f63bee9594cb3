import { type Engine, quoteName } from "../engines/engine.ts";

/** Whether any table of the app has a row. Stops at the first. */
export async function hasRows(engine: Engine): Promise<boolean> {
  const tables = await appTables(engine);
  for (let at = 0; at < tables.length; at += 100) {
    const some = tables.slice(at, at + 100).map((table) => `exists (select 1 from ${table})`).join(" or ");
    if ((await engine.query(`select 1 as found where ${some}`)).length > 0) return true;
  }
  return false;
}

/** Quoted names of the app's own tables: not the system's, not amber's, not an extension's. */
export async function appTables(engine: Engine): Promise<string[]> {
  if (engine.dialect === "sqlite") {
    const rows = await engine.query(
      "select name from pragma_table_list where schema = 'main' and type = 'table' and name not like 'sqlite\\_%' escape '\\' and name <> 'amber_migrations'",
    );
    return rows.map((row) => `main.${quoteName(String(row.name))}`);
  }
  const rows = await engine.query(
    `select n.nspname as schema, c.relname as name from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relname <> 'amber_migrations'
     and pg_catalog.has_table_privilege(c.oid, 'select') and pg_catalog.has_schema_privilege(n.oid, 'usage')
     and not exists (select from pg_catalog.pg_depend d where d.objid = c.oid and d.deptype = 'e')
     order by c.reltuples desc`,
  );
  return rows.map((row) => `${quoteName(String(row.schema))}.${quoteName(String(row.name))}`);
}
