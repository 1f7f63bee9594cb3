import type { DatabaseSync } from "node:sqlite";

/**
 * Which migration a database stands at: the one with the greatest number; among equals the one that was applied last.
 * Another tool's table of the name `amber_migrations`: undefined.
 */
export function readMigrationState(database: DatabaseSync): { count: number; last: string } | undefined {
  let applied: { name: string }[];
  try {
    applied = database.prepare(
      "select name from main.amber_migrations where state = 'applied' order by applied_at, name",
    )
      .all() as { name: string }[];
  } catch (error) {
    if (/no such column/.test((error as Error).message)) return undefined;
    throw error;
  }
  const numberOf = (name: string) => BigInt(/^\d{1,1000}/.exec(name)?.[0] ?? -1);
  let last = "";
  for (const { name } of applied) if (last === "" || numberOf(name) >= numberOf(last)) last = name;
  return { count: applied.length, last };
}
