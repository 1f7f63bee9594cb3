import type { Touch } from "./sqlite_facts.ts";

/** A table as the statements leave it. */
interface Holder {
  /** The table of before that this is, under whatever name; undefined: made by the statements. */
  origin?: string;
  /** Tables of before all of whose rows should be in it. */
  complete: Set<string>;
  /** Tables of before of which some rows went into it. */
  fed: Set<string>;
}

/**
 * Where the rows of the tables that were there before should be after some statements: pure reading, nothing is asked of
 * the database. A copy without a filter should bring all rows; DELETE, REPLACE and a filter are the SQL's own will.
 */
export class Lineage {
  readonly #holders = new Map<string, Holder | undefined>(); // undefined: dropped, or renamed away

  /** @param existing Tables of before, in lower case. */
  constructor(steps: readonly Touch[], private readonly existing: { has(table: string): boolean }) {
    for (const touch of steps) this.#follow(touch);
  }

  /** The tables that should now have all rows of a table of before, each of them; none when the SQL let rows go. */
  heirsOf(table: string): string[] {
    const itself = this.#placeOf(table);
    if (itself !== undefined) return this.#at(itself)!.complete.has(table) ? [itself] : [];
    return this.#alive().filter(([, holder]) => holder.origin === undefined && holder.complete.has(table)).map((
      [name],
    ) => name);
  }

  isDropped(table: string): boolean {
    return this.#placeOf(table) === undefined;
  }

  /** Tables that were dropped and made again with rows of the old one. */
  rebuilt(): string[] {
    return this.#alive().filter(([name, holder]) => holder.origin === undefined && holder.fed.has(name)).map(([name]) =>
      name
    );
  }

  /** What a table was called before. */
  originOf(table: string): string {
    return this.#holders.get(table)?.origin ?? table;
  }

  /** The present name of a table of before. */
  #placeOf(table: string): string | undefined {
    if (this.#at(table)?.origin === table) return table;
    return this.#alive().find(([, holder]) => holder.origin === table)?.[0];
  }

  #alive(): [string, Holder][] {
    return [...this.#holders].filter((entry): entry is [string, Holder] => entry[1] !== undefined);
  }

  #at(name: string): Holder | undefined {
    if (!this.#holders.has(name)) {
      const was = this.existing.has(name) ? name : undefined;
      const own = was === undefined ? [] : [was];
      this.#holders.set(name, { origin: was, complete: new Set(own), fed: new Set(own) });
    }
    return this.#holders.get(name);
  }

  /** A name without schema means the temporary table first. */
  #key(name: string): string {
    return this.#holders.get(`temp.${name}`) ? `temp.${name}` : name;
  }

  #follow(touch: Touch): void {
    const sources = touch.inserts.map(({ table, fromTables, filtered }) => ({
      table,
      filtered,
      holders: fromTables.map((from) => this.#at(this.#key(from))),
    }));
    const isThere = (name: string) => this.#holders.has(name) ? this.#holders.get(name) : this.existing.has(name);
    for (const name of [...touch.creates, ...touch.createsMissing.filter((name) => !isThere(name))]) {
      this.#holders.set(name, { complete: new Set(), fed: new Set() });
    }
    for (const name of touch.deletes) this.#at(this.#key(name))?.complete.clear();
    for (const name of touch.replaces) {
      const holder = this.#at(this.#key(name));
      // Copying with OR REPLACE into a new table is no wish to lose rows.
      if (holder?.origin !== undefined || touch.updates.includes(name)) holder?.complete.clear();
    }
    for (const { table, filtered, holders } of sources) {
      const target = this.#at(this.#key(table));
      for (const source of holders) {
        for (const one of source?.fed ?? []) target?.fed.add(one);
        if (!filtered) { for (const one of source?.complete ?? []) target?.complete.add(one); }
      }
    }
    for (const name of touch.drops) this.#holders.set(this.#key(name), undefined);
    for (const { from, to } of touch.renames) {
      const key = this.#key(from);
      this.#holders.set(key.startsWith("temp.") ? `temp.${to}` : to, this.#at(key));
      this.#holders.set(key, undefined);
    }
  }
}
