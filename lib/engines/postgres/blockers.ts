import type { PostgresAddress } from "../../database_url.ts";
import type { Blocker, OpenOptions } from "../engine.ts";
import { Connection } from "./connection.ts";

/**
 * Who keeps `pid` waiting, asked on a connection of its own, which stays open until `close`. Never a reason to fail: what
 * cannot be asked is not told.
 */
export class BlockerWatch {
  #connection?: Connection;
  #timer?: ReturnType<typeof setInterval>;
  #asking = false;
  /** What was seen last; for the message of a lock timeout. */
  latest: Blocker[] = [];

  constructor(private readonly address: PostgresAddress, private readonly report: OpenOptions["report"]) {}

  /** Begins to look each second, and tells when the blockers change. */
  start(pid: () => number | undefined): void {
    let told = "";
    clearInterval(this.#timer);
    this.#timer = setInterval(async () => {
      const waiting = pid();
      if (waiting === undefined || this.#asking) return;
      this.#asking = true;
      try {
        const blockers = await this.#ask(waiting);
        if (blockers.length > 0) this.latest = blockers;
        const text = blockers.map((blocker) => blocker.pid).join();
        if (text !== "" && text !== told) {
          this.report({ type: "blocked", message: `waiting for a lock: ${describe(blockers)}`, blockers });
        }
        told = text;
      } catch {
        // The report is a courtesy: a server out of connections must not fail the migration.
      } finally {
        this.#asking = false;
      }
    }, 1_000);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Asks now. */
  async ask(pid: number): Promise<Blocker[]> {
    try {
      this.latest = await this.#ask(pid);
    } catch {
      // as above
    }
    return this.latest;
  }

  async close(): Promise<void> {
    this.stop();
    await this.#connection?.close();
  }

  async #ask(pid: number): Promise<Blocker[]> {
    if (!this.#connection || this.#connection.isLost) {
      const opened = await Connection.open(this.address, { applicationName: "amber watch", timeoutMs: 2_000 });
      this.#connection = opened.connection;
    }
    const rows = await this.#connection.query(
      `select pid, application_name, usename, state, query_start, left(query, 200) as query,
         round(extract(epoch from now() - coalesce(xact_start, query_start))) as age
       from pg_catalog.pg_stat_activity where pid = any(pg_catalog.pg_blocking_pids(${Math.trunc(pid)}))`,
    );
    return rows.map((row) => ({
      pid: Number(row.pid),
      application: String(row.application_name ?? ""),
      user: String(row.usename ?? ""),
      state: String(row.state ?? "unknown"),
      ageSeconds: Number(row.age ?? 0),
      queryStart: row.query_start instanceof Date ? row.query_start.toISOString() : undefined,
      query: row.query === null ? undefined : String(row.query),
    }));
  }
}

/** One line for people. */
export function describe(blockers: readonly Blocker[]): string {
  return blockers.map((blocker) =>
    `pid ${blocker.pid} (${
      blocker.application || blocker.user
    }, ${blocker.state}, transaction open for ${blocker.ageSeconds} s` +
    `${blocker.queryStart ? `, query since ${blocker.queryStart.slice(0, 19)}Z` : ""})`
  ).join("; ");
}
