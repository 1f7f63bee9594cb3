/** What the tests of COPY read from and write to. */
import { parseDatabaseUrl, type PostgresAddress } from "../../../lib/database_url.ts";
import { Connection } from "../../../lib/engines/postgres/connection.ts";
import { type PostgresDatabase, type PostgresDatabases, sharedPostgres } from "../../support/postgres.ts";

export const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
export const bytes = (text: string) => new TextEncoder().encode(text);
/** SELECT of about 100 MB. */
export const manyRows = "select i, repeat('x', 90) from generate_series(1, 1000000) i";

/** What the session does that is not the one that asks. */
export const waitingSql = `select wait_event from pg_stat_activity
  where datname = current_database() and state = 'active' and pid <> pg_backend_pid()`;

export async function connectTo(database: PostgresDatabase, more: Partial<PostgresAddress> = {}): Promise<Connection> {
  const address = { ...parseDatabaseUrl(database.url, "test") as PostgresAddress, ...more };
  const { connection } = await Connection.open(address, { applicationName: "test copy", timeoutMs: 5_000 });
  return connection;
}

/** A database of one's own, with a connection, and more of them. */
export async function opened(server?: PostgresDatabases, more: Partial<PostgresAddress> = {}) {
  const database = await (server ?? await sharedPostgres()).database();
  const connections = [await connectTo(database, more)];
  return {
    connection: connections[0]!,
    async connect() {
      const one = await connectTo(database, more);
      connections.push(one);
      return one;
    },
    async [Symbol.asyncDispose]() {
      for (const one of connections) await one.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

export async function all(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) (joined.set(part, at), at += part.length);
  return joined;
}

export async function* pieces(parts: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

/** Asks until it is so; a test that waits for ever is ended by the runner. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await new Promise((resolve) => setTimeout(resolve, 20));
}
