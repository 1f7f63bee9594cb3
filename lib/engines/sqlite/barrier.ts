import type { StatementSync } from "node:sqlite";
import { AmberError } from "../../errors.ts";
import type { EngineEvent } from "../engine.ts";
import { sleep } from "../sleep.ts";
import { openForSnapshot, type SnapshotConnection } from "./snapshot_connection.ts";
import { isBusy } from "./statement.ts";

export interface BarrierOptions {
  /** How long to try; at least one round of 5 s is tried. Default 0. */
  waitMs?: number;
  /** Aborts every wait; its reason is thrown, and nothing is held then. */
  stop: AbortSignal;
  report: (event: EngineEvent) => void;
  /** Databases on which the caller has a write transaction already, on another connection of this process: left alone. */
  held?: ReadonlySet<string>;
  /** 0 up to, but not, 1. Default: chance. */
  random?: () => number;
  /** How long one round takes. Default 5 s. */
  roundMs?: number;
}

interface Connection extends SnapshotConnection {
  path: string;
  begin: StatementSync;
  rollback: StatementSync;
  isHeld: boolean;
}

const pollMs = 0.2; // SQLite's own back-off starved 3 of 15 barriers; polled like this 40 of 40 were taken
const firstPatienceMs = 15;
const clock = new Int32Array(new SharedArrayBuffer(4)); // timers take 1 to 2 ms, waiting on this 0.3

/**
 * All writers of several databases stopped for a moment: `BEGIN IMMEDIATE` on each. Nothing is ever written.
 *
 *     using barrier = await Barrier.open(paths, options);
 *     await barrier.hold();
 *     …                                       // nobody commits anywhere
 *     barrier.release();                      // may be held again
 */
export class Barrier implements Disposable {
  /** Paths that could not be held, since this user may not write there, and why. They can be read. */
  readonly unheld: ReadonlyMap<string, string>;
  /** Paths that did not open as databases, and why. Nothing else is done with them. */
  readonly unreadable: ReadonlyMap<string, string>;
  readonly #unheld = new Map<string, string>();
  readonly #unreadable = new Map<string, string>();
  readonly #connections: Connection[] = [];
  readonly #held: ReadonlySet<string>;

  private constructor(private readonly options: BarrierOptions) {
    this.unheld = this.#unheld;
    this.unreadable = this.#unreadable;
    this.#held = options.held ?? new Set();
  }

  /**
   * Opens a connection to each database and reads a row of it, so that a killed writer's half pages and a WAL's recovery
   * do not happen while others wait.
   *
   * @param paths In the order in which all are to take them: sorted.
   * @throws {AmberError} DATABASE_BUSY when one cannot even be read for as long as `hold()` would wait.
   */
  static async open(paths: readonly string[], options: BarrierOptions): Promise<Barrier> {
    const barrier = new Barrier(options);
    try {
      for (const path of paths) await barrier.#open(path);
    } catch (error) {
      barrier[Symbol.dispose]();
      throw error;
    }
    return barrier;
  }

  /** The databases that are held, or will be: by this, or by the caller. */
  get databases(): string[] {
    return [...this.#connections.map(({ path }) => path), ...this.#held];
  }

  /** Whether nobody else can commit to this one now. */
  isHeld(path: string): boolean {
    return this.#held.has(path) || this.#connections.some((one) => one.path === path && one.isHeld);
  }

  /**
   * Takes the write lock of each.
   *
   * @throws {AmberError} DATABASE_BUSY naming the one that was not free; nothing is held then.
   */
  async hold(): Promise<void> {
    const { waitMs = 0, roundMs = 5_000, random = Math.random, stop, report } = this.options;
    const started = performance.now();
    for (;;) {
      let busy: Connection | undefined;
      try {
        busy = await this.#round(performance.now() + roundMs);
      } catch (error) {
        this.release();
        throw error;
      }
      if (busy === undefined) return;
      const elapsedMs = performance.now() - started;
      if (elapsedMs >= waitMs) throw busyError(busy.path, elapsedMs);
      report({
        type: "waiting",
        message: `waiting for the write lock of ${busy.path}: somebody else is writing`,
        remainingSeconds: Math.ceil((waitMs - elapsedMs) / 1000),
      });
      await sleep(50 + random() * 450, stop);
    }
  }

  /** Lets all writers go on. */
  release(): void {
    for (const one of this.#connections) {
      if (!one.isHeld) continue;
      one.isHeld = false;
      try {
        one.rollback.run();
      } catch {
        // SQLite had rolled back by itself; there is nothing to undo
      }
    }
  }

  /** Releases, and closes the connections. */
  [Symbol.dispose](): void {
    this.release();
    for (const { database } of this.#connections.splice(0)) database.close();
  }

  async #open(path: string): Promise<void> {
    if (this.#held.has(path)) return;
    const { waitMs = 0, roundMs = 5_000, stop } = this.options;
    const started = performance.now();
    for (;;) {
      try {
        const opened = openForSnapshot(path);
        if (opened.access !== "write") {
          opened.database.close();
          this.#unheld.set(path, opened.reason ?? "it cannot be written");
          return;
        }
        this.#connections.push({
          ...opened,
          path,
          begin: opened.database.prepare("begin immediate"),
          rollback: opened.database.prepare("rollback"),
          isHeld: false,
        });
        return;
      } catch (error) {
        if (!isBusy(error)) {
          this.#unreadable.set(path, error instanceof Error ? error.message : String(error));
          return;
        }
      }
      const elapsedMs = performance.now() - started;
      if (elapsedMs >= Math.max(waitMs, roundMs)) throw busyError(path, elapsedMs);
      await sleep(1, stop);
    }
  }

  /**
   * One round. Whoever is held must not wait long for one that is not free: after a moment all are let go, the busy one
   * is awaited alone, and the others are taken after it. Each time the moment is twice as long, so that in the end this
   * is waiting for one while holding the others. By letting go it never deadlocks, whatever order others have.
   */
  async #round(endsAt: number): Promise<Connection | undefined> {
    const { random = Math.random } = this.options;
    let order = this.#connections;
    for (let patienceMs = firstPatienceMs;; patienceMs *= 2) {
      const busy = await this.#takeAll(order, patienceMs * (1 + random()), endsAt);
      if (busy === undefined) return undefined;
      this.release();
      if (performance.now() >= endsAt) return busy;
      order = [busy, ...this.#connections.filter((one) => one !== busy)];
    }
  }

  /** The one that was not free in time; undefined when all are held. */
  async #takeAll(order: readonly Connection[], patienceMs: number, endsAt: number): Promise<Connection | undefined> {
    for (const [index, one] of [...order].entries()) {
      const until = index === 0 ? endsAt : Math.min(endsAt, performance.now() + patienceMs);
      if (!await this.#take(one, until)) return one;
    }
    return undefined;
  }

  async #take(one: Connection, until: number): Promise<boolean> {
    const { stop } = this.options;
    for (let tries = 1;; tries++) {
      stop.throwIfAborted();
      try {
        one.begin.run();
        one.isHeld = true;
        return true;
      } catch (error) {
        if (!isBusy(error)) {
          // It opened for writing and cannot be written: a disk that was mounted read-only meanwhile, or the like.
          this.#unheld.set(one.path, error instanceof Error ? error.message : String(error));
          one.database.close();
          this.#connections.splice(this.#connections.indexOf(one), 1);
          return true;
        }
      }
      if (performance.now() >= until) return false;
      Atomics.wait(clock, 0, 0, pollMs);
      if (tries % 16 === 0) await new Promise<void>((resolve) => setImmediate(resolve)); // lets a signal in
    }
  }
}

/** Opens and holds at once, for who needs nothing in between. */
export async function holdAll(paths: readonly string[], options: BarrierOptions): Promise<Barrier> {
  const barrier = await Barrier.open(paths, options);
  try {
    await barrier.hold();
    return barrier;
  } catch (error) {
    barrier[Symbol.dispose]();
    throw error;
  }
}

function busyError(path: string, elapsedMs: number): AmberError {
  return new AmberError("DATABASE_BUSY", {
    message: `Cannot take a snapshot now: the database "${path}" was not free to be held for ${
      Math.max(1, Math.round(elapsedMs / 1000))
    } s, somebody else is writing`,
    where: path,
    hint: "Which program has the file open? `fuser FILE` tells. A longer --wait waits longer.",
  });
}
