import { Barrier } from "../engines/sqlite/barrier.ts";
import type { EngineEvent } from "../engines/engine.ts";
import { type Image, type ImageSource, inspectPinned, openCopy, openImage } from "../engines/sqlite/image.ts";
import { type Pinned, type PinnedFacts, Pins } from "../engines/sqlite/pin.ts";
import { Heap } from "../memory.ts";
import { statOrNone } from "../fs.ts";
import type { Remark } from "../repository/snapshot_file.ts";
import { comparePaths } from "../repository/tree.ts";
import { isSettled, rawRemark, stampOf } from "./databases.ts";
import { findDatabases, type Found, lateDatabases } from "./find_databases.ts";
import { LinkFolder } from "./links.ts";
import { refuseConfigured } from "./refuse_configured.ts";
import { describe, identityOf, type Scanned, whichFile } from "./scan.ts";
import { finishEntries, walkInside } from "./walk_data.ts";

export type { Image };

export interface InstantOptions {
  /** The data folder; undefined when there is none, and only the configured database is taken. */
  data?: string;
  /** The configured database's file, links resolved, and its path in the tree; undefined when it is not SQLite, or not there. */
  configured?: { file: string; path: string };
  /** What is left out: repository, scratch, patterns. Asked for each path. */
  skip: (path: string, isFolder: boolean) => boolean;
  /** What the parent snapshot says of a file that looks as it did then: it need not be looked into, nor linked. */
  known: (file: Scanned) => "file" | "database" | undefined;
  /** The stamp of a database in the parent snapshot: equal means that it need not be read. */
  knownStamp: (path: string) => string | undefined;
  /** Databases (files, links resolved) on which the caller holds a write transaction in this process. */
  held: ReadonlySet<string>;
  /** A Postgres database at the same moment: prepared before writers are stopped, pinned while they are. */
  postgres?: { prepare(): Promise<void>; pin(): Promise<void> };
  waitMs?: number;
  now: () => Date;
  random: (size: number) => Uint8Array;
  stop: AbortSignal;
  report: (event: EngineEvent) => void;
}

/** One path as it was at the instant. */
export interface Captured extends Scanned {
  /** The number of the hard link that holds its bytes; absent: they are read in its own place. */
  link?: number;
  /** The path that has the same inode and comes first. */
  sameAs?: string;
  /** Whether the parent has it as it is. */
  isKnown: boolean;
}

/** One database as it was at the instant. */
export interface CapturedDatabase {
  path: string;
  file: string;
  configured: boolean;
  /** Equal to the parent's: nothing more is known, or needed. */
  isUnchanged: boolean;
  stamp?: string;
  pinned: Pinned;
  /** Where its pages can be read directly; absent when SQLite has to copy them. */
  source?: ImageSource;
  scanned: Scanned;
}

/** Everything at one moment, held until it is disposed of. */
export class Instant implements AsyncDisposable {
  constructor(
    readonly time: Date,
    readonly entries: Captured[],
    readonly databases: CapturedDatabase[],
    readonly remarks: Remark[],
    private readonly held: { data?: string; pins: Pins; barrier: Barrier; links?: LinkFolder },
  ) {}

  /** Where a file's bytes can be read now: see Captured.link. */
  placeOf({ path, link }: Captured): string {
    const { data, links } = this.held;
    return link === undefined ? `${data}/${path}` : links!.pathOf(link);
  }

  /** Rows and migrations of a database at that moment. */
  async facts({ file }: CapturedDatabase): Promise<PinnedFacts> {
    return await this.held.pins.facts(file);
  }

  /**
   * The pages of a database. In WAL mode they are read where they are, nobody waits. Otherwise writers wait until they are
   * let go, so the pages are copied to `copy` first, a new file, and the database goes on.
   */
  async image(database: CapturedDatabase, copy: string): Promise<Image> {
    const { source, pinned, file } = database;
    if (source && this.isReadInPlace(database)) return openImage(source);
    if (source) copyImage(source, copy);
    else await this.held.pins.copy(file, copy);
    await this.letGo(database);
    return openCopy(copy, pinned);
  }

  /** Whether nobody waits while its pages are read. */
  isReadInPlace({ source, pinned }: CapturedDatabase): boolean {
    return source !== undefined && pinned.journal === "wal";
  }

  /** Lets a database go on that is read already. */
  async letGo({ file }: CapturedDatabase): Promise<void> {
    await this.held.pins.unpin(file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.held.pins.close();
    } finally {
      this.held.barrier[Symbol.dispose]();
      this.held.links?.[Symbol.dispose]();
    }
  }
}

/** Bytes that are copied at once. */
const copyChunk = 4 << 20;

function copyImage(source: ImageSource, target: string): void {
  using image = openImage(source);
  using file = Deno.openSync(target, { write: true, createNew: true, mode: 0o600 });
  const pages = Math.max(1, Math.floor(copyChunk / image.pageSize));
  for (let page = 0; page < image.pages; page += pages) {
    const bytes = image.read(page, Math.min(pages, image.pages - page));
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
  }
}

/** How often the moment is tried for when new databases appear while it is being prepared. */
const attempts = 3;

/**
 * Takes one moment of a data folder and of every SQLite database in it: finds the databases by content, stops all writers,
 * pins each database, looks at every path and links the changed ones, lets the writers go on.
 *
 * @throws {AmberError} DATABASE_BUSY (exit 5) naming the database that was not free, DATA_CHANGING
 */
export async function takeInstant(options: InstantOptions): Promise<Instant> {
  const raw = new Map<string, string>();
  const heap = new Heap();
  for (let attempt = 1;; attempt++) {
    const found = await findDatabases(options, raw);
    heap.tend(); // not while writers wait
    const instant = await tryInstant(options, found, raw, attempt < attempts);
    heap.tend();
    if (instant) return instant;
  }
}

/** One try; undefined when it has to be done again, since a database appeared that was not held. */
async function tryInstant(
  options: InstantOptions,
  { databases, paths }: Found,
  raw: Map<string, string>,
  mayRepeat: boolean,
): Promise<Instant | undefined> {
  const { data, configured, held, stop, report, waitMs } = options;
  const remarks: Remark[] = [];
  const files = [...databases.values()].sort(comparePaths);
  const barrier = await Barrier.open(files, { waitMs, stop, report, held });
  let links: LinkFolder | undefined;
  let pins: Pins | undefined;
  try {
    links = data === undefined ? undefined : LinkFolder.create(data, options.random);
    pins = await Pins.open(files.filter((file) => !barrier.unreadable.has(file)));
    for (const [path, file] of databases) {
      const why = barrier.unreadable.get(file) ?? pins.failed.get(file);
      if (why === undefined) continue;
      refuseConfigured(configured, path, why);
      if (statOrNone(file)) raw.set(path, `it does not open (${why})`);
      databases.delete(path);
    }
    await options.postgres?.prepare();
    await barrier.hold();
    let walked: Captured[];
    let time: Date;
    const captured: CapturedDatabase[] = [];
    const late: string[] = [];
    try {
      const pinned = await pins.pin();
      await options.postgres?.pin();
      time = options.now();
      for (const [path, file] of databases) {
        const one = capture(options, { path, file, pinned: pinned.get(file)!, isHeld: barrier.isHeld(file), time });
        if (one) captured.push(one);
        else late.push(path);
      }
      for (const path of late) databases.delete(path);
      walked = walkInside(options, { databases, paths, inodes: inodesOf(captured), links, remarks });
    } finally {
      barrier.release();
    }
    late.push(...lateDatabases(options, walked, { captured, raw, links }));
    if (late.length > 0 && mayRepeat) {
      await pins.close();
      barrier[Symbol.dispose]();
      links?.[Symbol.dispose]();
      return undefined;
    }
    for (const path of late) {
      refuseConfigured(configured, path, "its file was removed or replaced meanwhile");
      raw.set(path, "it was made while the snapshot began");
    }
    for (const { path } of walked) if (raw.has(path)) remarks.push(rawRemark(path, raw.get(path)!));
    for (const { path, file } of captured) {
      const why = barrier.unheld.get(file);
      if (why !== undefined) remarks.push({ path, what: "unheld", message: `its writers were not stopped: ${why}` });
    }
    const entries = finishEntries(walked, captured, (remark) => remarks.push(remark));
    return new Instant(time, entries, captured, remarks, { data, pins, barrier, links });
  } catch (error) {
    await pins?.close();
    barrier[Symbol.dispose]();
    links?.[Symbol.dispose]();
    throw error;
  }
}

/** One database at the moment; undefined when its path leads to another file than the one that is pinned, or nowhere. */
function capture(
  options: InstantOptions,
  { path, file, pinned, isHeld, time }: { path: string; file: string; pinned: Pinned; isHeld: boolean; time: Date },
): CapturedDatabase | undefined {
  const stamp = stampOf(file);
  const known = options.knownStamp(path);
  const info = statOrNone(file);
  if (info?.dev !== pinned.device || (info.ino ?? 0) !== pinned.inode) return undefined;
  return {
    path,
    file,
    configured: options.configured?.path === path,
    isUnchanged: known !== undefined && known === stamp,
    stamp: stamp !== undefined && isSettled(file, time.getTime()) ? stamp : undefined,
    pinned,
    // What cannot be told apart from other files is read by SQLite alone.
    source: identityOf(whichFile(info)) === undefined ? undefined : inspectPinned(pinned, { isHeld }),
    scanned: describe(path, file, info)!,
  };
}

function inodesOf(databases: readonly CapturedDatabase[]): ReadonlySet<string> {
  return new Set(databases.map(({ scanned }) => identityOf(scanned)).filter((identity) => identity !== undefined));
}
