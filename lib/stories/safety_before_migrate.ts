import { formatBytes } from "../bytes.ts";
import { AmberError } from "../errors.ts";
import { sizeOf } from "../fs.ts";
import { label } from "../variables.ts";
import type { SafetyEvent, SafetySettings } from "./safety_snapshot.ts";
import type { MigrateOptions } from "./migrate.ts";

/** Which plans a safety snapshot is taken before, and who says so: plain values, which a worker can be sent. */
export interface SafetyBefore {
  settings: SafetySettings;
  /** `always`: before every plan on a database with rows, whatever its size. */
  mode: "risky" | "always";
  /** Where that is from, as Setting says it. Who says it, and not the default, is not migrated without one. */
  source: string;
}

/** Bytes of the database up to which `risky` takes one: 5 GB take about a minute, and nobody can write meanwhile. */
export const limitBytes = 5_000_000_000;

const variable = "AMBER_SNAPSHOT_BEFORE_MIGRATE";

/** Why none can be taken of this database; undefined when nothing is known against it. */
export function whyNoSafety({ mode, settings: { database } }: SafetyBefore): string | undefined {
  if (database.engine === "postgres") return "this version takes no snapshot of a Postgres database";
  const size = sizeOf(database.path) + sizeOf(`${database.path}-wal`);
  if (mode === "always" || size <= limitBytes) return undefined;
  return `the database has ${formatBytes(size)}, and "risky" takes one up to ${formatBytes(limitBytes)}`;
}

/**
 * What `beforeRisky` does: takes the safety snapshot while this process holds the database's write lock, and says with
 * which command it is put back. Undefined when there is none and nobody insisted on one.
 *
 * A snapshot in which files are missing counts: a migration changes the database, and that is whole in it, or there is no
 * snapshot. Not to migrate would stop every deployment for one file that belongs to somebody else; so it is said.
 *
 * @throws {AmberError} SAFETY_SNAPSHOT_FAILED when somebody set the variable or the flag, and it cannot be taken.
 */
export async function takeSafetyBefore(
  safety: SafetyBefore,
  run: Pick<MigrateOptions, "waitMs" | "by" | "amber" | "now" | "stop"> & { report: (event: SafetyEvent) => void },
): Promise<string | undefined> {
  const { settings } = safety;
  const why = whyNoSafety(safety);
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
  { source, mode }: SafetyBefore,
  why: string,
  cause: unknown,
  report: (event: SafetyEvent) => void,
): undefined {
  if (source === "default") {
    report({
      type: "note",
      message: `no safety snapshot is taken: ${why}. Migrating all the same; ${variable}=risky would not`,
    });
    return;
  }
  const known = cause instanceof AmberError ? cause : undefined;
  const limit = cause === undefined ? `${variable}=always (--snapshot always) takes one of any size. ` : "";
  throw new AmberError("SAFETY_SNAPSHOT_FAILED", {
    message: `Cannot migrate: ${
      label(variable, source)
    } asks for a safety snapshot (${mode}), and none can be taken: ${why}`,
    ...(known?.where === undefined ? {} : { where: known.where }),
    hint: `${known?.hint ? `${known.hint} ` : limit}To migrate without one: --snapshot never`,
    cause,
  });
}

/** A failure after the snapshot was taken says how to go back to what was there before. */
export function withWayBack(error: unknown, id: string): unknown {
  if (!(error instanceof AmberError)) return error;
  const { code, message, where, hint, detail, cause } = error;
  return new AmberError(code, {
    message: `${message} (what was there before is in snapshot ${id})`,
    hint: `${hint === undefined ? "" : `${hint}\n`}To put back what was there before: amber restore ${id}`,
    ...{ where, detail, cause },
  });
}
