import { AmberError } from "../errors.ts";
import { type HistoryRow, splitterVersion } from "./history_row.ts";
import { compareMigrations, type Migration, numberOf } from "./migration.ts";

/** What a file is known by, to compare it with its row. */
export interface Fingerprint {
  rawHash: string;
  /** Only where the raw bytes differ from the row's, or there is no row. */
  checksum?: string;
  hashes?: string;
}

/** One migration with what is known of it: a file, a row, or both. */
export interface Entry {
  name: string;
  state: "applied" | "pending" | "running" | "reverting";
  /**
   * `changed`: applied, and its statements are not the same any more. `missing`: applied, no file, and a file comes after
   * it. `late`: pending, and one that comes after it is applied. `ahead`: applied by a newer binary.
   */
  mark?: "changed" | "missing" | "late" | "ahead";
  migration?: Migration;
  row?: HistoryRow;
  /** For `changed`: which statements, from 1. For `missing`: the pending file that has the same content. */
  changedStatements?: number[];
  renamedTo?: string;
  /** The row's checksum was made by another version of the splitter, so it was not compared. */
  notCompared?: boolean;
}

/** Files and rows side by side, in order of execution; rows without a file stand where their number puts them. */
export function survey(
  ordered: readonly Migration[],
  rows: readonly HistoryRow[],
  fingerprints: ReadonlyMap<string, Fingerprint>,
): Entry[] {
  const rowOf = new Map(rows.map((row) => [row.name, row]));
  const known = new Set(ordered.map((migration) => migration.name));
  const entries: Entry[] = ordered.map((migration) => {
    const row = rowOf.get(migration.name);
    const entry: Entry = { name: migration.name, state: row?.state ?? "pending", migration, row };
    if (row?.state === "applied") compare(entry, row, fingerprints.get(migration.name));
    return entry;
  });
  markLate(entries, rows.filter((row) => row.state === "applied" && !known.has(row.name)));
  const orphans = rows.filter((row) => !known.has(row.name)).map((row): Entry => ({
    name: row.name,
    state: row.state,
    row,
  }));
  for (const orphan of orphans.sort((a, b) => compareNames(a.name, b.name))) {
    // Also a pending one: applying it would make this row a missing one.
    const followed = entries.some((entry) => entry.migration && compareNames(entry.name, orphan.name) > 0);
    orphan.mark = followed ? "missing" : "ahead";
    orphan.renamedTo = ordered.find((migration) =>
      !rowOf.has(migration.name) && isSame(fingerprints.get(migration.name), orphan.row!)
    )?.name;
    if (orphan.renamedTo) orphan.mark = "missing";
    const place = entries.findIndex((entry) => compareNames(entry.name, orphan.name) > 0);
    entries.splice(place < 0 ? entries.length : place, 0, orphan);
  }
  return entries;
}

/**
 * Refuses drift: an applied migration that was changed or is missing, and, unless `allowLate`, pending ones that would
 * run behind applied ones.
 *
 * @throws {AmberError} MIGRATION_DRIFT, MIGRATION_MISSING, MIGRATION_LATE
 */
export function refuseDrift(entries: readonly Entry[], options: { allowLate: boolean }): void {
  for (const entry of entries) {
    if (entry.mark === "changed") throw changedError(entry);
    if (entry.mark === "missing") throw missingError(entry);
  }
  const late = entries.filter((entry) => entry.mark === "late");
  if (late.length === 0 || options.allowLate) return;
  const names = late.map((entry) => `"${entry.name}"`).join(", ");
  const last = entries.findLast((entry) => entry.state === "applied")!;
  throw new AmberError("MIGRATION_LATE", {
    message: `Cannot apply ${names} now: "${last.name}", which comes after, is applied already`,
    where: late.map((entry) => entry.migration!.path).join(", "),
    hint:
      "It came late, from another branch. `amber migrate --allow-late` applies it all the same; or rename it to the next number.",
  });
}

/** What is worth a word but no refusal. */
export function notes(entries: readonly Entry[]): string[] {
  const ahead = entries.filter((entry) => entry.mark === "ahead").map((entry) => `"${entry.name}"`);
  const out = ahead.length === 0
    ? []
    : [`the database is ahead: ${ahead.join(", ")} applied by a newer version, no file here`];
  for (const entry of entries.filter((entry) => entry.notCompared)) {
    out.push(
      `"${entry.name}" was recorded by another version of amber (${entry.row!.amber}): its statements are not compared`,
    );
  }
  return out;
}

function compare(entry: Entry, row: HistoryRow, found: Fingerprint | undefined): void {
  if (!found || found.rawHash === row.rawHash) return;
  if (row.splitter !== splitterVersion) {
    entry.notCompared = true;
    return;
  }
  if (found.checksum === row.checksum) return;
  entry.mark = "changed";
  const before = split8(row.hashes);
  const now = split8(found.hashes ?? "");
  entry.changedStatements = Array.from({ length: Math.max(before.length, now.length) }, (_, i) => i)
    .filter((i) => before[i] !== now[i]).map((i) => i + 1);
}

/** Late: something that is applied depends on it, or stands behind it in order, or has a higher number and no file. */
function markLate(entries: Entry[], orphans: readonly HistoryRow[]): void {
  const lastApplied = entries.findLastIndex((entry) => entry.state === "applied");
  const highest = orphans.reduce((max, row) => (numberOf(row.name) > max ? numberOf(row.name) : max), -1n);
  for (const [i, entry] of entries.entries()) {
    if (entry.state !== "pending") continue;
    if (i < lastApplied || entry.migration!.number < highest) entry.mark = "late";
  }
}

function isSame(file: Fingerprint | undefined, row: HistoryRow): boolean {
  if (!file) return false;
  return file.rawHash === row.rawHash ||
    (row.statements > 0 && row.splitter === splitterVersion && file.checksum === row.checksum);
}

function split8(hashes: string): string[] {
  return hashes === "" ? [] : hashes.split(" ");
}

function compareNames(a: string, b: string): number {
  return compareMigrations({ number: numberOf(a), name: a }, { number: numberOf(b), name: b });
}

function changedError(entry: Entry): AmberError {
  const { row, changedStatements: changed = [] } = entry;
  const which = row!.hashes === "" || changed.length === 0
    ? "its code has changed"
    : changed.length > 5
    ? `${changed.length} of its statements have changed`
    : `statement ${changed.join(", ")} of ${row!.statements} ${changed.length === 1 ? "has" : "have"} changed`;
  return new AmberError("MIGRATION_DRIFT", {
    message: `Cannot plan: "${entry.name}" was applied on ${row!.appliedAt.slice(0, 10)}, and ${which} since`,
    where: entry.migration!.path,
    hint:
      `Put the file back as it was and write the change into a new migration; or, if the file is right as it is, amber migrate --accept ${entry.name}`,
  });
}

function missingError(entry: Entry): AmberError {
  return new AmberError("MIGRATION_MISSING", {
    message: entry.renamedTo
      ? `Cannot plan: "${entry.name}" was applied, and its file is now called "${entry.renamedTo}"`
      : `Cannot plan: "${entry.name}" was applied on ${entry.row!.appliedAt.slice(0, 10)}, and its file is missing`,
    where: entry.name,
    hint: entry.renamedTo
      ? `Give it its old name back: applied under another name it would run twice.`
      : "Bring the file back from version control.",
  });
}
