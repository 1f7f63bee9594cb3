import type { Blocker } from "../engine.ts";
import type { Connection } from "./connection.ts";
import { type ListedTable, quoted } from "./table_list.ts";

/**
 * Who holds, or waits in front of us for, a lock on one of these tables that keeps even readers out: the first such
 * table. Asked after our own wait is over, on the same connection. Undefined when they are gone.
 */
export async function blockersOf(
  connection: Connection,
  tables: readonly ListedTable[],
): Promise<{ table: string; blockers: Blocker[] } | undefined> {
  const rows = await connection.query(
    `select l.relation::pg_catalog.text as oid, coalesce(l.pid, 0) as pid, a.application_name, a.usename, a.state, a.query_start,
       pg_catalog.left(a.query, 200) as query,
       pg_catalog.round(extract(epoch from pg_catalog.now() - coalesce(a.xact_start, a.query_start))) as age
     from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
     where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.pid is distinct from pg_catalog.pg_backend_pid()
       and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
     order by l.granted desc, l.relation`,
  );
  const known = new Map(tables.map((table) => [table.oid, table]));
  const first = rows.find(({ oid }) => known.has(String(oid)));
  if (!first) return undefined;
  const blockers = rows.filter(({ oid }) => oid === first.oid).map((row) => ({
    pid: Number(row.pid),
    // The locks of a prepared transaction belong to no session.
    application: row.pid === 0 ? "a prepared transaction" : String(row.application_name ?? ""),
    user: String(row.usename ?? ""),
    state: String(row.state ?? "unknown"),
    ageSeconds: Number(row.age ?? 0),
    queryStart: row.query_start instanceof Date ? row.query_start.toISOString() : undefined,
    query: row.query === null ? undefined : String(row.query),
  }));
  return { table: quoted(known.get(String(first.oid))!), blockers };
}
