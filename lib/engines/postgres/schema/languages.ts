import { type Found, idOf, ownerSql, plain, rightsOf } from "./found.ts";
import { isOwn, type Reading, rightsColumns, roleName } from "./reading.ts";

/** Languages, access methods, casts and transforms: what lies in no schema. */
export async function readLanguages({ query }: Reading): Promise<Found[]> {
  const procedure = (column: string) => `case when ${column}::oid <> 0 then ${column}::regproc::text end`;
  const call = (column: string) => `case when ${column}::oid <> 0 then ${column}::regprocedure::text end`;
  const [languages, methods, casts, transforms] = await Promise.all([
    query(
      `select l.oid, quote_ident(l.lanname) as name, ${roleName("l.lanowner")} as owner, l.lanpltrusted as is_trusted,
        ${procedure("l.lanplcallfoid")} as handler, ${procedure("l.laninline")} as inline,
        ${procedure("l.lanvalidator")} as validator, ${rightsColumns("'l'", "l.lanacl", "l.lanowner")}
      from pg_language l where ${isOwn("pg_language", "l.oid")} order by l.lanname`,
    ),
    query(`select a.oid, quote_ident(a.amname) as name, a.amhandler::regproc::text as handler,
        case a.amtype when 't' then 'TABLE' else 'INDEX' end as type
      from pg_am a where ${isOwn("pg_am", "a.oid")} order by a.amname`),
    query(`select c.oid, format_type(c.castsource, null) as source, format_type(c.casttarget, null) as target,
        ${call("c.castfunc")} as function, c.castmethod as method, c.castcontext as context
      from pg_cast c where ${isOwn("pg_cast", "c.oid")} and not exists (select from pg_depend d -- a range's own
        where d.classid = 'pg_cast'::regclass and d.objid = c.oid and d.deptype = 'i') order by 2, 3`),
    query(`select t.oid, format_type(t.trftype, null) as type, quote_ident(l.lanname) as language,
        ${call("t.trffromsql")} as from_sql, ${call("t.trftosql")} as to_sql
      from pg_transform t join pg_language l on l.oid = t.trflang where ${
      isOwn("pg_transform", "t.oid")
    } order by 2, 3`),
  ]);
  return [
    ...languages.map((row) =>
      plain({
        id: idOf("pg_language", row.oid),
        kind: "language",
        name: String(row.name),
        section: "pre-data",
        owner: ownerSql(`LANGUAGE ${row.name}`, row.owner),
        rights: rightsOf(row, `LANGUAGE ${row.name}`),
        sql: [
          `CREATE ${row.is_trusted ? "TRUSTED " : ""}LANGUAGE ${row.name}`,
          row.handler === null ? "" : ` HANDLER ${row.handler}`,
          row.inline === null ? "" : ` INLINE ${row.inline}`,
          row.validator === null ? "" : ` VALIDATOR ${row.validator}`,
          ";",
        ].join(""),
      })
    ),
    ...methods.map((row) =>
      plain({
        id: idOf("pg_am", row.oid),
        kind: "access method",
        name: String(row.name),
        section: "pre-data",
        sql: `CREATE ACCESS METHOD ${row.name} TYPE ${row.type} HANDLER ${row.handler};`,
      })
    ),
    ...casts.map((row) => {
      const name = `(${row.source} AS ${row.target})`;
      const how = row.method === "f"
        ? `WITH FUNCTION ${row.function}`
        : row.method === "i"
        ? "WITH INOUT"
        : "WITHOUT FUNCTION";
      const when = { a: " AS ASSIGNMENT", i: " AS IMPLICIT" }[String(row.context)] ?? "";
      return plain({
        id: idOf("pg_cast", row.oid),
        kind: "cast",
        name,
        section: "pre-data",
        sql: `CREATE CAST ${name} ${how}${when};`,
      });
    }),
    ...transforms.map((row) => {
      const name = `FOR ${row.type} LANGUAGE ${row.language}`;
      const ways = [
        ...(row.from_sql === null ? [] : [`FROM SQL WITH FUNCTION ${row.from_sql}`]),
        ...(row.to_sql === null ? [] : [`TO SQL WITH FUNCTION ${row.to_sql}`]),
      ];
      return plain({
        id: idOf("pg_transform", row.oid),
        kind: "transform",
        name,
        section: "pre-data",
        sql: `CREATE TRANSFORM ${name} (${ways.join(", ")});`,
      });
    }),
  ];
}
