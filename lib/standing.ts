/** Where a database's migrations stand. */
export interface Standing {
  /** How many are applied. */
  count: number;
  /** The one with the greatest number; among equals the one that was applied last. */
  last: string;
}

/** @param applied Names in the order in which they were applied. */
export function standingOf(applied: readonly string[]): Standing {
  const numberOf = (name: string) => BigInt(/^\d{1,1000}/.exec(name)?.[0] ?? -1);
  let last = "";
  for (const name of applied) if (last === "" || numberOf(name) >= numberOf(last)) last = name;
  return { count: applied.length, last };
}
