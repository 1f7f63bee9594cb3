import { AmberError } from "../errors.ts";
import { type Engine, literal, quoteName, StatementFailure } from "../engines/engine.ts";
import { namesIn, rowidName } from "./sqlite_references.ts";
import { lowerCase } from "./words.ts";

/** A table's new definition. */
export interface RebuildOptions {
  /** Its name. */
  table: string;
  /** The columns and constraints between the parentheses of CREATE TABLE. */
  columns: string;
  /** What follows the closing parenthesis: `STRICT`, `WITHOUT ROWID`. */
  options?: string;
  /** For new or changed columns: the SQL that gives their value from the old row, e.g. `{ name: "coalesce(name, '')" }`. */
  values?: Record<string, string>;
}

/**
 * SQLite's own procedure for what ALTER TABLE cannot do (sqlite.org/lang_altertable.html, section 7): a new table, the
 * rows copied, the old one dropped, the new one renamed; then its indexes and triggers made again. Views and foreign keys
 * go by the table's name and are left as they are. The AUTOINCREMENT counter is kept, so that no id is used twice, and
 * so are row numbers, which an index for full-text search may go by. All of it or nothing.
 *
 * @throws {AmberError} CODE_FAILED when there is no such table, or no such column for one of the values.
 */
export async function rebuildTable(engine: Engine, options: RebuildOptions): Promise<void> {
  const fail = (why: string, hint?: string): never => {
    throw new AmberError("CODE_FAILED", { message: `Cannot rebuild "${options.table}": ${why}`, hint });
  };
  if (engine.dialect !== "sqlite") fail("that is for SQLite", "On Postgres use ALTER TABLE.");
  const text = literal(options.table, "sqlite");
  const [old] = await engine.query(
    `select name, rootpage from main.sqlite_schema where type = 'table' and name = ${text} collate nocase`,
  );
  if (!old) return fail("there is no such table");
  if (old.rootpage === 0) fail("it is a virtual table");

  const run = (sql: string) => engine.run([{ text: sql }]);
  await run("pragma legacy_alter_table = on"); // else a rename looks into views and rewrites references
  await run("savepoint amber_rebuild");
  try {
    await replaceTable(engine, String(old.name), options, fail);
    await run("release amber_rebuild");
  } catch (error) {
    try {
      await engine.run([{ text: "rollback to amber_rebuild" }, { text: "release amber_rebuild" }]);
    } catch (second) {
      if (!(second instanceof StatementFailure)) throw second; // SQLite has rolled back everything by itself
    }
    throw error;
  } finally {
    await run("pragma legacy_alter_table = off");
  }
}

async function replaceTable(
  engine: Engine,
  name: string,
  { columns, options = "", values = {} }: RebuildOptions,
  fail: (why: string) => never,
): Promise<void> {
  const run = (sql: string) => engine.run([{ text: sql }]);
  const text = literal(name, "sqlite");
  const fresh = `amber_new_${name}`;
  const belongings = await engine.query(
    `select sql from main.sqlite_schema where tbl_name = ${text} collate nocase and type in ('index', 'trigger') and sql is not null order by type, rowid`,
  );
  const counter = await readCounter(engine, name);
  await run(`create table main.${quoteName(fresh)} (${columns}) ${options}`);

  const expressions = new Map(Object.entries(values).map(([column, sql]) => [lowerCase(column), sql]));
  const before = await columnsOf(engine, name);
  const now = await columnsOf(engine, fresh);
  for (const column of before) if (!expressions.has(column.key)) expressions.set(column.key, quoteName(column.name));
  const copied = now.filter((column) => !column.isGenerated && expressions.has(column.key));
  for (const column of Object.keys(values)) {
    if (!copied.some(({ key }) => key === lowerCase(column))) fail(`it gets no column "${column}" that takes a value`);
  }
  const [rowidBefore, rowid] = [await rowidName(engine, name), await rowidName(engine, fresh)];
  const keepsRowid = rowidBefore !== undefined && rowid !== undefined && !now.some((column) => column.isRowid);
  const targets = [...(keepsRowid ? [rowid] : []), ...copied.map((column) => quoteName(column.name))];
  const sources = [...(keepsRowid ? [rowidBefore] : []), ...copied.map((column) => expressions.get(column.key))];
  if (targets.length > 0) {
    await run(
      `insert into main.${quoteName(fresh)} (${targets.join(", ")}) select ${sources.join(", ")} from main.${
        quoteName(name)
      }`,
    );
  }

  await run(`drop table main.${quoteName(name)}`);
  await run(`alter table main.${quoteName(fresh)} rename to ${quoteName(name)}`);
  for (const { sql } of belongings) await run(String(sql));
  if (counter !== undefined) await keepCounter(engine, name, counter);
}

async function columnsOf(engine: Engine, table: string) {
  const rows = await engine.query(
    `select name, type, pk, hidden from pragma_table_xinfo(${literal(table, "sqlite")}, 'main')`,
  );
  const keys = rows.filter((row) => Number(row.pk) > 0).length;
  return rows.map((row) => ({
    name: String(row.name),
    key: lowerCase(String(row.name)),
    isGenerated: Number(row.hidden) > 0,
    isRowid: keys === 1 && Number(row.pk) === 1 && /^integer$/i.test(String(row.type)),
  }));
}

/** Tells a table with AUTOINCREMENT from one without: its counter, if it has given one out. */
async function readCounter(engine: Engine, table: string): Promise<bigint | undefined> {
  const [any] = await engine.query("select 1 from main.sqlite_schema where name = 'sqlite_sequence'");
  if (!any) return undefined;
  const [row] = await engine.query(
    `select cast(max(seq) as text) as seq from main.sqlite_sequence where name = ${
      literal(table, "sqlite")
    } collate nocase`,
  );
  return /^\d+$/.test(String(row?.seq)) ? BigInt(String(row!.seq)) : undefined;
}

/** Puts an AUTOINCREMENT counter back if it is lower now. Gives whether it was. */
export async function keepCounter(engine: Engine, table: string, counter: bigint): Promise<boolean> {
  const text = literal(table, "sqlite");
  const [made] = await engine.query(
    `select name, sql from main.sqlite_schema where type = 'table' and name = ${text} collate nocase`,
  );
  if (!made || !namesIn(String(made.sql)).includes("autoincrement")) return false;
  const now = await readCounter(engine, table);
  if (now !== undefined && now >= counter) return false;
  await engine.run([
    { text: `delete from main.sqlite_sequence where name = ${text} collate nocase` },
    {
      text: `insert into main.sqlite_sequence (name, seq) values (${literal(String(made.name), "sqlite")}, ${counter})`,
    },
  ]);
  return true;
}
