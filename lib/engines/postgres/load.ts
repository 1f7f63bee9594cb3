import { literal, quoteName, type Row } from "../engine.ts";
import type { DatabaseSchema, SchemaTable } from "./schema/read_schema.ts";

/** What loading needs of a connection that is inside a transaction. */
export interface LoadSession {
  query(sql: string): Promise<Row[]>;
  /** Runs COPY … FROM STDIN; gives how many rows came. */
  copyIn(sql: string, source: AsyncIterable<Uint8Array>): Promise<number>;
}

/** What comes: the rows of each table in COPY's text form, and what belongs to them. */
export interface LoadSource {
  /** Undefined: none of this table are there. */
  rows(table: SchemaTable): AsyncIterable<Uint8Array> | undefined;
  sequences: readonly SequenceValue[];
  /** Statements that fill materialized views again, in order. */
  refreshes?: readonly string[];
  /** Lines of oid, piece, bytes; undefined when there are no large objects; `keep`: those that are there stay. */
  largeObjects?: AsyncIterable<Uint8Array> | "keep";
  /** Bytes of a piece of a large object, all but its last one. */
  largeObjectPiece: number;
}

/** Where a sequence stands. */
export interface SequenceValue {
  /** Qualified and quoted. */
  name: string;
  value: string;
  isCalled: boolean;
}

/** Tables that hold rows of their own. */
export function tablesWithRows({ tables }: DatabaseSchema): SchemaTable[] {
  return tables.filter(({ kind }) => kind === "table");
}

/**
 * Puts rows into tables that are there already, in the transaction that the session is in: nothing fires, and references
 * are checked when everything is there. What was in the tables goes.
 *
 * @returns Rows of each table, by its qualified and quoted name.
 */
export async function replaceRows(
  session: LoadSession,
  schema: DatabaseSchema,
  source: LoadSource,
): Promise<Record<string, number>> {
  const tables = tablesWithRows(schema);
  const references = schema.tables.flatMap(({ quoted, foreignKeys }) =>
    foreignKeys.map(({ name }) => `alter table ${quoted} drop constraint ${name}`)
  );
  const triggers = await triggersOf(session, schema);
  const forced = await forcedOf(session, schema);
  await all(session, references);
  await all(session, [...new Set(triggers.map(({ table }) => `alter table only ${table} disable trigger user`))]);
  await all(session, forced.map((table) => `alter table ${table} no force row level security`));
  await clear(session, tables);
  const counts = await copyRows(session, tables, source);
  await setSequences(session, source.sequences);
  await replaceLargeObjects(session, source);
  await all(session, triggers.map(({ table, name, verb }) => `alter table only ${table} ${verb} trigger ${name}`));
  await all(session, forced.map((table) => `alter table ${table} force row level security`));
  const made = schema.objects.filter(({ kind }) => kind === "foreign key");
  for (const { sql } of made) await session.query(sql);
  for (const sql of source.refreshes ?? []) await session.query(sql);
  return counts;
}

/** A schema in which one table alone has rows, and only references from it or to it are known. */
export function onlyTable(schema: DatabaseSchema, table: SchemaTable): DatabaseSchema {
  const references = new Set<string>();
  const tables = schema.tables.map((one): SchemaTable => {
    const foreignKeys = one === table
      ? one.foreignKeys
      : one.foreignKeys.filter((key) => key.references === table.quoted);
    for (const { name } of foreignKeys) references.add(`${name} ON ${one.quoted}`);
    return { ...one, foreignKeys, kind: one === table || one.kind !== "table" ? one.kind : "foreign table" };
  });
  const objects = schema.objects.filter(({ kind, name }) => kind === "foreign key" && references.has(name));
  return { ...schema, tables, objects };
}

/** Copies rows into empty tables. */
export async function copyRows(
  session: LoadSession,
  tables: readonly SchemaTable[],
  source: LoadSource,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const table of tables) {
    const rows = source.rows(table);
    if (!rows) continue;
    if (table.columns.length > 0) {
      const columns = table.columns.map(({ quoted }) => quoted).join(", ");
      counts[table.quoted] = await session.copyIn(`copy ${table.quoted} (${columns}) from stdin`, rows);
      continue;
    }
    // Rows without a column that could be written: only how many there are is known.
    let count = 0;
    for await (const bytes of rows) for (const byte of bytes) if (byte === 10) count++;
    await session.query(`insert into ${table.quoted} select from generate_series(1, ${count})`);
    counts[table.quoted] = count;
  }
  return counts;
}

export async function setSequences(session: LoadSession, sequences: readonly SequenceValue[]): Promise<void> {
  const calls = sequences.map(({ name, value, isCalled }) =>
    `pg_catalog.setval(${literal(name, "postgres")}, ${BigInt(value)}, ${isCalled})`
  );
  for (let at = 0; at < calls.length; at += 100) {
    await session.query(`select ${calls.slice(at, at + 100).join(", ")}`);
  }
}

/** All that are there go; those that come keep their numbers. */
export async function replaceLargeObjects(session: LoadSession, source: LoadSource): Promise<void> {
  if (source.largeObjects === "keep") return;
  await session.query("select pg_catalog.lo_unlink(oid) from pg_catalog.pg_largeobject_metadata");
  if (!source.largeObjects) return;
  const { receive, copy, make } = largeObjectSql(source.largeObjectPiece);
  await session.query(receive);
  await session.copyIn(`${copy} stdin`, source.largeObjects);
  await session.query(make.join("; "));
}

/** What makes large objects of lines of oid, piece and bytes; `copy` wants where these come from. */
export function largeObjectSql(pieceSize: number): { receive: string; copy: string; make: string[] } {
  const name = "pg_temp.amber_large_objects";
  return {
    receive: "create temporary table amber_large_objects (id oid, piece bigint, bytes bytea) on commit drop",
    copy: `copy ${name} from`,
    make: [
      `select pg_catalog.lo_create(id) from (select distinct id from ${name} order by id) one`,
      `select pg_catalog.lo_put(id, piece * ${pieceSize}, bytes) from ${name} where pg_catalog.length(bytes) > 0`,
      `drop table ${name}`,
    ],
  };
}

async function clear(session: LoadSession, tables: readonly SchemaTable[]): Promise<void> {
  const whole = tables.filter(({ extension }) => extension === undefined);
  if (whole.length > 0) await session.query(`truncate ${whole.map(({ quoted }) => `only ${quoted}`).join(", ")}`);
  for (const { quoted, extension } of tables) {
    if (extension !== undefined) await session.query(`delete from only ${quoted} ${extension.where}`);
  }
}

/** Triggers of the app, and the words that give each the state that it has now. */
async function triggersOf(
  session: LoadSession,
  schema: DatabaseSchema,
): Promise<{ table: string; name: string; verb: string }[]> {
  const names = new Map(schema.tables.map(({ oid, quoted }) => [oid, quoted]));
  const verbs: Record<string, string> = { O: "enable", D: "disable", R: "enable replica", A: "enable always" };
  const rows = await session.query(
    `select tgrelid::int8::text as oid, tgname as name, tgenabled::text as state from pg_catalog.pg_trigger
      where not tgisinternal order by tgrelid, tgname`,
  );
  return rows.flatMap(({ oid, name, state }) => {
    const table = names.get(Number(oid));
    return table === undefined ? [] : [{ table, name: quoteName(String(name)), verb: verbs[String(state)]! }];
  });
}

/** Tables whose owner obeys their policies too: nothing could be copied into them. */
async function forcedOf(session: LoadSession, schema: DatabaseSchema): Promise<string[]> {
  const names = new Map(schema.tables.map(({ oid, quoted }) => [oid, quoted]));
  const rows = await session.query(
    "select oid::int8::text as oid from pg_catalog.pg_class where relforcerowsecurity order by oid",
  );
  return rows.map(({ oid }) => names.get(Number(oid))).filter((name) => name !== undefined);
}

async function all(session: LoadSession, statements: readonly string[]): Promise<void> {
  for (let at = 0; at < statements.length; at += 100) {
    await session.query(statements.slice(at, at + 100).join("; "));
  }
}
