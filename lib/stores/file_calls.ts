/** An open file, as far as a directory store uses it. */
export type OpenFile = Pick<
  Deno.FsFile,
  "readSync" | "writeSync" | "seekSync" | "syncSync" | "statSync" | "tryLockSync" | "close"
>;

/** The file calls that a directory store makes: a test hands in ones that fail. */
export interface FileCalls {
  open(path: string, options: Deno.OpenOptions): OpenFile;
  /** What lies at a path: `stat` follows a link, `lstat` does not. */
  stat(path: string): Deno.FileInfo;
  lstat(path: string): Deno.FileInfo;
  readDir(path: string): Iterable<Deno.DirEntry>;
  mkdir(path: string, options: Deno.MkdirOptions): void;
  chmod(path: string, mode: number): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
}

/** The real ones. Synchronous: for many small files that is quicker than promises. */
export const diskCalls: FileCalls = {
  open: Deno.openSync,
  stat: Deno.statSync,
  lstat: Deno.lstatSync,
  readDir: Deno.readDirSync,
  mkdir: Deno.mkdirSync,
  chmod: Deno.chmodSync,
  rename: Deno.renameSync,
  remove: Deno.removeSync,
};

/** What a call gives; undefined when there is nothing at its path. Other failures are thrown. */
export function orNone<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The operating system's name for a failure, such as `ENOSPC`; undefined when it was not the one that failed. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** Writes everything: one call may write less than it was given. */
export function writeAll(file: OpenFile, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    const count = file.writeSync(bytes.subarray(done));
    // Else this would go on for ever.
    if (count === 0) throw Object.assign(new Error("nothing more is written"), { code: "EIO" });
    done += count;
  }
}

/** Reads exactly so many bytes from where the file stands. @throws {Error} with code EIO when it ends before. */
export function readAll(file: OpenFile, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let done = 0; done < size;) {
    const count = file.readSync(bytes.subarray(done));
    if (count === null || count === 0) {
      throw Object.assign(new Error(`the file ends after ${done} of ${size} bytes`), { code: "EIO" });
    }
    done += count;
  }
  return bytes;
}
