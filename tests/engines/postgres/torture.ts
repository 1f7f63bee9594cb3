/** A database with everything that a schema can hold on this server's version. */
import type { PostgresDatabase, PostgresDatabases } from "../../support/postgres.ts";
import { runSql } from "./schema_databases.ts";

const roles = ["torture_owner", "torture_reader", "torture_chain", `"Rôle ""x""; --"`];

/** The roles that the torture schemas name. They stay on the server. */
export async function makeRoles(server: PostgresDatabases): Promise<void> {
  for (const role of roles) {
    // Other test files may make them at the same moment.
    await server.sql(
      "postgres",
      `do $$ begin create role ${role}; exception when duplicate_object or unique_violation then null; end $$`,
    );
  }
}

/** The statements for each version up to this one. */
export function tortureTexts(major: number): string[] {
  const names = [
    "torture.sql",
    ...[14, 15, 16, 17, 18].filter((one) => one <= major).map((one) => `torture_${one}.sql`),
  ];
  return names.map((name) => Deno.readTextFileSync(new URL(name, import.meta.url)));
}

/** A new database that holds all of it. */
export async function tortured(server: PostgresDatabases): Promise<PostgresDatabase> {
  await makeRoles(server);
  const database = await server.database();
  for (const text of tortureTexts(server.major)) await runSql(database.url, text);
  return database;
}
