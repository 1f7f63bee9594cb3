import { AmberError } from "../errors.ts";
import { folderOf, statOrNone } from "../fs.ts";
import { systemCode, writeAll } from "../stores/file_calls.ts";

/** A file that is there whole or not at all: written beside its place, 0600, and renamed. */
export class ExportFile implements Disposable {
  #isDone = false;

  private constructor(
    private readonly path: string,
    private readonly temporary: string,
    private readonly file: Deno.FsFile,
  ) {}

  /** @throws {AmberError} USAGE, FILE_UNWRITABLE */
  static create(path: string, random: (size: number) => Uint8Array): ExportFile {
    if (statOrNone(path)?.isDirectory) {
      throw new AmberError("USAGE", {
        message: `Cannot write the tar to "${path}": it is a folder`,
        hint: "Name a file: -o data.tar",
      });
    }
    const temporary = `${path}.amber-${random(8).toHex()}`;
    return attempt(path, () => {
      const file = Deno.openSync(temporary, { write: true, createNew: true, mode: 0o600 });
      return new ExportFile(path, temporary, file);
    });
  }

  /** @throws {AmberError} DISK_FULL, FILE_UNWRITABLE */
  write(bytes: Uint8Array): void {
    attempt(this.path, () => writeAll(this.file, bytes));
  }

  /** Puts it into its place, over a file that is there. When this returns it survives a power failure. */
  finish(): void {
    attempt(this.path, () => {
      this.file.syncSync();
      Deno.renameSync(this.temporary, this.path);
      this.#isDone = true;
      using folder = Deno.openSync(folderOf(this.path), { read: true });
      folder.syncSync();
    });
  }

  /** Unless it was finished, nothing is left of it. */
  [Symbol.dispose](): void {
    this.file.close();
    if (!this.#isDone) Deno.removeSync(this.temporary);
  }
}

function attempt<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    const isFull = code === "ENOSPC" || code === "EDQUOT";
    throw new AmberError(isFull ? "DISK_FULL" : "FILE_UNWRITABLE", {
      message: `Cannot write the tar to "${path}": ${isFull ? "the disk is full" : (error as Error).message}`,
      where: path,
      hint: isFull
        ? "Name a file on a disk with more room, or pipe it elsewhere."
        : "Can this user write there? ls -ld",
      cause: error,
    });
  }
}
