import type { PostgresEngine } from "../../engines/postgres/engine.ts";
import type { DatabaseSchema } from "../../engines/postgres/schema/schema_object.ts";

/**
 * Tables of one row that say, in the commit of a restore or a wipe itself, that it is done. A kill right behind that may
 * leave one.
 */
export type Marker = "amber_restore" | "amber_wipe";

/** Leaves the marker with this id, in the transaction that the engine is in, if in any. None may be there. */
export async function mark(engine: PostgresEngine, marker: Marker, id: string): Promise<void> {
  const name = nameOf(engine, marker);
  await engine.query(`create table ${name} (id text primary key); insert into ${name} values ('${id}')`);
}

/** Whether the marker is there, with this id. */
export async function isMarked(engine: PostgresEngine, marker: Marker, id: string): Promise<boolean> {
  const name = nameOf(engine, marker);
  const [there] = await engine.query("select pg_catalog.to_regclass($1)::text as name", [name]);
  if (there?.name === null) return false;
  return (await engine.query(`select 1 from ${name} where id = $1`, [id])).length > 0;
}

export async function unmark(engine: PostgresEngine, marker: Marker): Promise<void> {
  await engine.query(`drop table if exists ${nameOf(engine, marker)}`);
}

/** Beside the history. */
function nameOf({ history }: PostgresEngine, marker: Marker): string {
  return history.replace(/amber_migrations$/, marker);
}

const isRestores = (name: string | undefined) => name !== undefined && /\.amber_restore$/.test(name);

/** A schema without what is amber's own and comes and goes. */
export function ofApp(schema: DatabaseSchema): DatabaseSchema {
  return {
    ...schema,
    objects: schema.objects.filter(({ name, table }) => !isRestores(name) && !isRestores(table)),
    tables: schema.tables.filter(({ quoted }) => !isRestores(quoted)),
  };
}
