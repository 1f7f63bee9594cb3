import { frameTarget } from "./pack.ts";

/** An opened frame. Until it is disposed of, its bytes stay what they are; then their memory is used again. */
export interface HeldFrame extends Disposable {
  readonly bytes: Uint8Array;
}

interface Kept {
  opened: Promise<Uint8Array>;
  /** Bytes of memory. */
  size: number;
  holders: number;
}

/** Buffers that wait to be used again. Fresh ones cost more than what is done with them: the system clears each page. */
const mostSpare = 2;

/** Opened frames by name, each opened only once as long as it is held, or was a short time ago. */
export class FrameCache {
  readonly #kept = new Map<string, Kept>(); // the one used last comes last
  readonly #spare: Uint8Array[] = [];
  #size = 0;

  /** @param budget Bytes that may be kept of frames that nobody holds. */
  constructor(private readonly budget: number) {}

  /**
   * @param rawSize Bytes of the opened frame.
   * @param open Opens it into a buffer of at least that size, and gives that part of it.
   */
  async hold(name: string, rawSize: number, open: (sink: Uint8Array) => Promise<Uint8Array>): Promise<HeldFrame> {
    const kept = this.#kept.get(name) ?? this.#open(rawSize, open);
    this.#kept.delete(name);
    this.#kept.set(name, kept);
    kept.holders++;
    let isLetGo = false;
    const letGo = () => {
      if (isLetGo) return;
      isLetGo = true;
      kept.holders--;
      this.#trim(this.budget);
    };
    try {
      return { bytes: await kept.opened, [Symbol.dispose]: letGo };
    } catch (error) {
      if (this.#kept.get(name) === kept) this.#forget(name, kept);
      throw error;
    }
  }

  /** Forgets what nobody holds. */
  clear(): void {
    this.#trim(0);
    this.#spare.length = 0;
  }

  #open(rawSize: number, open: (sink: Uint8Array) => Promise<Uint8Array>): Kept {
    // A tree's frame may be small, and many of them are kept.
    const size = rawSize > frameTarget >> 2 && rawSize <= frameTarget ? frameTarget : rawSize;
    const sink = size === frameTarget ? this.#spare.pop() : undefined;
    this.#size += size;
    this.#trim(this.budget);
    return { opened: open(sink ?? new Uint8Array(size)), size, holders: 0 };
  }

  #trim(budget: number): void {
    for (const [name, kept] of this.#kept) {
      if (this.#size <= budget) return;
      if (kept.holders > 0) continue;
      this.#forget(name, kept);
      // Settled: somebody held it until then.
      kept.opened.then(({ buffer }) => {
        const isReusable = buffer.byteLength === frameTarget && this.#spare.length < mostSpare;
        if (isReusable) this.#spare.push(new Uint8Array(buffer));
      }, () => {});
    }
  }

  #forget(name: string, kept: Kept): void {
    this.#kept.delete(name);
    this.#size -= kept.size;
  }
}
