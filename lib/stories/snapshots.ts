import type { AmberError } from "../errors.ts";
import { type Drill, readDrills } from "../repository/drills.ts";
import { Repository } from "../repository/repository.ts";
import {
  type DatabaseFacts,
  idOf,
  type Kind,
  type PostgresFacts,
  readName,
  type Snapshot,
} from "../repository/snapshot_file.ts";
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
  /** The Postgres database, when it is in it. */
  postgres?: Pick<PostgresFacts, "name" | "server" | "bytes" | "rows" | "migrations">;
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
  /** Both, in the order in which they were taken, as far as that is known. */
  all: (ShownSnapshot | DamagedSnapshot)[];
  /** What else is not as it should be: drill results that cannot be read. */
  notes: string[];
}

/** Every snapshot of a repository. One that cannot be read hides no other. @throws {AmberError} REPOSITORY_*, STORE_* */
export async function listSnapshots(store: ObjectStore): Promise<SnapshotList> {
  const repository = await Repository.open(store);
  const broken: AmberError[] = [];
  const notes: string[] = [];
  const found = await repository.snapshots({ damaged: (error) => broken.push(error) });
  const drills = await readDrills(store, ({ message }) => notes.push(message));
  const snapshots = found.map((one) => showSnapshot(one, drills.get(one.hash)));
  const damaged = broken.map(describeDamaged);
  const all = together(
    found.map(({ time, parent }, index) => ({ time, parent, shown: snapshots[index]! })),
    broken.map((error, index) => ({ hash: nameOfDamaged(error).hash, shown: damaged[index]! })),
  );
  return { snapshots, damaged, all, notes };
}

/**
 * A damaged one is known by its name alone, which has the second and no more: it stands before the one that names it as
 * its parent, else behind all of its second.
 */
function together(
  sound: readonly { time: string; parent?: string; shown: ShownSnapshot }[],
  damaged: readonly { hash?: string; shown: DamagedSnapshot }[],
): (ShownSnapshot | DamagedSnapshot)[] {
  const all: { time: string; parent?: string; shown: ShownSnapshot | DamagedSnapshot }[] = [...sound];
  for (const { hash, shown } of damaged) {
    const child = all.findIndex(({ parent }) => parent !== undefined && parent === hash);
    const later = all.findIndex(({ time }) => time.slice(0, 19) > shown.time.slice(0, 19));
    const index = child >= 0 ? child : later >= 0 ? later : all.length;
    all.splice(index, 0, { time: shown.time, shown });
  }
  return all.map(({ shown }) => shown);
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
    ...(facts.postgres ? { postgres: showPostgres(facts.postgres) } : {}),
    ...(drill ? { drill: showDrill(drill) } : {}),
    by,
    amber,
    durationMs,
  };
}

export function showDrill({ time, ok, problems }: Drill): ShownDrill {
  return { time, ok, problems };
}

function describeDamaged(error: AmberError): DamagedSnapshot {
  const { name, hash, time = "" } = nameOfDamaged(error);
  return { id: hash === undefined ? name : idOf({ hash }), time, code: error.code, message: error.message };
}

function nameOfDamaged({ where }: AmberError): { name: string; time?: string; hash?: string } {
  const name = where?.replace(/^.*\//, "").replace(/\.json$/, "") ?? "";
  return { name, ...readName(name) };
}

function showPostgres({ name, server, bytes, rows, migrations }: PostgresFacts): ShownSnapshot["postgres"] {
  return { name, server, bytes, rows, ...(migrations ? { migrations } : {}) };
}

/** The migration that a snapshot stands at: that of the configured database. */
export function migrationOf(
  { databases, postgres }: Pick<ShownSnapshot, "databases" | "postgres">,
): DatabaseFacts["migrations"] {
  if (postgres) return postgres.migrations;
  return databases.find(({ configured }) => configured)?.migrations;
}
