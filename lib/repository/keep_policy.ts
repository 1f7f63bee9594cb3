import { AmberError } from "../errors.ts";

/** The rules of a policy, in the order in which they are shown. */
export const keepRules = ["hourly", "daily", "weekly", "monthly", "yearly", "last"] as const;

export type KeepRule = typeof keepRules[number];

/** How many hours, days, weeks, months, years that have snapshots keep their newest one, and how many of the last stay. */
export type KeepPolicy = Partial<Record<KeepRule, number>>;

/** Policies with a name. `plash` is what fits beside an app: about a month back. */
export const presets: Record<string, string> = { plash: "5 hourly, 2 daily, 2 weekly, 2 monthly" };

const example = '--keep "24 hourly, 7 daily, 4 weekly, 12 monthly, 3 yearly, 5 last"';

const words: Record<KeepRule, RegExp> = {
  hourly: /^(hourly|hourlies|hours?)$/,
  daily: /^(daily|dailies|days?)$/,
  weekly: /^(weekly|weeklies|weeks?)$/,
  monthly: /^(monthly|monthlies|months?)$/,
  yearly: /^(yearly|yearlies|years?)$/,
  last: /^last$/,
};

/**
 * Reads what `--keep` and AMBER_KEEP say: counts with their words, in any order, separated by commas or lines; a preset's
 * name stands for its text.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * assert.deepEqual(parseKeep("7 daily, 5 last"), { daily: 7, last: 5 });
 * assert.deepEqual(parseKeep("plash"), { hourly: 5, daily: 2, weekly: 2, monthly: 2 });
 * ```
 *
 * @throws {AmberError} USAGE naming the part that cannot be read.
 */
export function parseKeep(text: string): KeepPolicy {
  const parts = text.split(/[,\n]/).map((part) => part.trim().toLowerCase()).filter((part) => part !== "");
  if (parts.length === 0) throw unreadable(text, "it is empty");
  const policy: KeepPolicy = {};
  for (const part of parts.flatMap((part) => Object.hasOwn(presets, part) ? presets[part]!.split(", ") : [part])) {
    const { rule, count } = parsePart(text, part);
    if (policy[rule] !== undefined) throw unreadable(text, `it says ${rule} twice, ${policy[rule]} and ${count}`);
    policy[rule] = count;
  }
  return policy;
}

function parsePart(text: string, part: string): { rule: KeepRule; count: number } {
  const [, digits, word] = /^(\d+)?\s*([a-z]+)$/.exec(part) ?? [];
  const rule = keepRules.find((one) => words[one].test(word ?? ""));
  if (rule === undefined) {
    throw unreadable(text, `"${part}" is not a count and one of ${keepRules.join(", ")}, nor a preset`);
  }
  if (digits === undefined) throw unreadable(text, `"${part}" has no count`);
  const count = Number(digits);
  if (count === 0) throw unreadable(text, `"${part}" keeps nothing, so it is left out`);
  if (count > 1_000_000) throw unreadable(text, `"${part}" is more than a million`);
  return { rule, count };
}

function unreadable(text: string, why: string): AmberError {
  return new AmberError("USAGE", {
    message: `Cannot read "${text.length > 200 ? `${text.slice(0, 200)}…` : text}" as retention: ${why}`,
    hint: `Write for example ${example}, or any part of it, or a preset: ${Object.keys(presets).join(", ")}.`,
  });
}

/** A policy as `--keep` takes it: `5 hourly, 2 daily`. */
export function describeKeep(policy: KeepPolicy): string {
  return keepRules.flatMap((rule) => policy[rule] === undefined ? [] : [`${policy[rule]} ${rule}`]).join(", ");
}
