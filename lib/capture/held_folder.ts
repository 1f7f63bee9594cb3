const lockName = "lock";

/**
 * A folder (0700) for the length of one run, held by a flock that the kernel frees however the run ends: a later run
 * removes it only when that is free.
 */
export class HeldFolder implements Disposable {
  private constructor(readonly path: string, private readonly lock: Deno.FsFile) {}

  /** Makes `<parent>/<prefix><16 hex digits>`; the parent exists. */
  static create(parent: string, prefix: string, random: (size: number) => Uint8Array): HeldFolder {
    const path = `${parent}/${prefix}${random(8).toHex()}`;
    Deno.mkdirSync(path, { mode: 0o700 });
    const lock = Deno.openSync(`${path}/${lockName}`, { write: true, createNew: true, mode: 0o600 });
    lock.lockSync(true);
    return new HeldFolder(path, lock);
  }

  /** Removes it with all that is in it. */
  [Symbol.dispose](): void {
    removeAll(this.path);
    this.lock.close();
  }
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

function removeIfFree(path: string): void {
  let lock: Deno.FsFile | undefined;
  try {
    lock = Deno.openSync(`${path}/${lockName}`, { write: true });
    if (lock.tryLockSync(true)) removeAll(path);
  } catch (error) {
    // Killed between making the folder and its lock, or while removing it: nothing is in it.
    if (error instanceof Deno.errors.NotFound) ignoreFailure(() => Deno.removeSync(path));
    else if (!isRefused(error)) throw error;
  } finally {
    lock?.close();
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
