import type { Engine } from "../engines/engine.ts";
import { openEngine } from "../engines/open.ts";
import { type PrintedSchema, printSchema } from "../engines/schema.ts";
import type { LookOptions } from "./check.ts";
import { openOptions } from "./migrate.ts";

/** A schema as it is shown. */
export interface ShownSchema extends PrintedSchema {
  engine: Engine["dialect"];
  /** Of the server or the library, e.g. `15.18` */
  version: string;
}

/**
 * The schema of the database as SQL in an order that is always the same, for a file under version control. Reads, and
 * does nothing else.
 *
 * @param options.rights Postgres: owners and grants too.
 * @throws {AmberError} DATABASE_UNKNOWN and what else opening can throw.
 */
export async function schema(options: LookOptions & { rights: boolean }): Promise<ShownSchema> {
  const engine = await openEngine(options.database, {
    ...openOptions(options, 0),
    patienceMs: options.waitMs ?? 5_000,
    create: false,
    readOnly: true,
  });
  try {
    return { engine: engine.dialect, version: engine.version, ...await printSchema(engine, options) };
  } finally {
    await engine.close();
  }
}
