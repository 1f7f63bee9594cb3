import { createHash } from "node:crypto";
import { createTarPacker } from "modern-tar";
import { AmberError } from "../errors.ts";
import { BlockPool } from "../repository/pool.ts";
import { type Piece, SnapshotReader } from "../repository/reader.ts";
import { idOf, type Snapshot } from "../repository/snapshot_file.ts";
import {
  type Entry,
  type FileEntry,
  type HardLinkEntry,
  isHashedByBlocks,
  postgresPrefix,
} from "../repository/tree.ts";
import { TreeShape } from "../repository/tree_shape.ts";
import { findSnapshot, type LookInsideOptions } from "./list_files.ts";
import type { ProgressEvent } from "./progress.ts";
import { tarHeader } from "./tar_entry.ts";

export interface ExportOptions extends Omit<LookInsideOptions, "report" | "database"> {
  /** Takes the tar's bytes in order; false: it wants no more. What it throws ends the export. */
  write: (bytes: Uint8Array) => boolean;
  report: (event: ProgressEvent | { type: "note"; message: string }) => void;
}

/** What is in the tar. */
export interface Exported {
  snapshot: Snapshot;
  files: number;
  folders: number;
  /** Symbolic and hard links. */
  links: number;
  /** Bytes of the files. */
  bytes: number;
  /** False: its reader wanted no more. */
  complete: boolean;
}

const outsidePath = "/database.db";
const zeros = new Uint8Array(1 << 20);

/**
 * Writes a snapshot as a plain tar: every path as it was, databases as ordinary `.db` files. The configured database, when
 * it lay outside the data folder, comes last, as `database.db`; a Postgres database as the folder `database`, with a script
 * for psql that loads it. Holes are written as zeros: a plain tar knows none.
 *
 * @throws {AmberError} SNAPSHOT_UNKNOWN, SNAPSHOT_AMBIGUOUS, REPOSITORY_*; OBJECT_DAMAGED, OBJECT_MISSING when the tar is
 * half written, which then has no end.
 */
export async function exportSnapshot(options: ExportOptions): Promise<Exported> {
  const snapshot = await findSnapshot(options);
  using pool = new BlockPool();
  const reader = new SnapshotReader(options.store, snapshot, pool);
  const { readable, controller } = createTarPacker();
  const writing = new TarWriting(options, reader, controller);
  const passing = passOn(readable, options.write);
  try {
    await writing.all();
    controller.finalize();
  } catch (error) {
    // Ends the other side as well. What it says itself comes first: that nobody reads any more, or that a disk is full.
    controller.error(error);
    await passing.then((isWanted) => {
      if (isWanted) throw error;
    }, (reason) => {
      throw reason;
    });
  }
  return { snapshot, ...writing.counts, complete: await passing };
}

/** False when nobody wants more. */
async function passOn(readable: ReadableStream<Uint8Array>, write: (bytes: Uint8Array) => boolean): Promise<boolean> {
  const source = readable.getReader();
  for (;;) {
    const { done, value } = await source.read();
    if (done) return true;
    let isWanted: boolean;
    try {
      isWanted = write(value);
    } catch (error) {
      await source.cancel(error);
      throw error;
    }
    if (isWanted) continue;
    await source.cancel(new Error("nobody reads any more"));
    return false;
  }
}

type Controller = ReturnType<typeof createTarPacker>["controller"];

class TarWriting {
  readonly counts = { files: 0, folders: 0, links: 0, bytes: 0 };
  readonly #shape = new TreeShape();
  readonly #topNames = new Set<string>();

  constructor(
    private readonly options: ExportOptions,
    private readonly reader: SnapshotReader,
    private readonly controller: Controller,
  ) {}

  async all(): Promise<void> {
    let outside: FileEntry | undefined;
    const postgres: FileEntry[] = [];
    const late: HardLinkEntry[] = []; // second names of what comes last
    for await (const entry of this.reader.entries()) {
      this.options.stop.throwIfAborted();
      if (this.#isLeftOut(entry)) continue;
      this.#shape.add(entry);
      if (isOfPostgres(entry)) postgres.push(asPostgresFile(entry, this.reader.snapshot));
      else if (entry.path === outsidePath) outside = asDatabase(entry, this.reader.snapshot);
      else if (entry.type === "hardlink" && entry.target === outsidePath) late.push(entry);
      else await this.#add(entry, entry.path);
    }
    if (outside) {
      const name = this.#outsideName("database.db");
      await this.#add(outside, name);
      for (const link of late) await this.#add({ ...link, target: name }, link.path);
    }
    if (postgres.length > 0) await this.#addPostgres(postgres);
  }

  async #addPostgres(entries: readonly FileEntry[]): Promise<void> {
    const { exportedName, exportedScript } = await import("./export_postgres.ts");
    const folder = this.#outsideName("database");
    for (const entry of entries) await this.#add(entry, `${folder}/${exportedName(entry.path)}`);
    const script = await exportedScript(this.reader);
    if (script === undefined) return;
    const bytes = new TextEncoder().encode(script);
    const header = tarHeader({ ...entries[0]!, size: bytes.length }, `${folder}/load.sql`);
    const sink = this.controller.add(header).getWriter();
    await sink.write(bytes);
    await sink.close();
    this.counts.files++;
    this.counts.bytes += bytes.length;
  }

  /** Of a run that was stopped: what it had not stored yet. */
  #isLeftOut(entry: Entry): boolean {
    const isStopped = this.reader.snapshot.kind === "partial";
    const isHalf = entry.type === "file"
      ? entry.contentHash === undefined
      : isStopped && entry.type === "hardlink" && !this.#shape.hasFile(entry.target);
    if (isHalf) {
      const message = `"${entry.path}" is left out: that run was stopped before it had the whole file`;
      this.options.report({ type: "note", message });
    }
    return isHalf;
  }

  async #add(entry: Entry, name: string): Promise<void> {
    if (!name.includes("/")) this.#topNames.add(name);
    const sink = this.controller.add(tarHeader(entry, entry.type === "folder" ? `${name}/` : name)).getWriter();
    if (entry.type === "file") await this.#addContent(entry, sink);
    await sink.close();
    if (entry.type === "file") this.counts.files++;
    else if (entry.type === "folder") this.counts.folders++;
    else this.counts.links++;
  }

  async #addContent(entry: FileEntry, sink: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
    const { stop, report } = this.options;
    const { bytes: total } = this.reader.snapshot.facts;
    const hash = isHashedByBlocks(entry) ? undefined : createHash("sha256"); // the reader checks those of blocks
    for await (const piece of this.reader.pieces(entry)) {
      for (const bytes of partsOf(piece)) {
        stop.throwIfAborted();
        hash?.update(bytes);
        await sink.write(bytes);
        this.counts.bytes += bytes.length;
        const done = Math.min(this.counts.bytes, total);
        report({ type: "progress", what: "exporting", done, total, unit: "bytes" });
      }
    }
    if (hash && hash.digest("hex") !== entry.contentHash) throw changed(entry.path);
  }

  /** Its name in the tar, unless the data folder has the same at its top. */
  #outsideName(wanted: "database.db" | "database"): string {
    let name: string = wanted;
    for (let i = 2; this.#topNames.has(name); i++) name = wanted.replace("database", `database-${i}`);
    if (name !== wanted) {
      const message = `the configured database is "${name}" in the tar: the data folder has a "${wanted}" of its own`;
      this.options.report({ type: "note", message });
    }
    return name;
  }
}

/** Pieces of a piece that may wait in a queue without keeping the whole frame that they are from. */
function* partsOf({ size, bytes }: Piece): Generator<Uint8Array> {
  if (bytes) yield bytes.length * 4 < bytes.buffer.byteLength ? bytes.slice() : bytes;
  else for (let left = size; left > 0; left -= zeros.length) yield zeros.subarray(0, Math.min(left, zeros.length));
}

function changed(path: string): AmberError {
  return new AmberError("OBJECT_DAMAGED", {
    message: `Cannot export "${path}": its content does not have the hash that the snapshot says`,
    where: path,
    hint: "What was written is not to be used. amber verify says what else is damaged.",
  });
}

/** Also what says that it is one: a link to it. */
function isOfPostgres(entry: Entry): boolean {
  return entry.path.startsWith(postgresPrefix) ||
    (entry.type === "hardlink" && entry.target.startsWith(postgresPrefix));
}

function asPostgresFile(entry: Entry, snapshot: Snapshot): FileEntry {
  if (entry.type === "file") return entry;
  throw new AmberError("OBJECT_DAMAGED", {
    message: `Cannot export snapshot ${idOf(snapshot)}: "${entry.path}" in its list of files is nothing of Postgres`,
    hint: "Other snapshots can still be restored: amber snapshots",
  });
}

function asDatabase(entry: Entry, snapshot: Snapshot): FileEntry {
  if (entry.type === "file" && entry.database) return entry;
  throw new AmberError("OBJECT_DAMAGED", {
    message: `Cannot export snapshot ${idOf(snapshot)}: "${entry.path}" in its list of files is no database`,
    hint: "Other snapshots can still be restored: amber snapshots",
  });
}
