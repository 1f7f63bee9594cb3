import { AmberError } from "../errors.ts";
import { folderOf } from "../fs.ts";
import {
  diskCalls,
  type FileCalls,
  type OpenFile,
  orNone,
  readAll,
  systemCode,
  writeAll,
  writeBeside,
} from "./file_calls.ts";
import { explainRefusal, refuseAsFolder, refuseObjectName } from "./refusal.ts";
import { isObjectName, type ObjectStore, type Range, type StoredObject } from "./store.ts";

const folderMode = 0o700;
const fileMode = 0o600;

/** Names of files below `tmp/`. What else lies there is not amber's: somebody may have named a folder that had a `tmp`. */
const temporaryName = /^amber-[0-9a-f]{32}$/;

/** More than any object has: a forged one must not make amber allocate what the machine lacks. */
const largestBytes = 256 * 1024 * 1024;

/** From so many bytes on a disk is waited for beside other work. For small objects that takes longer than the disk. */
const largeBytes = 256 * 1024;

/** How often a write begins anew when its temporary file or a folder vanishes. */
const attempts = 10;

/**
 * A repository in a folder. An object is a regular file in regular folders: links, pipes and folders are none, and no
 * link is followed, except when the repository's folder itself is one.
 *
 * Writing: a temporary file in `tmp/`, flushed, renamed, and its folder flushed. While it is written it is locked
 * (flock), so that tidy() knows which ones nobody writes any more. A removal is not flushed: a power failure may undo it.
 */
export class DirectoryStore implements ObjectStore {
  readonly where: string;
  #root: string;
  #files: FileCalls;
  /** Folders that exist, and whose own names are known to be flushed. */
  #made = new Set<string>();

  /**
   * @param root Made by the first put, 0700, with the folders above it.
   * @param options.files Default: Deno's.
   */
  constructor(root: string, options: { files?: FileCalls } = {}) {
    this.where = root;
    this.#root = root.replace(/(?<=.)\/+$/, "");
    this.#files = options.files ?? diskCalls;
  }

  get(name: string, range?: Range): Promise<Uint8Array | undefined> {
    return this.#try(`read "${name}"`, name, () => this.#read(this.#pathOf(name), name, range));
  }

  put(name: string, bytes: Uint8Array): Promise<void> {
    return this.#try(`store "${name}"`, name, () => {
      const path = this.#pathOf(name);
      return this.#untilNothingVanishes(() => this.#write(path, bytes));
    });
  }

  list(prefix: string): Promise<StoredObject[]> {
    return this.#try(prefix === "" ? "list objects" : `list "${prefix}"`, prefix, () => {
      const top = prefix.slice(0, prefix.lastIndexOf("/") + 1);
      if (top !== "" && !isObjectName(top.slice(0, -1))) throw refuseObjectName(prefix);
      const found = this.#walk(top).filter(({ name }) => name.startsWith(prefix)).toArray();
      return found.sort((a, b) => a.name < b.name ? -1 : 1);
    });
  }

  remove(name: string): Promise<void> {
    return this.#try(`remove "${name}"`, name, () => {
      const path = this.#pathOf(name);
      if (this.#look(name)?.isFile) orNone(() => this.#files.remove(path));
    });
  }

  time(): Promise<number> {
    return this.#try("write a file to see the time", "tmp", async () => {
      const { path, file } = await this.#untilNothingVanishes(() => this.#makeTemporary());
      try {
        writeAll(file, new Uint8Array(1));
        return file.statSync().mtime!.getTime();
      } finally {
        file.close();
        this.#tryToRemove(path);
      }
    });
  }

  tidy(): Promise<void> {
    return this.#try("remove what killed writers left", "tmp", () => {
      if (!this.#look("tmp")?.isDirectory) return;
      for (const { name, isFile } of this.#files.readDir(`${this.#root}/tmp`)) {
        if (isFile && temporaryName.test(name)) this.#removeUnlessLocked(`${this.#root}/tmp/${name}`);
      }
    });
  }

  /** Does it anew when a tidy() came between the creation of a temporary file and its lock, or a folder was removed. */
  async #untilNothingVanishes<T>(body: () => T | Promise<T>): Promise<T> {
    for (let attempt = 1;; attempt++) {
      try {
        return await body();
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound) || attempt === attempts) throw error;
        this.#made.clear();
      }
    }
  }

  /** @throws {Deno.errors.NotFound} when the temporary file or a folder vanished meanwhile. */
  async #write(target: string, bytes: Uint8Array): Promise<void> {
    this.#makeFolder(folderOf(target));
    const { path, file } = this.#makeTemporary();
    let isRenamed = false;
    try {
      // When it is not to be had, a tidy() has it and removes the file: then there will be nothing to rename.
      file.tryLockSync(true);
      this.#restoreMode(path, file.statSync(), fileMode);
      if (bytes.length < largeBytes) {
        writeAll(file, bytes);
        file.syncSync();
      } else {
        await writeBeside(file, bytes);
        await file.sync();
      }
      this.#files.rename(path, target);
      isRenamed = true;
    } finally {
      if (!isRenamed) this.#tryToRemove(path);
      file.close(); // last: it frees the lock
    }
    this.#syncFolder(folderOf(target));
  }

  #makeTemporary(): { path: string; file: OpenFile } {
    this.#makeFolder(`${this.#root}/tmp`);
    const path = `${this.#root}/tmp/amber-${crypto.getRandomValues(new Uint8Array(16)).toHex()}`;
    return { path, file: this.#files.open(path, { write: true, createNew: true, mode: fileMode }) };
  }

  #read(path: string, name: string, range?: Range): Uint8Array | undefined {
    // Looked at before it is opened: opening a pipe would wait for ever.
    if (!this.#look(name)?.isFile) return undefined;
    const file = orNone(() => this.#files.open(path, { read: true }));
    if (!file) return undefined; // removed just now
    try {
      const from = range?.from ?? 0;
      const size = Math.min(range?.size ?? Infinity, Math.max(file.statSync().size - from, 0));
      if (size > largestBytes) {
        const message = `Cannot read "${name}": it has ${size} bytes, and no object of amber's is so large`;
        throw new AmberError("OBJECT_DAMAGED", { message, where: path });
      }
      if (size > 0 && from > 0) file.seekSync(from, Deno.SeekMode.Start);
      return readAll(file, size);
    } finally {
      file.close();
    }
  }

  /** All objects below a folder ("", or with "/" at its end), in any order. */
  *#walk(top: string): Generator<StoredObject> {
    if (top !== "" && !this.#look(top.slice(0, -1))?.isDirectory) return;
    const open = [top];
    for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
      const path = folder === "" ? this.#root : `${this.#root}/${folder}`;
      for (const entry of orNone(() => this.#files.readDir(path)) ?? []) {
        const name = folder + entry.name;
        if (!isObjectName(entry.name) || isTemporary(name)) continue;
        if (entry.isDirectory) open.push(`${name}/`);
        if (!entry.isFile) continue;
        const info = orNone(() => this.#files.lstat(`${this.#root}/${name}`));
        if (info?.isFile) yield { name, size: info.size, timeMs: info.mtime!.getTime() };
      }
    }
  }

  /** What lies at a name, no link followed; undefined when nothing does, or not in regular folders. */
  #look(name: string): Deno.FileInfo | undefined {
    let path = this.#root;
    let info: Deno.FileInfo | undefined;
    for (const part of name.split("/")) {
      if (info && !info.isDirectory) return undefined;
      path += `/${part}`;
      info = orNone(() => this.#files.lstat(path));
      if (!info) return undefined;
    }
    return info;
  }

  /** Makes a folder, and those above it, where there are none. When it returns, its name survives a power failure. */
  #makeFolder(path: string): void {
    if (this.#made.has(path)) return;
    const isInside = path.length > this.#root.length;
    const look = () => isInside ? this.#files.lstat(path) : this.#files.stat(path);
    if (isInside) this.#makeFolder(folderOf(path));
    let info = orNone(look);
    if (!info) {
      // Above the repository only what is missing is touched.
      if (!isInside && !orNone(() => this.#files.stat(folderOf(path)))) this.#makeFolder(folderOf(path));
      this.#makeNewFolder(path);
      info = look();
    }
    if (!info.isDirectory) throw refuseAsFolder(path, this.#root, info);
    try {
      // Also when it was there: whoever made it may have been killed before this.
      this.#syncFolder(folderOf(path));
    } catch (error) {
      // The folder that the repository lies in may be closed to us.
      if (isInside || !(error instanceof Deno.errors.PermissionDenied)) throw error;
    }
    this.#made.add(path);
  }

  #makeNewFolder(path: string): void {
    try {
      this.#files.mkdir(path, { mode: folderMode });
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return; // somebody was quicker
      throw error;
    }
    this.#restoreMode(path, this.#files.lstat(path), folderMode);
  }

  /** Gives back what a strict umask has taken; it can only take. Not more often: some file systems refuse every chmod. */
  #restoreMode(path: string, info: Deno.FileInfo, mode: number): void {
    if (info.mode !== null && (info.mode & mode) !== mode) this.#files.chmod(path, mode);
  }

  #syncFolder(path: string): void {
    const folder = this.#files.open(path, { read: true });
    try {
      folder.syncSync();
    } catch (error) {
      // Some network and FUSE file systems know no such thing for folders, and nothing better is to be had there.
      if (systemCode(error) !== "EINVAL") throw error;
    } finally {
      folder.close();
    }
  }

  #removeUnlessLocked(path: string): void {
    let file: OpenFile;
    try {
      file = this.#files.open(path, { read: true, write: true });
    } catch (error) {
      // Gone meanwhile, or another user's, who will tidy it up.
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return;
      throw error;
    }
    try {
      if (file.tryLockSync(true)) orNone(() => this.#files.remove(path));
    } finally {
      file.close();
    }
  }

  /** What the operating system does not let us remove, the next tidy() does: it must not hide how the work itself went. */
  #tryToRemove(path: string): void {
    try {
      this.#files.remove(path);
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
    }
  }

  #pathOf(name: string): string {
    if (!isObjectName(name) || isTemporary(name)) throw refuseObjectName(name);
    return `${this.#root}/${name}`;
  }

  /** @param name What it is about, relative to the repository. */
  async #try<T>(action: string, name: string, body: () => T | Promise<T>): Promise<T> {
    try {
      return await body();
    } catch (error) {
      throw explainRefusal(error, { action, root: this.#root, path: `${this.#root}/${name}`.replace(/\/$/, "") });
    }
  }
}

function isTemporary(name: string): boolean {
  return name === "tmp" || name.startsWith("tmp/");
}
