import { type Found, idOf, plain, type RightsItem } from "./found.ts";
import { type Reading, rights, roleName } from "./reading.ts";
import { rightsSql } from "./rights_sql.ts";

const words: Record<string, string> = {
  r: "TABLES",
  S: "SEQUENCES",
  f: "FUNCTIONS",
  T: "TYPES",
  n: "SCHEMAS",
  L: "LARGE OBJECTS",
};

/** Which rights what will be made is born with: ALTER DEFAULT PRIVILEGES. */
export async function readDefaultPrivileges({ query }: Reading): Promise<Found[]> {
  const rows = await query(`select d.oid, ${roleName("d.defaclrole")} as role, quote_ident(n.nspname) as schema,
      d.defaclobjtype as type, ${rights("d.defaclacl")} as grants,
      case when d.defaclnamespace = 0 then ${
    rights(`acldefault((case when d.defaclobjtype = 'S' then 's' else d.defaclobjtype end)::"char", d.defaclrole)`)
  } end as born
    from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace order by 2, 3, 4`);
  return rows.map((row) => {
    const word = words[String(row.type)]!;
    const prefix = `ALTER DEFAULT PRIVILEGES FOR ROLE ${row.role}${
      row.schema === null ? "" : ` IN SCHEMA ${row.schema}`
    }`;
    const statements = rightsSql({
      on: word,
      owner: String(row.role),
      grants: (row.grants ?? []) as RightsItem[],
      born: (row.born ?? []) as RightsItem[],
    });
    return {
      ...plain({
        id: idOf("pg_default_acl", row.oid),
        kind: "default privileges",
        name: `FOR ROLE ${row.role}${row.schema === null ? "" : ` IN SCHEMA ${row.schema}`} ON ${word}`,
        section: "post-data",
        sql: "",
      }),
      rightsStatements: statements.map((statement) => `${prefix} ${statement}`),
    };
  });
}
