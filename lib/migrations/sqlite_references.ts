import { type Engine, literal, quoteName, StatementFailure } from "../engines/engine.ts";
import { touches } from "./sqlite_facts.ts";
import { split } from "./splitter.ts";
import { lowerCase } from "./words.ts";

/** What stands in `main`, names in lower case. Without what is inside a virtual table: full-text search merges its rows. */
export interface Catalog {
  tables: Set<string>;
  references: { child: string; parent: string }[];
  triggers: Belonging[];
  indexes: Belonging[];
  /** Tables whose ids are never used twice. */
  hasCounters: boolean;
}

/** An index or a trigger with its own SQL. */
export interface Belonging {
  name: string;
  table: string; // a trigger's may be a view
  sql: string;
}

export async function readCatalog(engine: Engine): Promise<Catalog> {
  const rows = await engine.query(
    `select type, name, tbl_name as tbl, case when type <> 'table' or rootpage = 0 then sql end as sql
     from main.sqlite_schema where type <> 'view' order by rowid`,
  );
  const objects = rows.map((row) => ({
    type: String(row.type),
    isVirtual: row.type === "table" && row.sql !== null,
    name: lowerCase(String(row.name)),
    table: lowerCase(String(row.tbl)),
    sql: String(row.sql ?? ""),
  }));
  const virtual = objects.filter((object) => object.isVirtual).map((object) => object.name);
  const real = objects.filter((object) => object.type === "table" && !object.isVirtual).map((object) => object.name);
  const shadows = virtual.length > 0
    ? (await engine.query("select name from pragma_table_list where schema = 'main' and type = 'shadow'")).map((row) =>
      lowerCase(String(row.name))
    )
    : [];
  const hidden = new Set([...shadows, "amber_migrations"]);
  const pairs = await engine.query(
    `select distinct m.name as child, f."table" as parent from main.sqlite_schema m, pragma_foreign_key_list(m.name, 'main') f
     where m.type = 'table' and m.rootpage > 0 and m.sql like '%references%'`,
  );
  return {
    tables: new Set(real.filter((name) => !hidden.has(name) && !name.startsWith("sqlite_"))),
    references: pairs.map((row) => ({ child: lowerCase(String(row.child)), parent: lowerCase(String(row.parent)) })),
    triggers: objects.filter((object) => object.type === "trigger"),
    indexes: objects.filter((object) => object.type === "index" && object.sql !== ""),
    hasCounters: real.includes("sqlite_sequence"),
  };
}

/**
 * What triggers, and with foreign keys on the references' actions, can change when something happens to these tables
 * and views. What a trigger's body names may be changed by it.
 */
export function shakenBy(
  names: Iterable<string>,
  { catalog, made, cascades }: {
    catalog: Catalog;
    made: readonly { table: string; names: string[] }[];
    cascades: boolean;
  },
): Set<string> {
  const found = new Set(names);
  const shaken = new Set<string>();
  for (const name of found) { // grows while it is walked
    const next = cascades ? catalog.references.filter((one) => one.parent === name).map((one) => one.child) : [];
    for (const trigger of catalog.triggers) if (trigger.table === name) next.push(...namesIn(trigger.sql));
    for (const trigger of made) if (trigger.table === name) next.push(...trigger.names);
    for (const other of next) {
      found.add(other);
      if (catalog.tables.has(other)) shaken.add(other);
    }
  }
  return shaken;
}

/** Every word and quoted name in a definition. */
export function namesIn(sql: string): string[] {
  return split(sql, "sqlite").statements.flatMap((statement) => touches(statement).names);
}

/** Rows of one table that refer to nothing. */
export interface Broken {
  /** By columns and value: how many rows, and where the reference should lead. */
  byValue: Map<string, { rows: number; parent: string }>;
  rows: number;
  /** Why SQLite cannot tell: a parent without the unique key that the reference needs. It then enforces nothing either. */
  mismatch?: string;
}

const mostValues = 100_000; // kept for one reference; beyond these only the number of rows is compared

export async function brokenReferences(engine: Engine, table: string): Promise<Broken> {
  const broken: Broken = { byValue: new Map(), rows: 0 };
  const check = `pragma_foreign_key_check(${literal(table, "sqlite")}, 'main')`;
  let counts;
  try {
    counts = await engine.query(`select fkid, count(*) as rows from ${check} group by fkid`);
  } catch (error) {
    if (!(error instanceof StatementFailure) || !/foreign key mismatch/.test(error.message)) throw error;
    return { ...broken, mismatch: error.message };
  }
  if (counts.length === 0) return broken;
  const keys = await engine.query(
    `select id, "table" as parent, "from" as child from pragma_foreign_key_list(${
      literal(table, "sqlite")
    }, 'main') order by id, seq`,
  );
  const rowid = await rowidName(engine, table);
  for (const { fkid, rows } of counts) {
    const key = keys.filter((row) => row.id === fkid);
    const parent = String(key[0]!.parent);
    const columns = key.map((row) => String(row.child));
    const label = `(${columns.map(lowerCase).join(", ")})`;
    broken.rows += Number(rows);
    if (rowid === undefined) {
      broken.byValue.set(label, { rows: Number(rows), parent });
      continue;
    }
    const value = columns.map((column) => `quote(t.${quoteName(column)})`).join(` || ', ' || `);
    const found = await engine.query(
      `select ${value} as value, count(*) as rows from ${check} c join main.${
        quoteName(table)
      } t on t.${rowid} = c.rowid where c.fkid = ${fkid} group by 1 order by 1 limit ${mostValues}`,
    );
    for (const row of found) broken.byValue.set(`${label} = ${row.value}`, { rows: Number(row.rows), parent });
  }
  return broken;
}

/** What a table calls its row number; undefined in a table WITHOUT ROWID, or when columns have all three names. */
export async function rowidName(engine: Engine, table: string): Promise<string | undefined> {
  const text = literal(table, "sqlite");
  const [row] = await engine.query(`select wr from pragma_table_list(${text}) where schema = 'main'`);
  if (row?.wr === 1) return undefined;
  const columns = (await engine.query(`select name from pragma_table_xinfo(${text}, 'main')`)).map((column) =>
    lowerCase(String(column.name))
  );
  return ["rowid", "_rowid_", "oid"].find((name) => !columns.includes(name));
}
