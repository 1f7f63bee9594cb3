import type { DatabaseSchema } from "../../engines/postgres/schema/schema_object.ts";

/** The table that says, in the commit of a restore itself, that it is done. A kill right behind that may leave it. */
export const marker = "amber_restore";

const isMarker = (name: string | undefined) => name !== undefined && new RegExp(`\\.${marker}$`).test(name);

/** A schema without what is amber's own and comes and goes. */
export function ofApp(schema: DatabaseSchema): DatabaseSchema {
  return {
    ...schema,
    objects: schema.objects.filter(({ name, table }) => !isMarker(name) && !isMarker(table)),
    tables: schema.tables.filter(({ quoted }) => !isMarker(quoted)),
  };
}
