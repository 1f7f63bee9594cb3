import { type Queries, readSelect, readWith, type Source, tableKey } from "./sqlite_select_facts.ts";
import { lowerCase, type Statement, type Words, words } from "./words.ts";

/** Rows that an INSERT, or a CREATE TABLE … AS, brings into a table, and where they come from. */
export interface Insertion extends Source {
  table: string;
}

/**
 * What a SQLite statement touches. Every name is in lower case and without quotes; `main.` is dropped, `temp.` and the
 * schema of an attached database stay in front. EXPLAIN touches nothing.
 */
export interface Touch {
  creates: string[]; // tables, also virtual ones, that certainly are new
  createsMissing: string[]; // tables of CREATE TABLE IF NOT EXISTS: new, or left as they were
  drops: string[]; // tables
  renames: { from: string; to: string }[]; // tables
  deletes: string[]; // DELETE FROM
  replaces: string[]; // REPLACE, INSERT OR REPLACE, UPDATE OR REPLACE: rows in the way are deleted
  ignores: string[]; // INSERT OR IGNORE, ON CONFLICT DO NOTHING, UPDATE OR IGNORE: rows may be left out
  inserts: Insertion[]; // REPLACE and OR IGNORE too
  updates: string[]; // UPDATE, and INSERT … ON CONFLICT DO UPDATE
  alters: string[]; // ALTER TABLE other than RENAME TO
  trigger?: { name: string; table: string }; // CREATE TRIGGER: its body does not run now and is found in `names` only
  names: string[]; // every word and quoted name, to ask whether a table is mentioned at all
}

export function touches(statement: Statement): Touch {
  const at = words(statement, "sqlite");
  const noted: string[] = [];
  let names: string[] | undefined;
  const touch: Touch = {
    creates: [],
    createsMissing: [],
    drops: [],
    renames: [],
    deletes: [],
    replaces: [],
    ignores: [],
    inserts: [],
    updates: [],
    alters: [],
    // Only when asked: an INSERT may have thousands of words.
    get names() {
      return names ??= allNames(at, noted);
    },
  };
  read(at.copy(), touch, (list, name) => {
    if (name === undefined) return;
    list.push(name);
    noted.push(name.replace(/^.*\./, "")); // a table may be named by a string
  });
  return touch;
}

function allNames(at: Words, noted: readonly string[]): string[] {
  const names = new Set(noted);
  for (const all = at.copy(); !all.isDone; all.next()) {
    if (all.token()?.kind !== "string") names.add(lowerCase(all.copy().name() ?? ""));
  }
  names.delete("");
  return [...names];
}

type Note = (list: string[], name: string | undefined) => void;

function read(at: Words, touch: Touch, note: Note): void {
  const queries = readWith(at, new Map());
  const head = at.keyword();
  at.next();
  if (head === "CREATE") readCreate(at, touch, note);
  if (head === "DROP" && at.skip("TABLE")) {
    at.skipIf();
    note(touch.drops, tableName(at));
  }
  if (head === "ALTER" && at.skip("TABLE")) readAlter(at, touch, note);
  if (head === "DELETE" && at.skip("FROM")) note(touch.deletes, tableName(at));
  if (head === "UPDATE") {
    const way = conflictWay(at);
    const table = tableName(at);
    note(touch.updates, table);
    if (way === "REPLACE") note(touch.replaces, table);
    if (way === "IGNORE") note(touch.ignores, table);
  }
  if (head === "INSERT" || head === "REPLACE") {
    readInsert(at, head === "REPLACE" ? "REPLACE" : conflictWay(at), queries, touch, note);
  }
}

function readCreate(at: Words, touch: Touch, note: Note): void {
  const isTemporary = at.skipOne("TEMP", "TEMPORARY");
  at.skip("VIRTUAL");
  const kind = at.keyword();
  at.next();
  const isMissing = at.skipIf();
  if (kind === "TABLE") {
    const name = at.qualifiedName();
    const table = name && tableKey(isTemporary ? { ...name, schema: "temp" } : name);
    note(isMissing ? touch.createsMissing : touch.creates, table);
    if (table !== undefined && at.skip("AS")) noteInsertion(table, readSelect(at, new Map()), touch, note);
  }
  if (kind === "TRIGGER") {
    const name = tableName(at);
    while (!at.isDone && !at.is("ON")) at.next();
    at.next();
    const table = tableName(at);
    if (name !== undefined && table !== undefined) touch.trigger = { name, table };
  }
}

function readAlter(at: Words, touch: Touch, note: Note): void {
  const name = at.qualifiedName();
  if (!name) return;
  const to = at.skip("RENAME", "TO") ? at.name() : undefined;
  if (to === undefined) return note(touch.alters, tableKey(name));
  const renamed = { from: tableKey(name), to: tableKey({ ...name, name: to }) };
  touch.renames.push(renamed);
  note([], renamed.from);
  note([], renamed.to);
}

function readInsert(at: Words, way: string, queries: Queries, touch: Touch, note: Note): void {
  if (!at.skip("INTO")) return;
  const table = tableName(at);
  if (table === undefined) return;
  if (at.skip("AS")) at.name();
  if (at.symbol() === "(") at.group();
  noteInsertion(table, readSelect(at, queries), touch, note);
  if (way === "REPLACE") note(touch.replaces, table);
  if (way === "IGNORE" || at.has("DO", "NOTHING")) note(touch.ignores, table);
  if (at.has("DO", "UPDATE")) note(touch.updates, table);
}

function noteInsertion(table: string, source: Source, touch: Touch, note: Note): void {
  touch.inserts.push({ table, ...source });
  for (const name of [table, ...source.fromTables]) note([], name);
}

/** `REPLACE` in `OR REPLACE`, and the like; moved past. */
export function conflictWay(at: Words): string {
  if (!at.skip("OR")) return "";
  const way = at.keyword();
  at.next();
  return way;
}

function tableName(at: Words): string | undefined {
  const name = at.qualifiedName();
  return name && tableKey(name);
}
