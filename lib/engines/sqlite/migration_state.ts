import type { DatabaseSync } from "node:sqlite";
import { type Standing, standingOf } from "../../standing.ts";

/** Which migration a database stands at. Another tool's table of the name `amber_migrations`: undefined. */
export function readMigrationState(database: DatabaseSync): Standing | undefined {
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
  return standingOf(applied.map(({ name }) => name));
}
