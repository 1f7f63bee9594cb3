import { createHash } from "node:crypto";
import { literal, type Row, StatementFailure } from "../engine.ts";

/** One object of a SQLite database, as its own statement. */
export interface SqliteObject {
  kind: "pragma" | "table" | "virtual table" | "index" | "view" | "trigger";
  name: string; // as it is
  /** With its semicolon. */
  sql: string;
  /** The table it belongs to. */
  table?: string;
}

export interface SqliteSchema {
  /** In an order in which they can be made; by kind and name alone, so that equal databases give equal lists. */
  objects: SqliteObject[];
  notes: string[];
}

const kinds: SqliteObject["kind"][] = ["pragma", "table", "virtual table", "index", "view", "trigger"];

/** amber's own tables: the history, and the marker of a restore. */
const ownTables = new Set(["amber_migrations", "amber_restore"]);

/**
 * Reads what users made. SQLite's own tables and indexes, amber's, and those in which a virtual table keeps its content
 * are left out: they come by themselves.
 */
export async function readSqliteSchema(query: (sql: string) => Promise<Row[]>): Promise<SqliteSchema> {
  const rows = await query("select type, name, tbl_name, rootpage, sql from main.sqlite_schema where sql is not null");
  const virtual = new Set(
    rows.filter(({ type, rootpage }) => type === "table" && Number(rootpage) === 0).map(({ name }) => String(name)),
  );
  // SQLite knows which tables are whose once the module has been asked. Without it, they begin by custom with its name.
  const unknown: string[] = [];
  for (const name of virtual) if (!await isKnown(query, name)) unknown.push(name);
  const tables = await query("select name, type from pragma_table_list where schema = 'main'");
  const shadows = new Set(tables.filter(({ type }) => type === "shadow").map(({ name }) => String(name)));
  const [facts] = await query("select user_version, application_id from pragma_user_version, pragma_application_id");
  const notes = unknown.sort().map((name) =>
    `virtual table ${name}: its module is not part of amber, so tables named ${name}_… are taken for its own and left out`
  );
  const isOwn = (name: string, table: string) =>
    /^sqlite_/i.test(name) || ownTables.has(table) || shadows.has(table) ||
    unknown.some((one) => table.startsWith(`${one}_`));

  const objects: SqliteObject[] = [];
  for (const [name, value] of Object.entries(facts ?? {})) {
    if (Number(value) !== 0) objects.push({ kind: "pragma", name, sql: `PRAGMA ${name} = ${value};` });
  }
  for (const row of rows) {
    const [name, table] = [String(row.name), String(row.tbl_name)];
    if (isOwn(name, table)) continue;
    const kind = row.type === "table" && virtual.has(name) ? "virtual table" : row.type as SqliteObject["kind"];
    objects.push({ kind, name, sql: ended(String(row.sql)), ...(kind === "pragma" ? {} : { table }) });
  }
  return { objects: objects.sort(compare), notes };
}

async function isKnown(query: (sql: string) => Promise<Row[]>, name: string): Promise<boolean> {
  try {
    return (await query(`select name from pragma_table_xinfo(${literal(name, "sqlite")})`)).length > 0;
  } catch (error) {
    if (error instanceof StatementFailure) return false;
    throw error;
  }
}

/** A comment at the end would swallow the semicolon. */
function ended(sql: string): string {
  const text = sql.trimEnd();
  return /--[^\n]*$/.test(text) ? `${text}\n;` : `${text};`;
}

function compare(a: SqliteObject, b: SqliteObject): number {
  return kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

/** The schema as a text that can be run. */
export function sqliteSchemaSql({ objects, notes }: SqliteSchema): string {
  return [
    "-- Schema of a SQLite database.",
    ...notes.map((note) => `-- Note: ${note.replace(/[\r\n]+/g, " ")}`),
    ...objects.map(({ sql }) => `\n${sql}`),
    "",
  ].join("\n");
}

/** A hash over all objects, 16 hex digits. */
export function sqliteStructure({ objects }: SqliteSchema): string {
  const lines = objects.map(({ kind, name, sql }) => `${JSON.stringify([kind, name, sql])}\n`).join("");
  return createHash("sha256").update(lines).digest("hex").slice(0, 16);
}
