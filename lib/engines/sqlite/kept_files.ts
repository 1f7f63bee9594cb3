/**
 * Descriptors of files that SQLite locks: a database's main file and its `-shm`. POSIX locks belong to the process and
 * the file, and closing *any* descriptor of the file drops all of them, SQLite's included: another process then writes
 * inside our transaction. So such a file is opened once, is read through this one descriptor, and stays open.
 *
 * They belong to the thread that opened them and are closed when that thread ends, so only a thread that lives as long
 * as the process, or outlives its use of SQLite, may call this: never a worker that is terminated while others go on.
 */
export interface KeptFile {
  readonly device: number;
  readonly inode: number;
  /** Bytes in it now. */
  size(): number;
  /** Fills `into` with what stands from `at` on; gives how many bytes there were before the file's end. */
  read(at: number, into: Uint8Array): number;
}

const kept = new Map<string, Kept>();
/** Opened while a path changed hands, hence twice: not needed, and not to be closed either. */
const surplus: Deno.FsFile[] = [];

/**
 * The descriptor of the file at this path, links followed; opened at the first call.
 *
 * @throws Deno.errors.NotFound, Deno.errors.PermissionDenied; and when it is not a file.
 */
export function keptFile(path: string): KeptFile {
  const info = Deno.statSync(path);
  if (!info.isFile) throw new Error(`Cannot read "${path}": it is not a file`);
  const known = kept.get(keyOf(info));
  if (known) return known;
  const file = Deno.openSync(path, { read: true });
  const opened = file.statSync(); // the path may lead to another file by now
  const other = kept.get(keyOf(opened));
  if (other) {
    surplus.push(file);
    return other;
  }
  const fresh = new Kept(file, opened.dev, opened.ino ?? 0);
  kept.set(keyOf(opened), fresh);
  return fresh;
}

/** How many are open in this thread. */
export function keptCount(): number {
  return kept.size + surplus.length;
}

/** Closes those whose file has no name any more: nobody can open it again, so no lock on it is of use to anybody. To be called now and then. */
export function closeUnlinked(): void {
  for (const [key, one] of kept) {
    if (one.file.statSync().nlink !== 0) continue; // null on Windows, where an open file cannot be removed
    one.file.close();
    kept.delete(key);
  }
}

class Kept implements KeptFile {
  constructor(readonly file: Deno.FsFile, readonly device: number, readonly inode: number) {}

  size(): number {
    return this.file.statSync().size;
  }

  read(at: number, into: Uint8Array): number {
    return readFully(this.file, at, into);
  }
}

/** Fills `into` with what stands from `at` on, however short the single reads are; gives how many bytes there were. */
export function readFully(file: Pick<Deno.FsFile, "seekSync" | "readSync">, at: number, into: Uint8Array): number {
  if (into.length === 0) return 0;
  file.seekSync(at, Deno.SeekMode.Start);
  let filled = 0;
  while (filled < into.length) {
    const count = file.readSync(filled === 0 ? into : into.subarray(filled));
    if (count === null || count === 0) break;
    filled += count;
  }
  return filled;
}

function keyOf(info: Deno.FileInfo): string {
  return `${info.dev}:${info.ino}`;
}
