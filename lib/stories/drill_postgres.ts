import { PostgresRestore } from "../capture/postgres/restore.ts";
import { ScratchDatabase } from "../capture/postgres/scratch.ts";
import { StoredPostgres } from "../capture/postgres/stored.ts";
import type { PostgresAddress } from "../database_url.ts";
import { AmberError } from "../errors.ts";
import type { SnapshotReader } from "../repository/reader.ts";
import { type FileEntry, postgresPrefix } from "../repository/tree.ts";
import type { Report } from "./drill_report.ts";

export interface PostgresDrillOptions {
  contents: SnapshotReader;
  /** On whose server a scratch database is made; undefined: none is configured. */
  address?: PostgresAddress;
  by: string;
  random: (size: number) => Uint8Array;
  stop: AbortSignal;
  report: (event: { type: "note"; message: string }) => void;
}

/** What was found; rows only of what was restored. */
export interface PostgresDrill extends Report {
  restored: boolean;
  rows: number;
}

/**
 * Restores the snapshot's Postgres database into a scratch database on the configured server, rows counted and the schema
 * compared. Where there can be none, all that is stored of it is read and its rows are counted.
 *
 * @throws {AmberError} DATABASE_* when the configured server cannot be reached, or is lost.
 */
export async function drillPostgres(options: PostgresDrillOptions): Promise<PostgresDrill> {
  const { contents, address, random, by, stop, report } = options;
  const { name, rows } = contents.snapshot.facts.postgres!;
  const found: PostgresDrill = { restored: false, rows: 0, problems: [], notes: [] };
  const leave = async (why: string) => {
    found.notes.push(`the Postgres database "${name}" was read and its rows were counted, but not restored: ${why}`);
    found.problems.push(...await readAll(options));
    return found;
  };
  if (!address) return await leave("no Postgres database is configured");
  const tell = (event: { type: string; message: string }) => report({ type: "note", message: event.message });
  const scratch = await ScratchDatabase.create(address, { waitMs: 5_000, by, stop, random, report: tell });
  if (typeof scratch === "string") return await leave(scratch);
  await using made = scratch;
  try {
    await restoreInto(made.address, options, (message) => found.notes.push(message));
    found.restored = true;
    found.rows = Object.values(rows).reduce((sum, count) => sum + count, 0);
  } catch (error) {
    if (!(error instanceof AmberError)) throw error;
    // Extensions that only a superuser may create, and the like: the role that restores in earnest may be another one.
    if (error.code === "STATEMENT_FAILED" && codeOf(error.cause) === "42501") return await leave(error.message);
    if (!["STATEMENT_FAILED", "RESTORE_BLOCKED", "OBJECT_DAMAGED", "OBJECT_MISSING"].includes(error.code)) throw error;
    const damages = await readAll(options);
    found.problems.push(...(damages.length > 0 ? damages : [`the Postgres database "${name}": ${error.message}`]));
  }
  return found;
}

async function restoreInto(
  address: PostgresAddress,
  { contents, by, stop }: PostgresDrillOptions,
  note: (message: string) => void,
): Promise<void> {
  const common = { address, contents, waitMs: 5_000, create: false, by, stop };
  const report = (event: { type: string; message: string }) => event.type === "note" && note(event.message);
  {
    await using restore = await PostgresRestore.open({ ...common, schema: true, report });
    await restore.load("drill");
    await restore.commit();
  }
  // Whether the schema is the snapshot's: otherwise nothing could be restored there any more.
  await using _again = await PostgresRestore.open({ ...common, schema: false, report });
}

/** Every byte that is stored of it, and how many rows that is; what is wrong. */
async function readAll({ contents, stop }: PostgresDrillOptions): Promise<string[]> {
  const problems: string[] = [];
  const lines = new Map<string, number>();
  const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof AmberError) || !["OBJECT_DAMAGED", "OBJECT_MISSING"].includes(error.code)) throw error;
      problems.push(error.message);
      return undefined;
    }
  };
  for await (const entry of contents.entries()) {
    if (entry.type !== "file" || !entry.path.startsWith(postgresPrefix)) continue;
    const count = await attempt(() => countLines(contents, entry, stop));
    if (count !== undefined) lines.set(entry.path, count);
  }
  const stored = await attempt(async () => await StoredPostgres.open(contents));
  if (!stored || problems.length > 0) return [...new Set(problems)];
  const paths = new Map(stored.schema.tables.map((table) => [table.quoted, stored.entryOf(table)?.path]));
  for (const [table, count] of Object.entries(contents.snapshot.facts.postgres!.rows)) {
    const now = lines.get(paths.get(table) ?? "");
    if (now === count) continue;
    problems.push(
      `the Postgres table ${table} had ${count} rows, and ${now === undefined ? "is not stored" : `${now} are stored`}`,
    );
  }
  return problems;
}

const lineEnd = 10;

async function countLines(contents: SnapshotReader, entry: FileEntry, stop: AbortSignal): Promise<number> {
  let count = 0;
  for await (const { bytes } of contents.pieces(entry)) {
    stop.throwIfAborted();
    for (let at = bytes?.indexOf(lineEnd) ?? -1; at >= 0; at = bytes!.indexOf(lineEnd, at + 1)) count++;
  }
  return count;
}

function codeOf(cause: unknown): unknown {
  return typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined;
}
