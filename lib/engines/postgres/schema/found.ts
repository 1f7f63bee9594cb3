import { AmberError } from "../../../errors.ts";
import type { Row } from "../../engine.ts";
import type { Section } from "./schema_object.ts";

/** An object in the catalogs: the catalog's name and the oid in it, e.g. `pg_class:16384`. */
export type Id = string;

export function idOf(catalog: string, oid: unknown): Id {
  return `${catalog}:${oid}`;
}

/** A piece of an object that is made together with it, and by itself when it would close a circle. */
export interface Part {
  id: Id;
  kind: string;
  name: string;
  /** What COMMENT ON calls it. */
  on?: string;
  /** The statement that adds it later. */
  later: string;
}

/** Rights on an object, before they are words. */
export interface Rights {
  /** What GRANT … ON calls it. */
  on: string;
  owner: string; // quoted
  grants: RightsItem[];
  born: RightsItem[];
  columns?: { column: string; grants: RightsItem[] }[];
}

/** Who gave, who has ("" is everybody), what, and what of it may be passed on. */
export type RightsItem = [grantor: string, grantee: string, privileges: string[], passOn: string[]];

/** An object as it was found, not yet in order. */
export interface Found {
  id: Id;
  kind: string;
  name: string;
  section: Section;
  /** Its statements, without the parts that are made by themselves. */
  make: (separate: ReadonlySet<Id>) => string;
  /** What else in the catalogs means this object: the row type of a table, the array of a type. */
  also?: Id[];
  parts?: Part[];
  /** What it comes after, beside what pg_depend says. */
  after?: Id[];
  /** What it does not come after, whatever pg_depend says. */
  notAfter?: Id[];
  /** What COMMENT ON calls it. Default: the kind in capitals and the name. */
  on?: string;
  /** What else is made with it, always, and can have a comment: what COMMENT ON calls it. */
  within?: { id: Id; on: string }[];
  /** What COMMENT ON calls the index of a constraint. */
  indexOn?: string;
  /** What COMMENT ON COLUMN calls its columns, by their numbers. */
  columns?: Map<number, string>;
  table?: string;
  owner?: string;
  rights?: Rights;
  /** Instead of `rights`: the statements. */
  rightsStatements?: string[];
}

/**
 * A text of a row that cannot be missing: where the server has none to print, the object is gone since the transaction
 * began.
 *
 * @throws {AmberError} DATABASE_BUSY
 */
export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (value === null || value === undefined) throw changing();
  return String(value);
}

export function changing(cause?: unknown): AmberError {
  return new AmberError("DATABASE_BUSY", {
    message: "Cannot read the schema: it changes while it is read",
    hint: "Run this once more, when no migration is running.",
    cause,
  });
}

/** `ALTER … OWNER TO …;` */
export function ownerSql(on: string, owner: unknown): string {
  return `ALTER ${on} OWNER TO ${owner};`;
}

/** The rights that the columns of rightsColumns() bring. */
export function rightsOf(row: Row, on: string, owner = textOf(row, "owner")): Rights | undefined {
  if (!row.touched) return undefined;
  return { on, owner, grants: (row.grants ?? []) as RightsItem[], born: (row.born ?? []) as RightsItem[] };
}

/** An object that is one fixed text. */
export function plain(found: Omit<Found, "make"> & { sql: string }): Found {
  const { sql, ...rest } = found;
  return { ...rest, make: () => sql };
}
