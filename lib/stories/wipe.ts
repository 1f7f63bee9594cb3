import type { PostgresToWipe, PostgresWipe } from "../capture/postgres/wipe.ts";
import { removeStaleLinks } from "../capture/links.ts";
import { type Contents, type HeldToEmpty, wipeCalls } from "../capture/wipe_calls.ts";
import { removeWipeDecision, type WipeDecision, writeWipeDecision } from "../capture/wipe_decision.ts";
import { type FilesToWipe, type GoingEntry, type Kept, lookAtFiles, mountPoints } from "../capture/wipe_look.ts";
import type { EngineEvent } from "../engines/engine.ts";
import { AmberError } from "../errors.ts";
import { statOrNone } from "../fs.ts";
import { carryOut, finishWipe, giveBack, inWords, lockAlone, waitOf } from "./unfinished_wipe.ts";
import { type WipePlaces, type WipeTarget, wipeTarget } from "./wipe_target.ts";
import { openPostgres, type WipeSchemas } from "./wipe_with_postgres.ts";

export type { WipePlaces } from "./wipe_target.ts";

/** What goes, and what stays. */
export interface WipePlan {
  /** The data folder, absolute. */
  data: string;
  /** What goes of it: everything in all, and by each name in the folder itself. Bytes of files. */
  files: number;
  /** How many folders. */
  folders: number;
  /** Bytes of the files. */
  bytes: number;
  /** By each name in the folder itself. */
  entries: GoingEntry[];
  /** What stays there, and why. */
  kept: Kept[];
  /** The configured database, when something is in it that goes. */
  database?: { file: string; tables: string[]; bytes: number };
  /** The configured Postgres database, when something is in it that goes. */
  postgres?: PostgresToWipe;
}

/** What is told while a wipe runs. */
export type WipeEvent =
  /** `note`: something a person should know; `waiting`: for another amber, or for a database's lock. */
  | Extract<EngineEvent, { type: "note" | "waiting" }>
  | { type: "wipe plan"; plan: WipePlan }
  /** The safety snapshot exists; `command` puts it back. */
  | { type: "safety"; id: string; command: string };

export interface WipeOptions extends WipePlaces, WipeSchemas {
  report: (event: WipeEvent) => void;
  /** Default: both. */
  selection?: { files?: boolean; database?: boolean };
  /** Stop after planning. */
  plan?: boolean;
  /** Called with the plan when something goes, before anything is done; throws to stop. */
  confirm?: (plan: WipePlan) => Promise<void> | void;
  /** Takes the safety snapshot. `held`: files of databases on which this process holds a write transaction meanwhile. */
  takeSafety: (held: ReadonlySet<string>) => Promise<{ id: string; incomplete: boolean }>;
  /** Do without a safety snapshot: only after it was confirmed. */
  noSafety?: boolean;
}

/** What has been done. */
export interface WipeResult {
  /** `nothing`: there was nothing to remove. */
  state: "wiped" | "planned" | "nothing";
  /** What went, or would go. */
  plan: WipePlan;
  /** The safety snapshot's id, and the command that puts it back. */
  safety?: string;
  /** Puts it back. */
  command?: string;
}

/**
 * Removes all data on purpose: the contents of the data folder, and everything in the configured database, which stays as
 * an empty one: of a Postgres, what is in the schemas that the app uses. A safety snapshot comes first, while nobody can
 * commit to that database. Killed before the
 * database's commit (or, when only files go, before the first of them) it has done nothing; killed after it, the next
 * command that writes finishes it.
 *
 * @throws {AmberError} USAGE, CONFIRMATION_NEEDED, SAFETY_SNAPSHOT_FAILED, RESTORE_RUNNING, DATABASE_BUSY …: nothing is
 * removed then; FILE_UNWRITABLE names what could not be removed when all else is.
 */
export async function wipe(options: WipeOptions): Promise<WipeResult> {
  const target = wipeTarget(options);
  if (!options.plan) await finishWipe(options);
  await using postgres = wantedParts(options).postgres ? await openPostgres(options) : undefined;
  const seen = await look(options, target, postgres);
  options.report({ type: "wipe plan", plan: seen.plan });
  if (options.plan) return { state: "planned", plan: seen.plan };
  if (isNothing(seen.plan)) {
    if (seen.contents?.hasRests) await giveBack(options, target, "");
    return { state: "nothing", plan: seen.plan };
  }
  await options.confirm?.(seen.plan);
  using _alone = await lockAlone(options, target);
  refuseRestore(target);
  return await wipeLocked(options, target, seen.plan.postgres && postgres);
}

async function wipeLocked(
  options: WipeOptions,
  target: WipeTarget,
  postgres: PostgresWipe | undefined,
): Promise<WipeResult> {
  const { calls = wipeCalls, report, stop } = options;
  removeStaleLinks(target.root);
  using held = await holdDatabase(options, target);
  await postgres?.hold();
  const safety = options.noSafety ? undefined : await keepSafe(options, held ? new Set([held.file]) : new Set());
  // An empty Postgres database gets its tables by the snapshot's own schema.
  const command = safety === undefined ? undefined : `amber restore ${safety}${postgres ? " --schema" : ""}`;
  if (safety !== undefined) report({ type: "safety", id: safety, command: command! });
  stop.throwIfAborted();
  const files = lookAtOwnFiles(options, target);
  const plan = planOf(target, files, held?.contents, postgres);
  const decision: WipeDecision = {
    id: options.random(16).toHex(),
    time: options.now().toISOString(),
    ...(safety === undefined ? {} : { safety }),
    root: target.root,
    ...(held ? { database: held.file } : {}),
    ...(postgres ? { postgres: postgres.plan.database } : {}),
    going: files.going,
  };
  const isOneCommit = postgres !== undefined && files.going.length === 0;
  try {
    if (!isOneCommit) inWords(() => writeWipeDecision(target.scratch, decision, calls));
    if (held) await calls.empty(held.database, decision.id, waitOf(options));
    await postgres?.empty(isOneCommit ? undefined : decision.id);
  } catch (error) {
    // Whether a commit came through before the connection broke is seen by whoever writes next.
    if (!(error instanceof AmberError) || error.code !== "DATABASE_LOST") removeWipeDecision(target.scratch, calls);
    throw error;
  }
  held?.letGo();
  if (!isOneCommit) await carryOut(options, target, decision, files, postgres && (() => postgres.end()));
  return {
    state: "wiped",
    plan,
    ...(safety === undefined ? {} : { safety, command: command! }),
  };
}

interface Seen {
  plan: WipePlan;
  contents?: Contents;
}

async function look(
  options: WipeOptions,
  target: WipeTarget,
  postgres: PostgresWipe | undefined,
): Promise<Seen> {
  const { calls = wipeCalls } = options;
  const files = lookAtOwnFiles(options, target);
  const contents = wantedParts(options).database && target.database !== undefined
    ? await calls.lookAtContents(target.database, waitOf(options))
    : undefined;
  return { plan: planOf(target, files, contents, postgres), ...(contents ? { contents } : {}) };
}

function lookAtOwnFiles(options: WipeOptions, { root, whyKept }: WipeTarget): FilesToWipe {
  const { calls = wipeCalls } = options;
  if (wantedParts(options).files) return lookAtFiles({ calls, root, whyKept, mounts: mountPoints() });
  return { going: [], entries: [], kept: [], files: 0, folders: 0, bytes: 0 };
}

function planOf(
  { root, database }: WipeTarget,
  found: FilesToWipe,
  contents: Contents | undefined,
  postgres: PostgresWipe | undefined,
): WipePlan {
  const { files, folders, bytes, entries, kept } = found;
  return {
    ...{ data: root, files, folders, bytes, entries, kept },
    ...(contents && !contents.isEmpty
      ? { database: { file: database!, tables: contents.tables, bytes: contents.size } }
      : {}),
    ...(postgres && !postgres.isEmpty ? { postgres: postgres.plan } : {}),
  };
}

function isNothing({ files, folders, database, postgres }: WipePlan): boolean {
  return files === 0 && folders === 0 && database === undefined && postgres === undefined;
}

function wantedParts({ selection: { files, database } = {}, ...options }: WipeOptions) {
  const isAll = !files && !database;
  const isWanted = isAll || database === true;
  return {
    files: isAll || files === true,
    database: isWanted && options.database.engine === "sqlite",
    postgres: isWanted && options.database.engine === "postgres",
  };
}

interface HeldFile extends Disposable {
  database: HeldToEmpty;
  file: string;
  contents: Contents;
  letGo: () => void;
}

/** Nobody commits to it from now on; no migration is at work in it either. */
async function holdDatabase(options: WipeOptions, target: WipeTarget): Promise<HeldFile | undefined> {
  const { calls = wipeCalls } = options;
  const file = target.database;
  if (!wantedParts(options).database || file === undefined) return undefined;
  const wait = waitOf(options);
  const contents = await calls.lookAtContents(file, wait);
  if (!contents || contents.isEmpty) return undefined;
  const migration = await holdMigrations(options);
  try {
    const database = await calls.holdToEmpty(file, wait);
    let isHeld = true;
    const letGo = () => {
      database[Symbol.dispose]();
      if (isHeld) migration?.release();
      isHeld = false;
    };
    return { database, file, contents, letGo, [Symbol.dispose]: letGo };
  } catch (error) {
    migration?.release();
    throw error;
  }
}

/** Between two commits of a migration the database is free, and still not to be touched. @throws {AmberError} LOCK_HELD */
async function holdMigrations(options: WipeOptions): Promise<{ release: () => void } | undefined> {
  const { calls = wipeCalls, stop, report, database } = options;
  const path = database.engine === "sqlite" ? `${database.path}.amber-lock` : "";
  if (path === "" || !statOrNone(path)) return undefined;
  try {
    return await calls.takeLockFile(path, waitOf(options).waitMs, {
      stop,
      by: "amber wipe",
      report: (event) => event.type === "waiting" && report(event),
    });
  } catch (cause) {
    if (!(cause instanceof AmberError) || cause.code !== "LOCK_HELD") throw cause;
    const { message, where, hint } = cause;
    throw new AmberError("LOCK_HELD", {
      message: message.replace(/^Cannot migrate/, "Cannot wipe"),
      where,
      hint,
      cause,
    });
  }
}

/** @throws {AmberError} SAFETY_SNAPSHOT_FAILED */
async function keepSafe(options: WipeOptions, held: ReadonlySet<string>): Promise<string> {
  const hint = "Mend that first. To wipe without a way back: amber wipe --no-safety --confirm NAME";
  let taken: { id: string; incomplete: boolean };
  try {
    taken = await options.takeSafety(held);
  } catch (cause) {
    options.stop.throwIfAborted();
    throw new AmberError("SAFETY_SNAPSHOT_FAILED", {
      message: `Cannot wipe: what is there now cannot be kept in a safety snapshot. ${
        cause instanceof Error ? cause.message : cause
      }`,
      ...(cause instanceof AmberError && cause.where !== undefined ? { where: cause.where } : {}),
      hint,
      cause,
    });
  }
  if (taken.incomplete) {
    throw new AmberError("SAFETY_SNAPSHOT_FAILED", {
      message:
        `Cannot wipe: the safety snapshot ${taken.id} of what is there now is incomplete, some files could not be read`,
      hint,
    });
  }
  return taken.id;
}

/** Commands finish an interrupted restore before they begin: this one came in between. */
function refuseRestore({ scratch }: WipeTarget): void {
  if (!statOrNone(`${scratch}/restore/plan.json`)) return;
  throw new AmberError("RESTORE_UNFINISHED", {
    message: "Cannot wipe: a restore was interrupted here and is not finished yet",
    where: `${scratch}/restore/plan.json`,
    hint: "Run this once more: it finishes that restore first. To drop it instead: amber restore --discard",
  });
}
