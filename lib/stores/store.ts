/** One object as a listing shows it. */
export interface StoredObject {
  /** Relative to the store, components separated by "/". */
  name: string;
  /** Bytes. */
  size: number;
  /** When it was written, by the store's own clock, ms since 1970. */
  timeMs: number;
}

/** Part of an object: `size` bytes from `from`. What lies behind the object's end is left out. */
export interface Range {
  from: number;
  size: number;
}

/**
 * Where a repository is kept: a directory or an S3-compatible server. It knows nothing of snapshots: names and bytes.
 * What is stored is never changed afterwards. tests/stores/contract.ts holds for every kind.
 */
export interface ObjectStore {
  /** For people: which folder or bucket; never a key. */
  readonly where: string;

  /** An object's bytes, or a part of them; undefined when there is no such object. @throws {AmberError} STORE_FAILED, STORE_SILENT */
  get(name: string, range?: Range): Promise<Uint8Array | undefined>;

  /** Stores an object, whole or not at all; it is durable when this returns. @throws {AmberError} STORE_FULL, STORE_FORBIDDEN, STORE_FAILED, STORE_SILENT */
  put(name: string, bytes: Uint8Array): Promise<void>;

  /** All objects whose name begins with `prefix` (a folder with its "/", or ""), sorted by name. A store that does not exist yet has none. */
  list(prefix: string): Promise<StoredObject[]>;

  /** Removes an object; nothing happens when there is none. */
  remove(name: string): Promise<void>;

  /** What time it is for the store: it writes something and asks when that was. Ages are differences of the store's own times, never of ours. */
  time(): Promise<number>;

  /** Removes what killed writers left half written, and nothing that somebody still writes. */
  tidy(): Promise<void>;
}

const component = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}$/;

/** Whether a name is one that amber gives to objects: no empty component, no `..`, nothing that a file system could misread. */
export function isObjectName(name: string): boolean {
  return name.split("/").every((part) => component.test(part));
}
