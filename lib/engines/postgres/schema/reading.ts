import type { Row } from "../../engine.ts";

/** Sends one query in the transaction that is read in. */
export type Query = (sql: string) => Promise<Row[]>;

/** What every reader of a kind of object is handed. */
export interface Reading {
  query: Query;
  /** e.g. 15 */
  major: number;
}

/**
 * What the server is told before catalogs are read, inside the transaction. With an empty search_path it prints every
 * name qualified.
 */
export const readSettings = [
  "set local search_path = ''",
  "set local datestyle = 'ISO, MDY'",
  "set local intervalstyle = 'postgres'",
  "set local timezone = 'UTC'",
  "set local bytea_output = 'hex'",
  "set local extra_float_digits = 3",
  "set local standard_conforming_strings = on",
  "set local quote_all_identifiers = off",
  "set local row_security = off",
].join("; ");

/** Oids from here on were made by users. */
const firstUserOid = 16384;

/** SQL: made by a user, and no part of an extension. `oid` is that of a row of `catalog`. */
export function isOwn(catalog: string, oid: string): string {
  return `${oid} >= ${firstUserOid} and not exists (select from pg_depend bond
    where bond.classid = '${catalog}'::regclass and bond.objid = ${oid} and bond.deptype = 'e')`;
}

/** SQL: a schema of users. */
export function isUserSchema(name: string): string {
  return `${name} !~ '^pg_' and ${name} <> 'information_schema'`;
}

/** SQL: the qualified and quoted name; NULL where there is none. */
export function qualified(schema: string, name: string): string {
  return `(quote_ident(${schema}) || '.' || quote_ident(${name}))`;
}

/** SQL: a role's name, quoted. */
export function roleName(oid: string): string {
  return `quote_ident(pg_get_userbyid(${oid}))`;
}

/** SQL: an array of texts as JSON, in its order; NULL stays NULL. */
export function json(array: string): string {
  return `array_to_json(${array})`;
}

/**
 * SQL: who may what, as JSON: a list of [who gave it, who has it ("" is everybody), privileges, those that may be
 * passed on]. In the order in which the rights stand in the catalog.
 */
export function rights(acl: string): string {
  return `(select json_agg(json_build_array(${roleName("i.grantor")},
      case when i.grantee = 0 then '' else ${roleName("i.grantee")} end, i.all_of_them, i.to_pass_on) order by i.place)
    from (select u.place, a.grantor, a.grantee, json_agg(a.privilege_type order by a.privilege_type) as all_of_them,
        coalesce(json_agg(a.privilege_type order by a.privilege_type) filter (where a.is_grantable), '[]') as to_pass_on
      from unnest(${acl}) with ordinality as u(item, place), lateral aclexplode(array[u.item]) as a
      group by u.place, a.grantor, a.grantee) as i)`;
}

/**
 * SQL: the columns `touched`, `grants` (rights as they are) and `born` (those that such an object is born with).
 *
 * @param letter SQL of what acldefault() calls that kind of object, e.g. `'r'`.
 */
export function rightsColumns(letter: string, acl: string, owner: string): string {
  return `${acl} is not null as touched, ${rights(acl)} as grants,
    case when ${acl} is not null then ${rights(`acldefault(${letter}, ${owner})`)} end as born`;
}
