/** The file and database calls of a restore, each one a step that a test can let fail, or die at. */
import type { FileSystemSync } from "../../lib/capture/file_system_sync.ts";
import type { RegularFile } from "../../lib/capture/regular_file.ts";
import { type RestoreCalls, restoreCalls, type StagedFile } from "../../lib/capture/restore_calls.ts";

export interface Step {
  /** From 1. */
  number: number;
  /** The call, such as `rename`, or `file.writeSync` of an open file. */
  call: string;
  path: string;
}

/** Looking changes nothing: those calls are no steps unless asked for. */
const looking = new Set([
  "lstat",
  "stat",
  "readDir",
  "readLink",
  "file.statSync",
  "file.close",
  "file.seekSync",
  "openFileSystemSync",
]);

/**
 * The real calls with something said before each of them that changes something; what `before` throws is what the call
 * throws, and the call is not made.
 */
export function steppedCalls(before: (step: Step) => void, options: { all?: boolean } = {}): RestoreCalls {
  let number = 0;
  const note = (call: string, path: unknown) => {
    if (!options.all && looking.has(call)) return;
    before({ number: ++number, call, path: String(path) });
  };
  const calls: Record<string, unknown> = {};
  for (const [name, call] of Object.entries(restoreCalls) as [string, (...parts: unknown[]) => unknown][]) {
    // A promise's failure is a rejection, as the real one's would be.
    const isAsync = name === "checkImage" || name === "putImage" || name === "dropMarker";
    calls[name] = isAsync
      ? async (...parts: unknown[]) => {
        note(name, parts[0]);
        return await call(...parts);
      }
      : (...parts: unknown[]) => {
        note(name, parts[0]);
        const result = call(...parts);
        if (name === "open") return steppedFile(result as Deno.FsFile, String(parts[0]), note);
        if (name === "openFileSystemSync" && result) {
          return steppedSync(result as FileSystemSync, String(parts[0]), note);
        }
        return name === "openRegular" && result ? steppedReader(result as RegularFile, String(parts[0]), note) : result;
      };
  }
  return calls as unknown as RestoreCalls;
}

function steppedFile(file: Deno.FsFile, path: string, note: (call: string, path: string) => void): StagedFile {
  const stepped =
    <Parts extends unknown[], Result>(name: string, call: (...parts: Parts) => Result) => (...parts: Parts) => {
      note(`file.${name}`, path);
      return call(...parts);
    };
  return {
    readSync: stepped("readSync", (bytes: Uint8Array) => file.readSync(bytes)),
    writeSync: stepped("writeSync", (bytes: Uint8Array) => file.writeSync(bytes)),
    seekSync: stepped("seekSync", (at: number | bigint, whence: Deno.SeekMode) => file.seekSync(at, whence)),
    syncSync: stepped("syncSync", () => file.syncSync()),
    write: async (bytes: Uint8Array) => {
      note("file.write", path);
      return await file.write(bytes);
    },
    sync: async () => {
      note("file.sync", path);
      await file.sync();
    },
    syncData: async () => {
      note("file.syncData", path);
      await file.syncData();
    },
    truncateSync: stepped("truncateSync", (size?: number) => file.truncateSync(size)),
    statSync: stepped("statSync", () => file.statSync()),
    tryLockSync: (exclusive?: boolean) => file.tryLockSync(exclusive),
    close: () => file.close(),
  };
}

function steppedReader(file: RegularFile, path: string, note: (call: string, path: string) => void): RegularFile {
  return {
    ...file,
    read: (buffer, from) => {
      note("file.read", path);
      return file.read(buffer, from);
    },
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}

function steppedSync(all: FileSystemSync, path: string, note: (call: string, path: string) => void): FileSystemSync {
  return {
    sync: async () => {
      note("sync", path);
      await all.sync();
    },
    [Symbol.dispose]: () => all[Symbol.dispose](),
  };
}

/** A failure as the operating system's: `ENOSPC`, `EIO`, `EACCES`. */
export function systemFailure(code: string, step: Step): Error {
  return Object.assign(new Error(`${code} at ${step.call} ${step.path}`), { code });
}
