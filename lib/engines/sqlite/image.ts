import { AmberError } from "../../errors.ts";
import { FrameMap } from "./frame_map.ts";
import { type KeptFile, keptFile, readFully } from "./kept_files.ts";
import type { Pinned } from "./pin.ts";
import { readWalIndex, type WalIndex, walIndexSize } from "./wal_index.ts";

/*
 * Why the main file and the write-ahead log, read as files, are the pinned instant.
 *
 * Rollback journal. The pin holds a SHARED lock. Whoever changes the main file needs EXCLUSIVE first and does not get it:
 * the main file stands still, and a journal that was hot was rolled back before the pin's first read.
 *
 * WAL. Let `last` be the last committed frame, and `backfilled` how many frames are in the main file, both read from the
 * -shm after the pin's first read and before the barrier's write lock is let go, so that `last` is the pin's own.
 *
 * 1. A pinned reader holds a shared lock on one of five read marks. Mark 0 means that it reads the main file alone; it is
 *    taken only when backfilled = last, and no checkpoint copies anything while it is held (it wants mark 0 exclusively).
 *    Any other mark has a value of at most `last`, and checkpoints copy no frame beyond the smallest mark that is held;
 *    one that began before the pin copies no frame beyond the `last` of its time, and nobody committed since.
 * 2. The log begins anew only for whoever gets all marks but 0 exclusively: never while such a mark is held. So frames
 *    1 … last, and their page numbers in the -shm, stay as they are; what is committed afterwards is appended.
 * 3. If backfilled = last: with mark 0 nothing is copied; with another one nothing beyond `last`, which is all there. The
 *    main file alone is the image, whatever becomes of the log.
 * 4. If backfilled < last: it was less at the pin too, so the mark is not 0 and 2 holds. A page with a frame in
 *    (backfilled, last] is the last such frame. Any other page is in the main file, and stays as it is there: a
 *    checkpoint writes only pages of frames in (backfilled, last]. This is how SQLite itself reads.
 * 5. The main file may be cut while it is read, to the size that the log's newest commit gives the database, but only by a
 *    checkpoint that has copied that commit: not beyond `last`, hence to the pin's own size.
 *
 * The wal-index is in the machine's byte order, in memory that processes share; reading the file sees the same pages.
 * Not so on Windows, whose byte-range locks also forbid reading: there, copies only.
 */

/** What was found under the barrier: enough to read the instant later, while it is pinned. */
export interface ImageSource {
  pinned: Pinned;
  main: KeptFile;
  /** The log, when the main file alone is not the image. */
  wal?: { index: WalIndex; shm: KeptFile };
}

/** The pages of one database at one instant. Reading is synchronous. */
export interface Image extends Disposable {
  readonly pageSize: number;
  readonly pages: number;
  /** Bytes: pages times pageSize. */
  readonly size: number;
  /**
   * `count` pages from the one at `firstPage` on, which counts from 0; the bytes are the caller's.
   *
   * @param into Memory to be filled, of just that size. Default: new.
   * @throws {AmberError} DATABASE_UNREADABLE when the files are not what SQLite promises: cut off, or exchanged.
   */
  read<Memory extends ArrayBufferLike = ArrayBuffer>(
    firstPage: number,
    count: number,
    into?: Uint8Array<Memory>,
  ): Uint8Array<Memory>;
  /** Closes what may be closed: not the main file. May be called twice. */
  close(): void;
}

/**
 * Looks at a database after it was pinned. In WAL mode only while the barrier holds it; with a rollback journal at any
 * time while it is pinned. To be called in a thread that may keep files: see kept_files.ts.
 *
 * @param isHeld Whether nobody else can commit to it now.
 * @returns undefined when its pages must come from `Pins.copy()`: the wal-index is of an unknown format, the file is not
 * the one that was opened, it could not be held.
 */
export function inspectPinned(pinned: Pinned, { isHeld }: { isHeld: boolean }): ImageSource | undefined {
  if (Deno.build.os === "windows" || pinned.access === "unchanging") return undefined;
  const main = keptFile(pinned.file);
  if (main.device !== pinned.device || main.inode !== pinned.inode) return undefined;
  if (pinned.journal !== "wal") return { pinned, main };
  if (!isHeld) return undefined;
  const shm = keptIfAllowed(`${pinned.file}-shm`);
  const index = shm && readSettled(shm);
  if (shm === undefined || index === undefined || index.backfilled > index.lastFrame) return undefined;
  if (index.backfilled === index.lastFrame) return { pinned, main };
  if (index.pageSize !== pinned.pageSize || index.pages !== pinned.pages) return undefined;
  return { pinned, main, wal: { index, shm } };
}

/** Undefined when this user may not read it, or it is gone: SQLite may have it mapped all the same. */
function keptIfAllowed(path: string): KeptFile | undefined {
  try {
    return keptFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A checkpoint may count on while this is read: taken when two looks in a row agree. */
function readSettled(shm: KeptFile): WalIndex | undefined {
  const bytes = new Uint8Array(walIndexSize);
  let before: WalIndex | undefined;
  for (let tries = 0; tries < 100; tries++) {
    const index = shm.read(0, bytes) === bytes.length ? readWalIndex(bytes) : undefined;
    if (index === undefined) return undefined;
    if (before?.backfilled === index.backfilled && before.lastFrame === index.lastFrame) return index;
    before = index;
  }
  return undefined;
}

/**
 * Opens the image. The pin must stay until it is closed.
 *
 * @throws {AmberError} DATABASE_UNREADABLE when log and wal-index do not agree.
 */
export function openImage(source: ImageSource): Image {
  const { pinned, main, wal } = source;
  return new FileImage(pinned, main, wal && new Log(pinned, wal));
}

/**
 * The same of a copy that `Pins.copy()` made, and that nobody has open.
 *
 * @throws {AmberError} DATABASE_UNREADABLE when it has another size than was pinned.
 */
export function openCopy(path: string, pinned: Pinned): Image {
  const file = Deno.openSync(path, { read: true });
  const { size } = file.statSync();
  if (size !== pinned.pages * pinned.pageSize) {
    file.close();
    throw unreadable(path, `the copy has ${size} bytes instead of ${pinned.pages * pinned.pageSize}`);
  }
  const main = { read: (at: number, into: Uint8Array) => readFully(file, at, into) };
  return new FileImage({ ...pinned, path }, main, undefined, () => file.close());
}

const lockByte = 2 ** 30; // the page with this byte is never written: locks are taken on it

class FileImage implements Image {
  readonly pageSize: number;
  readonly pages: number;
  readonly size: number;
  #isClosed = false;

  constructor(
    private readonly pinned: Pick<Pinned, "path" | "pageSize" | "pages">,
    private readonly main: Pick<KeptFile, "read">,
    private readonly log: Log | undefined,
    private readonly done: () => void = () => {},
  ) {
    this.pageSize = pinned.pageSize;
    this.pages = pinned.pages;
    this.size = pinned.pageSize * pinned.pages;
  }

  read<Memory extends ArrayBufferLike = ArrayBuffer>(
    firstPage: number,
    count: number,
    into?: Uint8Array<Memory>,
  ): Uint8Array<Memory> {
    if (this.#isClosed) throw new Error("The image is closed");
    if (!(firstPage >= 0 && count >= 0 && firstPage + count <= this.pages)) {
      throw new RangeError(`Pages ${firstPage} to ${firstPage + count} of ${this.pages}`);
    }
    const { pageSize, log } = this;
    const bytes = into ?? new Uint8Array(count * pageSize) as Uint8Array<ArrayBufferLike> as Uint8Array<Memory>;
    if (bytes.length !== count * pageSize) throw new RangeError(`${bytes.length} bytes for ${count} pages`);
    const inLog = log?.frames.within(firstPage, count) ?? [];
    // Of the main file only what is not in the log at either end.
    let from = 0;
    while (from < inLog.length && inLog[from]!.page === firstPage + from) from++;
    let to = count;
    for (let index = inLog.length - 1; index >= from && inLog[index]!.page === firstPage + to - 1; index--) to--;
    if (from < to) {
      const wanted = bytes.subarray(from * pageSize, to * pageSize);
      const had = this.main.read((firstPage + from) * pageSize, wanted);
      if (had < wanted.length) {
        this.#checkMissing(firstPage, from + Math.floor(had / pageSize), to, inLog);
        wanted.fill(0, had);
      }
    }
    for (const { page, frame } of inLog) {
      log!.read(page, frame, bytes.subarray((page - firstPage) * pageSize, (page - firstPage + 1) * pageSize));
    }
    return bytes;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.log?.close();
    this.done();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The main file ends before these pages: they must be in the log. The page that is never written may be nowhere. */
  #checkMissing(firstPage: number, from: number, to: number, inLog: { page: number }[]): void {
    const there = new Set(inLog.map(({ page }) => page));
    for (let page = firstPage + from; page < firstPage + to; page++) {
      if (there.has(page) || page === Math.floor(lockByte / this.pageSize)) continue;
      throw unreadable(this.pinned.path, `page ${page + 1} of ${this.pages} is missing: the file was cut off`);
    }
  }
}

/** Frames of the write-ahead log: each a page with 24 bytes in front. */
class Log {
  readonly frames: FrameMap;
  readonly #file: Deno.FsFile;
  readonly #salts: Uint8Array;
  readonly #buffer: Uint8Array;
  readonly #view: DataView;

  constructor(private readonly pinned: Pinned, { index, shm }: { index: WalIndex; shm: KeptFile }) {
    this.frames = FrameMap.read(shm, index);
    this.#salts = index.salts;
    this.#buffer = new Uint8Array(frameHeaderSize + pinned.pageSize);
    this.#view = new DataView(this.#buffer.buffer);
    // No POSIX lock is ever taken on it: it may be closed again.
    this.#file = Deno.openSync(`${pinned.file}-wal`, { read: true });
    try {
      const header = new Uint8Array(logHeaderSize);
      readFully(this.#file, 0, header);
      this.#checkSalts(header, 16);
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /** Page counts from 0. */
  read(page: number, frame: number, into: Uint8Array): void {
    const at = logHeaderSize + (frame - 1) * this.#buffer.length;
    if (readFully(this.#file, at, this.#buffer) < this.#buffer.length) {
      throw unreadable(this.pinned.path, "its -wal file was cut off");
    }
    this.#checkSalts(this.#buffer, 8);
    if (this.#view.getUint32(0) !== page + 1) {
      throw unreadable(
        this.pinned.path,
        `frame ${frame} of its -wal file is page ${this.#view.getUint32(0)} instead of ${page + 1}`,
      );
    }
    into.set(this.#buffer.subarray(frameHeaderSize));
  }

  close(): void {
    this.#file.close();
  }

  #checkSalts(bytes: Uint8Array, at: number): void {
    for (let index = 0; index < this.#salts.length; index++) {
      if (bytes[at + index] !== this.#salts[index]) {
        throw unreadable(this.pinned.path, "its -wal file is not the one that was pinned");
      }
    }
  }
}

const logHeaderSize = 32;
const frameHeaderSize = 24;

function unreadable(path: string, why: string): AmberError {
  return new AmberError("DATABASE_UNREADABLE", {
    message: `Cannot read the database "${path}": ${why}`,
    where: path,
    hint: "Was the file copied or moved over while a program had it open? Then run this once more.",
  });
}
