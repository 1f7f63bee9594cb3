import { lowerCase, type Name, type Words } from "./words.ts";

/** Where the rows of a query come from. */
export interface Source {
  fromTables: string[]; // keys, see `tableKey`; also through subqueries in FROM and through WITH; none for VALUES
  /**
   * Whether some rows of `fromTables` may be missing from the result: VALUES, WHERE (but not the `WHERE true` that an
   * upsert needs), LIMIT, GROUP BY, HAVING, DISTINCT, any join, UNION, EXCEPT, INTERSECT, an aggregate, a function in
   * FROM.
   */
  filtered: boolean;
}

/** What WITH names, by its name in lower case. */
export type Queries = Map<string, Source>;

/** A table's name as the facts compare it: lower case, with its schema unless that is main. */
export function tableKey({ schema, name }: Name): string {
  const table = lowerCase(name);
  return schema === undefined || lowerCase(schema) === "main" ? table : `${lowerCase(schema)}.${table}`;
}

/** Moves past `WITH … AS (…), …` and gives back what it names. */
export function readWith(at: Words, outer: Queries): Queries {
  const queries = new Map(outer);
  if (!at.skip("WITH")) return queries;
  at.skip("RECURSIVE");
  do {
    const name = lowerCase(at.name() ?? "");
    if (at.symbol() === "(") at.group();
    if (!at.skip("AS")) break;
    at.skip("NOT");
    at.skip("MATERIALIZED");
    queries.set(name, { fromTables: [], filtered: true }); // it may refer to itself
    queries.set(name, readSelect(at.group(), queries));
  } while (at.skip(","));
  return queries;
}

// What ends the tables behind FROM.
const clauses = [
  "WHERE",
  "GROUP",
  "HAVING",
  "WINDOW",
  "ORDER",
  "LIMIT",
  "UNION",
  "EXCEPT",
  "INTERSECT",
  "SELECT",
  "VALUES",
];
const filters = ["LIMIT", "GROUP", "HAVING", "UNION", "EXCEPT", "INTERSECT", "VALUES", "JOIN", "DEFAULT"];

/** Reads a query up to its end, its upsert clause or RETURNING: only what stands in no parentheses, and in those behind FROM. */
export function readSelect(at: Words, outer: Queries, isFrom = false): Source {
  const queries = readWith(at, outer);
  const tables = new Set<string>();
  let filtered = false;
  let expectsTable = isFrom; // in the parentheses of a join the tables come at once
  while (!at.isDone && !at.is("ON", "CONFLICT") && !at.is("RETURNING")) {
    if (expectsTable) {
      const source = readSource(at, queries);
      source.fromTables.forEach((table) => tables.add(table));
      filtered ||= source.filtered;
      expectsTable = false;
      isFrom = true;
      continue;
    }
    const keyword = at.keyword();
    if (clauses.includes(keyword)) isFrom = false;
    if (filters.includes(keyword) || (keyword === "WHERE" && !keepsAll(at))) filtered = true;
    filtered ||= isAggregate(at);
    if (at.symbol() === "(") {
      const inside = at.group();
      filtered ||= hasAggregate(inside);
      continue;
    }
    at.next();
    if (keyword === "IS" || keyword === "NOT") at.skip("DISTINCT", "FROM");
    if (keyword === "SELECT" && at.skip("DISTINCT")) filtered = true;
    const isComma = isFrom && at.symbol(-1) === ",";
    if (isComma) filtered = true;
    expectsTable = keyword === "FROM" || keyword === "JOIN" || isComma;
  }
  return { fromTables: [...tables], filtered };
}

/** One table, subquery, parenthesised join or table-valued function behind FROM. */
function readSource(at: Words, queries: Queries): Source {
  if (at.symbol() === "(") {
    const inside = at.group();
    return readSelect(inside, queries, !isQuery(inside));
  }
  const name = at.qualifiedName();
  if (!name) {
    at.next();
    return { fromTables: [], filtered: true };
  }
  if (at.symbol() === "(") {
    at.group();
    return { fromTables: [], filtered: true };
  }
  const query = name.schema === undefined ? queries.get(lowerCase(name.name)) : undefined;
  return query ?? { fromTables: [tableKey(name)], filtered: false };
}

function isQuery(inside: Words): boolean {
  return inside.is("SELECT") || inside.is("WITH") || inside.is("VALUES");
}

/** `WHERE true`, which keeps an upsert's ON from being taken for a join's, and nothing more. */
function keepsAll(at: Words): boolean {
  const isTrue = at.keyword(1) === "TRUE" || at.raw(1) === "1";
  return isTrue && (!at.token(2) || ["ON", "ORDER", "RETURNING"].includes(at.keyword(2)));
}

const aggregates = [
  "COUNT",
  "SUM",
  "TOTAL",
  "AVG",
  "MIN",
  "MAX",
  "GROUP_CONCAT",
  "STRING_AGG",
  "JSON_GROUP_ARRAY",
  "JSON_GROUP_OBJECT",
];

function hasAggregate(inside: Words): boolean {
  if (isQuery(inside)) return false;
  while (!inside.isDone) {
    if (isAggregate(inside)) return true;
    if (inside.symbol() !== "(") inside.next();
    else if (hasAggregate(inside.group())) return true;
  }
  return false;
}

function isAggregate(at: Words): boolean {
  const name = at.keyword();
  if (!aggregates.includes(name) || at.symbol(1) !== "(") return false;
  const behind = at.copy();
  behind.next();
  const values = behind.group().items();
  // With two values these are not aggregates.
  if ((name === "MIN" || name === "MAX") && values.length > 1) return false;
  if (behind.skip("FILTER")) behind.group();
  return !behind.is("OVER");
}
