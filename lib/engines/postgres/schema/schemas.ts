import { type Found, idOf, ownerSql, plain, type RightsItem, rightsOf } from "./found.ts";
import { commentSql } from "./tables.ts";
import { isOwn, isUserSchema, type Reading, rights, roleName } from "./reading.ts";
import type { SchemaExtension } from "./schema_object.ts";

const publicOid = 2200;
/** Roles whose oids are the same everywhere. */
const databaseOwner = 6171;
const firstSuperuser = 10;

/**
 * Schemas. `public` is among them only where it is not as every database is born with it: its owner, its rights or its
 * comment.
 */
export async function readSchemas({ query, major }: Reading): Promise<Found[]> {
  const rows = await query(`select n.oid, n.nspname as raw, quote_ident(n.nspname) as name,
      ${roleName("n.nspowner")} as owner, n.nspacl is not null or n.nspname = 'public' as touched,
      ${rights("coalesce(n.nspacl, acldefault('n', n.nspowner))")} as grants, ${
    rights("acldefault('n', n.nspowner)")
  } as born,
      n.nspowner = ${major >= 15 ? databaseOwner : firstSuperuser} as is_usual_owner,
      obj_description(n.oid, 'pg_namespace') as comment
    from pg_namespace n
    where (n.oid = ${publicOid} or ${isOwn("pg_namespace", "n.oid")}) and ${isUserSchema("n.nspname")}
    order by n.nspname`);
  const found: Found[] = [];
  for (const row of rows) {
    const name = String(row.name);
    const isPublic = row.raw === "public";
    // Every database is born with these.
    const free: RightsItem = [String(row.owner), "", major < 15 ? ["CREATE", "USAGE"] : ["USAGE"], []];
    if (isPublic) row.born = [...row.born as RightsItem[], free];
    const lines = isPublic ? [] : [`CREATE SCHEMA ${name};`];
    // Its usual comment is every database's own; any other is told with the comments.
    if (isPublic && row.comment === null) lines.push(`COMMENT ON SCHEMA public IS NULL;`);
    found.push(plain({
      id: idOf("pg_namespace", row.oid),
      kind: "schema",
      name,
      section: "pre-data",
      on: `SCHEMA ${name}`,
      ...(isPublic && row.is_usual_owner ? {} : { owner: ownerSql(`SCHEMA ${name}`, row.owner) }),
      rights: rightsOf(row, `SCHEMA ${name}`),
      sql: lines.join("\n"),
    }));
  }
  return found;
}

/** The comment that `public` has in every new database. */
export const usualPublicComment = commentSql("SCHEMA public", "standard public schema");

export interface Extensions {
  found: Found[];
  extensions: SchemaExtension[];
  /** The tables whose rows are users' own, by oid. */
  tables: Map<number, { name: string; where: string }>;
}

/** Extensions by name: what belongs to them comes with them. */
export async function readExtensions({ query }: Reading): Promise<Extensions> {
  const rows = await query(`select x.oid, x.extname as raw, quote_ident(x.extname) as name, x.extversion as version,
      n.nspname as schema, quote_ident(n.nspname) as schema_name, array_to_json(x.extconfig) as tables,
      array_to_json(x.extcondition) as conditions
    from pg_extension x join pg_namespace n on n.oid = x.extnamespace
    where x.oid >= 16384 order by x.extname`);
  const read: Extensions = { found: [], extensions: [], tables: new Map() };
  for (const row of rows) {
    const name = String(row.name);
    read.extensions.push({ name: String(row.raw), version: String(row.version), schema: String(row.schema) });
    read.found.push(plain({
      id: idOf("pg_extension", row.oid),
      kind: "extension",
      name,
      section: "pre-data",
      sql: `CREATE EXTENSION IF NOT EXISTS ${name} WITH SCHEMA ${row.schema_name};`,
    }));
    const conditions = (row.conditions ?? []) as string[];
    ((row.tables ?? []) as (string | number)[]).forEach((oid, i) => {
      read.tables.set(Number(oid), { name: String(row.raw), where: conditions[i] ?? "" });
    });
  }
  return read;
}
