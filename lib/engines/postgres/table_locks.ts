import { type PostgresAddress, where } from "../../database_url.ts";
import { AmberError } from "../../errors.ts";
import { type OpenOptions, StatementFailure } from "../engine.ts";
import { sleep } from "../sleep.ts";
import { describe } from "./blockers.ts";
import type { Connection } from "./connection.ts";
import { blockersOf } from "./table_blockers.ts";
import { explainRefusals, type ListedTable, lockSql, tableListSql, tablesOf } from "./table_list.ts";

/** Those who queue behind us for a table get in between two rounds. */
const roundMs = 2_000;
/** Waited longer than this for locks, the list of tables is read again: it was likely a migration that held them. */
const slowMs = 100;
const mostRounds = 5;
/** The table's list went out of date: it names what is gone, or is not a table any more; or two of us waited crosswise. */
const outdated = new Set(["42P01", "3F000", "42809", "40P01"]);

export type LockOptions = Pick<OpenOptions, "stop" | "report"> & {
  address: PostgresAddress;
  role: string;
  settings: readonly string[]; // sent at the beginning of the transaction; none may be a query
  deadline: number; // as performance.now() counts
};

/**
 * Lists the tables, begins a read-only transaction and locks them; again when somebody kept us waiting, because it was
 * likely for a change of the tables. The list is read before the transaction begins, in which nothing may be read yet:
 * its first query fixes what it sees.
 *
 * @throws {AmberError} DATABASE_FORBIDDEN, TABLE_LOCKED; {StatementFailure}, {ConnectionLost}
 */
export async function lockTables(connection: Connection, options: LockOptions): Promise<ListedTable[]> {
  const started = performance.now();
  for (let round = 1;; round++) {
    options.stop.throwIfAborted();
    const { tables, refusals } = tablesOf(await connection.query(tableListSql));
    if (refusals.length > 0) {
      throw new AmberError("DATABASE_FORBIDDEN", {
        ...explainRefusals(refusals, options.role),
        where: where(options.address, { reached: true }),
      });
    }
    const began = performance.now();
    const leftMs = Math.max(1, Math.ceil(Math.min(roundMs, options.deadline - began)));
    const statements = [
      "begin isolation level repeatable read, read only",
      ...options.settings,
      `set local lock_timeout = ${leftMs}`,
      ...lockSql(tables),
    ];
    try {
      await connection.query(statements.join("; "));
      // What changes after this is seen by confirm().
      if (performance.now() - began < slowMs || round >= mostRounds) return tables;
      await connection.query("rollback");
      continue;
    } catch (error) {
      if (!(error instanceof StatementFailure)) throw error;
      await connection.query("rollback");
      if (outdated.has(error.code ?? "") && round < mostRounds) continue;
      if (error.code !== "55P03") throw error;
      const blocked = await blockersOf(connection, tables);
      const who = blocked ? `${blocked.table} is locked by ${describe(blocked.blockers)}` : "a table is locked";
      if (performance.now() >= options.deadline) {
        throw new AmberError("TABLE_LOCKED", {
          message: `Cannot read the database within ${Math.round((performance.now() - started) / 1000)} s: ${who}`,
          where: where(options.address, { reached: true }),
          hint: "Run it again when that session has ended, or end it: select pg_terminate_backend(PID);",
          cause: error,
        });
      }
      const message = `waiting for a lock: ${who}`;
      options.report({ type: "blocked", message, blockers: blocked?.blockers ?? [] });
      await sleep(50 + Math.random() * 150, options.stop);
    }
  }
}
