import { AmberError, type ErrorCode } from "../../errors.ts";
import { closeUnlinked } from "./kept_files.ts";
import type { Access } from "./snapshot_connection.ts";

/** One database at the instant that is pinned. */
export interface Pinned {
  path: string;
  /** Bytes of a page, 512 to 65,536, and how many pages there are. */
  pageSize: number;
  pages: number;
  /** `wal`; anything else is a rollback journal: `delete`, `truncate`, `persist`. */
  journal: string;
  /** `UTF-8`, `UTF-16le`, `UTF-16be` */
  encoding: string;
  access: Access;
  /** Where the file really is, links resolved: `-wal` and `-shm` are beside it. Then which file SQLite has open. */
  file: string;
  device: number;
  inode: number;
}

/** What is known of a pinned database besides its bytes. */
export interface PinnedFacts {
  /** Rows of each ordinary table, the history among them. Left out: virtual tables, their shadow tables, what cannot be counted. */
  rows: Record<string, number>;
  /** Applied migrations: how many, and the last one's name ("" when there is none). Absent without a history. */
  migrations?: { count: number; last: string };
}

export type PinRequest =
  | { type: "open"; paths: readonly string[] }
  | { type: "pin" }
  | { type: "facts"; path: string }
  | { type: "copy"; path: string; target: string }
  | { type: "unpin"; path: string }
  | { type: "close" };

export interface PlainError {
  code?: ErrorCode;
  message: string;
  where?: string;
  hint?: string;
}

export type PinReply = { id: number } & ({ value: unknown } | { error: PlainError });

/**
 * Read transactions that hold one instant of each database, in a worker: counting rows and copying are synchronous and
 * may take minutes.
 */
export class Pins implements AsyncDisposable {
  /** Paths that did not open, and why. */
  readonly failed: ReadonlyMap<string, string>;
  readonly #failed = new Map<string, string>();
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #count = 0;
  #ended?: Error;
  #closing?: Promise<void>;

  private constructor() {
    this.failed = this.#failed;
    this.#worker = new Worker(new URL("./pin_worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<PinReply>) => {
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if ("error" in data) waiting?.reject(toError(data.error));
      else waiting?.resolve(data.value);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new Error(event.message));
    };
  }

  /**
   * Opens a connection to each; what does not open is in `failed`. Done before the barrier.
   *
   * @throws {AmberError} DATABASE_BUSY when somebody else keeps one locked for 5 s.
   */
  static async open(paths: readonly string[]): Promise<Pins> {
    closeUnlinked();
    const pins = new Pins();
    try {
      for (const [path, why] of await pins.#ask<[string, string][]>({ type: "open", paths })) {
        pins.#failed.set(path, why);
      }
      return pins;
    } catch (error) {
      await pins.close();
      throw error;
    }
  }

  /**
   * Begins a read transaction on each that has none, and reads. While a barrier is held, all of them are of one instant.
   *
   * @throws {AmberError} DATABASE_BUSY, DATABASE_UNREADABLE; nothing more is pinned then than before.
   */
  async pin(): Promise<Map<string, Pinned>> {
    return new Map((await this.#ask<Pinned[]>({ type: "pin" })).map((one) => [one.path, one]));
  }

  /** Rows of each table, and migrations, at the pinned instant. Reads much of the database. */
  async facts(path: string): Promise<PinnedFacts> {
    return await this.#ask({ type: "facts", path });
  }

  /**
   * Copies the pinned instant into a new file (mode 0600) by SQLite's backup API: for databases that openImage() cannot
   * read. Nothing is left beside the target.
   *
   * @throws {AmberError} FILE_UNWRITABLE, DISK_FULL, DATABASE_UNREADABLE; the target is removed then.
   */
  async copy(path: string, target: string): Promise<void> {
    await this.#ask({ type: "copy", path, target });
  }

  /** Lets a database go on: in rollback mode its writers wait for this. */
  async unpin(path: string): Promise<void> {
    await this.#ask({ type: "unpin", path });
  }

  /**
   * Ends all transactions and closes all connections, after what is being done: a copy cannot be interrupted. May be
   * called twice. Everything still awaited is rejected.
   */
  async close(): Promise<void> {
    await (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    if (this.#ended) return;
    try {
      await this.#ask({ type: "close" });
    } finally {
      this.#end(new Error("The pins are closed"));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #ask<T>(request: PinRequest): Promise<T> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#count++;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#worker.postMessage({ id, ...request });
    return waiting.promise as Promise<T>;
  }

  #end(why: Error): void {
    this.#ended ??= why;
    this.#worker.terminate();
    for (const waiting of this.#waiting.values()) waiting.reject(why);
    this.#waiting.clear();
  }
}

function toError({ code, message, where, hint }: PlainError): Error {
  return code === undefined ? new Error(message) : new AmberError(code, { message, where, hint });
}
