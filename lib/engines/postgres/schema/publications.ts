import { type Found, idOf, ownerSql, plain, textOf } from "./found.ts";
import { isOwn, isUserSchema, json, qualified, type Reading, roleName } from "./reading.ts";

/** Publications and what is in them, and extended statistics. */
export async function readPublications({ query, major }: Reading): Promise<Found[]> {
  const [publications, tables, schemas] = await Promise.all([
    query(
      `select p.oid, quote_ident(p.pubname) as name, ${roleName("p.pubowner")} as owner, p.puballtables as all_tables,
        p.pubinsert as insert, p.pubupdate as update, p.pubdelete as delete, p.pubtruncate as truncate,
        p.pubviaroot as via_root, ${major >= 18 ? "p.pubgencols" : "'n'"} as generated
      from pg_publication p where ${isOwn("pg_publication", "p.oid")} order by p.pubname`,
    ),
    query(`select r.oid, quote_ident(p.pubname) as publication, p.oid as publication_oid, r.prrelid as table_oid,
        ${qualified("n.nspname", "c.relname")} as table,
        ${major >= 15 ? "pg_get_expr(r.prqual, r.prrelid)" : "null"} as condition,
        ${
      major >= 15
        ? `(select ${json("array_agg(quote_ident(a.attname) order by u.place)")}
            from unnest(r.prattrs) with ordinality as u(number, place)
            join pg_attribute a on a.attrelid = r.prrelid and a.attnum = u.number)`
        : "null"
    } as columns
      from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
      join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
      where r.oid >= 16384 order by p.pubname, n.nspname, c.relname`),
    major < 15 ? [] : query(`select r.oid, quote_ident(p.pubname) as publication, p.oid as publication_oid,
        quote_ident(n.nspname) as schema, r.pnnspid as schema_oid
      from pg_publication_namespace r join pg_publication p on p.oid = r.pnpubid join pg_namespace n on n.oid = r.pnnspid
      where r.oid >= 16384 order by p.pubname, n.nspname`),
  ]);
  return [
    ...publications.map((row) => {
      const events = ["insert", "update", "delete", "truncate"].filter((event) => row[event]);
      const options = [
        `publish = '${events.join(", ")}'`,
        ...(row.via_root ? ["publish_via_partition_root = true"] : []),
        ...(row.generated === "s" ? ["publish_generated_columns = stored"] : []),
      ];
      return plain({
        id: idOf("pg_publication", row.oid),
        kind: "publication",
        name: String(row.name),
        section: "post-data",
        owner: ownerSql(`PUBLICATION ${row.name}`, row.owner),
        sql: `CREATE PUBLICATION ${row.name}${row.all_tables ? " FOR ALL TABLES" : ""} WITH (${options.join(", ")});`,
      });
    }),
    ...tables.map((row) =>
      plain({
        id: idOf("pg_publication_rel", row.oid),
        kind: "publication table",
        name: `${row.table} IN ${row.publication}`,
        section: "post-data",
        after: [idOf("pg_publication", row.publication_oid), idOf("pg_class", row.table_oid)],
        table: String(row.table),
        sql: `ALTER PUBLICATION ${row.publication} ADD TABLE ONLY ${row.table}${
          row.columns === null ? "" : ` (${(row.columns as string[]).join(", ")})`
        }${row.condition === null ? "" : ` WHERE (${row.condition})`};`,
      })
    ),
    ...schemas.map((row) =>
      plain({
        id: idOf("pg_publication_namespace", row.oid),
        kind: "publication schema",
        name: `${row.schema} IN ${row.publication}`,
        section: "post-data",
        after: [idOf("pg_publication", row.publication_oid), idOf("pg_namespace", row.schema_oid)],
        sql: `ALTER PUBLICATION ${row.publication} ADD TABLES IN SCHEMA ${row.schema};`,
      })
    ),
  ];
}

/** Extended statistics: what is gathered, not what was. */
export async function readStatistics({ query }: Reading): Promise<Found[]> {
  const rows = await query(`select s.oid, ${qualified("n.nspname", "s.stxname")} as name,
      ${
    roleName("s.stxowner")
  } as owner, pg_get_statisticsobjdef(s.oid) as sql, coalesce(s.stxstattarget, -1) as target,
      ${qualified("cn.nspname", "c.relname")} as table
    from pg_statistic_ext s join pg_namespace n on n.oid = s.stxnamespace
    join pg_class c on c.oid = s.stxrelid join pg_namespace cn on cn.oid = c.relnamespace
    where ${isOwn("pg_statistic_ext", "s.oid")} and ${isUserSchema("n.nspname")} order by n.nspname, s.stxname`);
  return rows.map((row) =>
    plain({
      id: idOf("pg_statistic_ext", row.oid),
      kind: "statistics",
      name: String(row.name),
      section: "post-data",
      table: String(row.table),
      owner: ownerSql(`STATISTICS ${row.name}`, row.owner),
      sql: [
        `${textOf(row, "sql")};`,
        ...(Number(row.target) >= 0 ? [`ALTER STATISTICS ${row.name} SET STATISTICS ${row.target};`] : []),
      ].join("\n"),
    })
  );
}
