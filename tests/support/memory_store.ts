import { AmberError } from "../../lib/errors.ts";
import { isObjectName, type ObjectStore, type Range, type StoredObject } from "../../lib/stores/store.ts";

/** An object in memory. Tests may change it: that is how a store's objects are damaged. */
export interface MemoryObject {
  bytes: Uint8Array;
  timeMs: number;
}

/** A store in memory whose clock stands still until the test moves it. It passes the contract of all stores. */
export class MemoryStore implements ObjectStore {
  readonly where = "memory";
  /** The store's clock, ms since 1970: what `time()` says and what the next object gets. */
  nowMs: number;
  /** Everything in it, by name. */
  readonly objects = new Map<string, MemoryObject>();

  constructor(options: { nowMs?: number } = {}) {
    this.nowMs = options.nowMs ?? Date.UTC(2027, 0, 1);
  }

  get(name: string, range?: Range): Promise<Uint8Array | undefined> {
    return Promise.try(() => {
      refuse(name);
      const bytes = this.objects.get(name)?.bytes;
      return range ? bytes?.slice(range.from, range.from + range.size) : bytes?.slice();
    });
  }

  put(name: string, bytes: Uint8Array): Promise<void> {
    return Promise.try(() => {
      refuse(name);
      this.objects.set(name, { bytes: bytes.slice(), timeMs: this.nowMs });
    });
  }

  list(prefix: string): Promise<StoredObject[]> {
    return Promise.try(() => {
      if (prefix !== "") refuse(prefix.replace(/\/$/, ""));
      return [...this.objects]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, { bytes, timeMs }]) => ({ name, size: bytes.length, timeMs }))
        .sort((a, b) => a.name < b.name ? -1 : 1);
    });
  }

  remove(name: string): Promise<void> {
    return Promise.try(() => {
      refuse(name);
      this.objects.delete(name);
    });
  }

  time(): Promise<number> {
    return Promise.resolve(this.nowMs);
  }

  /** Nothing is ever half written here. */
  tidy(): Promise<void> {
    return Promise.resolve();
  }
}

function refuse(name: string): void {
  if (isObjectName(name)) return;
  throw new AmberError("STORE_FAILED", { message: `Cannot use "${name}": it is no name of an object` });
}
