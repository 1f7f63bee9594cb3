import { readWith } from "./sqlite_select_facts.ts";
import { conflictWay } from "./sqlite_touch_facts.ts";
import { lowerCase, type Name, type Statement, type Words, words } from "./words.ts";

export { type Insertion, type Touch, touches } from "./sqlite_touch_facts.ts";

/** A PRAGMA: its name in lower case, its value without quotes, `-2000` with its sign; a question has no value. */
export interface Pragma {
  schema?: string;
  name: string;
  value?: string;
}

/** The pragma that a statement is, `name = value` and `name(value)` alike. */
export function pragma(statement: Statement): Pragma | undefined {
  const at = words(statement, "sqlite");
  if (!at.skip("PRAGMA")) return undefined;
  const found = at.qualifiedName();
  if (!found) return undefined;
  const name: Pragma = { ...found, name: lowerCase(found.name) };
  const values = at.symbol() === "(" ? at.group() : at;
  values.skip("=");
  if (values.isDone) return name;
  const sign = ["-", "+"].find((one) => values.skip(one)) ?? "";
  return { ...name, value: sign + values.value() };
}

/**
 * Whether amber leaves out a pragma in a migration. They belong to the connection and say nothing about the data, and
 * amber sets the ones that matter itself. Inside a transaction `foreign_keys` does nothing and `synchronous` fails.
 */
export function skippedPragma(name: string): boolean {
  return skipped.has(lowerCase(name));
}

/**
 * Whether a statement must run outside a transaction: SQLite refuses it inside (VACUUM, a checkpoint, a change to or
 * from WAL), or accepts it and does nothing (page_size, auto_vacuum, encoding). All of them may be run again, except
 * that VACUUM INTO wants its file to be absent or empty.
 */
export function outsideKind(statement: Statement): { kind: "again" } | undefined {
  if (words(statement, "sqlite").is("VACUUM")) return { kind: "again" };
  const found = pragma(statement);
  if (!found) return undefined;
  const isOutside = found.name === "wal_checkpoint" || (found.value !== undefined && outside.has(found.name));
  return isOutside ? { kind: "again" } : undefined;
}

/** What a statement does to the transaction as a whole. Savepoints and ROLLBACK TO are none of it. */
export function transactionWord(statement: Statement): "begin" | "commit" | "rollback" | undefined {
  const at = words(statement, "sqlite");
  if (at.is("BEGIN")) return "begin";
  if (at.is("COMMIT") || at.is("END")) return "commit";
  if (!at.skip("ROLLBACK")) return undefined;
  at.skip("TRANSACTION");
  return at.is("TO") ? undefined : "rollback";
}

/**
 * Whether a statement leaves something in the connection that the next migration must not meet, so that the
 * connection has to be opened anew: an attached database, a temporary object, or a pragma of the connection that is
 * not skipped. `defer_foreign_keys` is among them although COMMIT and ROLLBACK end it: outside a transaction it stays.
 */
export function reopens(statement: Statement): boolean {
  const at = words(statement, "sqlite");
  if (at.is("ATTACH") || at.is("DETACH")) return true;
  if (at.skip("CREATE")) return at.is("TEMP") || at.is("TEMPORARY") || isInTemp(at);
  const found = pragma(statement);
  return found?.value !== undefined && !skipped.has(found.name) && !lasting.has(found.name);
}

/**
 * Whether a statement is known to remove or change no row that was there before; the table is at `isAdditive` in
 * postgres_risk_facts.ts. What SQLite has besides:
 *
 * | statement | additive |
 * |---|---|
 * | INSERT OR IGNORE, ABORT, FAIL, ROLLBACK | yes |
 * | REPLACE, INSERT OR REPLACE | no |
 * | INSERT INTO fts (fts, …), a command to a full-text index | no |
 * | ALTER TABLE: ADD, ALTER COLUMN SET or DROP NOT NULL | yes |
 * | any SELECT, ATTACH, DETACH, VACUUM INTO, EXPLAIN | yes |
 * | VACUUM | no: it rewrites, and may number rows anew |
 * | a PRAGMA that asks, and all known ones | yes |
 * | PRAGMA writable_schema, schema_version, an unknown one with a value | no |
 *
 * A plain INSERT counts as additive although a table can be declared with ON CONFLICT REPLACE, or have triggers.
 *
 * @param created What `noteCreated` collected from the statements before this one.
 */
export function isAdditive(statement: Statement, created: ReadonlySet<string>): boolean {
  const at = words(statement, "sqlite");
  readWith(at, new Map()); // queries only: in SQLite no WITH deletes
  const head = at.keyword();
  if (always.has(head)) return true;
  at.next();
  return rules[head]?.(at, created, statement) ?? false;
}

/**
 * Adds the tables, views and indexes that a statement certainly creates, and forgets what it drops or renames. Call it
 * after each statement, in order.
 */
export function noteCreated(statement: Statement, created: Set<string>): void {
  const at = words(statement, "sqlite");
  if (at.skip("CREATE")) {
    const isTemporary = at.skipOne("TEMP", "TEMPORARY");
    at.skipOne("VIRTUAL", "UNIQUE");
    // What only may have been created may have been there before.
    if (!at.skipOne("TABLE", "VIEW", "INDEX") || at.skipIf()) return;
    const name = at.qualifiedName();
    if (name) add(created, isTemporary ? { ...name, schema: "temp" } : name);
  } else if (at.skip("DROP")) {
    const name = droppedName(at);
    if (name) forget(created, name);
  } else if (at.skip("ALTER", "TABLE")) {
    const from = at.qualifiedName();
    if (!from || !at.skip("RENAME", "TO")) return;
    const isOurs = created.has(key(from));
    const to = { ...from, name: at.name() ?? "" };
    forget(created, from);
    forget(created, to);
    if (isOurs) add(created, to);
  }
}

const skipped = new Set(
  ("foreign_keys synchronous busy_timeout cache_size temp_store locking_mode mmap_size threads cache_spill " +
    "wal_autocheckpoint journal_size_limit").split(" "),
);

const outside = new Set(["journal_mode", "page_size", "auto_vacuum", "encoding"]);

// In the file, or a question that takes a value: nothing of it stays in the connection.
const lasting = new Set([
  ...outside,
  ...("user_version application_id schema_version default_cache_size wal_checkpoint incremental_vacuum optimize " +
    "shrink_memory integrity_check quick_check foreign_key_check foreign_key_list table_info table_xinfo table_list " +
    "index_list index_info index_xinfo").split(" "),
]);

const ofConnection =
  ("defer_foreign_keys legacy_alter_table recursive_triggers case_sensitive_like ignore_check_constraints secure_delete " +
    "trusted_schema query_only read_uncommitted reverse_unordered_selects automatic_index cell_size_check fullfsync " +
    "checkpoint_fullfsync analysis_limit max_page_count soft_heap_limit hard_heap_limit full_column_names " +
    "short_column_names count_changes empty_result_callbacks legacy_file_format").split(" ");

const additivePragmas = new Set([...skipped, ...lasting, ...ofConnection]);
additivePragmas.delete("schema_version");

const always = new Set(
  "CREATE SELECT VALUES ATTACH DETACH ANALYZE REINDEX EXPLAIN BEGIN COMMIT END ROLLBACK SAVEPOINT RELEASE".split(" "),
);

type Rule = (at: Words, created: ReadonlySet<string>, statement: Statement) => boolean;

const rules: Record<string, Rule> = {
  DROP: (at, created) => isOurs(droppedName(at), created),
  DELETE: (at, created) => at.skip("FROM") && isOurs(at.qualifiedName(), created),
  REPLACE: (at, created) => at.skip("INTO") && isOurs(at.qualifiedName(), created),
  UPDATE: (at, created) => {
    conflictWay(at);
    return isOurs(at.qualifiedName(), created);
  },
  INSERT: (at, created) => {
    const replaces = conflictWay(at) === "REPLACE";
    if (!at.skip("INTO")) return false;
    const table = at.qualifiedName();
    if (isOurs(table, created)) return true;
    if (replaces || !table || at.has("DO", "UPDATE")) return false;
    const column = at.symbol() === "(" ? at.group().name() : undefined;
    return column === undefined || lowerCase(column) !== lowerCase(table.name);
  },
  ALTER: (at, created) => {
    if (!at.skip("TABLE")) return false;
    if (isOurs(at.qualifiedName(), created) || at.is("ADD")) return true;
    if (!at.skip("ALTER")) return false;
    at.skip("COLUMN");
    at.name();
    return at.is("SET", "NOT", "NULL") || at.is("DROP", "NOT", "NULL");
  },
  VACUUM: (at) => at.has("INTO"),
  PRAGMA: (_at, _created, statement) => {
    const found = pragma(statement);
    return found !== undefined && (found.value === undefined || additivePragmas.has(found.name));
  },
};

function isInTemp(at: Words): boolean {
  at.skipOne("VIRTUAL", "UNIQUE");
  at.next();
  at.skipIf();
  return lowerCase(at.qualifiedName()?.schema ?? "") === "temp";
}

function droppedName(at: Words): Name | undefined {
  if (!at.skipOne("TABLE", "VIEW", "INDEX", "TRIGGER")) return undefined;
  at.skipIf();
  return at.qualifiedName();
}

function isOurs(name: Name | undefined, created: ReadonlySet<string>): boolean {
  return name !== undefined && created.has(key(name));
}

function key({ schema, name }: Name): string {
  return lowerCase(schema === undefined ? `"${name}"` : `"${schema}"."${name}"`);
}

/** A name without schema means the temporary object first, then the one in main. */
function add(created: Set<string>, name: Name): void {
  const schema = lowerCase(name.schema ?? "main");
  created.add(key({ ...name, schema }));
  if (schema === "main" || schema === "temp") created.add(key({ name: name.name }));
}

function forget(created: Set<string>, { name }: Name): void {
  const end = key({ name });
  for (const key of created) if (key.endsWith(end)) created.delete(key);
}
