import { option, outsideKind } from "./postgres_outside_facts.ts";
import { type Statement, type Words, words } from "./words.ts";

export { addsEnumValue, type OutsideKind, outsideKind } from "./postgres_outside_facts.ts";
export { isAdditive, noteCreated } from "./postgres_risk_facts.ts";
export {
  mayChangeSession,
  onlySets,
  setsLockTimeout,
  type Setting,
  settings,
  turnsOffStandardStrings,
} from "./postgres_session_facts.ts";

/**
 * What a statement does to the transaction as a whole; `prepare` is PREPARE TRANSACTION. Savepoints, ROLLBACK TO and
 * the second half of a prepared transaction are none of it.
 */
export function transactionWord(statement: Statement): "begin" | "commit" | "rollback" | "prepare" | undefined {
  const at = words(statement, "postgres");
  if (at.is("START", "TRANSACTION")) return "begin";
  if (at.is("PREPARE", "TRANSACTION")) return "prepare";
  const head = at.keyword();
  at.next();
  if (head === "BEGIN") return "begin";
  if (at.is("PREPARED")) return undefined;
  if (head === "COMMIT" || head === "END") return "commit";
  if (head !== "ROLLBACK" && head !== "ABORT") return undefined;
  at.skipOne("WORK", "TRANSACTION");
  return at.is("TO") ? undefined : "rollback";
}

/** CALL and DO: what they did, and whether they committed in between, cannot be told from outside. */
export function isCallOrDo(statement: Statement): boolean {
  return ["CALL", "DO"].includes(words(statement, "postgres").keyword());
}

/**
 * Which `lock_timeout` a statement wants. `exclusive`: it waits for a lock on an existing object that makes readers or
 * writers queue behind it (ACCESS EXCLUSIVE, SHARE ROW EXCLUSIVE, SHARE), so it must give up early. `none`: waiting
 * harms nobody, while giving up would leave an invalid index or lose a long backfill.
 *
 * ATTACH PARTITION is `exclusive`: the new partition and the default partition are locked so. DO is what the words in
 * its body say; CALL is `none`, since a procedure may commit.
 */
export function lockNeed(statement: Statement): "exclusive" | "none" {
  const at = words(statement, "postgres");
  const head = at.keyword();
  at.next();
  return locks[head]?.(at, statement) ? "exclusive" : "none";
}

type Rule = (at: Words, statement: Statement) => boolean;

const locks: Record<string, Rule> = {
  ALTER: alterLocks,
  CREATE: createLocks,
  DROP: (at, statement) => !outsideKind(statement) && !["ROLE", "USER", "GROUP", "SERVER"].includes(at.keyword()),
  TRUNCATE: () => true,
  LOCK: () => true,
  REASSIGN: () => true,
  CLUSTER: () => true,
  REFRESH: (at) => !at.is("MATERIALIZED", "VIEW", "CONCURRENTLY"),
  VACUUM: (at) => at.is("FULL") || (option(at, "FULL") ?? false),
  REINDEX: (_at, statement) => {
    const kind = outsideKind(statement);
    return kind?.kind !== "again" || !kind.target?.isConcurrent;
  },
  DO: (_at, { text }) =>
    /\b(?:alter|drop|truncate|lock)\s+\w|\bcreate\s+(?:unique\s+)?index\b|\bcreate\s+(?:or\s+replace\s+)?trigger\b/i
      .test(text),
};

// Objects whose ALTER locks rows away: the others (roles, databases, functions, publications …) have none.
const lockedByAlter = [
  "TYPE",
  "DOMAIN",
  "VIEW",
  "MATERIALIZED",
  "INDEX",
  "SEQUENCE",
  "POLICY",
  "TRIGGER",
  "RULE",
  "EXTENSION",
];

function alterLocks(at: Words): boolean {
  at.skip("FOREIGN");
  if (!at.skip("TABLE")) return lockedByAlter.includes(at.keyword());
  at.skipIf();
  const table = at.relation();
  return !table || !at.items().every(altersWithoutLock);
}

// The forms with SHARE UPDATE EXCLUSIVE, beside which rows are read and written.
function altersWithoutLock(action: Words): boolean {
  if (action.is("VALIDATE") || action.is("CLUSTER", "ON") || action.is("SET", "WITHOUT", "CLUSTER")) return true;
  if (action.is("SET", "(") || action.is("RESET", "(")) return true;
  if (action.is("DETACH")) return action.has("CONCURRENTLY");
  if (!action.skip("ALTER")) return false;
  action.skip("COLUMN");
  if (action.token()?.kind === "number") action.next();
  else action.name();
  return action.is("SET", "STATISTICS") || action.is("SET", "(") || action.is("RESET", "(");
}

function createLocks(at: Words, statement: Statement): boolean {
  const isReplaced = at.skip("OR", "REPLACE");
  at.skipOne("UNIQUE", "CONSTRAINT", "RECURSIVE");
  if (at.is("INDEX")) return !outsideKind(statement);
  if (at.is("TRIGGER") || at.is("RULE") || at.is("POLICY")) return true;
  if (at.is("VIEW")) return isReplaced;
  at.skipOne("GLOBAL", "LOCAL");
  const isTemporary = at.skipOne("TEMP", "TEMPORARY");
  if (at.is("VIEW") || at.is("RECURSIVE")) return isReplaced;
  at.skipOne("UNLOGGED", "FOREIGN");
  // A foreign key locks the table it refers to against writes, a new partition its parent against everything.
  if (at.is("TABLE")) return !isTemporary && (at.has("REFERENCES") || at.has("PARTITION", "OF"));
  return at.is("SCHEMA") && at.has("REFERENCES");
}
