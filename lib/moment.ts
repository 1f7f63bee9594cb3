import { parseDuration } from "./duration.ts";
import { AmberError } from "./errors.ts";

const pattern =
  /^(\d{4})-(\d\d)-(\d\d)(?:(?:[Tt]| +)(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)? *([Zz]|UTC|[+-]\d\d(?::?\d\d)?)?)?$/;

/** Dates of JavaScript end here. */
const maxTimeMs = 8.64e15;

/**
 * The moment that `restore --at TIME` means: ISO 8601, `2026-11-24T13:00:00+01:00`, also with a space instead of `T`,
 * without seconds, without a time (the day's beginning); or how long ago, `2h`, `2h ago`.
 *
 * Without a zone it is UTC, wherever amber runs: a container's local time is anybody's guess, and the same command must
 * not bring back another snapshot on another machine.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * const now = new Date("2026-11-24T13:00:00Z");
 * assert.equal(parseTime("2026-11-24 12:30", now).toISOString(), "2026-11-24T12:30:00.000Z");
 * assert.equal(parseTime("2026-11-24T12:30+01:00", now).toISOString(), "2026-11-24T11:30:00.000Z");
 * assert.equal(parseTime("26h ago", now).toISOString(), "2026-11-23T11:00:00.000Z");
 * ```
 *
 * @throws {AmberError} USAGE for anything else, and for what no calendar has: 30 February, 24:00.
 */
export function parseTime(text: string, now: Date): Date {
  const trimmed = text.trim();
  const parts = pattern.exec(trimmed);
  const timeMs = parts ? calendarMs(parts) : agoMs(trimmed, now);
  if (timeMs !== undefined) return new Date(timeMs);
  throw new AmberError("USAGE", {
    message: `Cannot read "${text}" as a time`,
    hint: 'Write it as 2026-11-24, "2026-11-24 13:00" (which is UTC), 2026-11-24T13:00+01:00, or how long ago: 2h',
  });
}

function calendarMs(parts: RegExpExecArray): number | undefined {
  const [, year, month, day, hour = "00", minute = "00", second = "00", fraction = "0", zone = "Z"] = parts;
  const written = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  const wallMs = Date.parse(`${written}Z`);
  // What no calendar has is either not read, or counted on from: 30 February becomes 2 March, 24:00 the next day.
  if (Number.isNaN(wallMs) || !new Date(wallMs).toISOString().startsWith(written)) return undefined;
  const timeMs = wallMs + Number(fraction.slice(0, 3).padEnd(3, "0"));
  const [, sign, zoneHours, zoneMinutes = "0"] = /^([+-])(\d\d):?(\d\d)?$/.exec(zone) ?? [];
  if (sign === undefined) return timeMs;
  if (Number(zoneHours) > 14 || Number(zoneMinutes) > 59) return undefined; // nowhere is a day begun earlier than in Kiribati
  return timeMs - Number(`${sign}1`) * (Number(zoneHours) * 60 + Number(zoneMinutes)) * 60_000;
}

/** A bare number is refused here: it might be a year, or seconds. */
function agoMs(text: string, now: Date): number | undefined {
  const [, duration] = /^(\d+(?:\.\d+)?(?:ms|s|m|h|d))(?: *ago)?$/.exec(text) ?? [];
  if (duration === undefined) return undefined;
  const timeMs = now.getTime() - parseDuration(duration);
  return Math.abs(timeMs) <= maxTimeMs ? timeMs : undefined;
}
