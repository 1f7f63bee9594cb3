import type { Found, Id } from "./found.ts";
import type { Edge } from "./order.ts";
import type { Reading } from "./reading.ts";

/** Catalogs whose rows are objects by themselves, beside those that lie in a schema. */
const standing = new Set([
  "pg_namespace",
  "pg_extension",
  "pg_language",
  "pg_am",
  "pg_cast",
  "pg_transform",
  "pg_foreign_data_wrapper",
  "pg_foreign_server",
  "pg_publication",
  "pg_publication_rel",
  "pg_publication_namespace",
  "pg_event_trigger",
  "pg_policy",
  "pg_statistic_ext",
]);

/** Catalogs of pieces, which belong to another object or come with it. */
const pieces = new Set([
  "pg_class",
  "pg_type",
  "pg_proc",
  "pg_attrdef",
  "pg_constraint",
  "pg_trigger",
  "pg_rewrite",
  "pg_amop",
  "pg_amproc",
  "pg_cast",
  "pg_operator",
  "pg_user_mapping",
  "pg_default_acl",
]);

/** Names what is there and was not read: nothing may be left out in silence. */
export async function readLeftOver({ query }: Reading, founds: readonly Found[], edges: readonly Edge[]) {
  const known = new Set<Id>();
  for (const found of founds) {
    for (const { id } of [...(found.parts ?? []), ...(found.within ?? [])]) known.add(id);
    for (const id of [found.id, ...(found.also ?? [])]) known.add(id);
  }
  const internal = new Set(edges.filter(({ isInternal }) => isInternal).map(({ from }) => from));
  const missing = new Set<Id>();
  for (const { from, to } of edges) {
    if (known.has(from) || internal.has(from)) continue;
    const [catalog = ""] = from.split(":");
    const isObject = to.startsWith("pg_namespace:") || standing.has(catalog) || !pieces.has(catalog);
    if (isObject) missing.add(from);
  }
  const [subscriptions, objects] = await Promise.all([
    query(`select subname as name from pg_subscription
      where subdbid = (select oid from pg_database where datname = current_database()) order by 1`),
    missing.size === 0
      ? []
      : query(`select x.type, x.identity from (values ${
        [...missing].map((id) => id.split(":")).map(([catalog, oid]) =>
          `('${catalog}'::regclass, ${oid})`
        ).join(", ")
      }) as v(class, oid), lateral pg_identify_object(v.class, v.oid::oid, 0) as x order by 1, 2`),
  ]);
  return [
    ...subscriptions.map(({ name }) => `subscription ${name} is not covered`),
    ...objects.map(({ type, identity }) => `${type} ${identity} is left out: amber does not know its kind`),
  ];
}
