import { AmberError } from "../errors.ts";
import { type Engine, literal, quoteName, StatementFailure } from "../engines/engine.ts";

/** History tables of other migration tools, and what each tool is called. */
const tools: Record<string, string> = {
  schema_migrations: "dbmate",
  django_migrations: "Django",
  _sqlx_migrations: "sqlx",
  goose_db_version: "goose",
  flyway_schema_history: "Flyway",
  databasechangelog: "Liquibase",
  __drizzle_migrations: "Drizzle",
  _prisma_migrations: "Prisma",
  knex_migrations: "Knex",
  kysely_migration: "Kysely",
  pgmigrations: "node-pg-migrate",
  sequelizemeta: "Sequelize",
  alembic_version: "Alembic",
  atlas_schema_revisions: "Atlas",
  __diesel_schema_migrations: "Diesel",
  "gorp_migrations": "sql-migrate",
  typeorm_metadata: "TypeORM",
  mikro_orm_migrations: "MikroORM",
};

/** The history table of another tool, if there is one. An empty one counts: its tool may have made tables all the same. */
async function findOtherTool(engine: Engine): Promise<{ table: string; tool: string; isEmpty: boolean } | undefined> {
  const names = Object.keys(tools).map((name) => literal(name, engine.dialect)).join(", ");
  const rows = await engine.query(
    engine.dialect === "sqlite"
      ? `select name, null as schema from main.sqlite_schema where type = 'table' and lower(name) in (${names})`
      : `select c.relname as name, n.nspname as schema from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p') and lower(c.relname) in (${names}) and n.nspname !~ '^pg_'
         and (n.nspname = any(pg_catalog.current_schemas(false)) or n.nspname in ('drizzle', 'atlas_schema_revisions', 'sqitch'))`,
  );
  const found = rows[0];
  if (!found) return undefined;
  const table = String(found.name);
  const tool = tools[table.toLowerCase()]!;
  const schema = found.schema === null ? "main" : String(found.schema);
  const isEmpty = await hasNoRow(engine, `${quoteName(schema)}.${quoteName(table)}`);
  return { table, tool: tool === "dbmate" ? await whichSchemaMigrations(engine) : tool, isEmpty };
}

async function hasNoRow(engine: Engine, table: string): Promise<boolean> {
  try {
    return (await engine.query(`select 1 as found from ${table} limit 1`)).length === 0;
  } catch (error) {
    if (error instanceof StatementFailure && error.code === "42501") return false; // not ours to read: take it as used
    throw error;
  }
}

/** Running 0001 again on a database that another tool has migrated may begin with a DROP. @throws {AmberError} HISTORY_FOREIGN */
export async function refuseOtherTool(engine: Engine): Promise<void> {
  const found = await findOtherTool(engine);
  if (!found) return;
  throw new AmberError("HISTORY_FOREIGN", {
    message:
      `Cannot migrate: this database was migrated by ${found.tool} (table "${found.table}"), and amber has no history here`,
    where: engine.where,
    hint: (found.tool === "dbmate"
      ? "Take its history over: amber adopt dbmate"
      : "Record what is applied already without running it: amber migrate --fake NAME (the last one applied)") +
      (found.isEmpty
        ? `. But that table is empty: if nothing that ${found.tool} made is in use here, drop table ${found.table}; then amber migrate`
        : ""),
  });
}

/** dbmate, golang-migrate and Rails all call their table schema_migrations. */
async function whichSchemaMigrations(engine: Engine): Promise<string> {
  const columns = await engine.query(
    engine.dialect === "sqlite"
      ? "select name from pragma_table_info('schema_migrations')"
      : "select attname as name from pg_catalog.pg_attribute where attrelid = pg_catalog.to_regclass('schema_migrations') and attnum > 0",
  );
  if (columns.some((row) => row.name === "dirty")) return "golang-migrate";
  const [rails] = await engine.query(
    engine.dialect === "sqlite"
      ? "select 1 as found from main.sqlite_schema where name = 'ar_internal_metadata'"
      : "select 1 as found where pg_catalog.to_regclass('ar_internal_metadata') is not null",
  );
  return rails ? "Rails" : "dbmate";
}
