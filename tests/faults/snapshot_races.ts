/**
 * Several who work on one store at once. Each call of a store is a step; a test decides whose is next, and how much time
 * passes before it. Unlike with the stand-ins of tests/repository/actors.ts a real snapshot does much between two calls:
 * after each step it is awaited that whoever made it calls again, or has ended.
 */
import { forget, removeUnused } from "../../lib/repository/prune.ts";
import { Repository } from "../../lib/repository/repository.ts";
import type { ObjectStore } from "../../lib/stores/store.ts";
import { FaultyStore } from "../support/faulty_store.ts";
import { MemoryStore } from "../support/memory_store.ts";
import type { Random } from "../support/random.ts";

export const hourMs = 3_600_000;

interface Actor {
  name: string;
  waiting: (() => void)[];
  isDone: boolean;
  error?: unknown;
}

export class Interleaving {
  readonly trace: string[] = [];
  leaps = 0;
  readonly #actors: Actor[] = [];
  #changed = Promise.withResolvers<void>();

  /** @param leapChance How likely 30 hours pass before a step. */
  constructor(
    private readonly store: MemoryStore,
    private readonly dice: Random,
    private readonly options: { leapChance: number; mostLeaps: number },
  ) {}

  /** Somebody who works on the store; begins at once, up to the first call. */
  add(name: string, work: (store: ObjectStore) => Promise<unknown>): void {
    const actor: Actor = { name, waiting: [], isDone: false };
    this.#actors.push(actor);
    const gated = new FaultyStore(this.store, {
      beforeCall: async (_, what, object) => {
        await new Promise<void>((resume) => {
          actor.waiting.push(resume);
          this.#notify();
        });
        this.trace.push(`${name}: ${what} ${object.slice(0, 40)}`);
      },
    });
    work(gated).catch((error) => actor.error = error).finally(() => {
      actor.isDone = true;
      this.#notify();
    });
  }

  /** Lets all of them go on, one step at a time, to their ends. */
  async run(): Promise<{ name: string; error: unknown }[]> {
    for (;;) {
      while (this.#actors.some(({ isDone, waiting }) => !isDone && waiting.length === 0)) await this.#change();
      const ready = this.#actors.filter(({ waiting }) => waiting.length > 0);
      if (ready.length === 0) break;
      this.store.nowMs += this.dice.int(1, 60_000);
      if (this.leaps < this.options.mostLeaps && this.dice.chance(this.options.leapChance)) {
        this.leaps++;
        this.store.nowMs += 30 * hourMs;
        this.trace.push("30 hours pass");
      }
      this.dice.pick(ready).waiting.shift()!();
    }
    return this.#actors.flatMap(({ name, error }) => error === undefined ? [] : [{ name, error }]);
  }

  async #change(): Promise<void> {
    await this.#changed.promise;
    this.#changed = Promise.withResolvers();
  }

  #notify(): void {
    this.#changed.resolve();
  }
}

/** Forgets all ordinary snapshots but the newest, and all partial ones, and frees what nothing uses. */
export async function pruneHard(store: ObjectStore): Promise<void> {
  const all = await (await Repository.open(store)).snapshots();
  const newest = all.filter(({ kind }) => kind !== "partial").at(-1);
  await forget(store, all.filter((one) => one !== newest).map(({ name }) => name));
  await removeUnused(store);
}

/** Another store with the same in it at the same time. */
export function copyOf(store: MemoryStore): MemoryStore {
  const copy = new MemoryStore({ nowMs: store.nowMs });
  for (const [name, object] of store.objects) copy.objects.set(name, { ...object });
  return copy;
}
