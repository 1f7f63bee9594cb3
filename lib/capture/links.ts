import { AmberError } from "../errors.ts";
import { HeldFolder, isHeldFolder, isRefused, removeStale } from "./held_folder.ts";

const prefix = ".amber-";

/** How often one file may be replaced at the very moment of linking it. */
const attempts = 10;

/** Whether a name in the data folder is that of a link folder: never part of a snapshot, never restored or wiped as data. */
export function isLinkFolder(name: string): boolean {
  return isHeldFolder(name, prefix);
}

/** Removes the link folders of killed runs. */
export function removeStaleLinks(data: string): void {
  removeStale(data, prefix);
}

/**
 * Hard links to files as they are at one moment, in `data/.amber-<id>/`, so that they can be read at leisure after the app
 * has replaced or removed them.
 */
export class LinkFolder implements Disposable {
  #count = 0;

  private constructor(private readonly folder: HeldFolder) {}

  /** Makes the folder; undefined where nothing can be written: files are then read in place. */
  static create(data: string, random: (size: number) => Uint8Array): LinkFolder | undefined {
    try {
      return new LinkFolder(HeldFolder.create(data, prefix, random));
    } catch (error) {
      if (isRefused(error)) return undefined;
      throw error;
    }
  }

  /**
   * Another name for a file.
   *
   * @returns Its number; undefined when it cannot be linked (another owner's, another file system) and has to be read in place.
   * @throws {Deno.errors.NotFound} when the file is gone; {AmberError} DATA_CHANGING when the folder of links is.
   */
  add(file: string): number | undefined {
    const link = this.#count++;
    for (let attempt = 1;; attempt++) {
      try {
        Deno.linkSync(file, this.pathOf(link));
        return link;
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) {
          if (!this.folder.isThere()) throw vanishedLink(file);
          // What is replaced at that very moment cannot be linked, as if it were gone: but its path always leads to a file.
          if (attempt < attempts && isThere(file)) continue;
          throw error;
        }
        if (isRefused(error)) return undefined;
        throw error;
      }
    }
  }

  pathOf(link: number): string {
    return `${this.folder.path}/${link}`;
  }

  [Symbol.dispose](): void {
    // One by one: a list of 100,000 names takes 60 MB.
    for (let link = 0; link < this.#count; link++) removeLink(this.pathOf(link));
    this.folder[Symbol.dispose]();
  }
}

/** What cannot be removed is left to the folder's end, or to the next run. */
function removeLink(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && !isRefused(error)) throw error;
  }
}

/** A link that somebody removed: what it held may be lost. */
export function vanishedLink(path: string): AmberError {
  return new AmberError("DATA_CHANGING", {
    message: `Cannot read "${path}": the hard link that held it has vanished`,
    where: path,
    hint: "Does something clean up .amber-… folders in data/? Keep it away from them, and take the snapshot again.",
  });
}

function isThere(file: string): boolean {
  try {
    Deno.lstatSync(file);
    return true;
  } catch {
    return false;
  }
}
