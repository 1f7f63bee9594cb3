import type { Row } from "../../engine.ts";
import { type Found, idOf, ownerSql, plain } from "./found.ts";
import { isOwn, isUserSchema, qualified, type Reading, roleName } from "./reading.ts";

/** Operators, and their families and classes. */
export async function readOperators(reading: Reading): Promise<Found[]> {
  return [...await readPlainOperators(reading), ...await readFamilies(reading)];
}

async function readPlainOperators({ query }: Reading): Promise<Found[]> {
  const operator = (oid: string) =>
    `(select format('OPERATOR(%I.%s)', n2.nspname, x.oprname) from pg_operator x
      join pg_namespace n2 on n2.oid = x.oprnamespace where x.oid = ${oid})`;
  const procedure = (column: string) => `case when ${column}::oid <> 0 then ${column}::regproc::text end`;
  const rows = await query(`select o.oid, quote_ident(n.nspname) || '.' || o.oprname as name,
      ${roleName("o.oprowner")} as owner, o.oprcode::regproc::text as function,
      case when o.oprleft <> 0 then format_type(o.oprleft, null) end as left_type,
      case when o.oprright <> 0 then format_type(o.oprright, null) end as right_type,
      ${operator("o.oprcom")} as commutator, ${operator("o.oprnegate")} as negator,
      ${procedure("o.oprrest")} as restrict, ${procedure("o.oprjoin")} as join, o.oprcanhash as hashes,
      o.oprcanmerge as merges
    from pg_operator o join pg_namespace n on n.oid = o.oprnamespace
    where ${isOwn("pg_operator", "o.oid")} and ${isUserSchema("n.nspname")} and o.oprcode::oid <> 0
    order by n.nspname, o.oprname, o.oid`);
  return rows.map((row) => {
    const lines = [`FUNCTION = ${row.function}`];
    const add = (name: string, value: unknown) => value === null || lines.push(`${name} = ${value}`);
    add("LEFTARG", row.left_type);
    add("RIGHTARG", row.right_type);
    add("COMMUTATOR", row.commutator);
    add("NEGATOR", row.negator);
    add("RESTRICT", row.restrict);
    add("JOIN", row.join);
    if (row.hashes) lines.push("HASHES");
    if (row.merges) lines.push("MERGES");
    const name = `${row.name} (${row.left_type ?? "NONE"}, ${row.right_type ?? "NONE"})`;
    return plain({
      id: idOf("pg_operator", row.oid),
      kind: "operator",
      name,
      section: "pre-data",
      owner: ownerSql(`OPERATOR ${name}`, row.owner),
      sql: `CREATE OPERATOR ${row.name} (\n    ${lines.join(",\n    ")}\n);`,
    });
  });
}

async function readFamilies({ query }: Reading): Promise<Found[]> {
  const [families, classes, members] = await Promise.all([
    query(`select f.oid, ${qualified("n.nspname", "f.opfname")} as name, quote_ident(m.amname) as method,
        ${roleName("f.opfowner")} as owner
      from pg_opfamily f join pg_namespace n on n.oid = f.opfnamespace join pg_am m on m.oid = f.opfmethod
      where ${isOwn("pg_opfamily", "f.oid")} and ${isUserSchema("n.nspname")} order by n.nspname, f.opfname, m.amname`),
    query(`select c.oid, ${qualified("n.nspname", "c.opcname")} as name, quote_ident(m.amname) as method,
        ${roleName("c.opcowner")} as owner, c.opcdefault as is_default, format_type(c.opcintype, null) as type,
        case when c.opckeytype <> 0 then format_type(c.opckeytype, null) end as storage,
        ${qualified("fn.nspname", "f.opfname")} as family
      from pg_opclass c join pg_namespace n on n.oid = c.opcnamespace join pg_am m on m.oid = c.opcmethod
      join pg_opfamily f on f.oid = c.opcfamily join pg_namespace fn on fn.oid = f.opfnamespace
      where ${isOwn("pg_opclass", "c.oid")} and ${isUserSchema("n.nspname")} order by n.nspname, c.opcname, m.amname`),
    // Those of a class depend on the class; loose ones on the family.
    query(
      `select d.refclassid::regclass::text as class, d.refobjid as owner, o.amopfamily as family, 'o' as kind, o.oid,
        'pg_amop' as catalog, o.amopstrategy as number, o.amopopr::regoperator::text as what,
        null as left_type, null as right_type, ${qualified("sn.nspname", "sf.opfname")} as sort_family
      from pg_amop o
      join pg_depend d on d.classid = 'pg_amop'::regclass and d.objid = o.oid
        and d.refclassid in ('pg_opclass'::regclass, 'pg_opfamily'::regclass)
      left join pg_opfamily sf on sf.oid = o.amopsortfamily
      left join pg_namespace sn on sn.oid = sf.opfnamespace
      where o.oid >= 16384
      union all
      select d.refclassid::regclass::text, d.refobjid, p.amprocfamily, 'p', p.oid, 'pg_amproc', p.amprocnum,
        p.amproc::regprocedure::text, format_type(p.amproclefttype, null), format_type(p.amprocrighttype, null), null
      from pg_amproc p
      join pg_depend d on d.classid = 'pg_amproc'::regclass and d.objid = p.oid
        and d.refclassid in ('pg_opclass'::regclass, 'pg_opfamily'::regclass)
      where p.oid >= 16384
      order by kind, number, what, left_type, right_type`,
    ),
  ]);
  const of = (catalog: string, oid: unknown) => members.filter((one) => one.class === catalog && one.owner === oid);
  const ids = (rows: Row[]) => rows.map((one) => idOf(String(one.catalog), one.oid));
  return [
    ...families.flatMap((row): Found[] => {
      const name = `${row.name} USING ${row.method}`;
      const loose = of("pg_opfamily", row.oid);
      const family = plain({
        id: idOf("pg_opfamily", row.oid),
        kind: "operator family",
        name,
        section: "pre-data",
        owner: ownerSql(`OPERATOR FAMILY ${name}`, row.owner),
        sql: `CREATE OPERATOR FAMILY ${name};`,
      });
      if (loose.length === 0) return [family];
      return [
        family,
        plain({
          id: `members:${row.oid}`,
          also: ids(loose),
          kind: "operator family member",
          name,
          section: "pre-data",
          after: [idOf("pg_opfamily", row.oid)],
          sql: `ALTER OPERATOR FAMILY ${name} ADD\n    ${loose.map(memberSql).join(",\n    ")};`,
        }),
      ];
    }),
    ...classes.map((row) => {
      const own = of("pg_opclass", row.oid);
      const lines = own.map(memberSql);
      if (row.storage !== null || lines.length === 0) lines.unshift(`STORAGE ${row.storage ?? row.type}`);
      const name = `${row.name} USING ${row.method}`;
      return plain({
        id: idOf("pg_opclass", row.oid),
        also: ids(own),
        kind: "operator class",
        name,
        section: "pre-data",
        owner: ownerSql(`OPERATOR CLASS ${name}`, row.owner),
        sql: `CREATE OPERATOR CLASS ${row.name} ${
          row.is_default ? "DEFAULT " : ""
        }FOR TYPE ${row.type} USING ${row.method} FAMILY ${row.family} AS\n    ${lines.join(",\n    ")};`,
      });
    }),
  ];
}

function memberSql(row: Row): string {
  if (row.kind === "p") return `FUNCTION ${row.number} (${row.left_type}, ${row.right_type}) ${row.what}`;
  const sort = row.sort_family === null ? "" : ` FOR ORDER BY ${row.sort_family}`;
  return `OPERATOR ${row.number} ${row.what}${sort}`;
}
