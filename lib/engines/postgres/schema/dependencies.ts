import { type Found, type Id, idOf } from "./found.ts";
import type { Edge } from "./order.ts";
import type { Reading } from "./reading.ts";

/** What depends on what among users' objects, as pg_depend says. What belongs to an extension counts as the extension. */
export async function readDependencies({ query }: Reading): Promise<Edge[]> {
  const rows = await query(`select d.classid::regclass::text as class, d.objid as id,
      d.refclassid::regclass::text as other_class, d.refobjid as other_id, d.deptype as bond
    from pg_depend d
    where d.objid >= 16384 and d.refobjid >= 16384 and d.deptype in ('n', 'a', 'i', 'e', 'x')
      and (d.classid, d.objid) <> (d.refclassid, d.refobjid)
    group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5`);
  const members = new Map<Id, Id>();
  const edges: Edge[] = [];
  for (const row of rows) {
    const [from, to] = [idOf(String(row.class), row.id), idOf(String(row.other_class), row.other_id)];
    if (row.bond === "e") members.set(from, to);
    else edges.push({ from, to, isInternal: row.bond === "i" });
  }
  return edges.map((edge) => ({
    ...edge,
    from: members.get(edge.from) ?? edge.from,
    to: members.get(edge.to) ?? edge.to,
  }));
}

/** A function that a type is made of is made before that type, when the type is only announced. */
export function throughAnnounced(edges: readonly Edge[], founds: readonly Found[]): Edge[] {
  const announced = new Set(founds.filter(({ kind }) => kind === "announced type").map(({ id }) => id));
  if (announced.size === 0) return [...edges];
  const made = new Set(edges.filter(({ to }) => to.startsWith("pg_proc:")).map(({ from, to }) => `${from} ${to}`));
  return edges.map(({ from, to }) => {
    const early = `announced:${to.slice("pg_type:".length)}`;
    const isEarly = to.startsWith("pg_type:") && announced.has(early) && made.has(`${to} ${from}`);
    return isEarly ? { from, to: early } : { from, to };
  }).concat(schemasOf(founds, edges));
}

/** An announced type lies in the schema of the type. */
function schemasOf(founds: readonly Found[], edges: readonly Edge[]): Edge[] {
  return founds.filter(({ kind }) => kind === "announced type").flatMap(({ id }) => {
    const type = idOf("pg_type", id.slice("announced:".length));
    return edges.filter(({ from, to }) => from === type && to.startsWith("pg_namespace:")).map(({ to }) => ({
      from: id,
      to,
    }));
  });
}
