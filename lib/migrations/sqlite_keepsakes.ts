import type { Engine } from "../engines/engine.ts";
import type { Touch } from "./sqlite_facts.ts";
import type { Lineage } from "./sqlite_lineage.ts";
import { keepCounter } from "./sqlite_rebuild.ts";
import { type Belonging, type Catalog, namesIn } from "./sqlite_references.ts";
import { lowerCase } from "./words.ts";

/** AUTOINCREMENT counters by table. */
export async function readCounters(engine: Engine): Promise<Map<string, bigint>> {
  const rows = await engine.query("select name, cast(seq as text) as seq from main.sqlite_sequence");
  return new Map(
    rows.filter((row) => /^\d+$/.test(String(row.seq))).map((
      row,
    ) => [lowerCase(String(row.name)), BigInt(String(row.seq))]),
  );
}

/**
 * SQLite forgets an AUTOINCREMENT counter when its table is dropped, and would give the ids of rows deleted long ago a
 * second time: after a rebuild it gets its value back. Not where a statement names sqlite_sequence. Gives notes.
 */
export async function keepCounters(
  engine: Engine,
  counters: ReadonlyMap<string, bigint>,
  lineage: Lineage,
  steps: readonly Touch[],
): Promise<string[]> {
  const notes: string[] = [];
  if (counters.size === 0 || steps.some((step) => step.names.includes("sqlite_sequence"))) return notes;
  for (const table of lineage.rebuilt()) {
    const had = counters.get(table);
    if (had === undefined) continue;
    if (!await keepCounter(engine, table, had)) continue;
    notes.push(
      `kept the AUTOINCREMENT counter of "${table}" at ${had}: without it the rebuild would let ids of deleted rows be used again`,
    );
  }
  return notes;
}

/** Indexes and triggers that went with a rebuilt table and that nobody made again, dropped by name or mentioned. */
export function lostBelongings(
  { before, after, lineage, steps }: { before: Catalog; after: Catalog; lineage: Lineage; steps: readonly Touch[] },
): string[] {
  const mentioned = new Set(steps.flatMap((step) => step.names));
  return lineage.rebuilt().flatMap((table) =>
    (["indexes", "triggers"] as const).flatMap((kind) => {
      const now = after[kind].filter((one) => one.table === table);
      const definitions = new Set(now.map(definition));
      const lost = before[kind].filter((one) =>
        one.table === table && !now.some(({ name }) => name === one.name) && !mentioned.has(one.name) &&
        !definitions.has(definition(one))
      );
      if (lost.length === 0) return [];
      const names = lost.map(({ name }) => `"${name}"`).join(", ");
      return [`the rebuild of "${table}" dropped its ${kind} ${names}, and no statement makes them again`];
    })
  );
}

/** References to a table that was there before and is not any more, from tables without rows: no row is broken yet. */
export function danglingNotes(
  steps: readonly Touch[],
  after: Catalog,
  comingBack: readonly string[],
): string[] {
  const dropped = steps.flatMap((step) => step.drops);
  const gone = new Set(dropped.filter((name) => !after.tables.has(name) && !comingBack.includes(name)));
  return after.references.filter(({ child, parent }) => gone.has(parent) && after.tables.has(child)).map((
    { child, parent },
  ) => `"${child}" refers to "${parent}", which is dropped: with foreign keys on, no row can be added to it`);
}

/** A definition without the object's own name. */
function definition({ name, sql }: Belonging): string {
  return namesIn(sql).filter((word) => word !== name).join(" ");
}
