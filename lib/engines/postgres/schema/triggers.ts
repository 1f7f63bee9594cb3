import { type Found, idOf, ownerSql, plain, textOf } from "./found.ts";
import { isOwn, isUserSchema, json, qualified, type Reading, roleName } from "./reading.ts";

const states: Record<string, string> = { D: "DISABLE", R: "ENABLE REPLICA", A: "ENABLE ALWAYS" };

/** Triggers, rules and event triggers. */
export async function readTriggers({ query }: Reading): Promise<Found[]> {
  const [triggers, rules, events] = await Promise.all([
    // A partition has those of its table; only what it says otherwise about them is its own.
    query(
      `select t.oid, quote_ident(t.tgname) as name, ${qualified("n.nspname", "c.relname")} as table, c.oid as table_oid,
        pg_get_triggerdef(t.oid) as sql, t.tgenabled as state, t.tgparentid <> 0 as is_inherited, t.tgparentid as parent,
        c.relkind as kind, t.tgconstraint as constraint
      from pg_trigger t
      join pg_class c on c.oid = t.tgrelid
      join pg_namespace n on n.oid = c.relnamespace
      left join pg_trigger u on u.oid = t.tgparentid
      where ${isOwn("pg_trigger", "t.oid")} and ${isUserSchema("n.nspname")} and c.relpersistence <> 't'
        and ((not t.tgisinternal and t.tgparentid = 0)
          or (t.tgparentid <> 0 and t.tgenabled <> u.tgenabled and not exists (
            select from pg_constraint k where k.oid = t.tgconstraint and k.contype = 'f')))
      order by n.nspname, c.relname, t.tgname`,
    ),
    query(`select r.oid, quote_ident(r.rulename) as name, ${qualified("n.nspname", "c.relname")} as table,
        pg_get_ruledef(r.oid) as sql, r.ev_enabled as state
      from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
      where ${isOwn("pg_rewrite", "r.oid")} and ${isUserSchema("n.nspname")} and r.rulename <> '_RETURN'
      order by n.nspname, c.relname, r.rulename`),
    query(`select e.oid, quote_ident(e.evtname) as name, e.evtevent as event, e.evtenabled as state,
        ${roleName("e.evtowner")} as owner, ${json("e.evttags")} as tags, e.evtfoid::regproc::text as function
      from pg_event_trigger e where ${isOwn("pg_event_trigger", "e.oid")} order by e.evtname`),
  ]);
  return [
    ...triggers.map((row) => {
      const state = states[String(row.state)] ?? "ENABLE";
      const enabled = `ALTER TABLE ${row.table} ${state} TRIGGER ${row.name};`;
      const lines = row.is_inherited ? [enabled] : [`${textOf(row, "sql")};`, ...(row.state === "O" ? [] : [enabled])];
      return plain({
        id: idOf("pg_trigger", row.oid),
        also: Number(row.constraint) === 0 ? [] : [idOf("pg_constraint", row.constraint)],
        kind: "trigger",
        name: `${row.name} ON ${row.table}`,
        section: "post-data",
        after: row.is_inherited ? [idOf("pg_trigger", row.parent)] : [],
        table: String(row.table),
        sql: lines.join("\n"),
      });
    }),
    ...rules.map((row) =>
      plain({
        id: idOf("pg_rewrite", row.oid),
        kind: "rule",
        name: `${row.name} ON ${row.table}`,
        section: "post-data",
        table: String(row.table),
        sql: [
          textOf(row, "sql"),
          ...(row.state === "O" ? [] : [`ALTER TABLE ${row.table} ${states[String(row.state)]} RULE ${row.name};`]),
        ].join("\n"),
      })
    ),
    ...events.map((row) => {
      const tags = ((row.tags ?? []) as string[]).map((tag) => `'${tag}'`).join(", ");
      return plain({
        id: idOf("pg_event_trigger", row.oid),
        kind: "event trigger",
        name: String(row.name),
        section: "post-data",
        owner: ownerSql(`EVENT TRIGGER ${row.name}`, row.owner),
        sql: [
          `CREATE EVENT TRIGGER ${row.name} ON ${row.event}${
            tags ? `\n    WHEN TAG IN (${tags})` : ""
          }\n    EXECUTE FUNCTION ${row.function}();`,
          ...(row.state === "O" ? [] : [`ALTER EVENT TRIGGER ${row.name} ${states[String(row.state)]};`]),
        ].join("\n"),
      });
    }),
  ];
}
