import { AmberError } from "../errors.ts";
import type { Entry } from "./tree.ts";

/**
 * What no single entry tells: whether a path lies in something that is no folder (a link, which whoever unpacks would
 * follow), and whether a hard link leads to a file. Keeps every path that is no folder.
 */
export class TreeShape {
  readonly #others = new Set<string>();
  readonly #files = new Set<string>();

  /** Whether this path was one, and a file. */
  hasFile(path: string): boolean {
    return this.#files.has(path);
  }

  /** @throws {AmberError} OBJECT_DAMAGED */
  add(entry: Entry): void {
    const { path, type } = entry;
    for (let cut = path.lastIndexOf("/"); cut > 0; cut = path.lastIndexOf("/", cut - 1)) {
      const above = path.slice(0, cut);
      if (this.#others.has(above)) throw damaged(`"${path}" lies in "${above}", which is no folder`);
    }
    if (type === "folder") return;
    if (type === "hardlink" && !this.#files.has(entry.target)) {
      throw damaged(`the hard link "${path}" does not lead to a file`);
    }
    this.#others.add(path);
    if (type === "file") this.#files.add(path);
  }
}

function damaged(why: string): AmberError {
  return new AmberError("OBJECT_DAMAGED", {
    message: `Cannot read a snapshot's list of files: ${why}`,
    hint: "amber verify says what else is damaged. Other snapshots can still be restored: amber snapshots",
  });
}
