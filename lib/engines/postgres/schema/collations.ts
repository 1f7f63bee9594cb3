import { type Found, idOf, ownerSql, plain } from "./found.ts";
import { quoteText } from "./options.ts";
import { isOwn, isUserSchema, qualified, type Reading, roleName } from "./reading.ts";

/** Collations and conversions. */
export async function readCollations({ query, major }: Reading): Promise<Found[]> {
  const [collations, conversions] = await Promise.all([
    query(`select c.oid, ${qualified("n.nspname", "c.collname")} as name, ${roleName("c.collowner")} as owner,
        c.collprovider as provider, c.collisdeterministic as is_deterministic, c.collcollate as collate, c.collctype as ctype,
        ${major >= 17 ? "c.colllocale" : major >= 15 ? "c.colliculocale" : "null"} as locale,
        ${major >= 16 ? "c.collicurules" : "null"} as rules
      from pg_collation c join pg_namespace n on n.oid = c.collnamespace
      where ${isOwn("pg_collation", "c.oid")} and ${isUserSchema("n.nspname")} order by n.nspname, c.collname`),
    query(`select c.oid, ${qualified("n.nspname", "c.conname")} as name, ${roleName("c.conowner")} as owner,
        pg_encoding_to_char(c.conforencoding) as source, pg_encoding_to_char(c.contoencoding) as target,
        c.conproc::regproc::text as function, c.condefault as is_default
      from pg_conversion c join pg_namespace n on n.oid = c.connamespace
      where ${isOwn("pg_conversion", "c.oid")} and ${isUserSchema("n.nspname")} order by n.nspname, c.conname`),
  ]);
  return [
    ...collations.map((row) => {
      const provider = { i: "icu", c: "libc", b: "builtin" }[String(row.provider)] ?? "default";
      const words = [`provider = ${provider}`];
      // Before version 15 both columns hold what LOCALE said.
      const locale = row.locale ?? (row.collate === row.ctype ? row.collate : null);
      if (locale !== null) words.push(`locale = ${quoteText(locale)}`);
      else words.push(`lc_collate = ${quoteText(row.collate)}`, `lc_ctype = ${quoteText(row.ctype)}`);
      if (!row.is_deterministic) words.push("deterministic = false");
      if (row.rules !== null) words.push(`rules = ${quoteText(row.rules)}`);
      return plain({
        id: idOf("pg_collation", row.oid),
        kind: "collation",
        name: String(row.name),
        section: "pre-data",
        owner: ownerSql(`COLLATION ${row.name}`, row.owner),
        sql: `CREATE COLLATION ${row.name} (${words.join(", ")});`,
      });
    }),
    ...conversions.map((row) =>
      plain({
        id: idOf("pg_conversion", row.oid),
        kind: "conversion",
        name: String(row.name),
        section: "pre-data",
        owner: ownerSql(`CONVERSION ${row.name}`, row.owner),
        sql: `CREATE ${
          row.is_default ? "DEFAULT " : ""
        }CONVERSION ${row.name} FOR '${row.source}' TO '${row.target}' FROM ${row.function};`,
      })
    ),
  ];
}
