import { type Found, idOf, ownerSql, plain } from "./found.ts";
import { isOwn, isUserSchema, json, qualified, type Reading, roleName } from "./reading.ts";

/** Parsers, templates, dictionaries and configurations of text search. */
export async function readTextSearch({ query }: Reading): Promise<Found[]> {
  const procedure = (column: string) => `case when ${column}::oid <> 0 then ${column}::regproc::text end`;
  const [parsers, templates, dictionaries, configurations] = await Promise.all([
    query(`select p.oid, ${qualified("n.nspname", "p.prsname")} as name, ${procedure("p.prsstart")} as start,
        ${procedure("p.prstoken")} as gettoken, ${procedure("p.prsend")} as end, ${
      procedure("p.prslextype")
    } as lextypes,
        ${procedure("p.prsheadline")} as headline
      from pg_ts_parser p join pg_namespace n on n.oid = p.prsnamespace
      where ${isOwn("pg_ts_parser", "p.oid")} and ${isUserSchema("n.nspname")} order by n.nspname, p.prsname`),
    query(`select t.oid, ${qualified("n.nspname", "t.tmplname")} as name, ${procedure("t.tmplinit")} as init,
        ${procedure("t.tmpllexize")} as lexize
      from pg_ts_template t join pg_namespace n on n.oid = t.tmplnamespace
      where ${isOwn("pg_ts_template", "t.oid")} and ${isUserSchema("n.nspname")} order by n.nspname, t.tmplname`),
    query(`select d.oid, ${qualified("n.nspname", "d.dictname")} as name, ${roleName("d.dictowner")} as owner,
        ${qualified("tn.nspname", "t.tmplname")} as template, d.dictinitoption as options
      from pg_ts_dict d join pg_namespace n on n.oid = d.dictnamespace
      join pg_ts_template t on t.oid = d.dicttemplate join pg_namespace tn on tn.oid = t.tmplnamespace
      where ${isOwn("pg_ts_dict", "d.oid")} and ${isUserSchema("n.nspname")} order by n.nspname, d.dictname`),
    query(`select c.oid, ${qualified("n.nspname", "c.cfgname")} as name, ${roleName("c.cfgowner")} as owner,
        ${qualified("pn.nspname", "p.prsname")} as parser,
        (select json_agg(json_build_array(x.token, x.dictionaries) order by x.number) from (
          select m.maptokentype as number, (select quote_ident(t.alias) from ts_token_type(c.cfgparser) t where t.tokid = m.maptokentype) as token,
            ${json(`array_agg(m.mapdict::regdictionary::text order by m.mapseqno)`)} as dictionaries
          from pg_ts_config_map m where m.mapcfg = c.oid group by m.maptokentype) x) as mappings
      from pg_ts_config c join pg_namespace n on n.oid = c.cfgnamespace
      join pg_ts_parser p on p.oid = c.cfgparser join pg_namespace pn on pn.oid = p.prsnamespace
      where ${isOwn("pg_ts_config", "c.oid")} and ${isUserSchema("n.nspname")} order by n.nspname, c.cfgname`),
  ]);
  const words = (row: Record<string, unknown>, ...names: string[]) =>
    names.filter((name) => row[name] !== null).map((name) => `${name.toUpperCase()} = ${row[name]}`).join(", ");
  return [
    ...parsers.map((row) =>
      plain({
        id: idOf("pg_ts_parser", row.oid),
        kind: "text search parser",
        name: String(row.name),
        section: "pre-data",
        sql: `CREATE TEXT SEARCH PARSER ${row.name} (${
          words(row, "start", "gettoken", "end", "lextypes", "headline")
        });`,
      })
    ),
    ...templates.map((row) =>
      plain({
        id: idOf("pg_ts_template", row.oid),
        kind: "text search template",
        name: String(row.name),
        section: "pre-data",
        sql: `CREATE TEXT SEARCH TEMPLATE ${row.name} (${words(row, "init", "lexize")});`,
      })
    ),
    ...dictionaries.map((row) =>
      plain({
        id: idOf("pg_ts_dict", row.oid),
        kind: "text search dictionary",
        name: String(row.name),
        section: "pre-data",
        owner: ownerSql(`TEXT SEARCH DICTIONARY ${row.name}`, row.owner),
        sql: `CREATE TEXT SEARCH DICTIONARY ${row.name} (TEMPLATE = ${row.template}${
          row.options === null ? "" : `, ${row.options}`
        });`,
      })
    ),
    ...configurations.map((row) => {
      const on = `TEXT SEARCH CONFIGURATION ${row.name}`;
      const mappings = ((row.mappings ?? []) as [string, string[]][]).map(([token, dictionaries]) =>
        `ALTER ${on} ADD MAPPING FOR ${token} WITH ${dictionaries.join(", ")};`
      );
      return plain({
        id: idOf("pg_ts_config", row.oid),
        kind: "text search configuration",
        name: String(row.name),
        section: "pre-data",
        owner: ownerSql(on, row.owner),
        sql: [`CREATE ${on} (PARSER = ${row.parser});`, ...mappings].join("\n"),
      });
    }),
  ];
}
