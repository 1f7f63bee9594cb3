import { type Packer, pushPending } from "../repository/packer.ts";
import { hashSize } from "../repository/pack.ts";
import type { PackRef } from "../repository/snapshot_file.ts";
import type { KnownContent } from "./known_content.ts";
import { blocksInUse, type StoredEntry } from "./stored_tree.ts";

/** A pack of which less than this share is still in use is left behind: what is in use of it is stored again. */
const leastShare = 0.25;

/**
 * Stores again what is still in use of packs that are mostly unused, so that they can die with the older snapshots. Only a
 * new snapshot can do that: nothing stored is ever rewritten.
 */
export async function copyForward(entries: readonly StoredEntry[], known: KnownContent, packer: Packer): Promise<void> {
  const old = new Set(sparsePacks(blocksInUse(entries), known.reader?.snapshot.packs ?? []));
  if (old.size === 0) return;
  for (const entry of entries) {
    if (entry.type !== "file" || !entry.runs.some(({ at }) => at && old.has(at.pack))) continue;
    const runs: typeof entry.runs = [];
    for (const run of entry.runs) {
      if (!run.at || !old.has(run.at.pack)) {
        pushPending(runs, run.at, run.index, run.count);
        continue;
      }
      const { packs } = known.reader!;
      const toc = await packs.toc(run.at.pack);
      for (let i = run.index; i < run.index + run.count; i++) {
        const { frame, from, size } = packs.locate(toc, run.at.pack, i);
        const bytes = (await packs.frame(run.at.pack, frame)).subarray(from, from + size);
        const { at, index } = packer.add(bytes, toc.hashes.subarray(i * hashSize, (i + 1) * hashSize));
        pushPending(runs, at, index);
        await packer.room();
      }
    }
    entry.runs = runs;
  }
}

/** Numbers of the packs of which too little is in use; pure. */
export function sparsePacks(used: ReadonlyMap<number, number>, packs: readonly PackRef[]): number[] {
  return packs.filter(({ number, blocks }) => {
    const count = used.get(number) ?? 0;
    return count > 0 && count < blocks * leastShare;
  }).map(({ number }) => number);
}
