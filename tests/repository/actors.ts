/**
 * A repository in memory with several who work on it at once: each call of a store is one step, and a test decides whose
 * call is next and how much time passes before it. The writer stands in for a running snapshot: it follows the protocol of
 * the design with packs that hold nothing.
 */
import { setImmediate } from "node:timers";
import { createHash } from "node:crypto";
import { AmberError } from "../../lib/errors.ts";
import { packName } from "../../lib/repository/pack.ts";
import { forget, removeUnused, undo } from "../../lib/repository/prune.ts";
import {
  decodeSnapshot,
  encodeSnapshot,
  type Kind,
  nameOf,
  type PackRef,
  readName,
  type SnapshotFacts,
} from "../../lib/repository/snapshot_file.ts";
import type { ObjectStore } from "../../lib/stores/store.ts";
import { FaultyStore } from "../support/faulty_store.ts";
import type { MemoryStore } from "../support/memory_store.ts";
import type { Random } from "../support/random.ts";

export const hourMs = 3_600_000;

const facts: SnapshotFacts = {
  tree: [],
  data: "/srv/data",
  by: "tester@test",
  amber: "0",
  tags: [],
  files: 0,
  folders: 0,
  bytes: 0,
  stored: 0,
  databases: [],
  remarks: [],
  excluded: {},
  durationMs: 0,
};

const hex = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Stores a pack of chance, 100 bytes, and says how a snapshot file names it. */
export async function storePack(store: ObjectStore, r: Random, number = 1): Promise<PackRef> {
  const bytes = Uint8Array.from({ length: 100 }, () => r.int(0, 255));
  const hash = hex(bytes);
  await store.put(packName(hash), bytes);
  return { number, hash, size: bytes.length, tocSize: 0, blocks: 1 };
}

/** Stores a snapshot file that names these packs; gives the snapshot's name. */
export async function storeSnapshot(
  store: ObjectStore,
  packs: readonly PackRef[],
  options: { timeMs: number; kind?: Kind; parent?: string; by?: string },
): Promise<string> {
  const { timeMs, kind = "ordinary", parent, by = "tester@test" } = options;
  const time = new Date(timeMs).toISOString();
  const numbered = packs.map((pack, i) => ({ ...pack, number: i + 1 }));
  const bytes = encodeSnapshot({ kind, time, parent, packs: numbered, facts: { ...facts, by } });
  const name = nameOf(time, hex(bytes));
  await store.put(`snapshots/${name}.json`, bytes);
  return name;
}

/** Who works on a store, one call after the other; its calls wait until it is its turn. */
interface Actor {
  name: string;
  /** Calls that wait. With several at once one of them is let through at a time. */
  waiting: (() => void)[];
  isDone: boolean;
  error?: unknown;
  /** How many calls it may still make before it is killed. */
  callsLeft: number;
}

export interface RaceOptions {
  random: Random;
  /** Most leaps of 30 hours between two calls. */
  leaps: number;
  /** Called after each call of anybody. */
  check: (what: string) => void;
}

/** Lets actors work on one store, in an order of chance, until all are done. */
export class Race {
  readonly #actors: Actor[] = [];
  readonly trace: string[] = [];
  leaps = 0;

  constructor(readonly store: MemoryStore, private readonly options: RaceOptions) {}

  /**
   * Begins when run() does. Its errors are kept: see errors().
   *
   * @param options.callsLeft It is killed after so many calls. Default: never.
   */
  add(name: string, work: (store: ObjectStore) => Promise<unknown>, options: { callsLeft?: number } = {}): void {
    const actor: Actor = { name, waiting: [], isDone: false, callsLeft: options.callsLeft ?? Infinity };
    this.#actors.push(actor);
    const store = new FaultyStore(this.store, {
      beforeCall: async (_, what, object) => {
        await new Promise<void>((resume) => actor.waiting.push(resume));
        actor.callsLeft--;
        this.trace.push(`${name}: ${what} ${object.replace(/[0-9a-f]{56}(?=\.json|$)/, "…")}`);
      },
    });
    void work(store).catch((error) => actor.error = error).finally(() => actor.isDone = true);
  }

  async run(): Promise<void> {
    const { random, leaps, check } = this.options;
    for (;;) {
      // All that follows from the last call happens in microtasks: after one turn of the loop everybody waits, or is done.
      await new Promise((resolve) => setImmediate(resolve));
      check(this.trace.at(-1) ?? "the beginning");
      const ready = this.#actors.filter(({ waiting, callsLeft }) => waiting.length > 0 && callsLeft > 0);
      if (ready.length === 0) break;
      this.store.nowMs += random.int(0, 2 * 60_000);
      if (this.leaps < leaps && random.chance(0.03)) {
        this.leaps++;
        this.store.nowMs += 30 * hourMs;
        this.trace.push("30 hours pass");
      }
      random.pick(ready).waiting.shift()!();
    }
    const stuck = this.#actors.filter(({ isDone, callsLeft }) => !isDone && callsLeft > 0).map(({ name }) => name);
    if (stuck.length > 0) throw new Error(`These neither call nor end: ${stuck}`);
  }

  errors(): { name: string; error: unknown }[] {
    return this.#actors.flatMap(({ name, error }) => error === undefined ? [] : [{ name, error }]);
  }
}

/** Whom a race has to do with, and what came of it. */
export interface Ledger {
  /** Names of snapshots whose writer said that they are done. */
  committed: Set<string>;
  /** Names of those that somebody is just bringing back, and has not said yet that they are there. */
  doubtful: Set<string>;
  counts: Record<"committed" | "withdrawn" | "forgotten" | "packs" | "brought back" | "too late", number>;
}

export interface WriterOptions {
  random: Random;
  ledger: Ledger;
  /** Longest time from one naming of its packs to the next. Design: 12 hours. */
  staleMs?: number;
}

/** A running snapshot, by the protocol of the design. */
export async function write(
  store: ObjectStore,
  { random: r, ledger, staleMs = 12 * hourMs }: WriterOptions,
): Promise<void> {
  for (let attempt = 1; attempt <= 4; attempt++) {
    const name = await new Writer(store, r, staleMs).write();
    if (name !== undefined) {
      ledger.committed.add(name);
      ledger.counts.committed++;
      return;
    }
    ledger.counts.withdrawn++;
  }
}

class Writer {
  #seenMs = 0;
  /** The store's time from before its packs were last named: by the parent when that was seen, then by its own files. */
  #namedMs = 0;
  #parent: Seen | undefined;
  #relied: PackRef[] = [];
  #own: PackRef[] = [];
  #partial: string | undefined;

  constructor(private readonly store: ObjectStore, private readonly r: Random, private readonly staleMs: number) {}

  /** The name of the snapshot; undefined when it has to be done once more. */
  async write(): Promise<string | undefined> {
    const { store, r } = this;
    this.#seenMs = this.#namedMs = await store.time(); // before the parent is seen
    this.#parent = await newest(store, r);
    this.#relied = (this.#parent?.packs ?? []).filter(() => r.chance(0.8));
    let name: string | undefined;
    for (let i = r.int(1, 3); i > 0; i--) {
      this.#own.push(await storePack(store, r));
      if (!r.chance(0.3)) continue;
      name = await this.#commit("partial");
      if (this.#partial !== undefined) await store.remove(`snapshots/${this.#partial}.json`);
      this.#partial = name;
      if (name === undefined) return undefined;
    }
    await this.#storeMissing();
    name = await this.#commit("ordinary");
    if (this.#partial !== undefined) await store.remove(`snapshots/${this.#partial}.json`);
    return name;
  }

  async #storeMissing(): Promise<void> {
    const there = new Set((await this.store.list("packs/")).map(({ name }) => name));
    for (const packs of [this.#relied, this.#own]) {
      for (const [i, { hash }] of packs.entries()) {
        if (!there.has(packName(hash))) packs[i] = await storePack(this.store, this.r);
      }
    }
  }

  /** Writes a snapshot file; undefined when what it names may be gone, by what is found before or after. */
  async #commit(kind: Kind): Promise<string | undefined> {
    const { store, r } = this;
    const begunMs = await store.time();
    if (begunMs - this.#namedMs > this.staleMs || !await this.#isHeld()) return undefined;
    const name = await storeSnapshot(store, [...this.#relied, ...this.#own], {
      timeMs: this.#seenMs,
      kind,
      parent: this.#parent?.hash,
      by: r.text(20),
    });
    // The store's time is asked anew: that of the file may be from before a pause in the middle of storing it.
    if (await store.time() - this.#namedMs > this.staleMs || !await this.#isHeld()) {
      await store.remove(`snapshots/${name}.json`);
      return undefined;
    }
    this.#namedMs = begunMs;
    return name;
  }

  /** Whether the parent's packs stay: it is still the file that was seen, or was forgotten since then. */
  async #isHeld(): Promise<boolean> {
    if (!this.#parent) return true;
    const { name, timeMs } = this.#parent;
    const [file] = (await this.store.list("snapshots/")).filter((file) => file.name === `snapshots/${name}.json`);
    if (file?.timeMs === timeMs) return true;
    const copies = (await this.store.list("forgotten/")).filter((copy) => copy.name.startsWith(`forgotten/${name}.`));
    return copies.length > 0 && copies.every((copy) => copy.timeMs >= this.#seenMs - hourMs);
  }
}

interface Seen {
  name: string;
  hash: string;
  packs: PackRef[];
  timeMs: number;
}

/** Mostly the newest snapshot, sometimes another one; undefined when there is none or it went meanwhile. */
async function newest(store: ObjectStore, r: Random): Promise<Seen | undefined> {
  const files = await store.list("snapshots/");
  const file = r.chance(0.7) ? files.at(-1) : files.length > 0 ? r.pick(files) : undefined;
  const bytes = file && await store.get(file.name);
  if (!bytes) return undefined;
  const name = file.name.slice("snapshots/".length, -".json".length);
  return { ...decodeSnapshot(name, bytes), timeMs: file.timeMs };
}

/** Forgets some, never all, and removes what is not used. */
export async function prune(
  store: ObjectStore,
  { random: r, ledger }: { random: Random; ledger: Ledger },
): Promise<void> {
  const names = (await store.list("snapshots/")).map(({ name }) => name.slice("snapshots/".length, -".json".length));
  const chosen = r.shuffle(names).slice(0, r.int(0, Math.max(0, names.length - 1)));
  const forgetting = await forget(store, chosen);
  ledger.counts.forgotten += forgetting.length;
  const removed = await removeUnused(store, { forgetting });
  ledger.counts.packs += removed.packs;
}

/** Brings back one that is in `forgotten/`, when it is not too late. */
export async function bringBack(
  store: ObjectStore,
  { random: r, ledger }: { random: Random; ledger: Ledger },
): Promise<void> {
  const files = await store.list("forgotten/");
  if (files.length === 0) return;
  const name = r.pick(files).name.slice("forgotten/".length).split(".")[0]!;
  ledger.doubtful.add(name); // until undo() has said that it is there
  try {
    await undo(store, readName(name)!.hash);
    ledger.counts["brought back"]++;
  } catch (error) {
    if (!(error instanceof AmberError)) throw error;
    if (["SNAPSHOT_UNKNOWN", "OBJECT_MISSING"].includes(error.code)) ledger.counts["too late"]++;
    else if (!/forgotten it again/.test(error.message)) throw error;
  }
  ledger.doubtful.delete(name);
}
