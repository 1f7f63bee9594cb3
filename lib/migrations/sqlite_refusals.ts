import { AmberError } from "../errors.ts";
import type { Statement } from "./splitter.ts";
import type { Touch } from "./sqlite_facts.ts";
import type { Broken } from "./sqlite_references.ts";

/** Whom a refusal names. */
export interface Guarded {
  name: string;
  path: string;
  direction?: "up" | "down"; // default up
  /** What of the migration is done and stays. Default: nothing. */
  aftermath?: string;
  /** What code has run. */
  executed?: readonly Statement[];
}

interface Loss {
  table: string;
  had: number;
  has: number;
  isRebuilt: boolean;
  before: { isCode: boolean; cascades: boolean };
  guarded: Guarded;
}

/** References that lead nowhere now and did not before, with how many more rows have them. */
export type Fresh = { value: string; rows: number; parent: string }[];

/** @throws {AmberError} ROWS_LOST, always */
export function refuseLoss({ table, had, has, isRebuilt, before, guarded }: Loss): never {
  const lost = `${had - has} of its ${had} row${had === 1 ? "" : "s"}`;
  const why = isRebuilt
    ? "Look at the INSERT that copies the rows: OR IGNORE, OR REPLACE and ON CONFLICT leave some out."
    : before.cascades
    ? "PRAGMA foreign_keys=ON is the file's first statement, so a cascade or a trigger took them: take the pragma out."
    : "A trigger or an ON CONFLICT REPLACE took them.";
  const allow = before.isCode
    ? `export const rows = ["${table}"]`
    : `-- migrate:${guarded.direction ?? "up"} rows:${/^\w+$/.test(table) ? table : `"${table}"`}`;
  throw new AmberError("ROWS_LOST", {
    message: isRebuilt
      ? `${verb(guarded)}: rebuilding "${table}" would lose ${lost}, and no statement deletes them`
      : `${verb(guarded)}: "${table}" would lose ${lost}, and no statement deletes from it`,
    where: guarded.path,
    hint: `${aftermath(guarded)} ${why} If they shall go, say so: ${allow}`,
  });
}

export function freshDamage(had: Broken | undefined, now: Broken): Fresh {
  if (had?.mismatch) return []; // nobody could tell
  const fresh = [...now.byValue].map(([value, { rows, parent }]) => ({
    value,
    parent,
    rows: rows - (had?.byValue.get(value)?.rows ?? 0),
  })).filter(({ rows }) => rows > 0);
  const more = now.rows - (had?.rows ?? 0);
  return fresh.length === 0 && more > 0 ? [{ value: "", parent: "", rows: more }] : fresh;
}

/** @throws {AmberError} FOREIGN_KEY_BROKEN, always */
export function refuseBroken(
  { table, fresh, steps, guarded }: { table: string; fresh: Fresh; steps: readonly Touch[]; guarded: Guarded },
): never {
  const rows = fresh.reduce((sum, one) => sum + one.rows, 0);
  const parents = new Set(fresh.map(({ parent }) => parent.toLowerCase()));
  const isIn = (names: readonly string[]) => names.find((name) => parents.has(name));
  const rewritten = isIn(
    steps.flatMap((step) => step.renames.map(({ to }) => to).filter((to) => isDropped(steps, to))),
  );
  const dropped = isIn(steps.flatMap((step) => step.drops));
  const way = rewritten !== undefined
    ? `ALTER TABLE … RENAME TO "${rewritten}" took the references along. Create the new table under another name, copy, drop the old one, rename the new one.`
    : dropped !== undefined
    ? `Before "${dropped}" goes, "${table}" has to let go of it: delete or change these rows, or drop or rebuild "${table}".`
    : "Add the rows that are missing, or change or delete these, in the same migration.";
  throw new AmberError("FOREIGN_KEY_BROKEN", {
    message: `${verb(guarded)}: ${rows} row${
      rows === 1 ? "" : "s"
    } of "${table}" would refer to rows that are not there`,
    where: guarded.path,
    detail: listed(table, fresh),
    hint: `${aftermath(guarded)} ${way} (A migration runs with foreign keys off; they are checked at its end.)`,
  });
}

/** About references that lead nowhere and did so before. */
export function damageNote(table: string, now: Broken, { name }: Guarded): string {
  const some = [...now.byValue].map(([value, one]) => ({ value, ...one }));
  return `${now.rows} row${
    now.rows === 1 ? "" : "s"
  } of "${table}" referred to missing rows before "${name}" already: ${listed(table, some).replaceAll("\n", "; ")}`;
}

function listed(table: string, broken: Fresh): string {
  const lines = broken.slice(0, 5).map(({ value, rows, parent }) =>
    `"${table}" ${value} → "${parent}"${rows > 1 ? ` (${rows} rows)` : ""}`
  );
  return [...lines, ...(broken.length > 5 ? [`and ${broken.length - 5} more`] : [])].join("\n");
}

function isDropped(steps: readonly Touch[], table: string): boolean {
  return steps.some((step) => step.drops.includes(table));
}

function verb({ name, direction }: Guarded): string {
  return `Cannot ${direction === "down" ? "undo" : "apply"} "${name}"`;
}

function aftermath(guarded: Guarded): string {
  return guarded.aftermath ?? "Everything was rolled back.";
}
