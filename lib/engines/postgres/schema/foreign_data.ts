import { type Found, idOf, ownerSql, plain, rightsOf } from "./found.ts";
import { foreignOptions, isSecretOption, optionNames, quoteText } from "./options.ts";
import { isOwn, json, type Reading, rightsColumns, roleName } from "./reading.ts";

/** Foreign-data wrappers, servers and user mappings, without passwords: those are named in the notes. */
export async function readForeignData({ query }: Reading): Promise<{ found: Found[]; notes: string[] }> {
  const procedure = (column: string) => `case when ${column}::oid <> 0 then ${column}::regproc::text end`;
  const [wrappers, servers, mappings] = await Promise.all([
    query(`select w.oid, quote_ident(w.fdwname) as name, ${roleName("w.fdwowner")} as owner,
        ${procedure("w.fdwhandler")} as handler, ${procedure("w.fdwvalidator")} as validator,
        ${json("w.fdwoptions")} as options, ${rightsColumns("'F'", "w.fdwacl", "w.fdwowner")}
      from pg_foreign_data_wrapper w where ${isOwn("pg_foreign_data_wrapper", "w.oid")} order by w.fdwname`),
    query(`select s.oid, quote_ident(s.srvname) as name, ${roleName("s.srvowner")} as owner, s.srvtype as type,
        s.srvversion as version, quote_ident(w.fdwname) as wrapper, ${json("s.srvoptions")} as options,
        ${rightsColumns("'S'", "s.srvacl", "s.srvowner")}
      from pg_foreign_server s join pg_foreign_data_wrapper w on w.oid = s.srvfdw
      where ${isOwn("pg_foreign_server", "s.oid")} order by s.srvname`),
    // The catalog itself is shut to all but superusers; the view leaves out what one may not see.
    query(
      `select m.umid as oid, quote_ident(m.srvname) as server, m.srvid as server_oid, ${json("m.umoptions")} as options,
        case when m.umuser = 0 then 'PUBLIC' else quote_ident(m.usename) end as user_name,
        (select rolsuper from pg_roles where rolname = current_user) or pg_has_role(s.srvowner, 'USAGE')
          or (m.usename = current_user and has_server_privilege(s.oid, 'USAGE')) as is_visible
      from pg_user_mappings m join pg_foreign_server s on s.oid = m.srvid
      where ${isOwn("pg_foreign_server", "s.oid")} order by m.srvname, 5`,
    ),
  ]);
  const notes: string[] = [];
  const shown = (options: unknown, what: string) => {
    const hidden = optionNames(options).filter(isSecretOption);
    if (hidden.length > 0) notes.push(`${what}: the option ${hidden.join(", ")} is left out`);
    return foreignOptions(options, isSecretOption);
  };
  const found = [
    ...wrappers.map((row) =>
      plain({
        id: idOf("pg_foreign_data_wrapper", row.oid),
        kind: "foreign-data wrapper",
        name: String(row.name),
        section: "pre-data",
        on: `FOREIGN DATA WRAPPER ${row.name}`,
        owner: ownerSql(`FOREIGN DATA WRAPPER ${row.name}`, row.owner),
        rights: rightsOf(row, `FOREIGN DATA WRAPPER ${row.name}`),
        sql: [
          `CREATE FOREIGN DATA WRAPPER ${row.name}`,
          row.handler === null ? "" : ` HANDLER ${row.handler}`,
          row.validator === null ? "" : ` VALIDATOR ${row.validator}`,
          shown(row.options, `foreign-data wrapper ${row.name}`),
          ";",
        ].join(""),
      })
    ),
    ...servers.map((row) =>
      plain({
        id: idOf("pg_foreign_server", row.oid),
        kind: "server",
        name: String(row.name),
        section: "pre-data",
        owner: ownerSql(`SERVER ${row.name}`, row.owner),
        rights: rightsOf(row, `FOREIGN SERVER ${row.name}`),
        sql: [
          `CREATE SERVER ${row.name}`,
          row.type === null ? "" : ` TYPE ${quoteText(row.type)}`,
          row.version === null ? "" : ` VERSION ${quoteText(row.version)}`,
          ` FOREIGN DATA WRAPPER ${row.wrapper}`,
          shown(row.options, `server ${row.name}`),
          ";",
        ].join(""),
      })
    ),
    ...mappings.map((row) => {
      const name = `FOR ${row.user_name} SERVER ${row.server}`;
      if (!row.is_visible) notes.push(`user mapping ${name}: its options are not shown to this role`);
      return plain({
        id: idOf("pg_user_mapping", row.oid),
        kind: "user mapping",
        name,
        section: "pre-data",
        after: [idOf("pg_foreign_server", row.server_oid)],
        sql: `CREATE USER MAPPING ${name}${shown(row.options, `user mapping ${name}`)};`,
      });
    }),
  ];
  return { found, notes };
}
