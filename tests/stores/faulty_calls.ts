import { diskCalls, type FileCalls, type OpenFile } from "../../lib/stores/file_calls.ts";

/**
 * `EIO` and `ENOSPC`: the call fails. `end`: a read finds the end of the file although more is there. `short`: every
 * read and write does only a third of what it could.
 */
export type CallFault = "EIO" | "ENOSPC" | "end" | "short";

/** The disk's calls, counted, with one that fails. */
export interface FaultyCalls extends FileCalls {
  /** What was called so far, in order: `open`, `write`, … The first one has number 1. */
  readonly log: { what: string; path: string }[];
}

/**
 * @param options.failAt The number of the call that fails; with `isDead` all from there on do.
 * @param options.before Runs before each call, as its number: a test can kill the process, or let somebody else act.
 * @param options.after Runs after each call that succeeded.
 */
export function faultyCalls(
  options: {
    fault?: CallFault;
    failAt?: number;
    isDead?: boolean;
    before?: (number: number, what: string, path: string) => void;
    after?: (number: number, what: string, path: string) => void;
  } = {},
): FaultyCalls {
  const { fault, failAt = Infinity, isDead = false, before, after } = options;
  const log: FaultyCalls["log"] = [];
  const begin = (what: string, path: string): number => {
    const number = log.push({ what, path });
    before?.(number, what, path);
    if ((isDead ? number >= failAt : number === failAt) && (fault === "EIO" || fault === "ENOSPC")) {
      throw failure(fault);
    }
    return number;
  };
  const call = <T>(what: string, path: string, act: () => T): T => {
    const number = begin(what, path);
    const result = act();
    after?.(number, what, path);
    return result;
  };
  const callLater = async <T>(what: string, path: string, act: () => Promise<T>): Promise<T> => {
    const number = begin(what, path);
    const result = await act();
    after?.(number, what, path);
    return result;
  };
  const part = (bytes: Uint8Array) => fault === "short" ? bytes.subarray(0, Math.ceil(bytes.length / 3)) : bytes;
  const isEnd = () => fault === "end" && log.length === failAt;
  const wrap = (path: string, file: OpenFile): OpenFile => ({
    readSync: (bytes) => call("read", path, () => isEnd() ? null : file.readSync(part(bytes))),
    writeSync: (bytes) => call("write", path, () => file.writeSync(part(bytes))),
    write: (bytes) => callLater("write", path, () => file.write(part(bytes))),
    seekSync: (offset, whence) => call("seek", path, () => file.seekSync(offset, whence)),
    syncSync: () => call("sync", path, () => file.syncSync()),
    sync: () => callLater("sync", path, () => file.sync()),
    statSync: () => call("fstat", path, () => file.statSync()),
    tryLockSync: (exclusive) => call("lock", path, () => file.tryLockSync(exclusive)),
    close: () => file.close(),
  });
  return {
    log,
    open: (path, open) =>
      wrap(
        path,
        call("open", path, () => diskCalls.open(path, open)),
      ),
    stat: (path) => call("stat", path, () => diskCalls.stat(path)),
    lstat: (path) => call("lstat", path, () => diskCalls.lstat(path)),
    readDir: (path) => call("readDir", path, () => diskCalls.readDir(path)),
    mkdir: (path, how) => call("mkdir", path, () => diskCalls.mkdir(path, how)),
    chmod: (path, mode) => call("chmod", path, () => diskCalls.chmod(path, mode)),
    rename: (from, to) => call("rename", from, () => diskCalls.rename(from, to)),
    remove: (path) => call("remove", path, () => diskCalls.remove(path)),
  };
}

/** Such as Deno throws it. */
function failure(code: "EIO" | "ENOSPC"): Error {
  const text = code === "EIO" ? "Input/output error (os error 5)" : "No space left on device (os error 28)";
  return Object.assign(new Error(text), { code });
}
