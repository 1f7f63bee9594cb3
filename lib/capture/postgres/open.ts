import type { PostgresAddress } from "../../database_url.ts";
import type { EngineEvent } from "../../engines/engine.ts";
import { PostgresEngine } from "../../engines/postgres/engine.ts";

/** What all who work with a whole Postgres database are given. */
export interface PostgresWork {
  /** How long to wait for the database, and for what others hold in it. */
  waitMs: number;
  by: string;
  stop: AbortSignal;
  report: (event: Extract<EngineEvent, { type: "note" | "waiting" }>) => void;
}

/** Opens a database to be written to; who blocks whom, and the server's own notices, are nobody's business here. */
export async function openDatabase(
  address: PostgresAddress,
  { waitMs, by, stop, report }: PostgresWork,
  { create }: { create: boolean },
): Promise<PostgresEngine> {
  return await PostgresEngine.open(address, {
    ...{ waitMs, by, stop, create, readOnly: false },
    report: (event) => (event.type === "note" || event.type === "waiting") && report(event),
  });
}

/** SET for a transaction: how long others may hold a table before it gives up. */
export function lockTimeout(waitMs: number): string {
  return `set local lock_timeout = ${Math.max(1, Math.round(waitMs))}`;
}
