import { compareFingerprints, fingerprint, type ObjectName } from "../../engines/postgres/schema/fingerprint.ts";
import type { StoredPostgres } from "./stored.ts";

/** An object of a Postgres schema that is not as it was; `attributes`: it has another owner or other rights. */
export interface SchemaChange {
  kind: string;
  name: string;
  change: "new" | "gone" | "changed" | "attributes";
}

/** What differs between two stored schemas. Pure. */
export function schemaChanges(
  before: Pick<StoredPostgres, "schema">,
  after: Pick<StoredPostgres, "schema">,
): SchemaChange[] {
  const [old, now] = [before, after].map(({ schema }) => fingerprint(schema.objects));
  const { onlyHere, onlyThere, structure, rights } = compareFingerprints(old!, now!);
  const named = (names: readonly ObjectName[], change: SchemaChange["change"]) =>
    names.map(({ kind, name }) => ({ kind, name, change }));
  return [
    ...named(onlyThere, "new"),
    ...named(onlyHere, "gone"),
    ...named(structure, "changed"),
    ...named(rights, "attributes"),
  ];
}
