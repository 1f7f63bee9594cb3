import type { PlannedPostgres } from "../restore_plan.ts";
import {
  compareFingerprints,
  type ObjectName,
  type SchemaFingerprint,
} from "../../engines/postgres/schema/fingerprint.ts";
import { AmberError } from "../../errors.ts";

/** Kinds that do not make a database a filled one: a provider puts some into each. */
const emptyKinds = new Set([
  "schema",
  "extension",
  "built-in",
  "default privileges",
  "language",
  "publication",
  "event trigger",
]);

/** What may be done to get there. */
export interface Ways {
  /** `schema.sql` may be run. */
  schema: boolean;
  /** The app's own migrations can be run up to where the snapshot stands. */
  canReplay: boolean;
  /** A restore that was killed has begun with that. */
  isReplaying: boolean;
}

/**
 * How rows get back into a database with this schema. Pure.
 *
 * @param where For messages.
 * @throws {AmberError} RESTORE_BLOCKED when neither way leads there.
 */
export function wayOf(
  stored: SchemaFingerprint,
  here: SchemaFingerprint,
  { schema, canReplay, isReplaying }: Ways,
  where: string,
): PlannedPostgres["way"] {
  if (stored.structure === here.structure) return "rows";
  const isEmpty = isEmptyDatabase(here);
  if (isEmpty && schema) return "schema";
  if ((isEmpty || isReplaying) && canReplay) return "migrations";
  if (isEmpty) {
    throw new AmberError("RESTORE_BLOCKED", {
      message: "Cannot restore the Postgres database: it is empty, and rows need the tables that they were in",
      where,
      hint: "Nothing was touched. Run this where the app's migrations are, or add --schema: " +
        "the snapshot's own schema.sql then makes the tables (amber cat SNAPSHOT /postgres/schema.sql shows it).",
    });
  }
  throw new AmberError("RESTORE_BLOCKED", {
    message: `Cannot restore the Postgres database: its schema is not the snapshot's: ${differences(stored, here)}`,
    where,
    hint:
      "Nothing was touched. Bring it to the snapshot's migration first (amber migrate NAME), or empty it and let the " +
      "snapshot make its own: amber wipe --database, then this with --schema. Elsewhere: --to postgres://… --schema",
  });
}

/** Whether nothing of an app is in it. */
export function isEmptyDatabase({ objects }: SchemaFingerprint): boolean {
  return objects.every(({ kind, name }) =>
    emptyKinds.has(kind) || /(^|[. ])(amber_migrations|amber_restore)(_pkey)?\b/.test(name)
  );
}

function differences(stored: SchemaFingerprint, here: SchemaFingerprint): string {
  const { onlyHere, onlyThere, structure } = compareFingerprints(stored, here);
  const list = (names: ObjectName[], what: string) => names.map(({ kind, name }) => `${kind} ${name} ${what}`);
  const all = [
    ...list(onlyHere, "is missing"),
    ...list(onlyThere, "is not in the snapshot"),
    ...list(structure, "is another one"),
  ];
  return all.length > 5 ? `${all.slice(0, 5).join(", ")} and ${all.length - 5} more` : all.join(", ");
}
