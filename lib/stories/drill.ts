import { formatBytes } from "../bytes.ts";
import { HeldFolder, removeStale } from "../capture/held_folder.ts";
import { restoreCalls } from "../capture/restore_calls.ts";
import { type Item, type Outline, selectItems } from "../capture/restore_items.ts";
import { eachContent, makeLink, writeItem } from "../capture/stage.ts";
import { Flushing } from "../capture/staged_file.ts";
import type { DatabaseAddress } from "../database_url.ts";
import { AmberError } from "../errors.ts";
import { type Drill, writeDrill } from "../repository/drills.ts";
import { BlockPool } from "../repository/pool.ts";
import { SnapshotReader } from "../repository/reader.ts";
import { Repository } from "../repository/repository.ts";
import { idOf, readName, type Snapshot } from "../repository/snapshot_file.ts";
import type { ObjectStore } from "../stores/store.ts";
import { systemCode } from "../stores/file_calls.ts";
import { judgeDatabase, notesOf, type Report } from "./drill_report.ts";
import type { ProgressEvent } from "./progress.ts";
import { freeBytesOf, outlinesOf } from "./restore_look.ts";

/** What is told while a drill runs. */
export type DrillEvent =
  | { type: "drill begins"; snapshot: string; time: string; files: number; bytes: number }
  | { type: "note"; message: string }
  | ProgressEvent;

export interface DrillOptions {
  store: ObjectStore;
  scratch: string;
  /** The configured database: a snapshot's Postgres database is restored on its server. Default: none. */
  database?: DatabaseAddress;
  by: string;
  amber: string;
  now: () => Date;
  random?: (size: number) => Uint8Array;
  stop: AbortSignal;
  report: (event: DrillEvent) => void;
}

/** What was found. */
export interface DrillResult extends Drill {
  /** The snapshot's id. */
  id: string;
  /** When the snapshot was taken, ISO 8601. */
  taken: string;
}

const prefix = "drill-";
const mostTexts = 100;

/**
 * Restores the newest ordinary snapshot to scratch, opens every database, checks and counts, and removes it all again; a
 * Postgres database goes into a scratch database on the configured server. What it found is stored beside the snapshots,
 * whatever it was.
 *
 * @throws {AmberError} REPOSITORY_*, SNAPSHOT_UNKNOWN, DISK_FULL before anything was written, STORE_* when the result
 * cannot be stored although all was well, DATABASE_* of the configured Postgres server. What is wrong with the snapshot is no error but a result.
 */
export async function drill(options: DrillOptions): Promise<DrillResult> {
  const { store, now, by, amber, report } = options;
  const startedMs = now().getTime();
  const { snapshot, damaged } = await findNewest(store);
  const { kind, facts: { files, bytes } } = snapshot;
  report({ type: "drill begins", snapshot: idOf(snapshot), time: snapshot.time, files, bytes });
  if (kind !== "ordinary") report({ type: "note", message: `there is no ordinary snapshot: this is a ${kind} one` });
  const run = new DrillRun(options, snapshot);
  run.problems.push(...damaged);
  await run.all();
  const result: Drill = {
    snapshot: snapshot.hash,
    time: now().toISOString(),
    durationMs: Math.max(0, now().getTime() - startedMs),
    by,
    amber,
    ok: run.problems.length === 0,
    problems: shorten(run.problems),
    notes: shorten(run.notes),
    ...run.counts,
  };
  await keep(store, result, report);
  return { ...result, id: idOf(snapshot), taken: snapshot.time };
}

/** The newest one; of newer ones whose files are damaged, what is wrong with them. */
async function findNewest(store: ObjectStore): Promise<{ snapshot: Snapshot; damaged: string[] }> {
  const damaged: AmberError[] = [];
  const repository = await Repository.open(store);
  const snapshot = await repository.find("latest", { damaged: (error) => damaged.push(error) });
  const isNewer = ({ where = "" }: AmberError) => {
    const name = readName(where.replace(/^.*\//, "").replace(/\.json$/, ""));
    return name !== undefined && name.time > snapshot.time;
  };
  return { snapshot, damaged: damaged.filter(isNewer).map(({ message }) => `a newer snapshot: ${message}`) };
}

async function keep(store: ObjectStore, result: Drill, report: DrillOptions["report"]): Promise<void> {
  try {
    await writeDrill(store, result);
  } catch (error) {
    // What is wrong with the snapshot is the greater news.
    if (result.ok || !(error instanceof AmberError)) throw error;
    report({ type: "note", message: `the result could not be stored: ${error.message}` });
  }
}

function shorten(texts: readonly string[]): string[] {
  if (texts.length <= mostTexts) return [...texts];
  return [...texts.slice(0, mostTexts - 1), `and ${texts.length - mostTexts + 1} more`];
}

/** Nothing has to survive a power failure here. */
class NoFlushing extends Flushing {
  override add(file: { close(): void }): Promise<void> {
    file.close();
    return Promise.resolve();
  }
}

class DrillRun implements Report {
  readonly problems: string[] = [];
  readonly notes: string[] = [];
  readonly counts = { files: 0, bytes: 0, databases: 0, rows: 0 };

  constructor(private readonly options: DrillOptions, private readonly snapshot: Snapshot) {}

  async all(): Promise<void> {
    const { facts } = this.snapshot;
    this.notes.push(...notesOf(facts));
    try {
      await this.#restoreAndLook();
    } catch (error) {
      if (isFull(error)) throw this.#noRoom(error);
      if (!isDamage(error)) throw error;
      this.problems.push(error.message);
    }
  }

  async #restoreAndLook(): Promise<void> {
    removeStale(this.options.scratch, prefix);
    const databases: { path: string; item: Item }[] = [];
    using _folder = await this.#restore(databases);
    for (const { path, item } of databases) await this.#look(path, item);
    if (this.snapshot.facts.postgres) await this.#drillPostgres();
  }

  async #drillPostgres(): Promise<void> {
    const { store, database, by, random = randomBytes, stop, report } = this.options;
    const { drillPostgres } = await import("./drill_postgres.ts");
    using pool = new BlockPool();
    const contents = new SnapshotReader(store, this.snapshot, pool);
    const address = database?.engine === "postgres" ? database : undefined;
    const found = await drillPostgres({ contents, address, by, random, stop, report });
    this.problems.push(...found.problems);
    this.notes.push(...found.notes);
    if (found.restored) this.counts.databases++;
    this.counts.rows += found.rows;
  }

  /** The workers end before databases are looked at, which takes memory too. */
  async #restore(databases: { path: string; item: Item }[]): Promise<HeldFolder> {
    using pool = new BlockPool();
    const contents = new SnapshotReader(this.options.store, this.snapshot, pool);
    const { facts } = this.snapshot;
    const outlines = await outlinesOf(contents);
    const { items, notes } = selectItems({
      outlines,
      databases: facts.databases,
      selection: { paths: [], files: true, database: true },
      place: "/database.db",
      isKept: () => false,
    });
    this.notes.push(...notes);
    this.#compare(outlines);
    this.#refuseFullDisk(items);
    const { scratch, random = randomBytes } = this.options;
    restoreCalls.mkdir(scratch, { recursive: true, mode: 0o700 });
    const folder = HeldFolder.create(scratch, prefix, random);
    try {
      await this.#write(folder.path, items, contents, databases);
      return folder;
    } catch (error) {
      folder[Symbol.dispose]();
      throw error;
    }
  }

  /** What the snapshot says of itself, beside its list of files. */
  #compare(outlines: readonly Outline[]): void {
    const { facts } = this.snapshot;
    const files = outlines.filter(({ type }) => type === "file");
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    if (files.length !== facts.files || bytes !== facts.bytes) {
      this.problems.push(
        `the snapshot says that it has ${facts.files} files with ${facts.bytes} bytes, and its list has ${files.length} with ${bytes}`,
      );
    }
    const listed = new Set(files.filter(({ database }) => database).map(({ path }) => path));
    for (const { path } of facts.databases) {
      if (!listed.has(path)) {
        this.problems.push(`the database "${path}": the snapshot's list of files does not have it`);
      }
    }
  }

  #refuseFullDisk(items: readonly Item[]): void {
    const needed = items.reduce((sum, { type, allocated }) => sum + (type === "file" ? allocated : 0), 0);
    const free = freeBytesOf(this.options.scratch);
    if (free !== undefined && needed > free) {
      throw this.#noRoom(undefined, `${formatBytes(needed)} are needed and ${formatBytes(free)} are free`);
    }
  }

  #noRoom(cause: unknown, why = "the disk is full"): AmberError {
    return new AmberError("DISK_FULL", {
      message: `Cannot restore the snapshot to scratch: ${why}`,
      where: this.options.scratch,
      hint:
        "Make room there, or set AMBER_SCRATCH to a folder on a disk that has more. This says nothing of the snapshot.",
      cause,
    });
  }

  async #write(
    folder: string,
    items: readonly Item[],
    contents: SnapshotReader,
    databases: { path: string; item: Item }[],
  ): Promise<void> {
    const { stop, report } = this.options;
    const total = this.snapshot.facts.bytes;
    const written = new Map<string, string>();
    let done = 0;
    const options = {
      calls: restoreCalls,
      contents,
      live: new Set<string>(),
      owners: false,
      stop,
      flushing: new NoFlushing(),
      progress: (bytes: number) => {
        done += bytes;
        report({ type: "progress", what: "restoring to scratch", done: Math.min(done, total), total, unit: "bytes" });
      },
    };
    const files = items.filter(({ type }) => type === "file");
    await eachContent(contents, files, async (item, entry) => {
      const path = `${folder}/${written.size}`;
      written.set(item.path, path);
      try {
        await writeItem(path, item, entry, options);
      } catch (error) {
        if (!isDamage(error)) throw error;
        this.problems.push(`"${item.path}": ${error.message}`);
        return;
      }
      this.counts.files++;
      this.counts.bytes += item.size;
      // Of a database with two names the first one is looked at.
      if (item.database && item.content === item.path) databases.push({ path, item });
    });
    for (const item of items) {
      stop.throwIfAborted();
      const path = `${folder}/${written.size}`;
      if (item.type === "link") makeLink(path, item, options);
      else if (item.type === "hardlink") restoreCalls.link(written.get(item.target!)!, path);
      else continue;
      written.set(item.path, path);
    }
  }

  async #look(path: string, item: Item): Promise<void> {
    const { stop, report } = this.options;
    stop.throwIfAborted();
    const { databases: done } = this.counts;
    const total = this.snapshot.facts.databases.length;
    report({ type: "progress", what: "checking databases", done, total, unit: "databases" });
    const { facts } = item;
    if (!facts) {
      this.problems.push(`the database "${item.path}": the snapshot says nothing of it`);
      return;
    }
    const found = await restoreCalls.checkImage(path, { tables: Object.keys(facts.rows) });
    const { problems, notes } = judgeDatabase(facts, found);
    this.problems.push(...problems);
    this.notes.push(...notes);
    this.counts.databases++;
    this.counts.rows += Object.values(found.rows).reduce<number>(
      (sum, count) => sum + (typeof count === "number" ? count : 0),
      0,
    );
  }
}

function randomBytes(size: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(size));
}

function isDamage(error: unknown): error is AmberError {
  return error instanceof AmberError && (error.code === "OBJECT_DAMAGED" || error.code === "OBJECT_MISSING");
}

function isFull(error: unknown): boolean {
  return !(error instanceof AmberError) && ["ENOSPC", "EDQUOT"].includes(systemCode(error) ?? "");
}
