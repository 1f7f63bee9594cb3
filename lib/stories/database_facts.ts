import type { CapturedDatabase, Instant } from "../capture/instant.ts";
import type { DatabaseFacts, Snapshot } from "../repository/snapshot_file.ts";

/** Rows and migrations of each database, counted while its pages are read. */
export class FactsReader implements AsyncDisposable {
  readonly #reading = new Map<CapturedDatabase, Promise<DatabaseFacts>>();

  constructor(private readonly instant: Instant, private readonly parent: Snapshot | undefined) {}

  /** Begins with one: everything is counted in the order in which it is begun. */
  begin(database: CapturedDatabase): void {
    const reading = this.#read(database);
    reading.catch(() => {}); // heard by all()
    this.#reading.set(database, reading);
  }

  /** Begins with those that were not begun yet. */
  beginAll(): void {
    for (const database of this.instant.databases) if (!this.#reading.has(database)) this.begin(database);
  }

  async all(): Promise<DatabaseFacts[]> {
    return await Promise.all(this.instant.databases.map((database) => this.#reading.get(database)!));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#reading.values());
  }

  async #read(database: CapturedDatabase): Promise<DatabaseFacts> {
    const { path, configured, stamp, pinned: { pageSize, pages, journal } } = database;
    const before = database.isUnchanged ? this.parent?.facts.databases.find((one) => one.path === path) : undefined;
    const { rows, migrations } = before ?? await this.instant.facts(database);
    return {
      path,
      configured,
      pageSize,
      pages,
      journal,
      rows,
      ...(migrations && isName(migrations.last) ? { migrations } : {}),
      ...(stamp === undefined ? {} : { stamp }),
    };
  }
}

/** An uploaded database may have any table of that name. */
function isName(last: unknown): boolean {
  return typeof last === "string" && last.length < 1_000;
}
