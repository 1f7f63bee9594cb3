import { openAttributes } from "../capture/attributes.ts";
import { HeldFolder, removeStale } from "../capture/held_folder.ts";
import {
  type CapturedDatabase,
  findDatabases,
  type Image,
  type Instant,
  type InstantOptions,
  takeInstant,
  walk,
} from "../capture/instant.ts";
import { openRegular } from "../capture/regular_file.ts";
import type { Scanned } from "../capture/scan.ts";
import { Packer } from "../repository/packer.ts";
import { packName } from "../repository/pack.ts";
import type { BlockPool } from "../repository/pool.ts";
import { SnapshotReader } from "../repository/reader.ts";
import type { Repository } from "../repository/repository.ts";
import {
  type DatabaseFacts,
  encodeSnapshot,
  type PackRef,
  type Remark,
  type Snapshot,
  type SnapshotFacts,
} from "../repository/snapshot_file.ts";
import { copyForward } from "./copy_forward.ts";
import { KnownContent } from "./known_content.ts";
import { Partials } from "./partial.ts";
import { readParentIndex } from "./parent_index.ts";
import type { Places, SnapshotOptions } from "./snapshot.ts";
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
  /** Hashes of packs that were found to be missing; an attempt adds to them. */
  missing: Set<string>;
}

/** A run that began so long before its commit may rely on packs that prune has taken meanwhile. */
const staleMs = 12 * 3_600_000;

/** Remarks of one kind that are kept; more are counted. */
const remarkLimit = 1_000;

const copyPrefix = "copy-";

/**
 * Stores one instant and commits it. `again` says why it has to be done once more: packs that it relied on are gone, or
 * it took so long that they may be.
 */
export async function runSnapshot(attempt: Attempt): Promise<{ snapshot: Snapshot } | { again: string }> {
  const { options, repository, parent, pool, missing, random, places } = attempt;
  const started = performance.now();
  const reader = parent && new SnapshotReader(repository.store, parent, pool);
  const known = new KnownContent(reader, { without: numbersOf(parent?.packs ?? [], missing) });
  const excluded = new Map<string, Set<string>>();
  await using instant = await takeInstant(await instantOptions(attempt, known, excluded));
  const packer = new Packer(repository.store, pool, { firstNumber: nextNumber(parent), random });
  await using facts = new FactsReader(instant, parent);
  const remarks = [...instant.remarks, ...attributeRemarks(instant, places)];
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
    now: () => performance.now(),
  });
  using copies = new Copies(places.scratch, random, instant);
  await copies.make();
  const entries = await storeEntries({
    instant,
    imageOf: (database) => copies.imageOf(database),
    parentTimeMs: parent ? Date.parse(parent.time) : 0,
    remark: (remark) => remarks.push(remark),
    open: options.openFile ?? openRegular,
    trace: (done, begun) => partials.note(done, begun),
    packer,
    pool,
    known,
    stop: options.stop,
    read: progressOf(options, instant),
  });
  await copyForward(entries, known, packer);
  const tree = await storeTree(entries, known, packer);
  await packer.flush();
  const packs = packsInUse(entries, tree, [...parent?.packs ?? [], ...packer.packs]);
  if (await noteMissing(repository, packs, missing)) return { again: "packs that it relied on are gone" };
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
      remarks: shorten(remarks),
      durationMs: Math.round(performance.now() - started),
    },
  });
  options.stop.throwIfAborted();
  // The snapshot file goes last: until it exists nothing refers to the packs, so a crash here costs space and nothing else.
  const snapshot = await repository.commit(bytes, time);
  const namedMs = await partials.writtenAt() ?? attempt.seenMs;
  if (await committedAt(repository, snapshot) - namedMs > staleMs) {
    await repository.withdraw(snapshot.name);
    return { again: "it was interrupted for hours" };
  }
  await partials.end();
  return { snapshot };
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

/** Takes note of packs that the store does not have. Gives whether there are any. */
async function noteMissing(
  repository: Repository,
  packs: readonly PackRef[],
  missing: Set<string>,
): Promise<boolean> {
  const there = new Set((await repository.store.list("packs/")).map(({ name }) => name));
  const gone = packs.filter(({ hash }) => !there.has(packName(hash)));
  for (const { hash } of gone) missing.add(hash);
  return gone.length > 0;
}

async function committedAt(repository: Repository, { name }: Snapshot): Promise<number> {
  const objects = await repository.store.list("snapshots/");
  return objects.find((object) => object.name === `snapshots/${name}.json`)?.timeMs ?? 0;
}

function countsOf(entries: readonly StoredEntry[]): Pick<SnapshotFacts, "files" | "folders" | "bytes"> {
  const files = entries.filter(({ type }) => type === "file");
  return {
    files: files.length,
    folders: entries.filter(({ type }) => type === "folder").length,
    bytes: files.reduce((sum, entry) => sum + (entry.type === "file" ? entry.size : 0), 0),
  };
}

function progressOf({ report }: SnapshotOptions, { entries, databases }: Instant): (bytes: number) => void {
  const total = entries.reduce((sum, { size, isKnown }) => sum + (isKnown ? 0 : size), 0) +
    databases.reduce((sum, { isUnchanged, pinned }) => sum + (isUnchanged ? 0 : pinned.pages * pinned.pageSize), 0);
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

/** Copies of databases whose writers wait while they are read: made first, so that they wait as short as possible. */
class Copies implements Disposable {
  readonly #images = new Map<CapturedDatabase, Image>();
  #folder?: HeldFolder;

  constructor(
    private readonly scratch: string,
    private readonly random: (size: number) => Uint8Array,
    private readonly instant: Instant,
  ) {}

  async make(): Promise<void> {
    removeStale(this.scratch, copyPrefix);
    for (const [i, database] of this.instant.databases.entries()) {
      if (database.isUnchanged) await this.instant.letGo(database);
      else if (!this.instant.isReadInPlace(database)) {
        Deno.mkdirSync(this.scratch, { recursive: true, mode: 0o700 });
        this.#folder ??= HeldFolder.create(this.scratch, copyPrefix, this.random);
        this.#images.set(database, await this.instant.image(database, `${this.#folder.path}/${i}.db`));
      }
    }
  }

  async imageOf(database: CapturedDatabase): Promise<Image> {
    return this.#images.get(database) ?? await this.instant.image(database, "");
  }

  [Symbol.dispose](): void {
    for (const image of this.#images.values()) image.close();
    this.#folder?.[Symbol.dispose]();
  }
}

/** Rows and migrations of each database, counted while its pages are read. */
class FactsReader implements AsyncDisposable {
  readonly #reading: Promise<DatabaseFacts>[];

  constructor(instant: Instant, parent: Snapshot | undefined) {
    this.#reading = instant.databases.map(async (database) => {
      const before = parent?.facts.databases.find(({ path }) => path === database.path);
      const { path, configured, stamp, pinned: { pageSize, pages, journal } } = database;
      const { rows, migrations } = database.isUnchanged && before ? before : await instant.facts(database);
      return {
        path,
        configured,
        pageSize,
        pages,
        journal,
        rows,
        ...(migrations ? { migrations } : {}),
        ...(stamp === undefined ? {} : { stamp }),
      };
    });
    for (const one of this.#reading) one.catch(() => {}); // heard by all()
  }

  async all(): Promise<DatabaseFacts[]> {
    return await Promise.all(this.#reading);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#reading);
  }
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
  const files = places.data === undefined ? [] : walk(given, (remark) => options.report({ type: "remark", remark }));
  return {
    files: files.map((file) => ({ ...file, isKnown: given.known(file) !== undefined })),
    databases: [...databases.keys()],
    excluded: Object.fromEntries([...excluded].map(([pattern, paths]) => [pattern, paths.size])),
  };
}
