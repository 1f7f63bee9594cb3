/** An open file, as far as a directory store uses it. */
export type OpenFile = Pick<
  Deno.FsFile,
  "readSync" | "writeSync" | "write" | "seekSync" | "syncSync" | "sync" | "statSync" | "tryLockSync" | "close"
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
  for (let done = 0; done < bytes.length;) done += refuseNothing(file.writeSync(bytes.subarray(done)));
}

/** The same, while others go on. The bytes are not to be changed meanwhile. */
export async function writeBeside(file: OpenFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += refuseNothing(await file.write(bytes.subarray(done)));
}

/** Else it would go on for ever. */
function refuseNothing(count: number): number {
  if (count === 0) throw Object.assign(new Error("nothing more is written"), { code: "EIO" });
  return count;
}

/** Reads exactly so many bytes from where the file stands. @throws {Error} with code EIO when it ends before. */
export function readAll(file: Pick<OpenFile, "readSync">, size: number): Uint8Array {
  return fill(file, new Uint8Array(size));
}

/** The same into memory that is there. */
export function fill(file: Pick<OpenFile, "readSync">, bytes: Uint8Array): Uint8Array {
  for (let done = 0; done < bytes.length;) {
    const count = file.readSync(bytes.subarray(done));
    if (count === null || count === 0) {
      throw Object.assign(new Error(`the file ends after ${done} of ${bytes.length} bytes`), { code: "EIO" });
    }
    done += count;
  }
  return bytes;
}
