import type { ImageCheck } from "../engines/sqlite/check_image.ts";
import type { DatabaseFacts, SnapshotFacts } from "../repository/snapshot_file.ts";

/** What is found wrong, and what is only worth knowing; texts for people. */
export interface Report {
  problems: string[];
  notes: string[];
}

/**
 * What only the app can judge: a function, collation or module of its own is needed, or rows break rules of the schema
 * that SQLite does not always enforce. No damage, and there when the snapshot was taken.
 */
const appsOwn =
  /(no such|unknown) (function|collation|module|tokenizer)|^(NULL value in|CHECK constraint failed in|(TEXT|NUMERIC|non-[A-Z]+) value in) /i;

/** Judges a restored database by what the snapshot says of it. Pure. */
export function judgeDatabase({ path, rows, migrations }: DatabaseFacts, found: ImageCheck): Report {
  const report: Report = { problems: [], notes: [] };
  for (const line of found.integrity) {
    (appsOwn.test(line) ? report.notes : report.problems).push(`the database "${path}": integrity_check says: ${line}`);
  }
  const { count: broken, tables } = found.foreignKeys;
  if (broken > 0) {
    report.notes.push(`the database "${path}": ${broken} rows refer to missing ones (${tables.join(", ")})`);
  }
  for (const [table, count] of Object.entries(rows)) {
    const now = found.rows[table];
    if (now === count) continue;
    const has = typeof now === "number"
      ? `has ${now}`
      : now === undefined || now === "missing"
      ? "is not there"
      : `cannot be counted: ${now.failure}`;
    report.problems.push(`the database "${path}": table "${table}" had ${count} rows, and ${has}`);
  }
  const state = (one: DatabaseFacts["migrations"]) => one ? `"${one.last}" (${one.count} applied)` : "none";
  if (state(migrations) !== state(found.migrations)) {
    report.problems.push(
      `the database "${path}": it stood at migration ${state(migrations)}, and stands at ${state(found.migrations)}`,
    );
  }
  return report;
}

/** What the snapshot itself says is not in it. Pure. */
export function notesOf({ remarks }: SnapshotFacts): string[] {
  const missed = remarks.filter(({ what }) => what === "changed" || what === "unreadable" || what === "name");
  const raw = remarks.filter(({ what }) => what === "raw");
  return [
    ...(missed.length > 0
      ? [`${missed.length} files changed or could not be read when it was taken: "${missed[0]!.path}"`]
      : []),
    ...raw.map(({ path }) => `the database "${path}" was stored as plain files, and was not opened`),
  ];
}
