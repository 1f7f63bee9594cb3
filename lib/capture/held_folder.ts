const lockName = "lock";

/**
 * A folder (0700) for the length of one run, held by a flock that the kernel frees however the run ends: a later run
 * removes it only when that is free.
 */
export class HeldFolder implements Disposable {
  private constructor(readonly path: string, private readonly lock: Deno.FsFile) {}

  /** Makes `<parent>/<prefix><16 hex digits>`; the parent exists. */
  static create(parent: string, prefix: string, random: (size: number) => Uint8Array): HeldFolder {
    for (let attempt = 1;; attempt++) {
      const path = `${parent}/${prefix}${random(8).toHex()}`;
      const lock = makeLocked(path);
      if (lock) return new HeldFolder(path, lock);
      // Its parent went, which is nothing that another try mends.
      if (attempt === attempts) throw new Deno.errors.NotFound(`"${path}" was removed while it was made`);
    }
  }

  /** Whether it is still there: somebody may clean up what they do not know. */
  isThere(): boolean {
    return isFile(`${this.path}/${lockName}`);
  }

  /** Removes it with all that is in it. */
  [Symbol.dispose](): void {
    removeAll(this.path);
    this.lock.close();
  }
}

/** How often a folder is made when others, who begin as well, take it for one of a killed run. */
const attempts = 10;

/** Makes a folder and locks it; undefined when somebody removed it before it was locked. */
function makeLocked(path: string): Deno.FsFile | undefined {
  Deno.mkdirSync(path, { mode: 0o700 });
  let lock: Deno.FsFile;
  try {
    lock = Deno.openSync(`${path}/${lockName}`, { write: true, createNew: true, mode: 0o600 });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  lock.lockSync(true);
  if (lock.statSync().nlink !== 0) return lock;
  lock.close();
  return undefined;
}

/** Whether a name is that of such a folder. */
export function isHeldFolder(name: string, prefix: string): boolean {
  return name.startsWith(prefix) && /^[0-9a-f]{16}$/.test(name.slice(prefix.length));
}

/** Removes what killed runs left: folders whose lock is free. */
export function removeStale(parent: string, prefix: string): void {
  let names: string[];
  try {
    names = Array.from(Deno.readDirSync(parent), ({ name }) => name).filter((name) => isHeldFolder(name, prefix));
  } catch {
    return; // it does not exist, or is closed to us: said by whoever needs it
  }
  for (const name of names) removeIfFree(`${parent}/${name}`);
}

/** The app can write here too: a link is not followed to somebody else's folder, and a FIFO is not waited for. */
function removeIfFree(path: string): void {
  let lock: Deno.FsFile | undefined;
  try {
    if (!Deno.lstatSync(path).isDirectory) return;
    if (!isFile(`${path}/${lockName}`)) {
      // Killed between making the folder and its lock, or while removing it: nothing is in it.
      return ignoreFailure(() => Deno.removeSync(path));
    }
    lock = Deno.openSync(`${path}/${lockName}`, { write: true });
    if (lock.tryLockSync(true)) removeAll(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && !isRefused(error)) throw error; // not found: somebody else removed it
  } finally {
    lock?.close();
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.lstatSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function removeAll(path: string): void {
  ignoreFailure(() => {
    // The lock last: until then the next run knows the folder as one of ours.
    for (const { name } of [...Deno.readDirSync(path)]) {
      if (name !== lockName) Deno.removeSync(`${path}/${name}`, { recursive: true });
    }
    Deno.removeSync(`${path}/${lockName}`);
    Deno.removeSync(path);
  });
}

function ignoreFailure(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && !isRefused(error)) throw error;
  }
}

/** Not allowed here, whatever the reason: permission, a read-only or another file system, no hard links, too many. */
export function isRefused(error: unknown): boolean {
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) return true;
  return ["EXDEV", "EROFS", "EPERM", "EACCES", "EMLINK", "ENOSPC", "EDQUOT", "ENOTSUP", "EOPNOTSUPP", "ENOTEMPTY"]
    .includes((error as { code?: string }).code ?? "");
}
