import { AmberError } from "../../lib/errors.ts";
import type { ObjectStore, Range, StoredObject } from "../../lib/stores/store.ts";

export type StoreCall = "get" | "put" | "list" | "remove" | "time" | "tidy";

/**
 * What goes wrong at a call.
 *
 * - `before`: it fails, and nothing was done. `after`: it was done, but the answer is lost, so it fails as well.
 * - `stale list`: the list is as it was before the latest put or remove that went through this wrapper. It does not fail.
 * - `flipped bit`, `short answer`: `get` gives wrong bytes, or too few. It does not fail.
 * - `short put`, `lost remove`: a broken store, which says that it is done. It keeps the first half; it removes nothing.
 */
export type StoreFault =
  | "before"
  | "after"
  | "stale list"
  | "flipped bit"
  | "short answer"
  | "short put"
  | "lost remove";

/** The calls to which a fault can happen; the others go through untouched, whatever their number. */
export const faultyAt: Record<StoreFault, readonly StoreCall[]> = {
  before: ["get", "put", "list", "remove", "time", "tidy"],
  after: ["get", "put", "list", "remove", "time", "tidy"],
  "stale list": ["list"],
  "flipped bit": ["get"],
  "short answer": ["get"],
  "short put": ["put"],
  "lost remove": ["remove"],
};

export interface FaultyStoreOptions {
  /** Default `before`. */
  fault?: StoreFault;
  /** The number of the call that goes wrong, from 1. Default: none. */
  failAt?: number;
  /** How many calls in a row go wrong, from `failAt` on; Infinity for a store that is gone. Default 1. */
  times?: number;
  /** What a failing call throws. Default: STORE_FAILED. */
  error?: () => Error;
  /** Where in an answer the bit is flipped: from 0, its first byte, up to, but not, 1. Default 0.5. */
  place?: number;
  /** Awaited before each call: here a test lets somebody else act, or moves the clock. For a list `name` is its prefix. */
  beforeCall?: (number: number, what: StoreCall, name: string) => void | Promise<void>;
}

/** A store whose calls are counted, and of which some go wrong. Without a fault it is the store that it wraps. */
export class FaultyStore implements ObjectStore {
  readonly where: string;
  /** Every call so far; the first one has number 1. */
  readonly log: { what: StoreCall; name: string }[] = [];
  /** How many calls went wrong: 0 when `failAt` was never reached, was another kind of call, or had nothing to spoil. */
  faults = 0;
  #inner: ObjectStore;
  #options: FaultyStoreOptions;
  /** The object that the latest put or remove changed, and what it was before that. */
  #latest: { name: string; before: StoredObject | undefined } | undefined;

  constructor(inner: ObjectStore, options: FaultyStoreOptions = {}) {
    this.where = inner.where;
    this.#inner = inner;
    this.#options = options;
  }

  /** How many calls there were. */
  get calls(): number {
    return this.log.length;
  }

  get(name: string, range?: Range): Promise<Uint8Array | undefined> {
    return this.#call("get", name, async (fault) => {
      const bytes = await this.#inner.get(name, range);
      if (!bytes || bytes.length === 0) return bytes;
      if (fault === "short answer") {
        this.faults++;
        return bytes.slice(0, Math.floor(bytes.length / 2));
      }
      if (fault === "flipped bit") {
        this.faults++;
        const index = Math.floor(bytes.length * (this.#options.place ?? 0.5));
        bytes[index]! ^= 1 << (index % 8);
      }
      return bytes;
    });
  }

  put(name: string, bytes: Uint8Array): Promise<void> {
    return this.#call("put", name, async (fault) => {
      await this.#remember(name);
      const isShort = fault === "short put" && bytes.length > 0;
      if (isShort) this.faults++;
      await this.#inner.put(name, isShort ? bytes.subarray(0, Math.floor(bytes.length / 2)) : bytes);
    });
  }

  list(prefix: string): Promise<StoredObject[]> {
    return this.#call("list", prefix, async (fault) => {
      const listed = await this.#inner.list(prefix);
      const latest = this.#latest;
      if (fault !== "stale list" || !latest?.name.startsWith(prefix)) return listed;
      this.faults++;
      const stale = listed.filter(({ name }) => name !== latest.name);
      if (latest.before) stale.push(latest.before);
      return stale.sort((a, b) => a.name < b.name ? -1 : 1);
    });
  }

  remove(name: string): Promise<void> {
    return this.#call("remove", name, async (fault) => {
      if (fault === "lost remove") {
        this.faults++;
        return;
      }
      await this.#remember(name);
      await this.#inner.remove(name);
    });
  }

  time(): Promise<number> {
    return this.#call("time", "", () => this.#inner.time());
  }

  tidy(): Promise<void> {
    return this.#call("tidy", "", () => this.#inner.tidy());
  }

  async #call<T>(what: StoreCall, name: string, act: (fault?: StoreFault) => Promise<T>): Promise<T> {
    const number = this.log.push({ what, name });
    const { fault = "before", failAt = Infinity, times = 1, beforeCall } = this.#options;
    await beforeCall?.(number, what, name);
    const isFaulty = number >= failAt && number < failAt + times && faultyAt[fault].includes(what);
    if (!isFaulty) return await act();
    if (fault === "before") throw this.#failure(number, what, name);
    const result = await act(fault);
    if (fault === "after") throw this.#failure(number, what, name);
    return result;
  }

  #failure(number: number, what: StoreCall, name: string): Error {
    this.faults++;
    return this.#options.error?.() ?? new AmberError("STORE_FAILED", {
      message: `Cannot ${what} "${name}": the test lets call ${number} fail (${this.#options.fault ?? "before"})`,
      where: this.where,
    });
  }

  /** Only where it will be asked for: it costs a listing. */
  async #remember(name: string): Promise<void> {
    if (this.#options.fault !== "stale list") return;
    const folder = name.slice(0, name.lastIndexOf("/") + 1);
    this.#latest = { name, before: (await this.#inner.list(folder)).find((one) => one.name === name) };
  }
}
