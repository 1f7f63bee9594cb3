import { type Engine, literal, quoteName } from "../engines/engine.ts";
import type { Dialect } from "./lexer.ts";
import type { MigrationFile } from "./migration.ts";
import { readSql } from "./prepare.ts";
import { type Name, words } from "./words.ts";

/** The tables that a migration creates, and does not only fill or create when they are missing elsewhere. */
export function initialTables(file: MigrationFile, dialect: Dialect): Name[] {
  const tables: Name[] = [];
  for (const statement of readSql(file, dialect).up.statements) {
    const at = words(statement, dialect);
    if (!at.skip("CREATE")) continue;
    at.skipOne("UNLOGGED", "FOREIGN", "VIRTUAL");
    if (!at.skip("TABLE")) continue;
    at.skipIf();
    const name = at.qualifiedName();
    if (name) tables.push(name);
  }
  return tables;
}

/** Whether a table is there, as a statement without a schema would find it. */
export async function tableExists(engine: Engine, { schema, name }: Name): Promise<boolean> {
  const rows = engine.dialect === "sqlite"
    ? await engine.query(
      `select 1 as found from main.sqlite_schema where type = 'table' and name = ${
        literal(name, "sqlite")
      } collate nocase`,
    )
    : await engine.query(
      `select 1 as found where pg_catalog.to_regclass(${
        literal((schema ? `${quoteName(schema)}.` : "") + quoteName(name), "postgres")
      }) is not null`,
    );
  return rows.length > 0;
}
