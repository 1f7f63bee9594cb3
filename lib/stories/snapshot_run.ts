import { AmberError } from "../errors.ts";
import { openAttributes } from "../capture/attributes.ts";
import { Copies } from "../capture/database_copies.ts";
import { findDatabases } from "../capture/find_databases.ts";
import { type Instant, type InstantOptions, takeInstant } from "../capture/instant.ts";
import { openRegular } from "../capture/regular_file.ts";
import type { Scanned } from "../capture/scan.ts";
import { walk } from "../capture/walk_data.ts";
import { Packer } from "../repository/packer.ts";
import { packName } from "../repository/pack.ts";
import { forget } from "../repository/prune.ts";
import type { BlockPool } from "../repository/pool.ts";
import { SnapshotReader } from "../repository/reader.ts";
import type { Repository } from "../repository/repository.ts";
import {
  encodeSnapshot,
  type PackRef,
  readName,
  type Remark,
  type Snapshot,
  type SnapshotFacts,
} from "../repository/snapshot_file.ts";
import { fileBlockSize, postgresPrefix } from "../repository/tree.ts";
import { copyForward } from "./copy_forward.ts";
import { FactsReader } from "./database_facts.ts";
import { KnownContent } from "./known_content.ts";
import { Partials, StartOver } from "./partial.ts";
import { readParentIndex } from "./parent_index.ts";
import type { SnapshotOptions } from "./snapshot.ts";
import type { PostgresMoment } from "../capture/postgres/contents.ts";
import type { Places } from "./snapshot_places.ts";
import { storeEntries } from "./store_entries.ts";
import { packsInUse, type StoredEntry, storeTree } from "./stored_tree.ts";

/** One attempt, and what it is given. */
export interface Attempt {
  options: SnapshotOptions;
  random: (size: number) => Uint8Array;
  places: Places;
  repository: Repository;
  /** The newest snapshot, and when the store was known to have it: the store's clock, ms. */
  parent?: Snapshot;
  seenMs: number;
  pool: BlockPool;
  /** Hashes of packs that were found to be missing or damaged; an attempt adds to them. */
  missing: Set<string>;
  /** Names of the partial snapshots that this run has written. */
  ours: Set<string>;
}

/** Remarks of one kind that are kept; more are counted. */
const remarkLimit = 1_000;

/**
 * Stores one instant and commits it.
 *
 * @throws {StartOver} when it has to be done once more; OBJECT_MISSING, OBJECT_DAMAGED when the parent cannot be read.
 */
export async function runSnapshot(attempt: Attempt): Promise<Snapshot> {
  const { options, repository, parent, pool, missing, random, places } = attempt;
  const started = performance.now();
  const parentMs = parent && await repository.storedAt(parent.name);
  if (parent && parentMs === undefined) throw new StartOver("the snapshot that it built on has gone");
  const reader = parent && new SnapshotReader(repository.store, parent, pool);
  const known = new KnownContent(reader, { without: numbersOf(parent?.packs ?? [], missing) });
  const excluded = new Map<string, Set<string>>();
  await using moment = await postgresMoment(options);
  await using instant = await takeInstant({ ...await instantOptions(attempt, known, excluded), postgres: moment });
  const postgres = await moment?.read().catch((error) => {
    // Views and functions are not locked: one that was dropped meanwhile can no longer be read.
    if (error instanceof AmberError && error.code === "DATABASE_BUSY") return undefined;
    throw error;
  });
  if (moment && !postgres) throw new StartOver("objects of the Postgres database were made or dropped meanwhile");
  const packer = new Packer(repository.store, pool, { firstNumber: nextNumber(parent), random });
  await using facts = new FactsReader(instant, parent);
  using copies = new Copies(places.scratch, random, instant);
  await copies.make((database) => facts.begin(database));
  facts.beginAll();
  const remarks = [...instant.remarks, ...copies.remarks, ...attributeRemarks(instant, places)];
  const description = {
    data: options.data,
    by: options.by,
    amber: options.amber,
    tags: [...options.tags ?? []],
    ...(options.before === undefined ? {} : { before: options.before }),
    excluded: Object.fromEntries([...excluded].map(([pattern, paths]) => [pattern, paths.size])),
  };
  const time = instant.time.toISOString();
  const partials = new Partials({
    repository,
    packer,
    known,
    time,
    facts: { ...description, files: 0, folders: 0, bytes: 0, databases: [], remarks: [], durationMs: 0 },
    everyBytes: options.partialBytes ?? 64 << 20,
    everyMs: options.partialMs,
    seenMs: attempt.seenMs,
    parentMs,
    ours: attempt.ours,
    now: () => performance.now(),
  });
  const entries = await storeEntries({
    instant,
    postgres,
    imageOf: (database) => copies.imageOf(database),
    parentTimeMs: parent ? Date.parse(parent.time) : 0,
    remark: (remark) => remarks.push(remark),
    open: options.openFile ?? openRegular,
    small: new Uint8Array(fileBlockSize),
    trace: (done, begun) => partials.note(done, begun),
    packer,
    pool,
    known,
    stop: options.stop,
    read: progressOf(options, instant, postgres?.estimate ?? 0),
  });
  known.end();
  const leaving = await copyForward(entries, known, packer);
  const tree = await storeTree(entries, known, packer, leaving);
  await packer.flush();
  const packs = packsInUse(entries, tree, [...parent?.packs ?? [], ...packer.packs]);
  if (await noteMissing(repository, packs, missing)) throw new StartOver("packs that it relied on are gone");
  const databases = await facts.all();
  const bytes = encodeSnapshot({
    kind: options.kind ?? "ordinary",
    time,
    ...(parent ? { parent: parent.hash } : {}),
    packs,
    facts: {
      ...description,
      ...countsOf(entries),
      tree,
      stored: packer.stored,
      databases,
      ...(postgres ? { postgres: postgres.facts() } : {}),
      remarks: shorten(remarks),
      durationMs: Math.round(performance.now() - started),
    },
  });
  options.stop.throwIfAborted();
  // The snapshot file goes last: until it exists nothing refers to the packs, so a crash here costs space and nothing else.
  const snapshot = await partials.commit(bytes);
  try {
    await partials.end();
    await forgetPartials(repository, parent);
  } catch (error) {
    // The snapshot exists; what is left over goes with the next one, or when prune is run.
    if (!(error instanceof AmberError)) throw error;
    options.report({ type: "note", message: error.message });
  }
  return snapshot;
}

/** The driver is loaded only for Postgres. */
async function postgresMoment(options: SnapshotOptions): Promise<PostgresMoment | undefined> {
  if (options.database.engine !== "postgres") return undefined;
  const { PostgresMoment } = await import("../capture/postgres/contents.ts");
  return new PostgresMoment(options.database, options);
}

/**
 * The traces of killed runs that this one went on with have done their work. Forgotten, not withdrawn: should one of those
 * runs still be under way, its packs stay for a day more.
 */
async function forgetPartials(repository: Repository, parent: Snapshot | undefined): Promise<void> {
  const names = new Map((await repository.names()).map((name) => [readName(name)!.hash, name]));
  for (let one = parent; one?.kind === "partial";) {
    await forget(repository.store, [one.name]);
    const before = one.parent && names.get(one.parent);
    one = before === undefined ? undefined : await repository.read(before);
  }
}

function nextNumber(parent: Snapshot | undefined): number {
  return 1 + (parent?.packs ?? []).reduce((most, { number }) => Math.max(most, number), 0);
}

function numbersOf(packs: readonly PackRef[], hashes: ReadonlySet<string>): Set<number> {
  return new Set(packs.filter(({ hash }) => hashes.has(hash)).map(({ number }) => number));
}

async function instantOptions(
  { options, places, random }: Pick<Attempt, "options" | "places" | "random">,
  known: KnownContent,
  excluded: Map<string, Set<string>>,
): Promise<InstantOptions> {
  const index = await readParentIndex(known, options.reread ?? false);
  const own = new Set(places.own);
  return {
    data: places.data,
    configured: places.configured,
    skip: (path, isFolder) => {
      if (own.has(path)) return true;
      const pattern = places.patterns.match(path, isFolder);
      if (pattern === undefined) return false;
      if (!excluded.has(pattern)) excluded.set(pattern, new Set());
      excluded.get(pattern)!.add(path);
      return true;
    },
    known: (file) => index.kindOf(file),
    knownStamp: (path) => index.stampOf(path),
    held: options.held ?? new Set(),
    waitMs: options.waitMs,
    now: options.now,
    random,
    stop: options.stop,
    report: options.report,
  };
}

/** Takes note of packs that the store does not have, or not as they were. Gives whether there are any. */
async function noteMissing(
  repository: Repository,
  packs: readonly PackRef[],
  missing: Set<string>,
): Promise<boolean> {
  const sizes = new Map((await repository.store.list("packs/")).map(({ name, size }) => [name, size]));
  const gone = packs.filter(({ hash, size }) => sizes.get(packName(hash)) !== size);
  for (const { hash } of gone) missing.add(hash);
  return gone.length > 0;
}

function countsOf(entries: readonly StoredEntry[]): Pick<SnapshotFacts, "files" | "folders" | "bytes"> {
  const files = entries.filter(({ type, path }) => type === "file" && !path.startsWith(postgresPrefix));
  return {
    files: files.length,
    folders: entries.filter(({ type }) => type === "folder").length,
    bytes: files.reduce((sum, entry) => sum + (entry.type === "file" ? entry.size : 0), 0),
  };
}

function progressOf(
  { report }: SnapshotOptions,
  { entries, databases }: Instant,
  postgresBytes: number,
): (bytes: number) => void {
  const total = entries.reduce((sum, { size, isKnown }) => sum + (isKnown ? 0 : size), 0) +
    databases.reduce((sum, { isUnchanged, pinned }) => sum + (isUnchanged ? 0 : pinned.pages * pinned.pageSize), 0) +
    postgresBytes;
  let done = 0;
  return (bytes) => {
    done += bytes;
    report({ type: "progress", what: "storing", done: Math.min(done, total), total, unit: "bytes" });
  };
}

function attributeRemarks({ entries }: Instant, { data }: Places): Remark[] {
  const attributesOf = openAttributes();
  return entries.flatMap(({ path }): Remark[] => {
    const names = attributesOf(`${data}/${path}`);
    return names.length === 0
      ? []
      : [{ path, what: "attributes", message: `its extended attributes are not kept: ${names.join(", ")}` }];
  });
}

/** A repository's small files stay small, whatever happens to a hundred thousand paths. */
function shorten(remarks: readonly Remark[]): Remark[] {
  return [...Map.groupBy(remarks, ({ what }) => what)].flatMap(([what, all]) =>
    all.length <= remarkLimit
      ? all
      : [...all.slice(0, remarkLimit), { path: "", what, message: `and ${all.length - remarkLimit} more` }]
  );
}

/** What is there now, looked at without stopping anybody: for `--plan`. */
export interface Look {
  files: (Scanned & { isKnown: boolean })[];
  databases: string[];
  excluded: Record<string, number>;
}

export async function lookAtData(
  options: SnapshotOptions,
  places: Places,
  repository: Repository | undefined,
  parent: Snapshot | undefined,
  pool: BlockPool,
): Promise<Look> {
  const reader = parent && repository && new SnapshotReader(repository.store, parent, pool);
  const excluded = new Map<string, Set<string>>();
  const random = (size: number) => new Uint8Array(size);
  const known = new KnownContent(reader, { without: new Set() });
  const given = await instantOptions({ options, places, random }, known, excluded);
  const { databases } = await findDatabases(given, new Map());
  const files = [...walk(given, (remark) => options.report({ type: "remark", remark }))];
  return {
    files: files.map((file) => ({ ...file, isKnown: given.known(file) !== undefined })),
    databases: [...databases.keys()],
    excluded: Object.fromEntries([...excluded].map(([pattern, paths]) => [pattern, paths.size])),
  };
}
