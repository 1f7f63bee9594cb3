import { type EngineEvent, StatementFailure } from "../../engines/engine.ts";
import {
  copyRows,
  type LoadSession,
  type LoadSource,
  replaceLargeObjects,
  setSequences,
  tablesWithRows,
} from "../../engines/postgres/load.ts";
import type { DatabaseSchema } from "../../engines/postgres/schema/schema_object.ts";
import { readSettings } from "../../engines/postgres/schema/read_schema.ts";
import { schemaParts } from "../../engines/postgres/schema/schema_sql.ts";

/** What the transaction is told in which a schema is made and filled. */
export const makeSettings = `${readSettings}; set local check_function_bodies = off; set local xmloption = content; ` +
  "set local client_min_messages = warning; set local statement_timeout = 0; set local default_tablespace = ''";

/**
 * Makes everything of a schema in a database that counts as empty, the rows in the middle, in the transaction that the
 * session is in.
 *
 * @returns Rows of each table, by its qualified and quoted name.
 */
export async function makeAll(
  session: LoadSession,
  { schema, source, report }: {
    schema: DatabaseSchema;
    source: LoadSource;
    report: (event: Extract<EngineEvent, { type: "note" }>) => void;
  },
): Promise<Record<string, number>> {
  const parts = (rights: boolean) => schemaParts(intoWhatIsThere(schema), { rights });
  let rights = true;
  await session.query("savepoint amber_rights");
  try {
    await session.query(parts(true).preData || "select 1");
  } catch (error) {
    // A role that is missing here, or whom this one may not give anything to.
    if (!(error instanceof StatementFailure) || !["42704", "42501"].includes(error.code ?? "")) throw error;
    await session.query("rollback to savepoint amber_rights");
    report({ type: "note", message: `owners and rights are left out: ${error.message}` });
    rights = false;
    await session.query(parts(false).preData || "select 1");
  }
  const counts = await copyRows(session, tablesWithRows(schema), source);
  await setSequences(session, source.sequences);
  await replaceLargeObjects(session, source);
  await session.query(parts(rights).postData || "select 1");
  return counts;
}

/** A database that counts as empty may have schemas: the app's own, or those of extensions. */
function intoWhatIsThere(schema: DatabaseSchema): DatabaseSchema {
  const objects = schema.objects.map((object) =>
    object.kind === "schema"
      ? { ...object, sql: object.sql.replace(/^CREATE SCHEMA /, "CREATE SCHEMA IF NOT EXISTS ") }
      : object
  );
  return { ...schema, objects };
}
