import { carriedPath, readCarriedIndex } from "./carried.ts";
import { filesDigest } from "./digest.ts";
import { type Folder, readFolder } from "./folder.ts";
import type { Dialect } from "./lexer.ts";

/** What the usual start wants to know of a folder of migrations. */
export interface FolderGlance {
  path: string;
  /** How many files. */
  count: number;
  /** See filesDigest(). */
  digest(): Promise<string>;
  /** The files themselves. */
  read(): Folder;
}

/** A folder on a disk is read; of what a binary carries it is known what is in it. @throws what readFolder() throws */
export function glanceAtFolder(path: string, dialect: Dialect): FolderGlance {
  const carried = path === carriedPath ? readCarriedIndex()?.[dialect] : undefined;
  if (carried) {
    return {
      path,
      count: carried.files,
      digest: () => Promise.resolve(carried.digest),
      read: () => readFolder(path, dialect),
    };
  }
  const folder = readFolder(path, dialect);
  return { path, count: folder.files.length, digest: () => filesDigest(folder.files), read: () => folder };
}
