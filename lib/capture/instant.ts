import { Barrier } from "../engines/sqlite/barrier.ts";
import type { EngineEvent } from "../engines/engine.ts";
import { type Image, type ImageSource, inspectPinned, openCopy, openImage } from "../engines/sqlite/image.ts";
import { type Pinned, type PinnedFacts, Pins } from "../engines/sqlite/pin.ts";
import { AmberError } from "../errors.ts";
import type { Remark } from "../repository/snapshot_file.ts";
import { comparePaths } from "../repository/tree.ts";
import { companionEndings, isDatabase, isSettled, openInThisProcess, rawRemark, stampOf, whyRaw } from "./databases.ts";
import { isLinkFolder, LinkFolder } from "./links.ts";
import { describe, scan, type Scanned } from "./scan.ts";

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
  waitMs?: number;
  now: () => Date;
  random: (size: number) => Uint8Array;
  stop: AbortSignal;
  report: (event: EngineEvent) => void;
}

/** One path as it was at the instant. */
export interface Captured extends Scanned {
  /** Where its bytes can be read now: a hard link of ours, or its own place. */
  from: string;
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
    private readonly held: { pins: Pins; barrier: Barrier; links?: LinkFolder },
  ) {}

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
  for (let attempt = 1;; attempt++) {
    const found = await findDatabases(options, raw);
    const instant = await tryInstant(options, found, raw, attempt < attempts);
    if (instant) return instant;
  }
}

interface Found {
  /** Tree path → file. */
  databases: Map<string, string>;
  remarks: Remark[];
}

/** Walks once before the moment: which files are databases takes reading, and that must not happen while writers wait. */
export async function findDatabases(options: InstantOptions, raw: Map<string, string>): Promise<Found> {
  const { data, configured, known, stop } = options;
  const databases = new Map<string, string>();
  const remarks: Remark[] = [];
  const open = openInThisProcess();
  const isConfigured = (file: Scanned) => configured?.path === file.path;
  for (const file of data === undefined ? [] : walk(options, () => {})) {
    if (file.type !== "file" || raw.has(file.path)) continue;
    const full = `${data}/${file.path}`;
    const kind = known(file) ?? (isConfigured(file) || isDatabase(full, file, open) ? "database" : "file");
    if (kind === "file") continue;
    const why = isConfigured(file) ? undefined : await whyRaw(full, stop);
    if (why === undefined) databases.set(file.path, full);
    else raw.set(file.path, why);
  }
  if (configured) databases.set(configured.path, configured.file);
  return { databases: withoutSecondNames(databases), remarks };
}

/** A database that has two names in the folder is opened by the first of them only. */
function withoutSecondNames(databases: Map<string, string>): Map<string, string> {
  const seen = new Set<string>();
  const sorted = [...databases].sort(([a], [b]) => comparePaths(a, b));
  return new Map(sorted.filter(([, full]) => {
    let key: string;
    try {
      const info = Deno.statSync(full);
      key = `${info.dev}:${info.ino}`;
    } catch {
      return true; // said by whoever opens it
    }
    return !seen.has(key) && seen.add(key);
  }));
}

export function walk({ data, skip }: InstantOptions, remark: (one: Remark) => void): Scanned[] {
  return scan(data!, {
    remark,
    skip: (path, isFolder) =>
      (!path.includes("/") && (isLinkFolder(path) || (path === "lost+found" && isFolder))) || skip(path, isFolder),
  });
}

/** One try; undefined when it has to be done again, since a database appeared that was not held. */
async function tryInstant(
  options: InstantOptions,
  { databases, remarks: early }: Found,
  raw: Map<string, string>,
  mayRepeat: boolean,
): Promise<Instant | undefined> {
  const { data, held, stop, report, waitMs } = options;
  const remarks = [...early];
  const files = [...databases.values()].sort(comparePaths);
  const barrier = await Barrier.open(files, { waitMs, stop, report, held });
  const links = data === undefined ? undefined : LinkFolder.create(data, options.random);
  let pins: Pins | undefined;
  try {
    pins = await Pins.open(files.filter((file) => !barrier.unreadable.has(file)));
    for (const [path, file] of databases) {
      const why = barrier.unreadable.get(file) ?? pins.failed.get(file);
      if (why === undefined) continue;
      refuseConfigured(options, path, why);
      raw.set(path, `it does not open (${why})`);
      databases.delete(path);
    }
    await barrier.hold();
    let walked: Walked;
    let time: Date;
    let captured: CapturedDatabase[];
    try {
      const pinned = await pins.pin();
      time = options.now();
      captured = [...databases].map(([path, file]) =>
        capture(options, { path, file, pinned: pinned.get(file)!, isHeld: barrier.isHeld(file), time })
      );
      walked = walkInside(options, { databases, inodes: inodesOf(captured), links, remarks });
    } finally {
      barrier.release();
    }
    const late = lateDatabases(options, walked.entries, inodesOf(captured), raw);
    if (late.length > 0 && mayRepeat) {
      await pins.close();
      barrier[Symbol.dispose]();
      links?.[Symbol.dispose]();
      return undefined;
    }
    for (const path of late) raw.set(path, "it was made while the snapshot began");
    for (const [path, why] of raw) remarks.push(rawRemark(path, why));
    for (const { path, file } of captured) {
      const why = barrier.unheld.get(file);
      if (why !== undefined) remarks.push({ path, what: "unheld", message: `its writers were not stopped: ${why}` });
    }
    const entries = finishEntries(walked.entries, databases);
    return new Instant(time, entries, captured, remarks, { pins, barrier, links });
  } catch (error) {
    await pins?.close();
    barrier[Symbol.dispose]();
    links?.[Symbol.dispose]();
    throw error;
  }
}

/** The configured database is what a snapshot is for: it is never stored as something that nobody could open. */
function refuseConfigured({ configured }: InstantOptions, path: string, why: string): void {
  if (configured?.path !== path) return;
  throw new AmberError("DATABASE_FORMAT", {
    message: `Cannot take a snapshot: the configured database "${configured.file}" cannot be read (${why})`,
    where: configured.file,
    hint: "If it is damaged: amber restore latest. The rest alone can be stored with another DB_PATH.",
  });
}

function capture(
  options: InstantOptions,
  { path, file, pinned, isHeld, time }: { path: string; file: string; pinned: Pinned; isHeld: boolean; time: Date },
): CapturedDatabase {
  const stamp = stampOf(file);
  const known = options.knownStamp(path);
  const info = Deno.statSync(file);
  return {
    path,
    file,
    configured: options.configured?.path === path,
    isUnchanged: known !== undefined && known === stamp,
    stamp: stamp !== undefined && isSettled(file, time.getTime()) ? stamp : undefined,
    pinned,
    source: inspectPinned(pinned, { isHeld }),
    scanned: describe(path, file, info)!,
  };
}

interface Walked {
  entries: Captured[];
}

function inodesOf(databases: readonly CapturedDatabase[]): ReadonlySet<string> {
  return new Set(databases.map(({ scanned }) => `${scanned.device}:${scanned.inode}`));
}

/** While the writers wait: every path as it is now, and a link to each file that the parent does not have as it is. */
function walkInside(
  options: InstantOptions,
  { databases, inodes, links, remarks }: {
    databases: ReadonlyMap<string, string>;
    inodes: ReadonlySet<string>;
    links?: LinkFolder;
    remarks: Remark[];
  },
): Walked {
  const { data, known } = options;
  if (data === undefined) return { entries: [] };
  const companions = new Set([...databases.keys()].flatMap((path) => companionEndings.map((end) => path + end)));
  const linked = new Map<string, string>(); // inode → link
  const entries: Captured[] = [];
  for (const scanned of walk(options, (remark) => remarks.push(remark))) {
    if (companions.has(scanned.path)) continue;
    const full = `${data}/${scanned.path}`;
    const isKnown = known(scanned) !== undefined;
    const entry: Captured = { ...scanned, from: full, isKnown };
    entries.push(entry);
    const inode = `${scanned.device}:${scanned.inode}`;
    if (scanned.type !== "file" || isKnown || inodes.has(inode)) continue;
    const before = linked.get(inode);
    if (before !== undefined) {
      entry.from = before;
      continue;
    }
    try {
      const link = links?.add(full);
      if (link === undefined) remarks.push(inPlace(scanned.path));
      else linked.set(inode, entry.from = link);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      entries.pop();
      remarks.push({ path: scanned.path, what: "vanished", message: "it vanished while the snapshot began" });
    }
  }
  return { entries };
}

function inPlace(path: string): Remark {
  return { path, what: "in place", message: "it could not be linked, and was read in its place a little later" };
}

/** Databases that were not there, or were none, before the moment. */
function lateDatabases(
  { data, known }: InstantOptions,
  entries: readonly Captured[],
  inodes: ReadonlySet<string>,
  raw: ReadonlyMap<string, string>,
): string[] {
  if (data === undefined) return [];
  const open = openInThisProcess();
  return entries.filter((entry) =>
    entry.type === "file" && !inodes.has(`${entry.device}:${entry.inode}`) && !raw.has(entry.path) &&
    known(entry) === undefined && isDatabase(entry.from, entry, open)
  ).map(({ path }) => path);
}

/** Sorted, second names of a file noted, and databases left to themselves. */
function finishEntries(entries: Captured[], databases: ReadonlyMap<string, string>): Captured[] {
  entries.sort((a, b) => comparePaths(a.path, b.path));
  const first = new Map<string, string>();
  for (const entry of entries) {
    if (entry.type !== "file" || entry.names < 2) continue;
    const inode = `${entry.device}:${entry.inode}`;
    const path = first.get(inode);
    if (path === undefined) first.set(inode, entry.path);
    else entry.sameAs = path;
  }
  return entries.filter((entry) => entry.sameAs !== undefined || !databases.has(entry.path));
}
