const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"] as const;

/**
 * An amount of bytes for people, in decimal units and with one decimal at most: `0 B`, `812 B`, `3.8 MB`, `326 MB`,
 * `1.1 GB`. Less than nothing is `0 B`.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(formatBytes(3_812_345), "3.8 MB");
 * ```
 */
export function formatBytes(size: number): string {
  let value = Math.max(0, Math.round(size));
  let unit = 0;
  // 999.5 is written as 1,000, which is the next unit's 1.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${value < 99.95 ? Math.round(value * 10) / 10 : Math.round(value)} ${units[unit]}`;
}
