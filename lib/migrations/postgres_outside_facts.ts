import { type Name, type Statement, type Words, words } from "./words.ts";

/**
 * A statement that PostgreSQL (13 to 18) refuses inside a transaction block, and what tells after a crash whether it
 * was carried out:
 *
 * - an object to look up: it is there, or it is gone
 * - `changePublications`: which publications the subscription has; adding or dropping one twice fails
 * - `endPrepared`: the prepared transaction with this id is gone from pg_prepared_xacts
 * - `again`: it may simply be run again; a concurrent REINDEX may have left invalid indexes ending in `_ccnew` or `_ccold`
 */
export type OutsideKind =
  | { kind: "createIndex"; name?: Name; table: Name; ifNotExists: boolean } // an index is in its table's schema
  | { kind: "dropIndex"; names: Name[]; ifExists: boolean }
  | { kind: "detachPartition"; parent: Name; partition: Name }
  | { kind: NamedKind; name: string }
  | { kind: "changePublications"; change: "add" | "drop"; subscription: string; publications: string[] }
  | { kind: "endPrepared"; id: string }
  | { kind: "again"; target?: ReindexTarget };

export type NamedKind =
  | "createDatabase"
  | "dropDatabase"
  | "createTablespace"
  | "dropTablespace"
  | "createSubscription"
  | "dropSubscription";

export interface ReindexTarget {
  kind: "index" | "table" | "schema" | "database" | "system";
  name?: Name; // may be absent for database and system: the current database
  isConcurrent: boolean;
}

/**
 * Why a statement cannot run inside a transaction block, or undefined when it can. Not seen here, because only the
 * catalogs know it: CLUSTER and REINDEX of a *partitioned* table or index, which are refused inside too.
 */
export function outsideKind(statement: Statement): OutsideKind | undefined {
  const at = words(statement, "postgres");
  const head = at.keyword();
  at.next();
  switch (head) {
    case "CREATE":
      return createKind(at);
    case "DROP":
      return dropKind(at);
    case "ALTER":
      return alterKind(at);
    case "REINDEX":
      return reindexKind(at);
    case "VACUUM":
      return { kind: "again" };
    case "CLUSTER":
      at.skip("VERBOSE");
      if (at.symbol() === "(") at.group();
      return at.isDone ? { kind: "again" } : undefined;
    case "DISCARD":
      return at.is("ALL") ? { kind: "again" } : undefined;
    case "COMMIT":
    case "ROLLBACK":
      return at.skip("PREPARED") ? { kind: "endPrepared", id: at.value() } : undefined;
    default:
      return undefined;
  }
}

/** The type and the new value of `ALTER TYPE … ADD VALUE`: the value cannot be used before its transaction is committed. */
export function addsEnumValue(statement: Statement): { type: Name; value: string } | undefined {
  const at = words(statement, "postgres");
  if (!at.skip("ALTER", "TYPE")) return undefined;
  const type = at.qualifiedName();
  if (!type || !at.skip("ADD", "VALUE")) return undefined;
  at.skipIf();
  return { type, value: at.value() };
}

/** Whether `(…)` at the cursor turns this option on, as in `VACUUM (FULL, VERBOSE false)`; undefined when it does not say. */
export function option(at: Words, name: string): boolean | undefined {
  if (at.symbol() !== "(") return undefined;
  for (const item of at.group().items()) {
    if (item.keyword() !== name) continue;
    item.next();
    item.skip("=");
    return item.isDone || isOn(item.value());
  }
  return undefined;
}

function isOn(value: string): boolean {
  return !/^(?:0|false|off)$/i.test(value);
}

function createKind(at: Words): OutsideKind | undefined {
  if (at.skip("DATABASE")) return named("createDatabase", at);
  if (at.skip("TABLESPACE")) return named("createTablespace", at);
  if (at.skip("SUBSCRIPTION")) {
    const found = named("createSubscription", at);
    while (!at.isDone && !at.is("WITH", "(")) at.next();
    at.skip("WITH");
    const makesSlot = option(at.copy(), "CREATE_SLOT") ?? option(at, "CONNECT") ?? true;
    return makesSlot ? found : undefined;
  }
  at.skip("UNIQUE");
  if (!at.skip("INDEX", "CONCURRENTLY")) return undefined;
  const ifNotExists = at.skipIf();
  const index = at.is("ON") ? undefined : at.qualifiedName();
  at.skip("ON");
  const table = at.relation();
  // Postgres will say what is wrong with it.
  if (!table) return { kind: "again" };
  const name = index && { ...table, name: index.name };
  return name ? { kind: "createIndex", name, table, ifNotExists } : { kind: "createIndex", table, ifNotExists };
}

function dropKind(at: Words): OutsideKind | undefined {
  if (at.skip("DATABASE")) return named("dropDatabase", at);
  if (at.skip("TABLESPACE")) return named("dropTablespace", at);
  if (at.skip("SUBSCRIPTION")) return named("dropSubscription", at);
  if (!at.skip("INDEX", "CONCURRENTLY")) return undefined;
  const ifExists = at.skipIf();
  return { kind: "dropIndex", names: at.relations(), ifExists };
}

function alterKind(at: Words): OutsideKind | undefined {
  if (at.is("SYSTEM")) return { kind: "again" };
  if (at.skip("DATABASE")) {
    at.name();
    return at.is("SET", "TABLESPACE") ? { kind: "again" } : undefined;
  }
  if (at.skip("SUBSCRIPTION")) return alterSubscriptionKind(at);
  if (!at.skip("TABLE")) return undefined;
  at.skipIf();
  const parent = at.relation();
  if (!parent || !at.skip("DETACH", "PARTITION")) return undefined;
  const partition = at.qualifiedName();
  return partition && at.is("CONCURRENTLY") ? { kind: "detachPartition", parent, partition } : undefined;
}

function alterSubscriptionKind(at: Words): OutsideKind | undefined {
  const subscription = at.name();
  if (subscription === undefined) return undefined;
  if (at.is("REFRESH")) return { kind: "again" };
  // These change the replication slot on the other server too (from 17 and 18 on).
  if (at.is("SET", "(")) return at.has("FAILOVER") || at.has("TWO_PHASE") ? { kind: "again" } : undefined;
  const change = at.keyword();
  at.next();
  if (!["ADD", "DROP", "SET"].includes(change) || !at.skip("PUBLICATION")) return undefined;
  const publications = at.relations().map((publication) => publication.name);
  at.skip("WITH");
  if (option(at, "REFRESH") === false) return undefined;
  if (change === "SET") return { kind: "again" };
  return { kind: "changePublications", change: change === "ADD" ? "add" : "drop", subscription, publications };
}

function reindexKind(at: Words): OutsideKind | undefined {
  const isOption = option(at.copy(), "CONCURRENTLY") ?? false;
  if (at.symbol() === "(") at.group();
  const kind = at.keyword().toLowerCase();
  if (!isReindexTarget(kind)) return undefined;
  at.next();
  const isConcurrent = at.skip("CONCURRENTLY") || isOption;
  if (!isConcurrent && (kind === "index" || kind === "table")) return undefined;
  const name = at.qualifiedName();
  return { kind: "again", target: name ? { kind, name, isConcurrent } : { kind, isConcurrent } };
}

function isReindexTarget(kind: string): kind is ReindexTarget["kind"] {
  return ["index", "table", "schema", "database", "system"].includes(kind);
}

function named(kind: NamedKind, at: Words): OutsideKind {
  at.skipIf();
  return { kind, name: at.name() ?? "" };
}
