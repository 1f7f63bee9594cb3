import type { Row } from "../engine.ts";

/** An object that can be dropped by itself. */
export interface OwnedObject {
  /** For DROP: `table`, `routine`, … */
  kind: string;
  /** Qualified and quoted, as DROP takes it. */
  identity: string;
}

type Query = (sql: string, params?: readonly string[]) => Promise<Row[]>;

/** What can stand in a schema, in an order in which each may be dropped: what is left of it then goes with CASCADE. */
const catalogs: readonly (readonly [catalog: string, schema: string, kind: string, where?: string])[] = [
  ["pg_class", "relnamespace", "table", "o.relkind in ('r', 'p')"],
  ["pg_class", "relnamespace", "foreign table", "o.relkind = 'f'"],
  ["pg_class", "relnamespace", "materialized view", "o.relkind = 'm'"],
  ["pg_class", "relnamespace", "view", "o.relkind = 'v'"],
  ["pg_class", "relnamespace", "sequence", "o.relkind = 'S'"],
  [
    "pg_type",
    "typnamespace",
    "type",
    "o.typtype <> 'm' and not exists (select from pg_type e where e.typarray = o.oid) and not exists " +
    "(select from pg_class r where r.oid = o.typrelid and r.relkind <> 'c')",
  ],
  ["pg_opclass", "opcnamespace", "operator class"],
  ["pg_opfamily", "opfnamespace", "operator family"],
  ["pg_operator", "oprnamespace", "operator"],
  ["pg_proc", "pronamespace", "routine"],
  ["pg_conversion", "connamespace", "conversion"],
  ["pg_ts_config", "cfgnamespace", "text search configuration"],
  ["pg_ts_dict", "dictnamespace", "text search dictionary"],
  ["pg_ts_template", "tmplnamespace", "text search template"],
  ["pg_ts_parser", "prsnamespace", "text search parser"],
  ["pg_collation", "collnamespace", "collation"],
  ["pg_statistic_ext", "stxnamespace", "statistics"],
];

/** What belongs to the database and to no schema. */
const databaseWide: readonly (readonly [catalog: string, kind: string])[] = [
  ["pg_event_trigger", "event trigger"],
  ["pg_publication", "publication"],
  ["pg_cast", "cast"],
  ["pg_transform", "transform"],
  ["pg_foreign_server", "server"],
  ["pg_foreign_data_wrapper", "foreign data wrapper"],
  ["pg_language", "language"],
  ["pg_am", "access method"],
];

/** SQL: not one of an extension's, nor a part of another object, and not born with the database. */
const isOwn = (catalog: string) =>
  `o.oid >= 16384 and not exists (select from pg_depend e
    where e.classid = '${catalog}'::regclass and e.objid = o.oid and e.objsubid = 0 and e.deptype in ('e', 'i'))`;

/** Of which schemas anything is the users' own, and how many objects. The search_path has to be empty. */
export async function readSchemaCounts(query: Query): Promise<{ schema: string; objects: number }[]> {
  const each = catalogs.map(([catalog, schema, , where = "true"]) =>
    `select o.${schema} as schema from ${catalog} o where ${where} and ${isOwn(catalog)}`
  );
  const rows = await query(`select n.nspname as schema, count(found.schema)::int as objects
    from pg_namespace n left join (${each.join(" union all ")}) found on found.schema = n.oid
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and
      (n.nspname = 'public' or ${isOwn("pg_namespace").replaceAll("o.oid", "n.oid")})
    group by n.nspname order by n.nspname`);
  return rows.map(({ schema, objects }) => ({ schema: String(schema), objects: Number(objects) }));
}

/** All that stands in these schemas, extensions' own aside, in an order in which it can be dropped. */
export async function readOwnedObjects(query: Query, schemas: readonly string[]): Promise<OwnedObject[]> {
  const each = catalogs.map(([catalog, schema, kind, where = "true"], rank) =>
    `select ${rank} as rank, '${kind}' as kind,
        (pg_identify_object('${catalog}'::regclass, o.oid, 0)).identity as identity
      from ${catalog} o join pg_namespace n on n.oid = o.${schema}
      where n.nspname = any($1::text[]) and ${where} and ${isOwn(catalog)}`
  );
  return ownedOf(await query(`${each.join(" union all ")} order by rank, identity`, [arrayOf(schemas)]));
}

/** What belongs to the database and to no schema, extensions' own aside. */
export async function readDatabaseWide(query: Query): Promise<OwnedObject[]> {
  const each = databaseWide.map(([catalog, kind], rank) =>
    `select ${rank} as rank, '${kind}' as kind,
        (pg_identify_object('${catalog}'::regclass, o.oid, 0)).identity as identity
      from ${catalog} o where ${isOwn(catalog)}`
  );
  return ownedOf(await query(`${each.join(" union all ")} order by rank, identity`));
}

/** Each a text that names one thing that does not stand in these schemas, or is an extension's: to be compared. */
export async function readOthers(query: Query, schemas: readonly string[]): Promise<string[]> {
  const isOther = "n.nspname <> all($1::text[]) and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'";
  const rows = await query(
    `
    select 'the ' || i.type || ' ' || i.identity as what from pg_class o join pg_namespace n on n.oid = o.relnamespace,
      pg_identify_object('pg_class'::regclass, o.oid, 0) i where o.relkind <> 't' and ${isOther}
    union all select 'the ' || i.type || ' ' || i.identity from pg_type o join pg_namespace n on n.oid = o.typnamespace,
      pg_identify_object('pg_type'::regclass, o.oid, 0) i where ${isOther}
    union all select 'the ' || i.type || ' ' || i.identity from pg_proc o join pg_namespace n on n.oid = o.pronamespace,
      pg_identify_object('pg_proc'::regclass, o.oid, 0) i where ${isOther}
    union all select 'the ' || i.type || ' ' || i.identity from pg_constraint o
      join pg_namespace n on n.oid = o.connamespace,
      pg_identify_object('pg_constraint'::regclass, o.oid, 0) i where ${isOther}
    union all select 'the ' || i.type || ' ' || i.identity from pg_trigger o join pg_class c on c.oid = o.tgrelid
      join pg_namespace n on n.oid = c.relnamespace,
      pg_identify_object('pg_trigger'::regclass, o.oid, 0) i where not o.tgisinternal and ${isOther}
    union all select 'the column ' || i.identity from pg_attribute a join pg_class c on c.oid = a.attrelid
      join pg_namespace n on n.oid = c.relnamespace, pg_identify_object('pg_class'::regclass, c.oid, a.attnum) i
      where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'f') and ${isOther}
    union all select 'the default of ' || i.identity from pg_attrdef d join pg_class c on c.oid = d.adrelid
      join pg_namespace n on n.oid = c.relnamespace, pg_identify_object('pg_class'::regclass, c.oid, d.adnum) i
      where ${isOther}
    union all select 'the extension ' || quote_ident(x.extname) from pg_extension x, (select $1::text[]) used
    union all select 'of an extension the ' || i.type || ' ' || i.identity from pg_depend e,
      pg_identify_object(e.classid, e.objid, e.objsubid) i where e.deptype = 'e'
    order by 1`,
    [arrayOf(schemas)],
  );
  return rows.map(({ what }) => String(what));
}

export function dropSql({ kind, identity }: OwnedObject): string {
  return `drop ${kind} if exists ${identity} cascade`;
}

/** Rights that objects are to be born with, as the server's own: for one schema there are none then, and no row. */
export async function defaultRightsSql(query: Query, schemas: readonly string[], wide: boolean): Promise<string[]> {
  const kinds: Record<string, string> = { r: "tables", S: "sequences", f: "functions", T: "types", n: "schemas" };
  const everybody: Record<string, string> = { f: "execute", T: "usage" };
  const rows = await query(
    `select quote_ident(pg_get_userbyid(d.defaclrole)) as role, quote_ident(n.nspname) as schema,
        d.defaclobjtype::text as type,
        (select json_agg(distinct case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end)
          from aclexplode(d.defaclacl) a) as grantees
      from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace
      where pg_has_role(d.defaclrole, 'usage') and (n.nspname = any($1::text[]) or (n.oid is null and ${wide}))`,
    [arrayOf(schemas)],
  );
  return rows.flatMap(({ role, schema, type, grantees }) => {
    const kind = kinds[String(type)];
    if (kind === undefined) return [];
    const start = `alter default privileges for role ${role}${schema === null ? "" : ` in schema ${schema}`}`;
    const revoked = ((grantees ?? []) as string[]).map((one) => `${start} revoke all on ${kind} from ${one}`);
    if (schema !== null) return revoked;
    const usual = everybody[String(type)];
    return [
      ...revoked,
      `${start} grant all on ${kind} to ${role}`,
      ...(usual === undefined ? [] : [`${start} grant ${usual} on ${kind} to public`]),
    ];
  });
}

function ownedOf(rows: readonly Row[]): OwnedObject[] {
  return rows.map(({ kind, identity }) => ({
    kind: String(kind),
    // The server says "for TYPE on language NAME", and does not take it that way.
    identity: kind === "transform"
      ? String(identity).replace(/^(for .*) on language /, "$1 language ")
      : String(identity),
  }));
}

/** As text, which every way to the server takes. */
export function arrayOf(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
}
