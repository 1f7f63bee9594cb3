import { createHash } from "node:crypto";
import { Heap } from "../memory.ts";
import { hashSize } from "../repository/pack.ts";
import type { Packer } from "../repository/packer.ts";
import { PendingList, type PendingRun, settle } from "../repository/pending_runs.ts";
import type { PackRef, Run } from "../repository/snapshot_file.ts";
import { cutTree, type Entry, entryLines, type FileEntry } from "../repository/tree.ts";
import type { KnownContent } from "./known_content.ts";

/** A file whose blocks have been handed to the packer; their places are known when it has settled. */
export interface StoredFile extends Omit<FileEntry, "runs"> {
  runs: Iterable<PendingRun>;
}

export type StoredEntry = Exclude<Entry, FileEntry> | StoredFile;

/** An entry as it goes into the tree. */
export function settled(entry: StoredEntry): Entry {
  return entry.type === "file" ? { ...entry, runs: settle(entry.runs) } : entry;
}

/**
 * Stores a tree: its blocks that the parent's tree has already cost nothing. Settles the packer first; what was added may
 * still be on its way to the store afterwards.
 *
 * @param leaving Numbers of the parent's packs that are not to be relied on any more.
 */
export async function storeTree(
  entries: Iterable<StoredEntry>,
  known: KnownContent,
  packer: Packer,
  leaving: ReadonlySet<number> = new Set(),
): Promise<Run[]> {
  const old = await blocksOf(known, leaving);
  await packer.settle();
  function* lines() {
    for (const entry of entries) yield* entryLines(settled(entry));
  }
  const runs = new PendingList();
  const heap = new Heap(4 << 20); // here memory is at its highest: the last packs are still on their way
  for (const block of cutTree(lines())) {
    heap.tend();
    const digest = createHash("sha256").update(block).digest();
    const { at, index } = old.get(keyOf(digest, 0)) ?? packer.add(block, digest);
    runs.push(at, index);
    await packer.room();
  }
  await packer.settle();
  return [...settle(runs)];
}

/** The blocks of the parent's tree by their hash. */
async function blocksOf(
  known: KnownContent,
  leaving: ReadonlySet<number>,
): Promise<Map<string, Pick<PendingRun, "at" | "index">>> {
  const found = new Map<string, Pick<PendingRun, "at" | "index">>();
  if (!known.reader) return found;
  const { tree } = known.reader.snapshot.facts;
  if (!known.isWhole(tree)) return found;
  const hashes = await known.reader.hashes(tree);
  let at = 0;
  for (const { count, pack, index } of tree) {
    for (let i = 0; i < count; i++, at += hashSize) {
      if (leaving.has(pack)) continue;
      found.set(keyOf(hashes, at), { at: known.place(pack), index: index + i });
    }
  }
  return found;
}

function keyOf(hashes: Uint8Array, at: number): string {
  return hashes.subarray(at, at + hashSize).toHex();
}

/** How many blocks of each pack are in use, the tree's own aside. */
export function blocksInUse(entries: Iterable<StoredEntry>): Map<number, number> {
  const used = new Map<number, number>();
  for (const entry of entries) {
    if (entry.type !== "file") continue;
    for (const { at, count } of entry.runs) if (at) used.set(at.pack, (used.get(at.pack) ?? 0) + count);
  }
  return used;
}

/** The packs that entries and tree rely on, the parent's and the new ones, by number. */
export function packsInUse(
  entries: Iterable<StoredEntry>,
  tree: readonly Run[],
  packs: readonly PackRef[],
): PackRef[] {
  const used = new Set(blocksInUse(entries).keys());
  for (const { pack } of tree) used.add(pack);
  return packs.filter(({ number }) => used.has(number)).sort((a, b) => a.number - b.number);
}
