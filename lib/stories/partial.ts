import type { Packer } from "../repository/packer.ts";
import type { Repository } from "../repository/repository.ts";
import { encodeSnapshot, type Snapshot, type SnapshotFacts } from "../repository/snapshot_file.ts";
import type { KnownContent } from "./known_content.ts";
import { packsInUse, type StoredEntry, type StoredFile, storeTree } from "./stored_tree.ts";

export interface PartialOptions {
  repository: Repository;
  packer: Packer;
  known: KnownContent;
  /** ISO 8601: the instant. */
  time: string;
  facts: Omit<SnapshotFacts, "tree" | "stored">;
  /** Bytes stored, and time, after which the next one is written. */
  everyBytes: number;
  everyMs?: number;
  now: () => number;
}

const hour = 3_600_000;

/**
 * The trace that a running snapshot leaves: snapshot files of kind partial, each replacing the one before. They name every
 * pack that the run relies on, so that prune leaves them alone, and they are the parent of the next run when this one is
 * killed: what is stored is not stored again.
 */
export class Partials {
  #latest?: Snapshot;
  #storedThen = 0;
  #writtenMs: number;

  constructor(private readonly options: PartialOptions) {
    this.#writtenMs = options.now();
  }

  /** Writes one when it is time. `begun` is a file whose beginning is stored. */
  async note(entries: readonly StoredEntry[], begun?: StoredFile): Promise<void> {
    const { packer, everyBytes, everyMs = hour, now } = this.options;
    const isDue = packer.stored - this.#storedThen >= everyBytes || now() - this.#writtenMs >= everyMs;
    if (isDue) await this.#write(entries, begun);
  }

  /** When the store wrote the last one; undefined without one. */
  async writtenAt(): Promise<number | undefined> {
    if (!this.#latest) return undefined;
    const path = `snapshots/${this.#latest.name}.json`;
    return (await this.options.repository.store.list("snapshots/")).find(({ name }) => name === path)?.timeMs;
  }

  /** Takes the last one back: the snapshot itself exists. */
  async end(): Promise<void> {
    if (this.#latest) await this.options.repository.withdraw(this.#latest.name);
    this.#latest = undefined;
  }

  async #write(done: readonly StoredEntry[], begun: StoredFile | undefined): Promise<void> {
    const { repository, packer, known, time, facts } = this.options;
    const entries = [...done, ...(begun ? [begun] : []), ...await this.#rest(begun?.path ?? done.at(-1)?.path)];
    const tree = await storeTree(entries, known, packer);
    await packer.flush();
    const parent = known.reader?.snapshot;
    const packs = packsInUse(entries, tree, [...parent?.packs ?? [], ...packer.packs]);
    const bytes = encodeSnapshot({
      kind: "partial",
      time,
      parent: parent?.hash,
      packs,
      facts: { ...facts, tree, stored: packer.stored },
    });
    const before = this.#latest;
    this.#latest = await repository.commit(bytes, time);
    if (before && before.name !== this.#latest.name) await repository.withdraw(before.name);
    this.#storedThen = packer.stored;
    this.#writtenMs = this.options.now();
  }

  /** What the parent has behind this path: the next run goes on with that as well. */
  async #rest(path: string | undefined): Promise<StoredEntry[]> {
    const { known } = this.options;
    const rest: StoredEntry[] = [];
    for await (const entry of known.reader?.entries() ?? []) {
      if (path !== undefined && entry.path <= path) continue;
      if (entry.type !== "file") rest.push(entry);
      else if (known.isWhole(entry.runs)) rest.push({ ...entry, runs: known.pending(entry.runs) });
    }
    return rest;
  }
}
