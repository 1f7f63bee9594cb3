/** Databases whose schema is read by amber and, as the oracle, by pg_dump. */
import { join } from "node:path";
import { parseDatabaseUrl, type PostgresAddress } from "../../../lib/database_url.ts";
import { Connection } from "../../../lib/engines/postgres/connection.ts";
import { type DatabaseSchema, readSchema, readSettings } from "../../../lib/engines/postgres/schema/read_schema.ts";
import { command } from "../../support/command.ts";
import type { PostgresDatabases } from "../../support/postgres.ts";
import { findProgram, isExecutable } from "../../support/programs.ts";

/** Opens a session, as amber does, hands it over and closes it. */
export async function connected<T>(url: string, work: (connection: Connection) => Promise<T>): Promise<T> {
  const address = parseDatabaseUrl(url, "test") as PostgresAddress;
  const { connection } = await Connection.open(address, { applicationName: "test", timeoutMs: 20_000 });
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

/** The schema as amber reads it. */
export function schemaOf(url: string): Promise<DatabaseSchema> {
  return connected(url, async (connection) => {
    await connection.query(`begin isolation level repeatable read read only; ${readSettings}`);
    const schema = await readSchema((sql) => connection.query(sql));
    await connection.query("commit");
    return schema;
  });
}

/** Runs statements, one text, in a session of its own. */
export async function runSql(url: string, text: string): Promise<void> {
  await connected(url, (connection) => connection.query(text));
}

/** A pg_dump that can read this server: the one beside it, or one on the PATH that is as new. */
export async function pgDumpFor(server: PostgresDatabases): Promise<string | undefined> {
  for (const program of [join(server.binDir, "pg_dump"), findProgram("pg_dump")]) {
    if (program === undefined || !isExecutable(program)) continue;
    const { stdout } = await command(program, ["--version"], { cwd: "/" });
    if (Number(/\d+/.exec(stdout)?.[0]) >= server.major) return program;
  }
  return undefined;
}

/** pg_dump's text, without what it makes up anew each time. */
export async function pgDump(program: string, url: string): Promise<string> {
  const { code, stdout, stderr } = await command(program, ["--schema-only", url], { cwd: "/" });
  if (code !== 0) throw new Error(stderr);
  return stdout.replace(/^\\(un)?restrict .*\n/gm, "");
}
