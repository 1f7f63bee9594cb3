import type { Scanned } from "../capture/scan.ts";
import { Heap } from "../memory.ts";
import { isUnchanged, type KnownContent } from "./known_content.ts";

/** What the parent says of files by their path: small, for it is asked for every path while writers wait. */
export interface ParentIndex {
  /** What a file is when it looks as it did then; undefined when it has to be read. */
  kindOf(file: Scanned): "file" | "database" | undefined;
  /** A database's stamp: equal means unchanged. */
  stampOf(path: string): string | undefined;
}

/** @param reread Know nothing: everything is read. */
export async function readParentIndex(known: KnownContent, reread: boolean): Promise<ParentIndex> {
  const files = new Map<string, number>(); // path → where its numbers begin
  const numbers: number[] = []; // size, mtimeMs, inode, 1 for a database: a third of what objects take
  const heap = new Heap();
  const { reader } = known;
  if (!reader || reread) return { kindOf: () => undefined, stampOf: () => undefined };
  for await (const entry of reader.entries()) {
    if (entry.type !== "file" || entry.contentHash === undefined || !known.isWhole(entry.runs)) continue;
    const { path, size, mtimeMs, inode, database } = entry;
    files.set(path, numbers.length);
    numbers.push(size, mtimeMs, inode, database ? 1 : 0);
    if (files.size % 4096 === 0) heap.tend();
  }
  reader.packs.rest();
  const timeMs = Date.parse(reader.snapshot.time);
  const stamps = new Map(reader.snapshot.facts.databases.map(({ path, stamp }) => [path, stamp]));
  return {
    kindOf: (file) => {
      const at = files.get(file.path);
      if (at === undefined) return undefined;
      const parent = { size: numbers[at]!, mtimeMs: numbers[at + 1]!, inode: numbers[at + 2]! };
      if (!isUnchanged(parent, file, timeMs)) return undefined;
      return numbers[at + 3] === 1 ? "database" : "file";
    },
    stampOf: (path) => numbers[(files.get(path) ?? NaN) + 3] === 1 ? stamps.get(path) : undefined,
  };
}
