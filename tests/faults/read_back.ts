import { packName } from "../../lib/repository/pack.ts";
import { Repository } from "../../lib/repository/repository.ts";
import { AmberError } from "../../lib/errors.ts";
import type { ObjectStore } from "../../lib/stores/store.ts";
import { contentsOf } from "../support/taking.ts";

/**
 * Looks at what a store has after each step of a test. What has been read whole once has the same content as long as its
 * packs are there, whose names are their hashes: reading everything each time would be most of what a test does.
 */
export class ReadBack {
  readonly #whole = new Set<string>();

  /**
   * Each snapshot, partial ones too, has its packs, and all that are not partial can be read.
   *
   * @returns How many there are that are not partial; 0 where there is no repository yet.
   */
  async check(store: ObjectStore): Promise<number> {
    const snapshots = await snapshotsOf(store);
    const sizes = new Map((await store.list("packs/")).map(({ name, size }) => [name, size]));
    for (const { name, kind, packs } of snapshots) {
      const lost = packs.filter(({ hash, size }) => sizes.get(packName(hash)) !== size);
      if (lost.length > 0) throw new Error(`the ${kind} snapshot ${name} has lost ${lost.length} of its packs`);
    }
    const committed = snapshots.filter(({ kind }) => kind !== "partial");
    for (const snapshot of committed) {
      if (!this.#whole.has(snapshot.name)) await contentsOf(store, snapshot);
      this.#whole.add(snapshot.name);
    }
    return committed.length;
  }
}

async function snapshotsOf(store: ObjectStore) {
  try {
    return await (await Repository.open(store)).snapshots();
  } catch (error) {
    if (error instanceof AmberError && error.code === "REPOSITORY_MISSING") return [];
    throw error;
  }
}
