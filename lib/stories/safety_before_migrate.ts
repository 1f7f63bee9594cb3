import { formatBytes } from "../bytes.ts";
import type { Engine } from "../engines/engine.ts";
import { AmberError } from "../errors.ts";
import { sizeOf } from "../fs.ts";
import { label } from "../variables.ts";
import type { SafetyEvent, SafetySettings } from "./safety_snapshot.ts";
import type { Held, MigrateOptions, MigrateResult } from "./migrate.ts";

/** Which plans a safety snapshot is taken before, and who says so: plain values, which a worker can be sent. */
export interface SafetyBefore {
  settings: SafetySettings;
  /** `always`: before every plan on a database with rows, whatever its size. */
  mode: "risky" | "always";
  /** Where that is from, as Setting says it. Who says it, and not the default, is not migrated without one. */
  source: string;
  /** The repository lies where the default puts it, in a Postgres app's container: it may be gone tomorrow. */
  isPassing?: boolean;
}

/** Bytes of the database up to which `risky` takes one: 5 GB take about a minute, and nobody can write meanwhile. */
export const limitBytes = 5_000_000_000;

const variable = "AMBER_SNAPSHOT_BEFORE_MIGRATE";

/**
 * Why none can be taken of this database; undefined when nothing is known against it.
 *
 * @param serverBytes Of a Postgres database, as serverBytesOf() gives it.
 */
export function whyNoSafety(safety: SafetyBefore, serverBytes?: number): string | undefined {
  const { mode, settings: { database, repository }, isPassing } = safety;
  if (isPassing) {
    return `AMBER_REPOSITORY is not set, and what lies in "${repository}" may be gone tomorrow`;
  }
  const size = database.engine === "postgres"
    ? serverBytes ?? 0
    : sizeOf(database.path) + sizeOf(`${database.path}-wal`);
  if (mode === "always" || size <= limitBytes) return undefined;
  return `the database has ${formatBytes(size)}, and "risky" takes one up to ${formatBytes(limitBytes)}`;
}

/** What the server says that its database takes; undefined on SQLite, whose file says so. */
export async function serverBytesOf(engine: Engine): Promise<number | undefined> {
  if (engine.dialect !== "postgres") return undefined;
  const [row] = await engine.query("select pg_catalog.pg_database_size(pg_catalog.current_database())::text as bytes");
  return Number(row?.bytes);
}

/**
 * What `beforeRisky` does: takes the safety snapshot while this process holds the migration lock (on SQLite the
 * database's write lock), and says with which command it is put back. Undefined when there is none and nobody insisted on
 * one. On Postgres it is read through a connection of its own, which meets no lock of ours: the work has not begun.
 *
 * A snapshot in which files are missing counts: a migration changes the database, and that is whole in it, or there is no
 * snapshot. Not to migrate would stop every deployment for one file that belongs to somebody else; so it is said.
 *
 * @throws {AmberError} SAFETY_SNAPSHOT_FAILED when somebody set the variable or the flag, and it cannot be taken.
 */
export async function takeSafetyBefore(
  safety: SafetyBefore,
  run: Pick<MigrateOptions, "waitMs" | "by" | "amber" | "now" | "stop"> & { report: (event: SafetyEvent) => void },
  { engine }: Held,
): Promise<string | undefined> {
  const { settings } = safety;
  const why = whyNoSafety(safety, await serverBytesOf(engine));
  if (why !== undefined) return without(safety, why, undefined, run.report);
  try {
    // Loaded only now: a plan that is not risky shall not pay for it.
    const { takeSafety } = await import("./safety_snapshot.ts");
    const held = settings.database.engine === "sqlite" ? [Deno.realPathSync(settings.database.path)] : [];
    const { id, incomplete } = await takeSafety(settings, { ...run, before: "migrate", held: new Set(held) });
    run.report({ type: "safety", id, command: `amber restore ${id}` });
    if (incomplete) {
      const message =
        `the safety snapshot ${id} is not of every file: some could not be read. The database is whole in it`;
      run.report({ type: "note", message });
    }
    return id;
  } catch (cause) {
    run.stop.throwIfAborted();
    return without(safety, cause instanceof Error ? cause.message : String(cause), cause, run.report);
  }
}

function without(
  safety: SafetyBefore,
  why: string,
  cause: unknown,
  report: (event: SafetyEvent) => void,
): undefined {
  const { source, mode, isPassing } = safety;
  if (source === "default") {
    report({
      type: "note",
      message: `no safety snapshot is taken: ${why}. Migrating all the same; ${variable}=risky would not`,
    });
    return;
  }
  const known = cause instanceof AmberError ? cause : undefined;
  const ways = isPassing
    ? "Set AMBER_REPOSITORY to a folder that lasts. "
    : cause === undefined
    ? `${variable}=always (--snapshot always) takes one of any size. `
    : "";
  throw new AmberError("SAFETY_SNAPSHOT_FAILED", {
    message: `Cannot migrate: ${
      label(variable, source)
    } asks for a safety snapshot (${mode}), and none can be taken: ${why}`,
    ...(known?.where === undefined ? {} : { where: known.where }),
    hint: `${known?.hint ? `${known.hint} ` : ways}To migrate without one: --snapshot never`,
    cause,
  });
}

/**
 * A failure after the snapshot was taken says how to go back to what was there before.
 *
 * @param id The snapshot's.
 */
export function withWayBack(error: unknown, id: string, dialect: Engine["dialect"]): unknown {
  if (!(error instanceof AmberError)) return error;
  const { code, message, where, hint, detail, cause } = error;
  return new AmberError(code, {
    message: `${message} (what was there before is in snapshot ${id})`,
    hint: `${hint === undefined ? "" : `${hint}\n`}To put back what was there before: amber restore ${id}${
      dialect === "postgres" ? `. ${otherSchema(id)}` : ""
    }`,
    ...{ where, detail, cause },
  });
}

/** Rows go back into the tables that they were in: what to do on Postgres when a migration changed those. */
export function otherSchema(id: string): string {
  return `If a migration has changed the tables since: amber wipe --database, then amber restore ${id} --schema`;
}

/** On Postgres, of a run that went well: whether its snapshot's rows may find other tables now. */
export function wayBackOf({ snapshot, applied, unapplied }: MigrateResult, dialect: Engine["dialect"]): string[] {
  if (snapshot === undefined) return [];
  const isChanged = dialect === "postgres" && applied.length + unapplied.length > 0;
  return [
    `What was there before is in snapshot ${snapshot}. To put it back: amber restore ${snapshot}`,
    ...(isChanged ? [otherSchema(snapshot)] : []),
  ];
}
