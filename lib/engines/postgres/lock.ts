import { AmberError } from "../../errors.ts";
import type { LockRequest, OpenOptions } from "../engine.ts";
import { sleep } from "../sleep.ts";
import type { Connection } from "./connection.ts";

/** The migration lock: an advisory lock of an otherwise empty transaction on a connection of its own. */
export interface HeldLock {
  /** The server process that holds it; through a pooler too, which keeps it for as long as the transaction lasts. */
  pid: number;
  key: bigint;
}

/**
 * Polls `pg_try_advisory_xact_lock`. A blocking lock call would hold a snapshot and deadlock with CREATE INDEX
 * CONCURRENTLY; a session lock is stranded by a transaction pooler. Between two tries no transaction stays open, so
 * that a hundred waiters do not eat up a pooler's connections.
 *
 * @throws {AmberError} LOCK_HELD
 */
export async function takeLock(
  connection: Connection,
  key: bigint,
  request: LockRequest,
  options: Pick<OpenOptions, "stop" | "report"> & { serverVersion: number; where: string },
): Promise<HeldLock> {
  const started = performance.now();
  let told = started - 4_000; // the first word after a second, then every five
  // transaction_timeout came with 17; either one set by a role would end the lock under our feet.
  const settings = "set local idle_in_transaction_session_timeout = 0" +
    (options.serverVersion >= 170000 ? "; set local transaction_timeout = 0" : "");
  for (;;) {
    options.stop.throwIfAborted();
    const [row] = await connection.query(
      `begin isolation level read committed; ${settings}; select pg_catalog.pg_try_advisory_xact_lock(${key}) as got, pg_catalog.pg_backend_pid() as pid`,
    );
    if (row?.got === true || row?.got === "t") return { pid: Number(row.pid), key };
    await connection.query("rollback");
    const elapsedMs = performance.now() - started;
    if (request.waitMs !== undefined && elapsedMs >= request.waitMs) {
      throw new AmberError("LOCK_HELD", {
        message: `Cannot migrate now: another amber holds the lock (${await holder(connection, key)})`,
        where: options.where,
        hint: "Wait for it, or give a longer --wait.",
      });
    }
    if (performance.now() - told > 5_000) {
      told = performance.now();
      options.report({
        type: "waiting",
        message: `waiting for another amber: ${await holder(connection, key)}`,
        ...(request.waitMs === undefined ? {} : { remainingSeconds: Math.ceil((request.waitMs - elapsedMs) / 1000) }),
      });
    }
    await sleep(30 + Math.random() * Math.min(170, 20 + elapsedMs / 10), options.stop);
  }
}

/** The WHERE condition that is true while the lock is held, as the server sees it. */
export function heldSql({ key, pid }: HeldLock): string {
  const { high, low } = halves(key);
  return `exists (select from pg_catalog.pg_locks where locktype = 'advisory' and classid = ${high} and objid = ${low}` +
    ` and objsubid = 1 and pid = ${pid} and granted)`;
}

/** The key as lock tables and application names show it. */
export function keyName(key: bigint): string {
  return BigInt.asUintN(64, key).toString(16).padStart(16, "0").slice(0, 8);
}

function halves(key: bigint) {
  const bits = BigInt.asUintN(64, key);
  return { high: bits >> 32n, low: bits & 0xffff_ffffn };
}

async function holder(connection: Connection, key: bigint): Promise<string> {
  const { high, low } = halves(key);
  const [row] = await connection.query(
    `select a.pid, a.application_name, a.usename, a.client_addr, round(extract(epoch from now() - a.xact_start)) as age
     from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a using (pid)
     where l.locktype = 'advisory' and l.classid = ${high} and l.objid = ${low} and l.objsubid = 1 and l.granted`,
  );
  if (!row) return "it has just let go";
  const since = row.age === null ? "" : `, for ${row.age} s`;
  const from = row.client_addr === null ? "" : ` from ${row.client_addr}`;
  return `pid ${row.pid}, ${String(row.application_name) || "unnamed"}, user ${row.usename}${from}${since}`;
}
