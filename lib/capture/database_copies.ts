import { HeldFolder, isRefused, removeStale } from "./held_folder.ts";
import type { CapturedDatabase, Image, Instant } from "./instant.ts";
import { AmberError } from "../errors.ts";
import type { Remark } from "../repository/snapshot_file.ts";

const copyPrefix = "copy-";

/** Copies of databases whose writers wait while they are read: made first, so that they wait as short as possible. */
export class Copies implements Disposable {
  readonly remarks: Remark[] = [];
  readonly #images = new Map<CapturedDatabase, Image>();
  #folder?: HeldFolder;

  constructor(
    private readonly scratch: string,
    private readonly random: (size: number) => Uint8Array,
    private readonly instant: Instant,
  ) {}

  /**
   * Makes them, small ones first, and lets go what need not be read.
   *
   * @param before Begins what else has to be done with a database before it is let go.
   * @throws {AmberError} FILE_UNWRITABLE, DISK_FULL about scratch
   */
  async make(before: (database: CapturedDatabase) => void): Promise<void> {
    removeStale(this.scratch, copyPrefix);
    const bytesOf = ({ pinned }: CapturedDatabase) => pinned.pages * pinned.pageSize;
    const sorted = [...this.instant.databases].sort((a, b) => bytesOf(a) - bytesOf(b));
    for (const database of sorted) {
      if (database.isUnchanged) await this.instant.letGo(database);
      else if (!this.instant.isReadInPlace(database)) {
        before(database);
        this.#images.set(database, await this.#copy(database));
        if (database.pinned.journal !== "wal") this.remarks.push(waited(database));
      }
    }
  }

  async imageOf(database: CapturedDatabase): Promise<Image> {
    return this.#images.get(database) ?? await this.instant.image(database, "");
  }

  [Symbol.dispose](): void {
    for (const image of this.#images.values()) image.close();
    this.#folder?.[Symbol.dispose]();
  }

  async #copy(database: CapturedDatabase): Promise<Image> {
    try {
      Deno.mkdirSync(this.scratch, { recursive: true, mode: 0o700 });
      this.#folder ??= HeldFolder.create(this.scratch, copyPrefix, this.random);
      return await this.instant.image(database, `${this.#folder.path}/${this.#images.size}.db`);
    } catch (error) {
      throw explained(error, database, this.scratch);
    }
  }
}

function waited({ path, pinned: { journal } }: CapturedDatabase): Remark {
  return {
    path,
    what: "rollback",
    message:
      `its writers waited while it was copied (journal mode ${journal}): PRAGMA journal_mode=WAL spares them that`,
  };
}

/** What scratch refuses, in amber's words; the rest as it is. */
function explained(error: unknown, { path }: CapturedDatabase, scratch: string): unknown {
  const { code } = error as { code?: string };
  if (error instanceof AmberError || !(isRefused(error) || code === "EIO" || code === "ENOTDIR")) return error;
  const isFull = code === "ENOSPC" || code === "EDQUOT";
  return new AmberError(isFull ? "DISK_FULL" : "FILE_UNWRITABLE", {
    message: `Cannot copy the database "${path}" to "${scratch}": ${(error as Error).message}`,
    where: scratch,
    hint: "AMBER_SCRATCH names a folder with more room, or one that this user may write to.",
    cause: error,
  });
}
