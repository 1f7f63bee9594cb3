import { type Found, idOf, plain, type RightsItem, rightsOf } from "./found.ts";
import { qualified, type Reading, rights, roleName } from "./reading.ts";

/**
 * Rights that users changed on what is not theirs: on the server's own objects and on those of extensions. They are
 * compared with the rights that these had when they were installed.
 */
export async function readSystemRights({ query }: Reading): Promise<Found[]> {
  const one = (catalog: string, parts: Record<"letter" | "word" | "name" | "acl" | "owner" | "from", string>) => {
    const { letter, word, name, acl, owner, from } = parts;
    return `select '${catalog}' as catalog, x.oid, ${word} as word, ${name} as name, ${roleName(owner)} as owner,
        true as touched, ${rights(acl)} as grants, ${
      rights(`coalesce(i.initprivs, acldefault(${letter}, ${owner}))`)
    } as born
      from ${from}
      left join pg_init_privs i on i.classoid = '${catalog}'::regclass and i.objoid = x.oid and i.objsubid = 0
      where ${acl} is not null and ${acl} is distinct from i.initprivs and (exists (select from pg_depend e
        where e.classid = '${catalog}'::regclass and e.objid = x.oid and e.deptype = 'e')
        or (x.oid < 16384 and ${from.includes(" n ") ? "n.nspname = 'pg_catalog'" : "true"}))`;
  };
  const rows = await query(
    [
      one("pg_class", {
        letter: `(case when x.relkind = 'S' then 's' else 'r' end)::"char"`,
        word: "case when x.relkind = 'S' then 'SEQUENCE' else 'TABLE' end",
        name: qualified("n.nspname", "x.relname"),
        acl: "x.relacl",
        owner: "x.relowner",
        from: "pg_class x join pg_namespace n on n.oid = x.relnamespace",
      }),
      one("pg_proc", {
        letter: "'f'",
        word: "case when x.prokind = 'p' then 'PROCEDURE' else 'FUNCTION' end",
        name: `${qualified("n.nspname", "x.proname")} || '(' || pg_get_function_identity_arguments(x.oid) || ')'`,
        acl: "x.proacl",
        owner: "x.proowner",
        from: "pg_proc x join pg_namespace n on n.oid = x.pronamespace",
      }),
      one("pg_type", {
        letter: "'T'",
        word: "case when x.typtype = 'd' then 'DOMAIN' else 'TYPE' end",
        name: qualified("n.nspname", "x.typname"),
        acl: "x.typacl",
        owner: "x.typowner",
        from: "pg_type x join pg_namespace n on n.oid = x.typnamespace",
      }),
      one("pg_namespace", {
        letter: "'n'",
        word: "'SCHEMA'",
        name: "quote_ident(x.nspname)",
        acl: "x.nspacl",
        owner: "x.nspowner",
        from: "pg_namespace x",
      }) + " and x.nspname not in ('public', 'information_schema')",
      one("pg_language", {
        letter: "'l'",
        word: "'LANGUAGE'",
        name: "quote_ident(x.lanname)",
        acl: "x.lanacl",
        owner: "x.lanowner",
        from: "pg_language x",
      }),
      one("pg_foreign_data_wrapper", {
        letter: "'F'",
        word: "'FOREIGN DATA WRAPPER'",
        name: "quote_ident(x.fdwname)",
        acl: "x.fdwacl",
        owner: "x.fdwowner",
        from: "pg_foreign_data_wrapper x",
      }),
    ].join("\nunion all\n"),
  );
  const columns = await query(
    `select a.attrelid as oid, a.attnum as number, ${qualified("n.nspname", "x.relname")} as name,
      quote_ident(a.attname) as column, ${roleName("x.relowner")} as owner, ${rights("a.attacl")} as grants,
      ${rights("i.initprivs")} as born
    from pg_attribute a join pg_class x on x.oid = a.attrelid join pg_namespace n on n.oid = x.relnamespace
    left join pg_init_privs i on i.classoid = 'pg_class'::regclass and i.objoid = x.oid and i.objsubid = a.attnum
    where a.attacl is not null and a.attacl is distinct from i.initprivs and (exists (select from pg_depend e
      where e.classid = 'pg_class'::regclass and e.objid = x.oid and e.deptype = 'e')
      or (x.oid < 16384 and n.nspname = 'pg_catalog'))`,
  );
  const ofColumns = columns.map((row) => {
    const had = new Set(((row.born ?? []) as RightsItem[]).map((item) => JSON.stringify(item)));
    const grants = ((row.grants ?? []) as RightsItem[]).filter((item) => !had.has(JSON.stringify(item)));
    return plain({
      id: `rights:${idOf("pg_class", row.oid)}:${row.number}`,
      kind: "built-in",
      name: `COLUMN ${row.name}.${row.column}`,
      section: "post-data",
      rights: {
        on: `TABLE ${row.name}`,
        owner: String(row.owner),
        grants: [],
        born: [],
        columns: [{ column: String(row.column), grants }],
      },
      sql: "",
    });
  });
  return rows.map((row) => {
    const on = `${row.word} ${row.name}`;
    return plain({
      id: `rights:${idOf(String(row.catalog), row.oid)}`,
      kind: "built-in",
      name: on,
      section: "post-data",
      rights: rightsOf(row, on),
      sql: "",
    });
  }).concat(ofColumns);
}
