import { hashSize } from "../repository/pack.ts";
import type { Packer } from "../repository/packer.ts";
import { PendingList, type PendingRun, type Place } from "../repository/pending_runs.ts";
import type { PackRef, Run } from "../repository/snapshot_file.ts";
import type { KnownContent } from "./known_content.ts";
import { blocksInUse, type StoredEntry } from "./stored_tree.ts";

/** A pack of which less than this share is still in use is left behind: what is in use of it is stored again. */
const leastShare = 0.25;

/**
 * So many small packs of about one size are stored again as one. Otherwise an hourly snapshot of little changes would rely
 * on one pack more each hour, and each snapshot file name them all. What is stored in small packs is stored three times
 * at most by this: from 1 MiB on a pack stays.
 */
const crowd = 32;
const smallBytes = 1 << 20;

/**
 * Stores again what is still in use of packs that are mostly unused, or small and many, so that they can die with the older
 * snapshots. Only a new snapshot can do that: nothing stored is ever rewritten.
 *
 * @returns Numbers of the packs that nothing new should rely on.
 */
export async function copyForward(
  entries: readonly StoredEntry[],
  known: KnownContent,
  packer: Packer,
): Promise<ReadonlySet<number>> {
  const { packs = [], facts } = known.reader?.snapshot ?? {};
  const leaving = new Set(packsToLeave(withTree(blocksInUse(entries), facts?.tree ?? []), packs));
  if (leaving.size === 0) return leaving;
  const moved = new Map<number, { at: Place; index: number }>(); // two files may have the same content
  for (const entry of entries) {
    if (entry.type !== "file" || !isAmong(entry.runs, leaving)) continue;
    const runs = new PendingList();
    for (const run of entry.runs) {
      if (!run.at || !leaving.has(run.at.pack)) {
        runs.push(run.at, run.index, run.count);
        continue;
      }
      for (let i = run.index; i < run.index + run.count; i++) {
        const key = run.at.pack * 2 ** 24 + i;
        if (!moved.has(key)) moved.set(key, await storeAgain(run.at.pack, i, known, packer));
        const { at, index } = moved.get(key)!;
        runs.push(at, index);
      }
    }
    entry.runs = runs;
  }
  return leaving;
}

function isAmong(runs: Iterable<PendingRun>, packs: ReadonlySet<number>): boolean {
  for (const { at } of runs) if (at && packs.has(at.pack)) return true;
  return false;
}

async function storeAgain(
  pack: number,
  block: number,
  known: KnownContent,
  packer: Packer,
): Promise<{ at: Place; index: number }> {
  const { packs } = known.reader!;
  const toc = await packs.toc(pack);
  const { frame, from, size } = packs.locate(toc, pack, block);
  using held = await packs.frame(pack, frame);
  const place = packer.add(
    held.bytes.subarray(from, from + size),
    toc.hashes.subarray(block * hashSize, (block + 1) * hashSize),
  );
  await packer.room();
  return place;
}

/** The new tree is known only after this: most of it will be the parent's. */
function withTree(used: Map<number, number>, tree: readonly Run[]): Map<number, number> {
  for (const { pack, count } of tree) used.set(pack, (used.get(pack) ?? 0) + count);
  return used;
}

/** Numbers of the packs of which too little is in use, or that are small and many; pure. */
export function packsToLeave(used: ReadonlyMap<number, number>, packs: readonly PackRef[]): number[] {
  const inUse = packs.filter(({ number }) => (used.get(number) ?? 0) > 0);
  const isSparse = ({ number, blocks }: PackRef) => used.get(number)! < blocks * leastShare;
  const rest = inUse.filter((pack) => !isSparse(pack) && pack.size < smallBytes);
  const classes = [...Map.groupBy(rest, ({ size }) => Math.floor(Math.log2(size) / 4)).values()];
  const crowded = classes.filter((some) => some.length >= crowd).flat();
  return [...inUse.filter(isSparse), ...crowded].map(({ number }) => number);
}
