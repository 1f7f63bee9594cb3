import { copyLive } from "../engines/sqlite/copy_live.ts";
import { HeldFolder, removeStale } from "./held_folder.ts";

const folderPrefix = "rehearse-";

/** Where a copy of a SQLite database lies while migrations are rehearsed on it; removed when it is disposed of. */
export class RehearsalFile implements Disposable {
  readonly path: string;

  private constructor(private readonly folder: HeldFolder) {
    this.path = `${folder.path}/rehearsal.db`;
  }

  /** Makes its folder in the scratch folder, and removes those that killed runs left. Nothing is in it yet. */
  static create(scratch: string, random: (size: number) => Uint8Array): RehearsalFile {
    Deno.mkdirSync(scratch, { recursive: true, mode: 0o700 });
    removeStale(scratch, folderPrefix);
    return new RehearsalFile(HeldFolder.create(scratch, folderPrefix, random));
  }

  /** Copies a database as it is now; of that nothing is written. @throws {AmberError} as copyLive() */
  async copy(database: string, stop: AbortSignal): Promise<void> {
    await copyLive(database, this.path, stop);
  }

  /** Fills it with what `write` is handed. */
  async fill(source: (write: (bytes: Uint8Array) => boolean) => Promise<void>): Promise<void> {
    using file = Deno.openSync(this.path, { write: true, createNew: true, mode: 0o600 });
    await source((bytes) => {
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      return true;
    });
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}
