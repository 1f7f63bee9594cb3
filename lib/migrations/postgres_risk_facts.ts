import { callsUnknown, settings } from "./postgres_session_facts.ts";
import { type Name, type Statement, type Words, words } from "./words.ts";

/**
 * Whether a statement is known to remove or change no row that was there before. What is not known is not additive.
 * The same table holds for SQLite, as far as it has the statement:
 *
 * | statement | additive |
 * |---|---|
 * | CREATE of anything, OR REPLACE too; IMPORT FOREIGN SCHEMA | yes; CREATE SUBSCRIPTION is not: it begins to apply another's deletes |
 * | ALTER TABLE: ADD, VALIDATE, ALTER COLUMN SET/DROP DEFAULT, NOT NULL, STATISTICS, STORAGE, COMPRESSION, ADD GENERATED; ENABLE, DISABLE, FORCE, OWNER, CLUSTER ON, SET or RESET `(…)`, REPLICA IDENTITY, ATTACH PARTITION | yes, if all of its actions are |
 * | ALTER TABLE: RENAME, DROP, TYPE, SET SCHEMA, TABLESPACE, LOGGED, EXPRESSION, DETACH, INHERIT … | no: it drops, rewrites or hides |
 * | ALTER of something else: ADD, VALIDATE, OWNER TO; of SEQUENCE, POLICY, PUBLICATION, ROLE, SYSTEM … | yes, unless it renames, drops or moves |
 * | INSERT, also with DO NOTHING; COPY … FROM stdin or a file | yes |
 * | INSERT … DO UPDATE; a WITH that deletes or updates, in CREATE TABLE … AS too | no |
 * | UPDATE, DELETE, MERGE, TRUNCATE, DROP of anything, REFRESH MATERIALIZED VIEW | no |
 * | SELECT, VALUES, TABLE | yes, unless it calls a function that is not known |
 * | DO, CALL, EXECUTE, EXPLAIN | no: what they run is not seen |
 * | COMMENT, GRANT, REVOKE, SET, RESET, SHOW, LOCK, ANALYZE, VACUUM, REINDEX, DISCARD, transactions … | yes |
 * | VACUUM FULL, CLUSTER | no: they rewrite |
 *
 * Whatever is done to an object that the same migration created before is additive, without CASCADE.
 *
 * @param created What `noteCreated` collected from the statements before this one.
 */
export function isAdditive(statement: Statement, created: ReadonlySet<string>): boolean {
  const at = words(statement, "postgres");
  while (at.skip("("));
  const head = at.keyword();
  if (always.has(head)) return true;
  const query = at.copy();
  at.next();
  const rule = rules[head];
  if (!rule || (changesInside.has(head) && changesRows(query))) return false;
  return rule(at, created, query);
}

/**
 * Adds the tables, views, sequences, indexes and types that a statement certainly creates, forgets what it drops or
 * renames, and all names without a schema when `search_path` changes. Call it after each statement, in order.
 */
export function noteCreated(statement: Statement, created: Set<string>): void {
  const at = words(statement, "postgres");
  if (settings(statement).some(({ name }) => ["search_path", "all"].includes(name))) {
    for (const key of created) if (!key.includes('".')) created.delete(key);
  }
  if (at.skip("CREATE")) {
    at.skipOne("GLOBAL", "LOCAL");
    at.skipOne("TEMP", "TEMPORARY", "UNLOGGED", "UNIQUE", "FOREIGN", "MATERIALIZED");
    at.skip("RECURSIVE");
    const kind = at.keyword();
    at.next();
    if (!isNoted(kind)) return;
    if (kind === "INDEX") at.skip("CONCURRENTLY");
    // What only may have been created may have been there before.
    if (at.skipIf() || (kind === "INDEX" && at.is("ON"))) return;
    const name = at.qualifiedName();
    if (name) created.add(key(indexIn(kind, at, name)));
  } else if (at.skip("DROP")) {
    if (relationKind(at)) { for (const name of droppedNames(at)) forget(created, name); }
  } else if (at.skip("ALTER")) {
    const kind = relationKind(at);
    at.skipIf();
    const from = kind ? at.relation() : undefined;
    if (!from || (!at.is("RENAME", "TO") && !at.is("SET", "SCHEMA"))) return;
    const isOurs = created.has(key(from));
    forget(created, from);
    if (!at.skip("RENAME", "TO")) return;
    const to = { ...from, name: at.name() ?? "" };
    forget(created, to);
    if (isOurs) created.add(key(to));
  }
}

type Rule = (at: Words, created: ReadonlySet<string>, query: Words) => boolean;

const always = new Set(
  ("COMMENT SECURITY GRANT REVOKE REASSIGN IMPORT SET RESET SHOW LOCK ANALYZE ANALYSE REINDEX CHECKPOINT DISCARD " +
    "PREPARE DEALLOCATE LISTEN UNLISTEN NOTIFY BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE").split(" "),
);

// Statements that a WITH may hide a DELETE or UPDATE in.
const changesInside = new Set(["WITH", "SELECT", "INSERT", "VALUES"]);

const rules: Record<string, Rule> = {
  CREATE: (at, _created, query) => {
    if (at.is("SUBSCRIPTION")) return false;
    at.skipOne("GLOBAL", "LOCAL");
    at.skipOne("TEMP", "TEMPORARY", "UNLOGGED");
    return !at.is("TABLE") || !changesRows(query); // CREATE TABLE … AS WITH … AS (DELETE …)
  },
  ALTER: altersAdditively,
  DROP: (at, created) => {
    if (at.has("CASCADE")) return false;
    if (relationKind(at)) return areOurs(droppedNames(at), created);
    // These go with their table.
    if (!at.skipOne("TRIGGER", "POLICY", "RULE")) return false;
    at.skipIf();
    at.name();
    return at.skip("ON") && areOurs([at.qualifiedName()], created);
  },
  INSERT: (at, created) => !at.has("DO", "UPDATE") || (at.skip("INTO") && areOurs([at.qualifiedName()], created)),
  UPDATE: (at, created) => areOurs([at.relation()], created),
  DELETE: (at, created) => at.skip("FROM") && areOurs([at.relation()], created),
  MERGE: (at, created) => at.skip("INTO") && areOurs([at.relation()], created),
  TRUNCATE: (at, created) => {
    at.skip("TABLE");
    return areOurs(at.relations(), created) && !at.has("CASCADE");
  },
  REFRESH: (at, created) => {
    at.skip("MATERIALIZED", "VIEW");
    at.skip("CONCURRENTLY");
    return areOurs([at.qualifiedName()], created);
  },
  COPY: (at) => {
    if (at.symbol() === "(" || !at.qualifiedName()) return false;
    if (at.symbol() === "(") at.group();
    return at.skip("FROM") && !at.is("PROGRAM");
  },
  VACUUM: (at) => !at.has("FULL"),
  SELECT: (_at, _created, query) => !callsUnknown(query),
  VALUES: (_at, _created, query) => !callsUnknown(query),
  TABLE: () => true,
  WITH: (at, _created, query) => !callsUnknown(query) && !at.has("DO", "UPDATE"),
};

function altersAdditively(at: Words, created: ReadonlySet<string>): boolean {
  const others = at.copy();
  const isTable = ["TABLE", "FOREIGN"].includes(at.keyword());
  if (relationKind(at)) {
    at.skipIf();
    const name = at.relation();
    if (areOurs([name], created)) return true;
    if (isTable) return name !== undefined && at.items().every(isAdditiveAction);
    if (at.is("ADD") || at.is("VALIDATE") || at.is("OWNER") || at.is("ATTACH")) return true;
  }
  return altersOther(others);
}

function isAdditiveAction(action: Words): boolean {
  if (
    ["ADD", "VALIDATE", "ENABLE", "DISABLE", "FORCE", "OWNER", "RESET", "REPLICA", "ATTACH"].includes(action.keyword())
  ) {
    return true;
  }
  if (action.is("CLUSTER", "ON") || action.is("NO", "FORCE") || action.is("SET", "WITHOUT", "CLUSTER")) return true;
  if (action.is("SET", "(") || action.is("ALTER", "CONSTRAINT")) return true;
  if (!action.skip("ALTER")) return false;
  action.skip("COLUMN");
  action.name();
  if (action.is("ADD", "GENERATED") || action.is("DROP", "DEFAULT") || action.is("DROP", "NOT", "NULL")) return true;
  if (action.is("RESET", "(")) return true;
  if (!action.skip("SET")) return false;
  return action.is("(") ||
    ["DEFAULT", "NOT", "STATISTICS", "STORAGE", "COMPRESSION", "GENERATED"].includes(action.keyword());
}

const settable = new Set(
  "SEQUENCE POLICY PUBLICATION ROLE USER GROUP DATABASE DEFAULT SYSTEM STATISTICS EVENT TRIGGER FUNCTION".split(" "),
);

function altersOther(at: Words): boolean {
  if (at.has("RENAME") || at.has("DROP") || at.has("SET", "SCHEMA") || at.has("TABLESPACE")) return false;
  // In `ALTER FUNCTION f(integer) OWNER TO somebody` the words stand behind a list of any length.
  return settable.has(at.keyword()) || at.has("OWNER", "TO");
}

/** `TABLE`, `VIEW` … behind CREATE, ALTER or DROP, moved past; undefined for what is no relation, domain or type. */
function relationKind(at: Words): string | undefined {
  at.skipOne("FOREIGN", "MATERIALIZED");
  const kind = at.keyword();
  if (!isNoted(kind) && kind !== "DOMAIN") return undefined;
  at.next();
  return kind;
}

function isNoted(kind: string): boolean {
  return ["TABLE", "VIEW", "SEQUENCE", "INDEX", "TYPE"].includes(kind);
}

function droppedNames(at: Words): Name[] {
  at.skip("CONCURRENTLY");
  at.skipIf();
  return at.relations();
}

/** An index is in the schema of its table. */
function indexIn(kind: string, at: Words, name: Name): Name {
  const table = kind === "INDEX" && at.skip("ON") ? at.relation() : undefined;
  return table ? { ...table, name: name.name } : name;
}

// Over-careful with columns and aliases that have these names.
function changesRows(query: Words): boolean {
  if (!/delete|update|merge/i.test(query.statement.text)) return false; // long INSERTs are many
  for (const at = query.copy(); !at.isDone; at.next()) {
    if (at.is("DELETE", "FROM") || at.is("MERGE", "INTO")) return true;
    if (at.is("UPDATE") && !["FOR", "KEY", "DO", "ON"].includes(at.keyword(-1))) return true;
  }
  return false;
}

function areOurs(names: (Name | undefined)[], created: ReadonlySet<string>): boolean {
  return names.length > 0 && names.every((name) => name !== undefined && created.has(key(name)));
}

function key({ schema, name }: Name): string {
  return schema === undefined ? `"${name}"` : `"${schema}"."${name}"`;
}

/** Forgets the name in every schema: without knowing `search_path` any of them may have been meant. */
function forget(created: Set<string>, { name }: Name): void {
  for (const key of created) if (key.endsWith(`"${name}"`)) created.delete(key);
}
