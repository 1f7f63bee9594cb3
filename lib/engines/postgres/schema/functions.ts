import type { Row } from "../../engine.ts";
import { type Found, idOf, ownerSql, plain, rightsOf, textOf } from "./found.ts";
import { quoteText } from "./options.ts";
import { isOwn, isUserSchema, qualified, type Reading, rightsColumns, roleName } from "./reading.ts";

const words: Record<string, string> = { f: "FUNCTION", w: "FUNCTION", p: "PROCEDURE", a: "AGGREGATE" };

/** Functions, window functions, procedures and aggregates. */
export async function readFunctions({ query }: Reading): Promise<Found[]> {
  const operator = (oid: string) =>
    `(select format('OPERATOR(%I.%s)', n2.nspname, o.oprname) from pg_operator o
      join pg_namespace n2 on n2.oid = o.oprnamespace where o.oid = ${oid})`;
  const rows = await query(`select p.oid, ${qualified("n.nspname", "p.proname")} as base, p.prokind as kind,
      pg_get_function_identity_arguments(p.oid) as arguments, ${roleName("p.proowner")} as owner,
      case when p.prokind <> 'a' then pg_get_functiondef(p.oid) end as sql, p.proparallel as parallel,
      ${rightsColumns("'f'", "p.proacl", "p.proowner")},
      pg_get_function_arguments(p.oid) as aggregate_arguments,
      g.aggkind, g.aggtransfn::regproc::text as sfunc, format_type(g.aggtranstype, null) as stype, g.aggtransspace as sspace,
      case when g.aggfinalfn::oid <> 0 then g.aggfinalfn::regproc::text end as finalfunc, g.aggfinalextra as final_extra, g.aggfinalmodify as final_modify,
      case when g.aggcombinefn::oid <> 0 then g.aggcombinefn::regproc::text end as combinefunc, case when g.aggserialfn::oid <> 0 then g.aggserialfn::regproc::text end as serialfunc,
      case when g.aggdeserialfn::oid <> 0 then g.aggdeserialfn::regproc::text end as deserialfunc, g.agginitval as initcond,
      case when g.aggmtransfn::oid <> 0 then g.aggmtransfn::regproc::text end as msfunc, case when g.aggminvtransfn::oid <> 0 then g.aggminvtransfn::regproc::text end as minvfunc,
      case when g.aggmtranstype <> 0 then format_type(g.aggmtranstype, null) end as mstype, g.aggmtransspace as msspace,
      case when g.aggmfinalfn::oid <> 0 then g.aggmfinalfn::regproc::text end as mfinalfunc, g.aggmfinalextra as mfinal_extra,
      g.aggmfinalmodify as mfinal_modify, g.aggminitval as minitcond,
      case when g.aggsortop <> 0 then ${operator("g.aggsortop")} end as sortop
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    left join pg_aggregate g on g.aggfnoid = p.oid
    where ${isOwn("pg_proc", "p.oid")} and ${isUserSchema("n.nspname")}
      and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
        and d.deptype = 'i' and d.refclassid = 'pg_type'::regclass)
    order by n.nspname, p.proname, p.oid`);
  return rows.map((row) => {
    const word = words[String(row.kind)]!;
    const isEmpty = row.kind === "a" && row.arguments === "";
    const name = `${row.base}(${isEmpty ? "*" : row.arguments})`;
    const on = `${word} ${name}`;
    return plain({
      id: idOf("pg_proc", row.oid),
      kind: word.toLowerCase(),
      name,
      section: "pre-data",
      on,
      owner: ownerSql(on, row.owner),
      rights: rightsOf(row, row.kind === "a" ? `FUNCTION ${row.base}(${row.arguments})` : on),
      sql: row.kind === "a" ? aggregateSql(row) : `${textOf(row, "sql").trimEnd()};`,
    });
  });
}

const modifies: Record<string, string> = { r: "READ_ONLY", s: "SHAREABLE", w: "READ_WRITE" };

function aggregateSql(row: Row): string {
  const isOrdered = row.aggkind !== "n";
  const usual = isOrdered ? "w" : "r";
  const lines: string[] = [`SFUNC = ${row.sfunc}`, `STYPE = ${row.stype}`];
  const add = (name: string, value: unknown) => {
    if (value !== null && value !== undefined && value !== false) {
      lines.push(value === true ? name : `${name} = ${value}`);
    }
  };
  const space = (value: unknown) => Number(value) > 0 ? value : null;
  const modify = (value: unknown) => value === usual ? null : modifies[String(value)];
  add("SSPACE", space(row.sspace));
  add("FINALFUNC", row.finalfunc);
  add("FINALFUNC_EXTRA", row.final_extra);
  if (row.finalfunc !== null) add("FINALFUNC_MODIFY", modify(row.final_modify));
  add("COMBINEFUNC", row.combinefunc);
  add("SERIALFUNC", row.serialfunc);
  add("DESERIALFUNC", row.deserialfunc);
  add("INITCOND", row.initcond === null ? null : quoteText(row.initcond));
  add("MSFUNC", row.msfunc);
  add("MINVFUNC", row.minvfunc);
  add("MSTYPE", row.mstype);
  add("MSSPACE", space(row.msspace));
  add("MFINALFUNC", row.mfinalfunc);
  add("MFINALFUNC_EXTRA", row.mfinal_extra);
  if (row.mfinalfunc !== null) add("MFINALFUNC_MODIFY", modify(row.mfinal_modify));
  add("MINITCOND", row.minitcond === null ? null : quoteText(row.minitcond));
  add("SORTOP", row.sortop);
  add("PARALLEL", { s: "SAFE", r: "RESTRICTED" }[String(row.parallel)]);
  add("HYPOTHETICAL", row.aggkind === "h");
  const parameters = row.aggregate_arguments === "" ? "*" : row.aggregate_arguments;
  return `CREATE AGGREGATE ${row.base}(${parameters}) (\n    ${lines.join(",\n    ")}\n);`;
}
