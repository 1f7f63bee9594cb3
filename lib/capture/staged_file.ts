import { AmberError } from "../errors.ts";
import { ContentHash } from "../repository/content_hash.ts";
import { orNone, writeAll, writeBeside } from "../stores/file_calls.ts";
import type { FileSystemSync } from "./file_system_sync.ts";
import type { RegularFile } from "./regular_file.ts";
import type { RestoreCalls, StagedFile } from "./restore_calls.ts";
import type { Outline } from "./restore_items.ts";
import { WrittenHash } from "./written_hash.ts";

/** A part of a file's content, there until the next one is asked for: see Part in repository/reader.ts. */
export interface ContentPart {
  /** Triples: bytes from the file's beginning, from that of `bytes`, and how many. */
  segments: readonly number[];
  /** Absent: all zeros. */
  bytes?: Uint8Array;
}

/** How many files are being flushed at the same time: 1,000 small files took 0.8 s one by one and 0.4 s like this. */
const mostFlushing = 16;

/** Bytes from which a file is flushed by itself, also when all are flushed at the end: the disk has work meanwhile. */
const largeFile = 4 << 20;

/** Files are written, and flushed while the next ones are written, or all together at the end. */
export class Flushing implements Disposable {
  readonly #running = new Set<Promise<void>>();
  readonly #together?: FileSystemSync;
  #failure?: { error: unknown };

  /** @param together Flushes all of them at once; absent: each is flushed by itself. */
  constructor(together?: FileSystemSync) {
    this.#together = together;
  }

  /** Takes a file of so many bytes that is written, and closes it. Waits only when many are being flushed. */
  async add(file: { syncData(): Promise<void>; close(): void }, size: number): Promise<void> {
    if (this.#together && size < largeFile) return file.close();
    const flushed = file.syncData().catch((error) => {
      this.#failure ??= { error };
    }).finally(() => {
      file.close();
      this.#running.delete(flushed);
    });
    this.#running.add(flushed);
    if (this.#running.size >= mostFlushing) await Promise.race(this.#running);
    this.#refuseFailure();
  }

  /** When this returns, all that was added is on the disk. */
  async finish(): Promise<void> {
    await this.settle();
    this.#refuseFailure();
    await this.#together?.sync();
  }

  /** Waits until nothing is open any more, whatever came of it. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running);
  }

  [Symbol.dispose](): void {
    this.#together?.[Symbol.dispose]();
  }

  #refuseFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}

export interface StagedContent {
  /** For messages. */
  name: string;
  size: number;
  /** Absent for a database, whose blocks are vouched for by those who read them. */
  contentHash?: string;
  mode: number;
  mtimeMs: number;
  owner?: { uid: number; gid: number };
}

/** Bytes below which writing in the background costs more than it gains. */
const smallPiece = 256 << 10;

/**
 * Writes a new file part by part, in any order, holes as holes, and checks that it is what the snapshot says; with mode,
 * time and owner. It is on the disk when `flushing` has finished.
 *
 * @throws {AmberError} OBJECT_DAMAGED
 */
export async function writeStaged(
  path: string,
  parts: AsyncIterable<ContentPart>,
  content: StagedContent,
  { calls, flushing, stop, progress }: {
    calls: RestoreCalls;
    flushing: Flushing;
    stop: AbortSignal;
    progress: (bytes: number) => void;
  },
): Promise<void> {
  const file = calls.open(path, { read: true, write: true, createNew: true, mode: 0o600 });
  let isHandedOver = false;
  try {
    // At once: a size that no file can have is not to be found out after days of zeros.
    file.truncateSync(content.size);
    const hash = content.contentHash === undefined ? undefined : new WrittenHash(file, content.size);
    let written = 0;
    for await (const { segments, bytes } of parts) {
      for (let i = 0; i < segments.length; i += 3) {
        const [at, from, size] = [segments[i]!, segments[i + 1]!, segments[i + 2]!];
        stop.throwIfAborted();
        written += size;
        if (at + size > content.size) throw unlike(content, `it has more than ${content.size} bytes`);
        const piece = bytes?.subarray(from, from + size);
        if (piece && piece.length !== size) throw unlike(content, "its parts do not join");
        const writing = piece && writeAt(file, at, piece);
        hash?.add(at, size, piece); // meanwhile
        await writing;
        await hash?.catchUp(stop);
        progress(size);
      }
    }
    if (written !== content.size) throw unlike(content, `it has ${written} bytes instead of ${content.size}`);
    if (hash?.digest() !== content.contentHash) {
      throw unlike(content, "its content does not have the hash that was recorded");
    }
    // chown takes set-id bits away, hence before chmod.
    if (content.owner) calls.chown(path, content.owner.uid, content.owner.gid);
    calls.chmod(path, content.mode);
    calls.setTime(path, content.mtimeMs);
    isHandedOver = true;
    await flushing.add(file, content.size);
  } finally {
    if (!isHandedOver) file.close();
  }
}

/** Small pieces are written at once, large ones in the background. */
function writeAt(file: StagedFile, at: number, bytes: Uint8Array): Promise<void> | undefined {
  file.seekSync(at, Deno.SeekMode.Start);
  if (bytes.length < smallPiece) return void writeAll(file, bytes);
  return writeBeside(file, bytes);
}

/** A file's hash as a tree records it; undefined when there is no regular file of this size. */
export function hashOf(
  path: string,
  { size, ...content }: Pick<Outline, "size" | "database" | "blockSize">,
  calls: RestoreCalls,
): string | undefined {
  const info = orNone(() => calls.lstat(path));
  if (!info?.isFile || info.size !== size) return undefined;
  using file = openToRead(path, info, calls);
  if (!file) return undefined;
  const hash = new ContentHash(content);
  const buffer = new Uint8Array(Math.min(1 << 20, size + 1));
  let read = 0;
  for (let count = file.read(buffer, 0); count > 0; count = file.read(buffer, read)) {
    hash.update(buffer.subarray(0, count));
    read += count;
  }
  return read === size ? hash.digest() : undefined;
}

/** Also a file whose mode lets nobody read it, which its owner may change for a moment. */
export function openToRead(path: string, { mode }: Deno.FileInfo, calls: RestoreCalls): RegularFile | undefined {
  const isClosed = mode !== null && (mode & 0o400) === 0;
  if (isClosed) calls.chmod(path, (mode & 0o7777) | 0o400);
  const file = calls.openRegular(path);
  if (isClosed) calls.chmod(path, mode & 0o7777);
  return file;
}

function unlike({ name }: StagedContent, why: string): AmberError {
  return new AmberError("OBJECT_DAMAGED", {
    message: `Cannot restore "${name}": ${why}`,
    where: name,
    hint: "amber verify says what else is damaged. Other snapshots can still be restored: amber snapshots",
  });
}
