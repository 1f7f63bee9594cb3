import type { ImageCheck } from "../engines/sqlite/check_image.ts";
import { AmberError } from "../errors.ts";
import type { DatabaseFacts } from "../repository/snapshot_file.ts";

/** Every byte has been checked, so what is wrong now was wrong when the snapshot was taken: told, and no reason to stop. */
export function checkNotes(path: string, { integrity, foreignKeys }: ImageCheck): string[] {
  const notes: string[] = [];
  if (integrity.length > 0) {
    notes.push(
      `the database "${path}" is restored as it was, and was not sound when the snapshot was taken: ${integrity[0]}`,
    );
  }
  if (foreignKeys.count > 0) {
    notes.push(
      `the database "${path}" had ${foreignKeys.count} rows that refer to missing ones (${
        foreignKeys.tables.join(", ")
      })`,
    );
  }
  return notes;
}

export function refuseOtherRows(path: string, facts: DatabaseFacts, { rows }: ImageCheck): void {
  for (const [table, count] of Object.entries(facts.rows)) {
    const now = rows[table];
    if (now === count) continue;
    const says = typeof now === "number"
      ? `${now} rows now`
      : now === "missing" || now === undefined
      ? "no such table"
      : now.failure;
    throw new AmberError("OBJECT_DAMAGED", {
      message: `Cannot restore the database "${path}": table "${table}" had ${count} rows, and has ${says}`,
      where: path,
      hint: "Other snapshots can still be restored: amber snapshots. amber verify says what is damaged.",
    });
  }
}
