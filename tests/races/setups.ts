/** The databases that races and kills happen on: each engine in each way to reach it. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type PgBouncer, type PgBouncerOptions, startPgBouncer } from "../support/pgbouncer.ts";
import { type PostgresDatabases, sharedPostgres } from "../support/postgres.ts";
import type { Need } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";

export type Row = Record<string, unknown>;

/** An empty database, gone at the end of the scope. */
export interface Place extends AsyncDisposable {
  dialect: "postgres" | "sqlite";
  /** What amber finds in its environment. */
  env: Record<string, string>;
  /** For schemaFingerprint(): never through a pooler. */
  address: string;
  /** Runs SQL beside amber and gives the last statement's rows. */
  sql(text: string): Promise<Row[]>;
  /** The same for one query that leaves what a killed program left: a reader of the file would roll its journal back. */
  peek(text: string): Promise<Row[]>;
  /**
   * Nothing of amber is left: no session that does something, no lock, no lock file, no INVALID index. A file that a run
   * left when it was killed with all its work done may stay: nobody holds it.
   */
  refuseLeftovers(options?: { wasKilled?: boolean }): Promise<void>;
}

export interface Setup {
  name: string;
  dialect: Place["dialect"];
  needs: Need[];
  open(): Promise<Place>;
}

/** Postgres, reached directly. */
export const direct: Setup = {
  name: "Postgres direct",
  dialect: "postgres",
  needs: ["postgres"],
  open: async () => await postgresPlace(await sharedPostgres()),
};

/** Postgres behind a PgBouncer of its own, in transaction mode with the default pool of 20. */
export const pooled = pooledWith({ poolMode: "transaction" });

export const wal: Setup = { name: "SQLite WAL", dialect: "sqlite", needs: [], open: () => sqlitePlace("wal") };
export const rollback: Setup = {
  name: "SQLite rollback",
  dialect: "sqlite",
  needs: [],
  open: () => sqlitePlace("delete"),
};

export function pooledWith(options: PgBouncerOptions): Setup {
  return {
    name: "PgBouncer transaction mode",
    dialect: "postgres",
    needs: ["pgbouncer"],
    open: async () => {
      const server = await sharedPostgres();
      const bouncer = await startPgBouncer(server, options);
      try {
        return await postgresPlace(server, bouncer);
      } catch (error) {
        await bouncer[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
}

async function postgresPlace(server: PostgresDatabases, bouncer?: PgBouncer): Promise<Place> {
  const database = await server.database();
  return {
    dialect: "postgres",
    env: { DATABASE_URL: (bouncer ?? server).url(database.name) },
    address: database.url,
    sql: database.sql,
    peek: database.sql,
    async refuseLeftovers() {
      // The server notices a closed connection a moment later.
      const left = await eventually(
        () =>
          database.sql(
            `select pid, application_name, state, query from pg_stat_activity where datname = current_database()
               and pid <> pg_backend_pid() and ${bouncer ? "state is distinct from 'idle'" : "true"}`,
          ),
        (rows) => rows.length === 0,
      );
      assert.deepEqual(left, [], "sessions are left");
      const locks = `select locktype, pid from pg_locks join pg_database d on d.oid = pg_locks.database
        where locktype = 'advisory' and datname = current_database()`;
      assert.deepEqual(await database.sql(locks), [], "advisory locks are left");
      assert.deepEqual(await invalidIndexes(database), [], "INVALID indexes are left");
    },
    async [Symbol.asyncDispose]() {
      await bouncer?.[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}

export async function invalidIndexes(database: { sql(text: string): Promise<Row[]> }): Promise<Row[]> {
  return await database.sql("select indexrelid::regclass::text as name from pg_index where not indisvalid");
}

async function sqlitePlace(mode: "wal" | "delete"): Promise<Place> {
  const folder = await tempFolder();
  const path = folder.path("app.sqlite");
  using database = new DatabaseSync(path);
  database.exec(`pragma journal_mode = ${mode}; create table made_before (x)`);
  return sqliteAt(path, () => folder[Symbol.asyncDispose]());
}

/** A SQLite database at a path, present or not. */
export function sqliteAt(path: string, dispose: () => PromiseLike<void>): Place {
  return {
    dialect: "sqlite",
    env: { DATABASE_URL: `sqlite:${path}` },
    address: path,
    sql: (text) => {
      using database = new DatabaseSync(path, { timeout: 10_000 });
      const statements = text.split(";").map((part) => part.trim()).filter((part) => part !== "");
      for (const statement of statements.slice(0, -1)) database.exec(statement);
      return Promise.resolve(database.prepare(statements.at(-1)!).all().map((row) => ({ ...row })));
    },
    async peek(text) {
      await using copy = await tempFolder();
      for (const ending of ["", "-journal", "-wal"]) {
        await Deno.copyFile(path + ending, copy.path(`copy${ending}`)).catch((error) => {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
        });
      }
      using database = new DatabaseSync(copy.path("copy"));
      return database.prepare(text).all().map((row) => ({ ...row }));
    },
    async refuseLeftovers({ wasKilled = false } = {}) {
      const lockFile = `${path}.amber-lock`;
      if (wasKilled && await exists(lockFile)) {
        using file = await Deno.open(lockFile, { write: true });
        assert.ok(file.tryLockSync(true), "somebody holds the lock file");
        return;
      }
      assert.equal(await exists(lockFile), false, "the lock file is left");
      if (!wasKilled) assert.equal(await exists(`${path}-journal`), false, "a journal is left");
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** Asks until the answer is good, for ten seconds; gives the last one. */
export async function eventually<T>(ask: () => Promise<T>, isGood: (answer: T) => boolean, limitMs = 10_000) {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (isGood(answer) || Date.now() > deadline) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
}
