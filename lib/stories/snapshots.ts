import type { AmberError } from "../errors.ts";
import { type Drill, readDrills } from "../repository/drills.ts";
import { Repository } from "../repository/repository.ts";
import { type DatabaseFacts, idOf, type Kind, readName, type Snapshot } from "../repository/snapshot_file.ts";
import type { ObjectStore } from "../stores/store.ts";
import { isIncomplete } from "./snapshot.ts";

/** One snapshot as lists show it. */
export interface ShownSnapshot {
  /** The beginning of its hash. */
  id: string;
  /** 64 hex digits. */
  hash: string;
  /** ISO 8601. */
  time: string;
  /** What it was taken for. */
  kind: Kind;
  /** For a safety one: what it was taken before. */
  before?: string;
  /** Words that it was taken with. */
  tags: string[];
  /** How many files are in it, databases among them. */
  files: number;
  /** How many folders. */
  folders: number;
  /** Bytes of everything in it; bytes that it added to the repository. */
  bytes: number;
  /** Bytes that it added to the repository. */
  stored: number;
  /** Some files changed while being read, or could not be read. */
  incomplete: boolean;
  /** Each database with its rows and migrations. */
  databases: Pick<DatabaseFacts, "path" | "configured" | "rows" | "migrations">[];
  /** The newest drill of it; absent: it was not tried. */
  drill?: ShownDrill;
  /** user@host */
  by: string;
  /** amber's version. */
  amber: string;
  /** How long it took. */
  durationMs: number;
}

/** What a drill found. */
export type ShownDrill = Pick<Drill, "time" | "ok" | "problems">;

/** A snapshot file that cannot be read. */
export interface DamagedSnapshot {
  id: string;
  /** ISO 8601, by the file's name. */
  time: string;
  code: AmberError["code"];
  message: string;
}

export interface SnapshotList {
  /** The oldest first. */
  snapshots: ShownSnapshot[];
  damaged: DamagedSnapshot[];
  /** What else is not as it should be: drill results that cannot be read. */
  notes: string[];
}

/** Every snapshot of a repository. One that cannot be read hides no other. @throws {AmberError} REPOSITORY_*, STORE_* */
export async function listSnapshots(store: ObjectStore): Promise<SnapshotList> {
  const repository = await Repository.open(store);
  const damaged: DamagedSnapshot[] = [];
  const notes: string[] = [];
  const found = await repository.snapshots({ damaged: (error) => damaged.push(describeDamaged(error)) });
  const drills = await readDrills(store, ({ message }) => notes.push(message));
  return { snapshots: found.map((one) => showSnapshot(one, drills.get(one.hash))), damaged, notes };
}

export function showSnapshot(snapshot: Snapshot, drill?: Drill): ShownSnapshot {
  const { hash, time, kind, facts } = snapshot;
  const { before, tags, files, folders, bytes, stored, remarks, databases, by, amber, durationMs } = facts;
  return {
    id: idOf(snapshot),
    hash,
    time,
    kind,
    ...(before === undefined ? {} : { before }),
    tags,
    files,
    folders,
    bytes,
    stored,
    incomplete: isIncomplete(remarks),
    databases: databases.map(({ path, configured, rows, migrations }) => {
      return { path, configured, rows, ...(migrations ? { migrations } : {}) };
    }),
    ...(drill ? { drill: showDrill(drill) } : {}),
    by,
    amber,
    durationMs,
  };
}

export function showDrill({ time, ok, problems }: Drill): ShownDrill {
  return { time, ok, problems };
}

function describeDamaged({ code, message, where }: AmberError): DamagedSnapshot {
  const name = where?.replace(/^.*\//, "").replace(/\.json$/, "") ?? "";
  const known = readName(name);
  return { id: known ? idOf(known) : name, time: known?.time ?? "", code, message };
}

/** The migration that a snapshot stands at: that of the configured database. */
export function migrationOf({ databases }: Pick<ShownSnapshot, "databases">): DatabaseFacts["migrations"] {
  return databases.find(({ configured }) => configured)?.migrations;
}
