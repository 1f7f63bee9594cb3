import { AmberError } from "./errors.ts";

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * The milliseconds in `500ms`, `30s`, `10m`, `26h` or `7d`; a bare number counts seconds.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(parseDuration("30s"), 30_000);
 * assert.equal(parseDuration("60"), 60_000);
 * ```
 *
 * @throws {AmberError} USAGE for anything else: a sign, two units, a word.
 */
export function parseDuration(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ?? [];
  const ms = Math.round(Number(number) * unitMs[(unit ?? "s") as keyof typeof unitMs]);
  if (Number.isSafeInteger(ms)) return ms;
  throw new AmberError("USAGE", {
    message: `Cannot read "${text}" as a duration`,
    hint: "Write a number and its unit: 500ms, 30s, 10m, 26h or 7d.",
  });
}

/**
 * A duration for people, rounded to its one or two largest units: `45 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`,
 * `1 d 2 h`. Less than nothing is `0 ms`.
 */
export function formatDuration(ms: number): string {
  if (Math.round(ms) < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (Math.round(ms / 100) < 600) return `${Math.round(ms / 100) / 10} s`;
  if (Math.round(ms / unitMs.s) < 3_600) return pair(Math.round(ms / unitMs.s), 60, ["min", "s"]);
  if (Math.round(ms / unitMs.m) < 1_440) return pair(Math.round(ms / unitMs.m), 60, ["h", "min"]);
  return pair(Math.round(ms / unitMs.h), 24, ["d", "h"]);
}

function pair(count: number, size: number, [large, small]: [string, string]): string {
  const rest = count % size;
  return `${Math.floor(count / size)} ${large}${rest === 0 ? "" : ` ${rest} ${small}`}`;
}
