/** Parts of the UTC calendar that a retention rule counts. */
export type Part = "hourly" | "daily" | "weekly" | "monthly" | "yearly";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Which hour, day, ISO week, month or year a moment lies in: whole numbers, one more for each next one. */
export function partOf(part: Part, ms: number): number {
  switch (part) {
    case "hourly":
      return Math.floor(ms / hourMs);
    case "daily":
      return Math.floor(ms / dayMs);
    case "weekly":
      // ISO weeks begin on a Monday, and 1970-01-01 was a Thursday.
      return Math.floor((Math.floor(ms / dayMs) + 3) / 7);
    case "monthly":
      return new Date(ms).getUTCFullYear() * 12 + new Date(ms).getUTCMonth();
    case "yearly":
      return new Date(ms).getUTCFullYear();
  }
}

/** How people call it: `2026-11-20 12h`, `2026-11-20`, `2026-W47`, `2026-11`, `2026`. */
export function namePart(part: Part, number: number): string {
  switch (part) {
    case "hourly":
      return `${textOf(number * hourMs).slice(0, 13).replace("T", " ")}h`;
    case "daily":
      return textOf(number * dayMs).slice(0, 10);
    case "weekly": {
      // A week belongs to the year of its Thursday.
      const thursdayMs = number * 7 * dayMs;
      const year = new Date(thursdayMs).getUTCFullYear();
      const week = Math.floor((thursdayMs - Date.UTC(year, 0, 1)) / (7 * dayMs)) + 1;
      return `${year}-W${String(week).padStart(2, "0")}`;
    }
    case "monthly":
      return `${Math.floor(number / 12)}-${String(number % 12 + 1).padStart(2, "0")}`;
    case "yearly":
      return `${number}`;
  }
}

const textOf = (ms: number) => new Date(ms).toISOString();
