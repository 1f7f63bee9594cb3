import { AmberError } from "../errors.ts";
import { type Engine, literal, type Row, StatementFailure } from "../engines/engine.ts";
import type { HistoryRow } from "./history_row.ts";

const columns: Record<keyof HistoryRow, string> = {
  name: "name",
  checksum: "checksum",
  splitter: "splitter",
  hashes: "hashes",
  rawHash: "raw_hash",
  state: "state",
  done: "done",
  doneHash: "done_hash",
  statements: "statements",
  begun: "begun",
  checkpoint: "checkpoint",
  appliedAt: "applied_at",
  durationMs: "duration_ms",
  appliedBy: "applied_by",
  amber: "amber",
  snapshot: "snapshot",
  down: "down",
  digest: "digest",
};
const names = Object.entries(columns) as [keyof HistoryRow, string][];

/** What the usual start reads of each row: enough for the digest. */
export type GlanceRow = Pick<HistoryRow, "name" | "state" | "checksum" | "rawHash" | "digest">;
const glanceColumns = "name, state, checksum, raw_hash, digest";

/** The same question as Postgres can be asked it before its schema is known: only the table that amber would use. */
export const glanceQuestion = `select ${glanceColumns} from amber_migrations
  where tableoid = pg_catalog.to_regclass(pg_catalog.quote_ident(pg_catalog.current_schema()) || '.amber_migrations')`;

/** What the usual start needs of the history, without a lock; undefined when there is none yet. */
export async function readGlance(engine: Engine): Promise<GlanceRow[] | undefined> {
  const rows = engine.asked ?? await select(engine, glanceColumns);
  return rows?.map((row) => ({ ...row, rawHash: row.raw_hash })) as GlanceRow[] | undefined;
}

/**
 * All rows with one query and without a lock; undefined when there is no history yet.
 */
export async function readHistory(engine: Engine): Promise<HistoryRow[] | undefined> {
  return (await select(engine, names.map(([, column]) => column).join(", ")))?.map(fromRow);
}

async function select(engine: Engine, columns: string): Promise<Row[] | undefined> {
  try {
    return await engine.query(`select ${columns} from ${engine.history}`);
  } catch (error) {
    if (error instanceof StatementFailure && (error.code === "42P01" || /no such table/.test(error.message))) {
      return undefined;
    }
    if (error instanceof StatementFailure && error.code === "42501") {
      throw new AmberError("DATABASE_FORBIDDEN", {
        message: `Cannot read the history: ${error.message}`,
        where: engine.where,
        hint: `grant select on ${engine.history} to this role;`,
        cause: error,
      });
    }
    if (error instanceof StatementFailure && (error.code === "42703" || /no such column/.test(error.message))) {
      throw new AmberError("HISTORY_FOREIGN", {
        message: `Cannot read the history: the table ${engine.history} is not as amber makes it (${error.message})`,
        where: engine.where,
        hint:
          "Another program made a table of this name: rename that one. If it was another amber, use the newer of the two.",
        cause: error,
      });
    }
    throw error;
  }
}

/** Makes the table, its long texts last: the usual start reads what stands before them. Under the lock only: `IF NOT EXISTS` alone races (20 of 48 tries failed). */
export async function createHistory(engine: Engine): Promise<void> {
  try {
    await engine.run([{
      text: `create table if not exists ${engine.history} (
  name text primary key, state text not null, checksum text not null, raw_hash text not null, digest text,
  splitter integer not null, done integer not null, done_hash text, statements integer not null, begun text,
  checkpoint text, applied_at text not null, duration_ms integer not null, applied_by text not null, amber text not null,
  snapshot text, hashes text not null, down text)${engine.dialect === "sqlite" ? " without rowid" : ""}`,
    }]);
  } catch (error) {
    if (error instanceof StatementFailure && (error.code === "42501" || error.code === "25006")) {
      throw new AmberError("DATABASE_FORBIDDEN", {
        message: `Cannot create the history table ${engine.history}: ${error.message}`,
        where: engine.where,
        hint: error.code === "25006"
          ? "This server only reads: migrate on the primary."
          : `As an administrator: grant create on schema ${
            engine.history.replace(/\.[^.]*$/, "")
          } to the role. (Since PostgreSQL 15 only the owner has that right in "public".)`,
        cause: error,
      });
    }
    throw error;
  }
}

/**
 * Writes a row, new or in place of one that is not `applied`. The last word on "each migration once": hits no row when
 * somebody else has applied it, or when the lock is gone.
 */
export function writeRowSql(engine: Engine, row: HistoryRow): string {
  const values = names.map(([key]) => literal(row[key], engine.dialect)).join(", ");
  const sets = names.filter(([key]) => key !== "name").map(([, column]) => `${column} = excluded.${column}`).join(", ");
  // Values come by SELECT so that they can have a WHERE; SQLite wants one before ON CONFLICT anyway.
  return `insert into ${engine.history} as history (${names.map(([, column]) => column).join(", ")})
     select ${engine.dialect === "postgres" ? typed(row) : values} where ${engine.lockHeldSql()}
     on conflict (name) do update set ${sets} where history.state <> 'applied' returning name`;
}

/** Removes a row; hits none when it is gone, or the lock is. */
export function deleteRowSql(engine: Engine, name: string): string {
  return `delete from ${engine.history} where name = ${
    literal(name, engine.dialect)
  } and ${engine.lockHeldSql()} returning name`;
}

/** Runs one of the above as part of a longer transaction. @throws {AmberError} LOCK_LOST */
export async function change(engine: Engine, name: string, sql: string): Promise<void> {
  if ((await engine.query(sql)).length !== 1) throw lost(engine, name);
}

/** Runs one of the above and commits. @throws {AmberError} LOCK_LOST, then everything is rolled back. */
export async function changeAndCommit(
  engine: Engine,
  name: string,
  sql: string,
  options?: { reopen?: boolean },
): Promise<void> {
  if (!(await engine.commitWith(sql, options))) throw lost(engine, name);
}

/** `writeRowSql` as part of a longer transaction. @throws {AmberError} LOCK_LOST */
export async function writeRow(engine: Engine, row: HistoryRow): Promise<void> {
  await change(engine, row.name, writeRowSql(engine, row));
}

/** `deleteRowSql` as part of a longer transaction. @throws {AmberError} LOCK_LOST */
export async function deleteRow(engine: Engine, name: string): Promise<void> {
  await change(engine, name, deleteRowSql(engine, name));
}

/** Changes some fields of a row. @throws {AmberError} LOCK_LOST when it is gone, or the lock is. */
export async function updateRow(engine: Engine, name: string, fields: Partial<HistoryRow>): Promise<void> {
  const sets = (Object.keys(fields) as (keyof HistoryRow)[])
    .map((key) => `${columns[key]} = ${literal(fields[key], engine.dialect)}`).join(", ");
  await change(
    engine,
    name,
    `update ${engine.history} set ${sets} where name = ${
      literal(name, engine.dialect)
    } and ${engine.lockHeldSql()} returning name`,
  );
}

/** Keeps the digest in one row, the last by name, and in no other. */
export async function writeDigest(engine: Engine, last: string, digest: string): Promise<void> {
  const name = literal(last, engine.dialect);
  await engine.query(
    `update ${engine.history} set digest = case when name = ${name} then ${literal(digest, engine.dialect)} end
     where name = ${name} or digest is not null`,
  );
}

function fromRow(row: Row): HistoryRow {
  const out: Record<string, unknown> = {};
  for (const [key, column] of names) out[key] = row[column] ?? null;
  for (const key of ["splitter", "done", "statements", "durationMs"]) out[key] = Number(out[key]);
  return out as unknown as HistoryRow;
}

/** A SELECT of bare literals leaves their types open; NULLs and texts are cast. */
function typed(row: HistoryRow): string {
  const numbers = new Set<keyof HistoryRow>(["splitter", "done", "statements", "durationMs"]);
  return names.map(([key]) => `${literal(row[key], "postgres")}::${numbers.has(key) ? "integer" : "text"}`).join(", ");
}

function lost(engine: Engine, name: string): AmberError {
  return new AmberError("LOCK_LOST", {
    message: `Cannot record "${name}": the lock was lost, or another runner has recorded it meanwhile`,
    where: engine.where,
    hint: "This run's work on it was rolled back. Run the same command again.",
  });
}
