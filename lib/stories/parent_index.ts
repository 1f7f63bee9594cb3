import type { Scanned } from "../capture/scan.ts";
import { isUnchanged, type KnownContent } from "./known_content.ts";
import type { FileEntry } from "../repository/tree.ts";

/** What the parent says of files by their path: small, for it is asked for every path while writers wait. */
export interface ParentIndex {
  /** What a file is when it looks as it did then; undefined when it has to be read. */
  kindOf(file: Scanned): "file" | "database" | undefined;
  /** A database's stamp: equal means unchanged. */
  stampOf(path: string): string | undefined;
}

/** @param reread Know nothing: everything is read. */
export async function readParentIndex(known: KnownContent, reread: boolean): Promise<ParentIndex> {
  const files = new Map<string, Pick<FileEntry, "size" | "mtimeMs" | "inode" | "sha256" | "database">>();
  const { reader } = known;
  if (!reader || reread) return { kindOf: () => undefined, stampOf: () => undefined };
  for await (const entry of reader.entries()) {
    if (entry.type !== "file" || entry.sha256 === undefined || !known.isWhole(entry.runs)) continue;
    const { path, size, mtimeMs, inode, sha256, database } = entry;
    files.set(path, { size, mtimeMs, inode, sha256, database });
  }
  const timeMs = Date.parse(reader.snapshot.time);
  const stamps = new Map(reader.snapshot.facts.databases.map(({ path, stamp }) => [path, stamp]));
  return {
    kindOf: (file) => {
      const parent = files.get(file.path);
      if (!parent || !isUnchanged(parent, file, timeMs)) return undefined;
      return parent.database ? "database" : "file";
    },
    stampOf: (path) => files.get(path)?.database ? stamps.get(path) : undefined,
  };
}
