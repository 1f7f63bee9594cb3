import { AmberError } from "../errors.ts";
import { orNone, systemCode, writeAll } from "../stores/file_calls.ts";
import { companionEndings } from "./databases.ts";
import type { RestoreCalls } from "./restore_calls.ts";
import { syncFolder } from "./restore_decision.ts";
import { outsidePlace } from "./restore_items.ts";
import { openToRead } from "./staged_file.ts";

export interface TargetOptions {
  calls: RestoreCalls;
  /** The target folder, links resolved. */
  root: string;
  /** The configured database's file, links resolved: what `/database.db` stands for. */
  database?: string;
  /** Where what has to give way is moved: a folder on the same file system, if it can be. */
  gone: string;
  /** Whether a place is ours or is excluded: it is never moved, with nothing that it lies in. */
  isKept: (place: string, isFolder: boolean) => boolean;
  /** Names of ours in the way of nobody, for what has to be copied over a file system's border. */
  id: string;
}

/** What the system says when something has come or gone since it was looked at, and how often that is believed. */
const changes = new Set(["ENOENT", "ENOTDIR", "EEXIST", "EISDIR", "ENOTEMPTY"]);
const mostTries = 5;

/**
 * A folder that things are put into. No link in it is followed: each folder on the way to a place is looked at, and
 * what is none gives way. Everything may be done twice.
 */
export class TargetFolder {
  readonly #folders = new Set<string>();
  readonly #touched = new Set<string>();
  #moved = 0;

  constructor(private readonly options: TargetOptions) {}

  /** Where a place is, absolute. @throws {AmberError} USAGE for the configured database when there is none. */
  full(place: string): string {
    const { root, database } = this.options;
    if (place !== outsidePlace) return `${root}/${place}`;
    if (database !== undefined) return database;
    throw new AmberError("USAGE", {
      message: "Cannot restore the database: none is configured that this version restores",
      hint: "Name a SQLite database in DB_PATH or DATABASE_URL, or restore into a folder: --to FOLDER",
    });
  }

  /** What lies at a place, links not followed; undefined when nothing does, or one of its folders is none. */
  look(place: string): Deno.FileInfo | undefined {
    const { calls, root } = this.options;
    if (place !== outsidePlace) {
      for (let cut = place.indexOf("/"); cut > 0; cut = place.indexOf("/", cut + 1)) {
        const path = `${root}/${place.slice(0, cut)}`;
        if (this.#folders.has(path)) continue;
        if (!orNone(() => calls.lstat(path))?.isDirectory) return undefined;
      }
    }
    return orNone(() => calls.lstat(this.full(place)));
  }

  /** Makes a folder, and those above it, where there are none; what is in the way gives way. One that is made has the mode. */
  ensureFolder(place: string, mode = 0o700): void {
    this.#despiteOthers(() => this.#ensureFolder(place, mode));
  }

  #ensureFolder(place: string, mode: number): void {
    const { calls, root } = this.options;
    let end = 0;
    do {
      end = place.indexOf("/", end + 1);
      const part = end < 0 ? place : place.slice(0, end);
      const path = `${root}/${part}`;
      if (this.#folders.has(path)) continue;
      const info = orNone(() => calls.lstat(path));
      if (info && !info.isDirectory) this.#moveAway(part, `way-${this.#moved++}`);
      if (!info?.isDirectory) {
        this.#touch(path);
        calls.mkdir(path, { mode: 0o700 });
        if (end < 0 && mode !== 0o700) calls.chmod(path, mode | 0o300);
      } else if (((info.mode ?? 0o700) & 0o300) !== 0o300) calls.chmod(path, (info.mode! & 0o7777) | 0o300); // set again at the end
      this.#folders.add(path);
    } while (end >= 0);
  }

  /**
   * Moves what lies at a place out of the way, as `name`. What has been moved under that name already was this: then
   * whatever is there now stays. False when it stays because something of ours lies in it.
   */
  moveAway(place: string, name: string): boolean {
    return this.#despiteOthers(() => this.#moveAway(place, name));
  }

  #moveAway(place: string, name: string): boolean {
    const { calls, gone } = this.options;
    let aside = `${gone}/${name}`;
    if (orNone(() => calls.lstat(aside))) {
      if (!name.startsWith("way-")) return true;
      for (let i = 0; orNone(() => calls.lstat(aside)); i++) aside = `${gone}/${name}-${i}`;
    }
    const info = this.look(place);
    if (!info) return true;
    if (this.#holdsKept(place, info.isDirectory)) return false;
    const path = this.full(place);
    this.#touch(path);
    try {
      calls.rename(path, aside);
    } catch (error) {
      // On another file system: what goes is removed at once. A mount point itself cannot be.
      if (systemCode(error) !== "EXDEV" && systemCode(error) !== "EBUSY") throw error;
      removeTree(path, calls, info);
    }
    return true;
  }

  #holdsKept(place: string, isFolder: boolean): boolean {
    const { calls, isKept } = this.options;
    if (isKept(place, isFolder)) return true;
    if (!isFolder) return false;
    return [...calls.readDir(this.full(place))].some(({ name, isDirectory }) =>
      this.#holdsKept(`${place}/${name}`, isDirectory)
    );
  }

  /**
   * Puts a staged file, or link, into a place; whatever file is there is replaced in the same moment.
   *
   * @param first Where the first name of the same file is.
   */
  put(staged: string, place: string, first?: string): void {
    this.#despiteOthers(() => this.#put(staged, place, first));
  }

  #put(staged: string, place: string, first: string | undefined): void {
    const { calls } = this.options;
    const slash = place.lastIndexOf("/");
    if (slash > 0) this.#ensureFolder(place.slice(0, slash), 0o700);
    const path = this.full(place);
    this.#touch(path);
    try {
      calls.rename(staged, path);
    } catch (error) {
      const code = systemCode(error);
      if (code === "EXDEV") return this.#copyOver(staged, path, first);
      if (code !== "EISDIR") throw error;
      if (!this.#moveAway(place, `way-${this.#moved++}`)) throw inTheWay(path);
      calls.rename(staged, path);
    }
  }

  /** The app goes on while this works: what was looked at may be another thing by now. Then it is looked at again. */
  #despiteOthers<T>(work: () => T): T {
    for (let tries = 1;; tries++) {
      try {
        return work();
      } catch (error) {
        if (tries === mostTries || !changes.has(systemCode(error) ?? "")) throw error;
        this.#folders.clear();
      }
    }
  }

  /** Over a file system's border: a copy beside the place first, so that the last step is a rename again. */
  #copyOver(staged: string, path: string, first: string | undefined): void {
    const { calls, id } = this.options;
    const beside = `${folderAbove(path)}/.amber-${id.slice(0, 16)}-copy`;
    removeIfThere(beside, calls);
    const info = calls.lstat(staged);
    if (first !== undefined && this.look(first)?.isFile) calls.link(this.full(first), beside);
    else if (info.isSymlink) calls.symlink(calls.readLink(staged), beside);
    else copyFile(staged, beside, info, calls);
    calls.rename(beside, path);
    this.syncTouched();
    calls.remove(staged);
  }

  /** Removes what SQLite kept beside a database that is not there any more: it would be read as the new one's. */
  removeCompanions(place: string): void {
    const { calls } = this.options;
    const path = this.full(place);
    for (const ending of companionEndings) {
      if (ending === ".amber-lock" || !orNone(() => calls.lstat(path + ending))) continue;
      this.#touch(path);
      const info = calls.lstat(path + ending);
      if (info.isDirectory) this.moveAway(place + ending, `way-${this.#moved++}`);
      else calls.remove(path + ending);
    }
    // They must be gone before the new file comes, whatever happens to the machine.
    this.syncTouched();
  }

  /** Makes what was done to folders durable. */
  syncTouched(): void {
    for (const folder of this.#touched) {
      if (orNone(() => this.options.calls.lstat(folder))?.isDirectory) syncFolder(folder, this.options.calls);
    }
    this.#touched.clear();
  }

  #touch(path: string): void {
    this.#touched.add(folderAbove(path));
  }
}

function copyFile(from: string, to: string, info: Deno.FileInfo, calls: RestoreCalls): void {
  using source = openToRead(from, info, calls);
  const sink = calls.open(to, { write: true, createNew: true, mode: 0o600 });
  try {
    const buffer = new Uint8Array(1 << 20);
    let size = 0;
    for (let count = source?.read(buffer, 0) ?? 0; count > 0; count = source!.read(buffer, size)) {
      const bytes = buffer.subarray(0, count);
      sink.seekSync(size, Deno.SeekMode.Start);
      if (bytes.some((byte) => byte !== 0)) writeAll(sink, bytes);
      size += count;
    }
    if (size !== info.size) throw Object.assign(new Error(`"${from}" ended too early`), { code: "EIO" });
    sink.truncateSync(size);
    sink.syncSync();
  } finally {
    sink.close();
  }
  if (info.uid !== null && info.uid !== Deno.uid()) calls.chown(to, info.uid, info.gid!);
  calls.chmod(to, info.mode! & 0o7777);
  calls.setTime(to, info.mtime!.getTime());
}

export function removeIfThere(path: string, calls: RestoreCalls): void {
  const info = orNone(() => calls.lstat(path));
  if (info) removeTree(path, calls, info);
}

/** Removes a file, a link or a folder with all that is in it; follows no link. */
export function removeTree(
  path: string,
  calls: RestoreCalls,
  info: { isDirectory: boolean; mode?: number | null },
): void {
  if (info.isDirectory) {
    if (info.mode !== undefined && ((info.mode ?? 0o700) & 0o700) !== 0o700) calls.chmod(path, 0o700);
    for (const { name } of [...calls.readDir(path)]) {
      const inside = orNone(() => calls.lstat(`${path}/${name}`));
      if (inside) removeTree(`${path}/${name}`, calls, inside);
    }
  }
  orNone(() => calls.remove(path));
}

function inTheWay(path: string): AmberError {
  return new AmberError("RESTORE_BLOCKED", {
    message: `Cannot restore "${path}": a folder is there now with something in it that stays`,
    where: path,
    hint: "Move that elsewhere, then run the same restore again: it goes on where it was.",
  });
}

/** The folder of an absolute path. A backslash is a character like others in a name. */
export function folderAbove(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf("/")));
}
