import { type Engine, quoteName } from "./engine.ts";

/** One object of a schema, as programs see it. */
export interface PrintedObject {
  kind: string;
  name: string;
  sql: string;
  /** The table it belongs to. */
  table?: string;
  /** Postgres: made before the rows are loaded, or after. */
  section?: "pre-data" | "post-data";
  owner?: string;
  grants?: string;
}

/** A schema as SQL. */
export interface PrintedSchema {
  /** The whole of it, in an order in which it can be run. */
  text: string;
  objects: PrintedObject[];
  /** A hash over what the objects are. */
  structure: string;
  /** Postgres: a hash over whose they are and who may do what. */
  rights?: string;
  /** What was left out, with its name and the reason. */
  notes: string[];
  /** What amber never covers. */
  notCovered: string[];
}

/**
 * Reads the schema of an open database, amber's own history aside. Reads only; on Postgres in one transaction. What reads
 * it is loaded only now: no other command needs it.
 *
 * @param options.rights Postgres: owners and grants too.
 */
export async function printSchema(engine: Engine, options: { rights: boolean }): Promise<PrintedSchema> {
  return engine.dialect === "sqlite" ? await printSqlite(engine) : await printPostgres(engine, options);
}

async function printSqlite(engine: Engine): Promise<PrintedSchema> {
  const { readSqliteSchema, sqliteSchemaSql, sqliteStructure } = await import("./sqlite/schema.ts");
  const read = await readSqliteSchema((sql) => engine.query(sql));
  return {
    text: sqliteSchemaSql(read),
    objects: read.objects,
    structure: sqliteStructure(read),
    notes: read.notes,
    notCovered: [],
  };
}

async function printPostgres(engine: Engine, { rights }: { rights: boolean }): Promise<PrintedSchema> {
  const { notCovered, readSchema, readSettings } = await import("./postgres/schema/read_schema.ts");
  const { fingerprint } = await import("./postgres/schema/fingerprint.ts");
  const { schemaSql } = await import("./postgres/schema/schema_sql.ts");
  await engine.query(`begin isolation level repeatable read read only; ${readSettings}`);
  const all = await readSchema((sql) => engine.query(sql));
  await engine.query("commit");
  // Where the migrations stand is no part of what they make.
  const history = all.tables.find(({ schema, name }) => `${quoteName(schema)}.${name}` === engine.history);
  const read = { ...all, objects: all.objects.filter(({ table }) => !history || table !== history.quoted) };
  const prints = fingerprint(read.objects);
  return {
    text: schemaSql(read, { rights }),
    objects: read.objects.map(({ owner, grants, ...object }) => rights ? { ...object, owner, grants } : object),
    structure: prints.structure,
    ...(rights ? { rights: prints.rights } : {}),
    notes: read.notes,
    notCovered: [...notCovered],
  };
}
