import { AmberError } from "../errors.ts";
import { type Engine, literal, quoteName, StatementFailure } from "../engines/engine.ts";
import type { Statement } from "./splitter.ts";
import { type Touch, touches } from "./sqlite_facts.ts";

/** What a guard looks at. */
export interface Watched {
  /** The statements to come; undefined when code decides what runs: then every table is watched. */
  statements?: readonly Statement[];
  additive: boolean;
  /** Tables that may lose rows. */
  rows: readonly string[];
}

/** What stood in the watched tables before. */
export interface Before {
  touch: Touch;
  everything: boolean;
  allowed: Set<string>;
  counts: Map<string, number>;
  /** Rows whose parents were missing already: for each child table, how often each reference. */
  broken: Map<string, Map<string, number>>;
}

interface Reference {
  child: string;
  parent: string;
}

/**
 * Counts rows and broken references before a migration on SQLite, in the tables that it can reach: those it changes,
 * those that refer to them, those that their triggers name. Nothing is read where only new tables are touched.
 */
export async function guardBefore(engine: Engine, watched: Watched): Promise<Before> {
  const touch = merge((watched.statements ?? []).map(touches));
  const everything = watched.statements === undefined;
  const existing = await tables(engine);
  const changed = everything ? existing : reached(touch).filter((name) => existing.includes(name));
  const before: Before = {
    touch,
    everything,
    allowed: new Set(watched.rows.map((name) => name.toLowerCase())),
    counts: new Map(),
    broken: new Map(),
  };
  if (changed.length === 0) return before;
  const near = everything ? existing : await neighbours(engine, changed);
  if (!watched.additive) { for (const table of near) before.counts.set(table, await count(engine, table)); }
  for (const table of await checkable(engine, near, touch, everything)) {
    before.broken.set(table, await brokenReferences(engine, table));
  }
  return before;
}

/**
 * Compares with what stands there now, still inside the transaction. Gives notes about what was broken before.
 *
 * @param executed What code has run, to know which tables it deleted from.
 * @throws {AmberError} ROWS_LOST, FOREIGN_KEY_BROKEN: the caller rolls back.
 */
export async function guardAfter(
  engine: Engine,
  before: Before,
  { name, path, executed }: { name: string; path: string; executed?: readonly Statement[] },
): Promise<string[]> {
  if (executed) before.touch = merge(executed.map(touches));
  const existing = new Set(await tables(engine));
  for (const [table, had] of before.counts) {
    const has = existing.has(table) ? await count(engine, table) : 0;
    if (has < had) refuseLoss({ before, table, had, has, isThere: existing.has(table), name, path });
  }
  const notes: string[] = [];
  const now = before.everything ? [...existing] : reached(before.touch).filter((table) => existing.has(table));
  const toCheck = new Set([...before.broken.keys()].filter((table) => existing.has(table)));
  if (now.length > 0) {
    for (const table of await checkable(engine, await neighbours(engine, now), before.touch, before.everything)) {
      toCheck.add(table);
    }
  }
  for (const table of toCheck) {
    const had = before.broken.get(table) ?? new Map<string, number>();
    const has = await brokenReferences(engine, table);
    const fresh = [...has].filter(([reference, times]) => times > (had.get(reference) ?? 0));
    if (fresh.length > 0) refuseBroken({ table, fresh, name, path });
    if (has.size > 0) {
      notes.push(
        `rows of "${table}" referred to missing rows before "${name}" already: ${
          [...has.keys()].slice(0, 3).join("; ")
        }`,
      );
    }
  }
  return notes;
}

function refuseLoss(
  at: { before: Before; table: string; had: number; has: number; isThere: boolean; name: string; path: string },
): void {
  const { before: { touch, allowed, everything }, table } = at;
  if (allowed.has(table)) return;
  if (touch.deletes.includes(table) || touch.replaces.includes(table)) return;
  const isDropped = touch.drops.includes(table);
  if (isDropped && !at.isThere) return;
  if (touch.renames.some((rename) => rename.from === table) && !at.isThere) return;
  if (isDropped || touch.renames.some((rename) => rename.from === table)) {
    if (!copiesAll(touch, table)) return; // the SQL says which rows it wants
    throw new AmberError("ROWS_LOST", {
      message: `Cannot apply "${at.name}": rebuilding "${table}" would lose ${
        at.had - at.has
      } of its ${at.had} rows, and no statement deletes them`,
      where: at.path,
      hint:
        `Everything was rolled back. Look at the INSERT that copies the rows (OR IGNORE and OR REPLACE leave some out); if they shall go: -- migrate:up rows:${table}`,
    });
  }
  throw new AmberError("ROWS_LOST", {
    message: `Cannot apply "${at.name}": "${table}" would lose ${
      at.had - at.has
    } of its ${at.had} rows, and the migration does not delete from it`,
    where: at.path,
    hint: everything
      ? 'Everything was rolled back. If code shall delete rows, say so: export const rows = ["' + table + '"]'
      : `Everything was rolled back. A cascade or a trigger took them; if they shall go: -- migrate:up rows:${table}`,
  });
}

/** Whether the table's rows are copied without a filter into what then takes its name. */
function copiesAll(touch: Touch, table: string): boolean {
  const successors = new Set([
    table,
    ...touch.renames.filter((rename) => rename.to === table).map((rename) => rename.from),
  ]);
  const olds = new Set([table, ...touch.renames.filter((rename) => rename.from === table).map((rename) => rename.to)]);
  const copies = touch.inserts.filter((insert) =>
    successors.has(insert.table) && insert.fromTables.some((from) => olds.has(from))
  );
  const deletes = touch.deletes.some((name) => successors.has(name) || olds.has(name));
  return !deletes && copies.some((copy) => !copy.filtered);
}

function refuseBroken(at: { table: string; fresh: [string, number][]; name: string; path: string }): never {
  const rows = at.fresh.reduce((sum, [, times]) => sum + times, 0);
  throw new AmberError("FOREIGN_KEY_BROKEN", {
    message: `Cannot apply "${at.name}": ${rows} row${
      rows === 1 ? "" : "s"
    } of "${at.table}" would refer to rows that are not there`,
    where: at.path,
    detail: at.fresh.slice(0, 5).map(([reference, times]) => `${reference}${times > 1 ? ` (${times} rows)` : ""}`).join(
      "\n",
    ),
    hint:
      "Everything was rolled back. amber runs a migration with foreign keys off and checks them at its end (PRAGMA foreign_key_check); " +
      "a file whose first statement is PRAGMA foreign_keys=ON has them enforced, cascades included.",
  });
}

/** Tables as lower-case names, without SQLite's own, amber's, and those inside a virtual table: full-text search merges their rows. */
async function tables(engine: Engine): Promise<string[]> {
  const rows = await engine.query(
    "select lower(name) as name from pragma_table_list where schema = 'main' and type = 'table' and name not like 'sqlite\\_%' escape '\\' and name <> 'amber_migrations'",
  );
  return rows.map((row) => String(row.name));
}

async function count(engine: Engine, table: string): Promise<number> {
  const [row] = await engine.query(`select count(*) as n from main.${quoteName(table)}`);
  return Number(row!.n);
}

/** The tables, those that refer to them, and those that the triggers on any of these name, and so on. */
async function neighbours(engine: Engine, from: readonly string[]): Promise<string[]> {
  const references = await allReferences(engine);
  const triggers = (await engine.query(
    "select lower(tbl_name) as tbl, lower(sql) as sql from main.sqlite_schema where type = 'trigger'",
  ))
    .map((row) => ({ table: String(row.tbl), sql: String(row.sql) }));
  const existing = triggers.length > 0 ? await tables(engine) : [];
  const found = new Set(from);
  for (const table of found) { // grows while it is walked
    for (const { child, parent } of references) if (parent === table) found.add(child);
    for (const trigger of triggers.filter((one) => one.table === table)) {
      for (const other of existing) if (trigger.sql.includes(other)) found.add(other);
    }
  }
  return [...found];
}

async function allReferences(engine: Engine): Promise<Reference[]> {
  const rows = await engine.query(
    `select distinct lower(m.name) as child, lower(f."table") as parent from main.sqlite_schema m, pragma_foreign_key_list(m.name) f
     where m.type = 'table' and m.sql like '%references%'`,
  );
  return rows.map((row) => ({ child: String(row.child), parent: String(row.parent) }));
}

/** Child tables in which a reference can have been broken: not where rows were only added to their parents. */
async function checkable(
  engine: Engine,
  near: readonly string[],
  touch: Touch,
  everything: boolean,
): Promise<string[]> {
  const references = await allReferences(engine);
  const filled = new Set([
    ...touch.inserts.map((insert) => insert.table),
    ...touch.updates,
    ...touch.alters,
    ...touch.replaces,
    ...touch.renames.map((r) => r.to),
  ]);
  const emptied = new Set([
    ...touch.deletes,
    ...touch.drops,
    ...touch.replaces,
    ...touch.updates,
    ...touch.renames.flatMap((r) => [r.from, r.to]),
  ]);
  const hasTrigger = !everything && near.some((table) => !filled.has(table) && !emptied.has(table));
  return [
    ...new Set(
      references.filter(({ child, parent }) =>
        near.includes(child) &&
        (everything || hasTrigger || filled.has(child) || emptied.has(child) || emptied.has(parent))
      ).map(({ child }) => child),
    ),
  ];
}

/** For each reference that leads nowhere, in words, how many rows have it. */
async function brokenReferences(engine: Engine, table: string): Promise<Map<string, number>> {
  const name = quoteName(table);
  const found = new Map<string, number>();
  let keys: { id: number; parent: string; from: string[] }[];
  let violated: Set<number>;
  try {
    violated = new Set(
      (await engine.query(`select distinct fkid from pragma_foreign_key_check(${literal(table, "sqlite")})`)).map((
        row,
      ) => Number(row.fkid)),
    );
    if (violated.size === 0) return found;
    const list = await engine.query(
      `select id, "table" as parent, "from" as child from pragma_foreign_key_list(${
        literal(table, "sqlite")
      }) order by id, seq`,
    );
    keys = [...violated].map((id) => {
      const columns = list.filter((row) => Number(row.id) === id);
      return { id, parent: String(columns[0]!.parent), from: columns.map((row) => String(row.child)) };
    });
  } catch (error) {
    // A parent without the unique key that the reference needs: SQLite cannot check it, and enforces nothing either.
    if (error instanceof StatementFailure && /foreign key mismatch/.test(error.message)) return found;
    throw error;
  }
  const isRowid =
    (await engine.query(`select wr from pragma_table_list(${literal(table, "sqlite")}) where schema = 'main'`))[0]
      ?.wr !== 1;
  for (const key of keys) {
    const label = `"${table}" (${key.from.join(", ")}) → "${key.parent}"`;
    if (!isRowid) {
      const [row] = await engine.query(
        `select count(*) as n from pragma_foreign_key_check(${literal(table, "sqlite")}) where fkid = ${key.id}`,
      );
      found.set(label, Number(row!.n));
      continue;
    }
    const values = key.from.map((column) => `quote(t.${quoteName(column)})`).join(` || ', ' || `);
    const rows = await engine.query(
      `select ${values} as value, count(*) as n, min(c.rowid) as first from pragma_foreign_key_check(${
        literal(table, "sqlite")
      }) c
       join main.${name} t on t.rowid = c.rowid where c.fkid = ${key.id} group by 1 limit 100000`,
    );
    for (const row of rows) found.set(`${label}: ${row.value}`, Number(row.n));
  }
  return found;
}

/** Tables that statements name as what they change. */
function reached(touch: Touch): string[] {
  return [
    ...new Set([
      ...touch.drops,
      ...touch.deletes,
      ...touch.replaces,
      ...touch.updates,
      ...touch.alters,
      ...touch.inserts.map((insert) => insert.table),
      ...touch.renames.flatMap((rename) => [rename.from, rename.to]),
    ]),
  ];
}

function merge(all: readonly Touch[]): Touch {
  const touch = emptyTouch();
  for (const one of all) {
    for (
      const key of [
        "creates",
        "createsMissing",
        "drops",
        "deletes",
        "replaces",
        "ignores",
        "updates",
        "alters",
        "names",
      ] as const
    ) touch[key].push(...one[key]);
    touch.renames.push(...one.renames);
    touch.inserts.push(...one.inserts);
  }
  return touch;
}

function emptyTouch(): Touch {
  return {
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
    names: [],
  };
}
