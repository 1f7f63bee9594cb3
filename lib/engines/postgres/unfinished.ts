import { AmberError } from "../../errors.ts";
import type { OpenOptions } from "../engine.ts";
import { StatementFailure } from "../engine.ts";
import { sleep } from "../sleep.ts";
import type { Connection } from "./connection.ts";

const politeMs = 3_000;

/**
 * Waits for server processes of an earlier, killed run: the server goes on with a statement after its client is gone.
 * After three seconds they are ended, where the role may; their transactions roll back, and what they built concurrently
 * is built again.
 *
 * They are known by their application_name. A pooler leaves that on its sessions for clients without one, whose work must
 * not be ended: there the name is set for a transaction, and a statement outside one begins with it as a comment.
 *
 * @throws {AmberError} LOCK_HELD when one will not go within `waitMs`.
 */
export async function settleUnfinished(
  work: Connection,
  name: string,
  options: Pick<OpenOptions, "stop" | "report"> & { waitMs: number; where: string },
): Promise<void> {
  const started = performance.now();
  let told = false;
  for (;;) {
    options.stop.throwIfAborted();
    // No parameter: through a pooler that would take a round trip more. The name is made of our own hex digits.
    const rows = await work.query(
      `select pid, state, left(query, 80) as query from pg_catalog.pg_stat_activity
       where datname = pg_catalog.current_database() and pid <> pg_catalog.pg_backend_pid()
         and (application_name like '%${name}%' or query like '/* ${name} */%') and state is distinct from 'idle'`,
    );
    if (rows.length === 0) return;
    const elapsedMs = performance.now() - started;
    const pids = rows.map((row) => Number(row.pid));
    if (!told && elapsedMs > 500) {
      told = true;
      options.report({
        type: "waiting",
        message: `waiting for the end of an earlier run (pid ${pids.join(", ")}: ${rows[0]!.query})`,
      });
    }
    if (elapsedMs > politeMs) await end(work, pids);
    if (elapsedMs > politeMs + options.waitMs) {
      throw new AmberError("LOCK_HELD", {
        message: `Cannot migrate now: an earlier run still works in the server (pid ${pids.join(", ")})`,
        where: options.where,
        hint: `Wait for it, or end it: select pg_terminate_backend(${pids[0]});`,
      });
    }
    await sleep(100, options.stop);
  }
}

async function end(work: Connection, pids: number[]): Promise<void> {
  try {
    for (const pid of pids) await work.query(`select pg_catalog.pg_terminate_backend(${pid})`);
  } catch (error) {
    if (!(error instanceof StatementFailure) || error.code !== "42501") throw error; // not allowed: go on waiting
  }
}
