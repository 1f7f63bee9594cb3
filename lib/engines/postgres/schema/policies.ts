import { type Found, idOf, plain } from "./found.ts";
import type { Relation } from "./relations.ts";
import { isUserSchema, json, qualified, type Reading } from "./reading.ts";

const commands: Record<string, string> = { r: " FOR SELECT", a: " FOR INSERT", w: " FOR UPDATE", d: " FOR DELETE" };

/** Row-level security: whether it is on, and the policies. */
export async function readPolicies({ query }: Reading, relations: Map<number, Relation>): Promise<Found[]> {
  const rows = await query(
    `select p.oid, quote_ident(p.polname) as name, ${qualified("n.nspname", "c.relname")} as table,
      p.polpermissive as is_permissive, p.polcmd as command, pg_get_expr(p.polqual, p.polrelid) as condition,
      pg_get_expr(p.polwithcheck, p.polrelid) as check,
      (select ${json("array_agg(quote_ident(pg_get_userbyid(u.oid)) order by pg_get_userbyid(u.oid))")}
        from unnest(p.polroles) as u(oid) where u.oid <> 0) as roles
    from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
    where p.oid >= 16384 and ${isUserSchema("n.nspname")} order by n.nspname, c.relname, p.polname`,
  );
  return [
    ...[...relations.values()].filter(({ row }) => row.row_security || row.force_security).map(({ oid, name, row }) =>
      plain({
        id: `security:${oid}`,
        kind: "row-level security",
        name,
        section: "post-data" as const,
        after: [idOf("pg_class", oid)],
        table: name,
        sql: [
          ...(row.row_security ? [`ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY;`] : []),
          ...(row.force_security ? [`ALTER TABLE ONLY ${name} FORCE ROW LEVEL SECURITY;`] : []),
        ].join("\n"),
      })
    ),
    ...rows.map((row) =>
      plain({
        id: idOf("pg_policy", row.oid),
        kind: "policy",
        name: `${row.name} ON ${row.table}`,
        section: "post-data",
        table: String(row.table),
        sql: [
          `CREATE POLICY ${row.name} ON ${row.table}`,
          row.is_permissive ? "" : " AS RESTRICTIVE",
          commands[String(row.command)] ?? "",
          row.roles === null ? "" : ` TO ${(row.roles as string[]).join(", ")}`,
          row.condition === null ? "" : ` USING (${row.condition})`,
          row.check === null ? "" : ` WITH CHECK (${row.check})`,
          ";",
        ].join(""),
      })
    ),
  ];
}
