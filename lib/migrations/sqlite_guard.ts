import { type Engine, literal, quoteName } from "../engines/engine.ts";
import type { Statement } from "./splitter.ts";
import { type Touch, touches } from "./sqlite_facts.ts";
import { danglingNotes, keepCounters, lostBelongings, readCounters } from "./sqlite_keepsakes.ts";
import { Lineage } from "./sqlite_lineage.ts";
import { damageNote, freshDamage, type Guarded, refuseBroken, refuseLoss } from "./sqlite_refusals.ts";
import { type Broken, brokenReferences, type Catalog, readCatalog, shakenBy } from "./sqlite_references.ts";
import { lowerCase } from "./words.ts";

/** What a guard looks at. */
export interface Watched {
  /** The statements to come; undefined when code decides what runs: then every table is watched. */
  statements?: readonly Statement[];
  /** Of a script that is committed piece by piece: what has run already, and what will run after this piece. */
  earlier?: readonly Statement[];
  later?: readonly Statement[];
  additive: boolean;
  /** Tables that may lose rows. */
  rows: readonly string[];
}

/** What stood in the tables that a migration can reach, before it ran. */
export interface Before {
  steps: Touch[];
  earlier: Touch[];
  later: Touch[];
  allowed: Set<string>;
  /** Undefined when the statements only add: then no table can lose rows. */
  catalog?: Catalog;
  isCode: boolean;
  /** Code, or statements that write the schema table themselves. */
  watchesAll: boolean;
  cascades: boolean;
  counts: Map<string, number>;
  /** By child table. */
  broken: Map<string, Broken>;
  /** AUTOINCREMENT counters. */
  counters: Map<string, bigint>;
}

/**
 * Notes what a migration on SQLite could lose: counts of rows and broken references, only in tables where they can
 * change. The statements decide first; the catalog is read when they do more than add rows to tables without triggers.
 */
export async function guardBefore(engine: Engine, watched: Watched): Promise<Before> {
  const isCode = watched.statements === undefined;
  const steps = (watched.statements ?? []).map(touches);
  const before: Before = {
    steps,
    earlier: (watched.earlier ?? []).map(touches),
    later: (watched.later ?? []).map(touches),
    allowed: new Set(watched.rows.map((name) => lowerCase(name.replace(/^main\./i, "")))),
    isCode,
    watchesAll: isCode || (watched.statements ?? []).some(({ text }) => /writable_schema/i.test(text)),
    cascades: false,
    counts: new Map(),
    broken: new Map(),
    counters: new Map(),
  };
  const isLight = reached(steps).size === 0 || watched.additive && await onlyAdds(engine, before);
  if (!before.watchesAll && isLight) return before;
  const catalog = before.catalog = await readCatalog(engine);
  before.cascades = (await engine.query("pragma foreign_keys"))[0]?.foreign_keys === 1;
  for (const table of countable(before, catalog)) before.counts.set(table, await count(engine, table));
  for (const table of checkable(before, catalog)) before.broken.set(table, await brokenReferences(engine, table));
  if (catalog.hasCounters && (isCode || lineageOf(before).rebuilt().length > 0)) {
    before.counters = await readCounters(engine);
  }
  return before;
}

/**
 * Compares with what stands there now, still inside the transaction, and puts AUTOINCREMENT counters back that a rebuild
 * has made forget.
 *
 * @returns Notes: damage that was there before, and what a rebuild has left behind.
 * @throws {AmberError} ROWS_LOST, FOREIGN_KEY_BROKEN: the caller rolls back.
 */
export async function guardAfter(engine: Engine, before: Before, guarded: Guarded): Promise<string[]> {
  if (guarded.executed) before.steps = guarded.executed.map(touches);
  if (!before.catalog) return await compareReferences(engine, before, guarded, [...before.broken.keys()]);
  const catalog = before.watchesAll || before.steps.some(changesSchema) ? await readCatalog(engine) : before.catalog;
  const lineage = lineageOf(before);
  for (const [table, had] of before.counts) {
    if (before.allowed.has(table)) continue;
    const heirs = lineage.heirsOf(table);
    let has = heirs.length === 0 ? had : 0;
    for (const heir of heirs) if (catalog.tables.has(heir)) has = Math.max(has, await count(engine, heir));
    if (has < had) refuseLoss({ table, had, has, isRebuilt: lineage.isDropped(table), before, guarded });
  }
  const children = new Set([...before.broken.keys(), ...checkable(before, catalog)]);
  return [
    ...await compareReferences(engine, before, guarded, [...children].filter((table) => catalog.tables.has(table))),
    ...danglingNotes(before.steps, catalog, comingBack(before)),
    ...await keepCounters(engine, before.counters, lineage, before.steps),
    ...lostBelongings({ before: before.catalog, after: catalog, lineage, steps: before.steps }),
  ];
}

/** Gives notes about references that were broken before; refuses new ones. */
async function compareReferences(
  engine: Engine,
  before: Before,
  guarded: Guarded,
  tables: readonly string[],
): Promise<string[]> {
  const notes: string[] = [];
  const lineage = before.catalog && lineageOf(before);
  for (const table of tables) {
    const now = await brokenReferences(engine, table);
    const had = before.broken.get(table) ?? before.broken.get(lineage?.originOf(table) ?? table);
    const fresh = freshDamage(had, now);
    if (fresh.length > 0) refuseBroken({ table, fresh, steps: before.steps, guarded });
    if (now.rows > 0) notes.push(damageNote(table, now, guarded));
    if (now.mismatch && !had?.mismatch) {
      notes.push(
        `references of "${table}" cannot be checked, and with foreign keys on its rows not be changed: ${now.mismatch}`,
      );
    }
  }
  return notes;
}

/**
 * The short way for most migrations: rows come into new tables, or into tables without triggers, so that only their own
 * references can break. False when there is more to it.
 */
async function onlyAdds(engine: Engine, { steps, broken }: Before): Promise<boolean> {
  const filled = reached(steps);
  const created = new Set(steps.flatMap((step) => step.creates));
  const isOdd = steps.some((step) =>
    step.drops.length > 0 || step.renames.length > 0 || step.createsMissing.some((name) => filled.has(name)) ||
    (step.trigger && filled.has(step.trigger.table))
  );
  if (isOdd || [...filled].some((name) => name.includes("."))) return false;
  const old = [...filled].filter((name) => !created.has(name));
  const found = old.length === 0 ? [] : await engine.query(
    `select type, lower(tbl_name) as name, sql like '%references%' as refers from main.sqlite_schema
     where lower(tbl_name) in (${old.map((name) => literal(name, "sqlite")).join(", ")})
     and (type = 'trigger' or type = 'table' and rootpage > 0)`,
  );
  if (found.some((row) => row.type === "trigger")) return false;
  for (const row of found) {
    const name = String(row.name);
    if (row.refers === 1) broken.set(name, await brokenReferences(engine, name));
  }
  const added = steps.flatMap((step) => {
    const names = [...step.creates.filter((name) => filled.has(name)), ...step.alters];
    return names.length > 0 && step.names.includes("references") ? names : [];
  });
  for (const name of added) if (!broken.has(name)) broken.set(name, { byValue: new Map(), rows: 0 });
  return true;
}

/** Tables in which rows can get lost: by a rebuild, a trigger, a cascade, or an UPDATE of a column that is UNIQUE ON CONFLICT REPLACE. */
function countable(before: Before, catalog: Catalog): string[] {
  if (before.watchesAll) return [...catalog.tables];
  const lineage = lineageOf(before);
  const names = new Set([...before.steps.flatMap((step) => step.updates), ...shaken(before, catalog)]);
  for (const name of catalog.tables) if (lineage.isDropped(name)) names.add(name);
  return [...names].filter((name) => catalog.tables.has(name) && lineage.heirsOf(name).length > 0);
}

/** Of a script that is committed piece by piece: tables that this piece drops and a later one makes again. Not missed yet. */
function comingBack({ steps, later }: Before): string[] {
  const comes = later.flatMap((step) => [
    ...step.creates,
    ...step.createsMissing,
    ...step.renames.map((rename) => rename.to),
  ]);
  return steps.flatMap((step) => step.drops).filter((name) => comes.includes(name));
}

/** Child tables in which a reference can break: those that get rows or change, and those whose parents lose or change some. */
function checkable(before: Before, catalog: Catalog): string[] {
  const { steps } = before;
  if (before.watchesAll) return [...new Set(catalog.references.map(({ child }) => child))];
  const changed = shaken(before, catalog);
  const renamed = steps.flatMap((step) => step.renames.flatMap(({ from, to }) => [from, to]));
  const updated = [...steps.flatMap((step) => [...step.updates, ...step.replaces]), ...renamed, ...changed];
  const inserted = steps.flatMap((step) => [
    ...step.inserts.map((insert) => insert.table),
    ...step.alters.filter(() => step.names.includes("references")),
  ]);
  const filled = new Set([...inserted, ...updated]);
  const emptied = new Set([...steps.flatMap((step) => [...step.deletes, ...step.drops]), ...updated]);
  for (const name of comingBack(before)) emptied.delete(name);
  return [
    ...new Set(
      catalog.references.filter(({ child, parent }) => filled.has(child) || emptied.has(parent)).map(({ child }) =>
        child
      ),
    ),
  ];
}

function shaken({ steps, cascades }: Before, catalog: Catalog): Set<string> {
  const made = steps.flatMap(({ trigger, names }) => (trigger ? [{ table: trigger.table, names }] : []));
  return shakenBy(reached(steps), { catalog, made, cascades });
}

function lineageOf({ earlier, steps, catalog }: Before): Lineage {
  return new Lineage([...earlier, ...steps], catalog!.tables);
}

/** Tables and views whose rows, or the references of whose rows, statements change. */
function reached(steps: readonly Touch[]): Set<string> {
  const names = new Set<string>();
  for (const step of steps) {
    const lists = [step.drops, step.deletes, step.replaces, step.updates];
    for (const list of lists) for (const name of list) names.add(name);
    for (const { table } of step.inserts) names.add(table);
    for (const { from, to } of step.renames) names.add(from).add(to);
    if (step.names.includes("references")) { for (const name of step.alters) names.add(name); }
  }
  return names;
}

function changesSchema(step: Touch): boolean {
  return [step.creates, step.createsMissing, step.drops, step.renames, step.alters].some((list) => list.length > 0) ||
    step.trigger !== undefined;
}

async function count(engine: Engine, table: string): Promise<number> {
  const [row] = await engine.query(`select count(*) as n from main.${quoteName(table)}`);
  return Number(row!.n);
}
