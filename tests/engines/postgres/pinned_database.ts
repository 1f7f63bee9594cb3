/** What the tests of PinnedSession read from. */
import { parseDatabaseUrl, type PostgresAddress } from "../../../lib/database_url.ts";
import type { EngineEvent } from "../../../lib/engines/engine.ts";
import { Connection } from "../../../lib/engines/postgres/connection.ts";
import { type PinnedOptions, PinnedSession } from "../../../lib/engines/postgres/pinned.ts";
import { type PostgresDatabase, type PostgresDatabases, sharedPostgres } from "../../support/postgres.ts";

/** A database of one's own, and sessions that are closed with their scope. */
export async function pinnable(setUp: string, server?: PostgresDatabases) {
  server ??= await sharedPostgres();
  const made: PostgresDatabase = await server.database();
  await made.sql(setUp.replaceAll(":name:", made.name));
  const events: EngineEvent[] = [];
  const address = (more: Partial<PostgresAddress> = {}) => ({
    ...parseDatabaseUrl(made.url, "test") as PostgresAddress,
    ...more,
  });
  return {
    server,
    name: made.name,
    events,
    notes: () => events.filter((event) => event.type === "note").map((event) => (event as { message: string }).message),
    sql: made.sql,
    async prepare(options: Partial<PinnedOptions> = {}, more: Partial<PostgresAddress> = {}) {
      const session = await PinnedSession.prepare(address(more), {
        stop: new AbortController().signal,
        by: "test@test",
        report: (event) => events.push(event),
        ...options,
      });
      return Object.assign(session, { [Symbol.asyncDispose]: () => session.close() });
    },
    async connect(more: Partial<PostgresAddress> = {}) {
      const { connection } = await Connection.open(address(more), { applicationName: "test holder", timeoutMs: 5_000 });
      return Object.assign(connection, { [Symbol.asyncDispose]: () => connection.close() });
    },
    /** Returns when a session waits for a lock. */
    someoneWaits: () => until(async () => (await made.sql(waitingSql)).length > 0),
    [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
  };
}

const waitingSql = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";

export async function text(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let all = "";
  for await (const chunk of chunks) all += decoder.decode(chunk, { stream: true });
  return all + decoder.decode();
}

/** Asks until it is so; a test that waits for ever is ended by the runner. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await new Promise((resolve) => setTimeout(resolve, 20));
}
