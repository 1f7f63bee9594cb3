import { type DatabaseAddress, where } from "../database_url.ts";
import type { Engine } from "../engines/engine.ts";
import { AmberError } from "../errors.ts";
import { changesCluster } from "../migrations/cluster_facts.ts";
import type { ObjectStore } from "../stores/store.ts";
import { migrate, type MigrateEvent, type MigrateOptions, type MigrateResult } from "./migrate.ts";
import { sqlmigrate } from "./sqlmigrate.ts";

/** A lock that a migration held on a table at its end, in the database's words: `AccessExclusiveLock`. */
export interface HeldTableLock {
  /** Qualified and quoted. */
  table: string;
  mode: string;
}

/** One migration that was run on the copy, and passed. */
export interface Rehearsed {
  name: string;
  direction: "up" | "down";
  durationMs: number;
  /** On tables that were there before; none is known of SQLite, nor of one outside a transaction. */
  locks: HeldTableLock[];
}

/** What is told while migrations are rehearsed. */
export type RehearseEvent = Exclude<MigrateEvent, { type: "applied" | "unapplied" | "plan" }> | {
  type: "rehearsed";
  migration: Rehearsed;
};

export interface RehearseOptions extends
  Pick<
    MigrateOptions,
    "database" | "migrations" | "target" | "allowLate" | "waitMs" | "by" | "amber" | "now" | "stop"
  > {
  report: (event: RehearseEvent) => void;
  /** The data folder: where in a snapshot a SQLite database is, is told by it. */
  data: string;
  /** Where a copy of a SQLite database lies meanwhile. */
  scratch: string;
  store: ObjectStore;
  /** Copy from this snapshot, `latest` or the beginning of an id. Default: as the database is now. */
  snapshot?: string;
  random: (size: number) => Uint8Array;
  /** Runs migrations on the copy; a command may do so in a worker. Default: here. */
  run?: (options: MigrateOptions) => Promise<MigrateResult>;
}

export interface RehearseResult {
  /** `now`, or the id of the snapshot that the copy was made from; absent when nothing is pending. */
  from?: string;
  /** How long the copy took. */
  copyMs?: number;
  migrations: Rehearsed[];
}

/**
 * Runs what is pending on a copy of the database with all its rows, and removes the copy whatever happens. The database
 * itself is only read.
 *
 * @throws {AmberError} what migrate() throws, when a migration does not pass; USAGE for one that would reach beyond the
 * copy; DATABASE_FORBIDDEN when no copy can be made.
 */
export async function rehearse(options: RehearseOptions): Promise<RehearseResult> {
  const { database, report, run = migrate } = options;
  const own = { ...options, report: (event: MigrateEvent) => passOn(event, report) };
  const { planned = [] } = await migrate({ ...own, plan: true });
  if (planned.length === 0) return { migrations: [] };
  if (database.engine === "postgres") await refuseReaching(own, planned.map(({ name }) => name));
  const { makeScratch } = await import("./rehearse_scratch.ts");
  const began = performance.now();
  await using scratch = await makeScratch(options);
  const copyMs = Math.round(performance.now() - began);
  const migrations: Rehearsed[] = [];
  const locks = new Map<string, HeldTableLock[]>();
  const tables = database.engine === "postgres" ? await tablesOf(scratch.address, options) : new Set<string>();
  try {
    await run({
      ...plain(options),
      database: scratch.address,
      ...(database.engine === "postgres"
        ? {
          beforeCommit: async (name: string, engine: Engine) => {
            locks.set(name, (await heldLocks(engine)).filter(({ table }) => tables.has(table)));
          },
        }
        : {}),
      report: (event) => {
        if (event.type !== "applied" && event.type !== "unapplied") {
          return event.type === "start" ? undefined : passOn(event, report);
        }
        const { name, durationMs } = event;
        const direction = event.type === "applied" ? "up" : "down";
        const migration: Rehearsed = { name, direction, durationMs, locks: locks.get(name) ?? [] };
        migrations.push(migration);
        report({ type: "rehearsed", migration });
      },
    });
  } catch (error) {
    throw ofRehearsal(error, database);
  }
  return { from: scratch.from, copyMs, migrations };
}

function passOn(event: MigrateEvent, report: RehearseOptions["report"]): void {
  if (isTold(event)) report(event);
}

/** A plan, and what was applied to the copy, are told in other words. */
function isTold(event: MigrateEvent): event is Extract<RehearseEvent, MigrateEvent> {
  return event.type !== "applied" && event.type !== "unapplied" && event.type !== "plan";
}

/** What migrate() takes of it: a worker can be sent no more. */
function plain({ migrations, target, allowLate, waitMs, by, amber, now, stop }: RehearseOptions) {
  return { migrations, target, allowLate, waitMs, by, amber, now, stop };
}

/** What a copy does not keep in: roles, tablespaces, other databases. */
async function refuseReaching(options: MigrateOptions, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const [shown] = await sqlmigrate({ ...options, name });
    const reaching = shown?.statements.find((text) => changesCluster({ text }));
    if (reaching === undefined) continue;
    throw new AmberError("USAGE", {
      message: `Cannot rehearse "${name}": it changes what belongs to the whole server, and no copy keeps that in: ${
        reaching.trim().split("\n")[0]!.slice(0, 80)
      }`,
      where: shown!.path,
      hint: "Rehearse up to the one before it, by its name: amber rehearse NAME",
    });
  }
}

async function tablesOf(
  address: DatabaseAddress,
  { by, stop, waitMs = 60_000 }: RehearseOptions,
): Promise<Set<string>> {
  const { openEngine } = await import("../engines/open.ts");
  const engine = await openEngine(address, { by, stop, waitMs, create: false, readOnly: true, report: () => {} });
  try {
    const rows = await engine.query(`select ${qualified} as name from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace where ${isOfUsers}`);
    return new Set(rows.map(({ name }) => String(name)));
  } finally {
    await engine.close();
  }
}

const qualified = "pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)";
const isOfUsers = "c.relkind in ('r', 'p', 'm', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'";

/** From the weakest that keeps anybody from anything to the strongest. */
const modes = [
  "RowShareLock",
  "RowExclusiveLock",
  "ShareUpdateExclusiveLock",
  "ShareLock",
  "ShareRowExclusiveLock",
  "ExclusiveLock",
  "AccessExclusiveLock",
];

/** Of each table the strongest one that this transaction holds. */
async function heldLocks(engine: Engine): Promise<HeldTableLock[]> {
  const rows = await engine.query(
    `select ${qualified} as name, l.mode from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where l.locktype = 'relation' and l.granted and l.pid = pg_catalog.pg_backend_pid() and ${isOfUsers}
      order by 1`,
  );
  const strongest = new Map<string, string>();
  for (const row of rows) {
    const [name, mode] = [String(row.name), String(row.mode)];
    if (modes.indexOf(mode) > modes.indexOf(strongest.get(name) ?? "")) strongest.set(name, mode);
  }
  return [...strongest].filter(([name]) => !/\.amber_migrations$/.test(name)).map(([table, mode]) => ({ table, mode }));
}

/** The failure as it is, but for what it says of the database: that was not touched. */
function ofRehearsal(error: unknown, database: DatabaseAddress): unknown {
  if (!(error instanceof AmberError) || ["INTERRUPTED", "TERMINATED"].includes(error.code)) return error;
  const { code, message, where: place, detail, cause } = error;
  return new AmberError(code, {
    message: `${message} (rehearsed on a copy)`,
    where: place,
    detail,
    hint: `Nothing was changed in ${where(database, { reached: true })}. Mend the file, and rehearse again.`,
    cause,
  });
}
