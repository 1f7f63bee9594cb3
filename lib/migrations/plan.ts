import { AmberError } from "../errors.ts";
import { ancestors, descendants } from "./graph.ts";
import type { HistoryRow } from "./history_row.ts";
import { type Migration, numberOf } from "./migration.ts";
import type { Entry } from "./survey.ts";

/** Where to go: everything, to one migration (forwards or back), to nothing, or some steps back. */
export type Goal = { kind: "latest" } | { kind: "target"; name: string } | { kind: "zero" } | {
  kind: "back";
  count: number;
};

/** One migration in one direction. */
export interface Step {
  name: string;
  direction: "up" | "down";
  migration?: Migration;
  row?: HistoryRow;
}

/** What would run, in order. Pure: the same for `--plan` and for the deed. */
export function planSteps(entries: readonly Entry[], goal: Goal): Step[] {
  const ordered = entries.flatMap((entry) => entry.migration ?? []);
  switch (goal.kind) {
    case "latest":
      return forwards(entries, () => true);
    case "zero":
      return backwards(entries, () => true);
    case "back":
      return backwards(entries, () => true, goal.count);
    case "target": {
      const target = entries.find((entry) => entry.name === goal.name)!;
      if (target.state !== "applied") {
        const wanted = ancestors(ordered, goal.name);
        return forwards(entries, (entry) => wanted.has(entry.name));
      }
      const after = descendants(ordered, goal.name);
      // A row without a file has no known parents: its number says whether it came after.
      return backwards(
        entries,
        (entry) =>
          after.has(entry.name) ||
          (!entry.migration && entry.name !== goal.name && numberOf(entry.name) > numberOf(goal.name)),
      );
    }
  }
}

/** A migration that was half undone is undone first, then applied again. */
function forwards(entries: readonly Entry[], wanted: (entry: Entry) => boolean): Step[] {
  const steps: Step[] = [];
  for (const entry of entries) {
    if (!wanted(entry) || entry.state === "applied" || !entry.migration) continue;
    if (entry.state === "reverting") steps.push(step(entry, "down"));
    steps.push(entry.state === "reverting" ? { ...step(entry, "up"), row: undefined } : step(entry, "up"));
  }
  return steps;
}

function backwards(entries: readonly Entry[], wanted: (entry: Entry) => boolean, most = Infinity): Step[] {
  const steps: Step[] = [];
  for (const entry of [...entries].reverse()) {
    if (steps.length === most) break;
    if (entry.state === "pending" || !wanted(entry)) continue;
    if (entry.state === "running") {
      throw new AmberError("MIGRATION_IRREVERSIBLE", {
        message: `Cannot go back across "${entry.name}": it is half applied`,
        where: entry.migration?.path ?? entry.name,
        hint: `Finish it first: amber migrate ${entry.name}`,
      });
    }
    steps.push(step(entry, "down"));
  }
  return steps;
}

function step(entry: Entry, direction: "up" | "down"): Step {
  return { name: entry.name, direction, migration: entry.migration, row: entry.row };
}

/**
 * The migration that a person means: its full name, its number (`3` for `0003_…`), or a prefix that fits only one.
 *
 * @throws {AmberError} MIGRATION_UNKNOWN, MIGRATION_AMBIGUOUS
 */
export function resolveName(wanted: string, entries: readonly Entry[]): string {
  const names = entries.map((entry) => entry.name);
  const bare = wanted.replace(/^.*\//, "").replace(/\.(sqlite\.|postgres\.)?(sql|ts|js|mts|mjs)$/, "");
  if (names.includes(bare)) return bare;
  const byNumber = /^\d+$/.test(bare)
    ? names.filter((name) => /^\d/.test(name) && numberOf(name) === BigInt(bare))
    : [];
  const matches = byNumber.length > 0 ? byNumber : bare === "" ? [] : names.filter((name) => name.startsWith(bare));
  if (matches.length === 1) return matches[0]!;
  if (matches.length > 1) {
    throw new AmberError("MIGRATION_AMBIGUOUS", {
      message: `Cannot tell which migration "${wanted}" is: ${
        matches.slice(0, 8).map((name) => `"${name}"`).join(", ")
      }${matches.length > 8 ? " …" : ""} begin so`,
      hint: "Give more of the name.",
    });
  }
  const near = names.find((name) => bare.length > 2 && name.includes(bare));
  throw new AmberError("MIGRATION_UNKNOWN", {
    message: `Cannot find a migration "${wanted}"`,
    hint: near ? `Did you mean "${near}"?` : "`amber showmigrations` lists them all.",
  });
}
