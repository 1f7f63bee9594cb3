import type { Rights, RightsItem } from "./found.ts";

/**
 * The statements that give an object its rights: what it is born with and must not have is taken away, then the rest is
 * granted, in the order in which the catalog keeps it.
 */
export function rightsSql({ on, owner, grants, born, columns = [] }: Rights): string[] {
  const everything = new Set(born.find(([, grantee]) => grantee === owner)?.[2]);
  const same = (a: RightsItem) => JSON.stringify([a[0], a[1], [...a[2]].sort(), [...a[3]].sort()]);
  const kept = new Set(grants.map(same));
  const had = new Set(born.map(same));
  const statements: string[] = [];
  for (const item of born) {
    if (!kept.has(same(item))) statements.push(`REVOKE ALL ON ${on} FROM ${item[1] || "PUBLIC"};`);
  }
  for (const item of grants) if (!had.has(same(item))) statements.push(...grantSql(item, { on, owner, everything }));
  for (const { column, grants } of columns) {
    for (const item of grants) statements.push(...grantSql(item, { on, owner, column, everything: new Set() }));
  }
  return statements;
}

interface Place {
  on: string;
  owner: string;
  column?: string;
  /** All that there is to give: said as ALL. */
  everything: ReadonlySet<string>;
}

function grantSql([grantor, grantee, privileges, passOn]: RightsItem, { on, owner, column, everything }: Place) {
  const list = (names: string[]) => {
    if (column === undefined && everything.size > 0 && names.length === everything.size) return "ALL";
    return names.map((name) => column === undefined ? name : `${name} (${column})`).join(", ");
  };
  const to = `ON ${on} TO ${grantee || "PUBLIC"}`;
  // The owner may always pass on what is the owner's.
  const free = grantee === owner ? privileges : privileges.filter((name) => !passOn.includes(name));
  const passed = grantee === owner ? [] : passOn;
  const statements = [
    ...(free.length > 0 ? [`GRANT ${list(free)} ${to};`] : []),
    ...(passed.length > 0 ? [`GRANT ${list(passed)} ${to} WITH GRANT OPTION;`] : []),
  ];
  if (grantor === owner || statements.length === 0) return statements;
  // Only who gave it can be the one who gave it.
  return [`SET SESSION AUTHORIZATION ${grantor};`, ...statements, "RESET SESSION AUTHORIZATION;"];
}
