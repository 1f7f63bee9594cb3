import { lowerCase, type Statement, type Words, words } from "./words.ts";

/** A setting that a statement names, with the value where it is written out. */
export interface Setting {
  name: string; // lower case, as in pg_settings
  value?: string; // the first of a list; absent for DEFAULT, RESET and computed values
}

/**
 * The session settings that a statement changes with SET, RESET or a call of `set_config`; the role and the session's
 * user are among them as `role` and `session_authorization`, RESET ALL is `all`. SET TRANSACTION and SET CONSTRAINTS
 * change the transaction only. What functions, DO blocks and procedures change is not seen.
 */
export function settings(statement: Statement): Setting[] {
  const at = words(statement, "postgres");
  const isReset = at.skip("RESET");
  if (!isReset && !at.skip("SET")) return configCalls(at);
  if (at.is("SESSION", "CHARACTERISTICS")) return [{ name: "default_transaction" }]; // _isolation, _read_only …
  if (at.skip("SESSION", "AUTHORIZATION")) return [setting("session_authorization", at)];
  at.skipOne("SESSION", "LOCAL");
  if (at.skip("SESSION", "AUTHORIZATION")) return [setting("session_authorization", at)]; // SET LOCAL SESSION …
  for (const [spelling, name] of spellings) if (at.skip(...spelling)) return [setting(name, at)];
  const name = settingName(at);
  if (isReset) return [{ name }];
  return at.is("=") || at.is("TO") ? [setting(name, at)] : [];
}

const spellings: [string[], string][] = [
  [["ROLE"], "role"],
  [["SCHEMA"], "search_path"],
  [["TIME", "ZONE"], "timezone"],
  [["NAMES"], "client_encoding"],
  [["XML", "OPTION"], "xmloption"],
];

function setting(name: string, at: Words): Setting {
  at.skipOne("=", "TO");
  return at.isDone || at.is("DEFAULT") ? { name } : { name, value: at.value() };
}

/** Whether a statement does nothing but change settings, so that it may be run again: SET, RESET, SELECT of `set_config`. */
export function onlySets(statement: Statement): boolean {
  if (settings(statement).length === 0) return false;
  const at = words(statement, "postgres");
  if (!at.skip("SELECT")) return at.is("SET") || at.is("RESET");
  return at.items().every((item) => {
    item.skip("PG_CATALOG", ".");
    if (item.name() !== "set_config" || item.symbol() !== "(" || callsUnknown(item.group())) return false;
    if (item.skip("AS")) item.name();
    return item.isDone;
  });
}

/** Whether the author sets `lock_timeout`, so that it must be left as it is. */
export function setsLockTimeout(statement: Statement): boolean {
  return settings(statement).some((setting) => setting.name === "lock_timeout");
}

/** Whether backslashes in plain strings would mean something from here on, so that the text can no longer be split. */
export function turnsOffStandardStrings(statement: Statement): boolean {
  return settings(statement).some(({ name, value }) =>
    name === "standard_conforming_strings" && value !== undefined &&
    !/^(?:on|t(?:r(?:ue?)?)?|y(?:es?)?|1)$/i.test(value)
  );
}

/**
 * Whether the session may have other settings, another role, prepared statements or cursors after it: true for all
 * that is not known to leave it alone. Temporary tables are not meant.
 */
export function mayChangeSession(statement: Statement): boolean {
  const at = words(statement, "postgres");
  if (configCalls(at).length > 0) return true;
  while (at.skip("("));
  const head = at.keyword();
  if (["SELECT", "VALUES", "WITH", "TABLE"].includes(head)) return callsUnknown(at);
  return !leavesSession.has(head);
}

const leavesSession = new Set(
  ("CREATE ALTER DROP COMMENT SECURITY GRANT REVOKE REASSIGN IMPORT TRUNCATE LOCK REFRESH " +
    "INSERT UPDATE DELETE MERGE COPY VACUUM ANALYZE ANALYSE REINDEX CLUSTER CHECKPOINT SHOW " +
    "BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE").split(" "),
);

/** Whether a query calls a function that is not one of the few known to touch neither rows nor, but for set_config, the session. */
export function callsUnknown(query: Words): boolean {
  for (const at = query.copy(); !at.isDone; at.next()) {
    if (at.symbol(1) !== "(") continue;
    const kind = at.token()?.kind;
    if (kind !== "word" && kind !== "quoted") continue;
    // Not calls: a keyword before a parenthesis, `x::numeric(10, 2)`, `AS t(a, b)`, `INTO s.t (a)`, `WITH t(a) AS`.
    const before = at.symbol(-1) === "." ? at.keyword(-3) : at.keyword(-1);
    if (notCalls.has(at.keyword()) || at.symbol(-1) === ":") continue;
    if (["AS", "INTO", "WITH", "RECURSIVE"].includes(before)) continue;
    const isOthers = at.symbol(-1) === "." && at.keyword(-2) !== "PG_CATALOG";
    if (isOthers || !harmless.has(at.copy().name() ?? "")) return true;
  }
  return false;
}

const notCalls = new Set(
  ("ALL AND ANY ARRAY AS BETWEEN BY CASE DISTINCT ELSE EXCEPT EXISTS FILTER FROM GROUP HAVING IN INTERSECT IS JOIN LATERAL " +
    "LIKE ILIKE LIMIT MATERIALIZED NOT OFFSET ON OR OVER ROW SELECT SETS SOME THEN UNION USING VALUES WHEN WHERE WITH")
    .split(" "),
);

const harmless = new Set(
  ("set_config setval nextval currval lastval current_setting pg_get_serial_sequence to_regclass version now " +
    "clock_timestamp statement_timestamp transaction_timestamp count min max sum avg coalesce nullif greatest least " +
    "cast extract length lower upper trim concat format pg_advisory_xact_lock")
    .split(" "),
);

function configCalls(query: Words): Setting[] {
  const found: Setting[] = [];
  if (!/set_config/i.test(query.statement.text)) return found; // long INSERTs are many
  for (const at = query.copy(); !at.isDone; at.next()) {
    if (at.symbol(1) !== "(" || at.copy().name() !== "set_config") continue;
    const call = at.copy();
    call.name();
    const [name, value] = call.group().items();
    if (!name) continue;
    const setting = { name: name.token()?.kind === "string" ? lowerCase(name.value()) : "" };
    found.push(value?.token()?.kind === "string" ? { ...setting, value: value.value() } : setting);
  }
  return found;
}

function settingName(at: Words): string {
  const name = at.qualifiedName();
  return name ? lowerCase(name.schema === undefined ? name.name : `${name.schema}.${name.name}`) : "";
}
