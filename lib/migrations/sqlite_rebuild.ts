import { AmberError } from "../errors.ts";
import { type Engine, literal, quoteName } from "../engines/engine.ts";

/** A table's new definition. */
export interface RebuildOptions {
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
 * go by the table's name and are left as they are. The AUTOINCREMENT counter is kept, so that no id is used twice.
 */
export async function rebuildTable(
  engine: Engine,
  { table, columns, options = "", values = {} }: RebuildOptions,
): Promise<void> {
  if (engine.dialect !== "sqlite") {
    throw new AmberError("CODE_FAILED", {
      message: `Cannot rebuild "${table}": that is for SQLite`,
      hint: "On Postgres use ALTER TABLE.",
    });
  }
  const text = literal(table, "sqlite");
  const [old] = await engine.query(
    `select name from main.sqlite_schema where type = 'table' and name = ${text} collate nocase`,
  );
  if (!old) throw new AmberError("CODE_FAILED", { message: `Cannot rebuild "${table}": there is no such table` });
  const name = String(old.name);
  const fresh = `amber_new_${name}`;
  const belongings = await engine.query(
    `select sql from main.sqlite_schema where tbl_name = ${text} collate nocase and type in ('index', 'trigger') and sql is not null order by type, rowid`,
  );
  const stored = async (of: string) =>
    (await engine.query(`select name from pragma_table_xinfo(${literal(of, "sqlite")}) where hidden = 0`)).map((row) =>
      String(row.name)
    );
  const hasCounter = (await engine.query("select 1 from main.sqlite_schema where name = 'sqlite_sequence'")).length > 0;
  const counter = hasCounter
    ? (await engine.query(`select seq from main.sqlite_sequence where name = ${text} collate nocase`))[0]?.seq
    : undefined;
  const run = (sql: string) => engine.run([{ text: sql }]);

  await run("pragma legacy_alter_table = on"); // else a rename looks into views and rewrites references
  try {
    await run(`create table main.${quoteName(fresh)} (${columns}) ${options}`);
    const before = new Set((await stored(name)).map((column) => column.toLowerCase()));
    const kept = (await stored(fresh)).filter((column) => column in values || before.has(column.toLowerCase()));
    if (kept.length > 0) {
      await run(
        `insert into main.${quoteName(fresh)} (${kept.map(quoteName).join(", ")}) ` +
          `select ${kept.map((column) => values[column] ?? quoteName(column)).join(", ")} from main.${quoteName(name)}`,
      );
    }
    await run(`drop table main.${quoteName(name)}`);
    await run(`alter table main.${quoteName(fresh)} rename to ${quoteName(name)}`);
    for (const { sql } of belongings) await run(String(sql));
    if (counter !== undefined) {
      await run(`update main.sqlite_sequence set seq = max(seq, ${counter}) where name = ${text} collate nocase`);
    }
    if (counter !== undefined) {
      await run(`insert into main.sqlite_sequence (name, seq) select ${literal(name, "sqlite")}, ${counter}
        where not exists (select 1 from main.sqlite_sequence where name = ${text} collate nocase)
        and exists (select 1 from main.sqlite_schema where name = ${text} collate nocase and sql like '%autoincrement%')`);
    }
  } finally {
    await run("pragma legacy_alter_table = off");
  }
}
