/**
 * What may end every wait, now and later: a lost connection, a signal, a refusal. `Promise.race` with a promise that
 * lasts keeps every value that was ever waited for as long as that one: all bytes of a COPY, all rows of all queries.
 */
export class Interruption {
  #waiting = new Set<(error: unknown) => void>();
  #ended?: { error: unknown };

  /** Ends every wait with this error. Only the first counts. */
  end(error: unknown): void {
    if (this.#ended) return;
    this.#ended = { error };
    for (const reject of this.#waiting) reject(error);
    this.#waiting.clear();
  }

  /** Settles as `work` does, unless the interruption comes first. */
  during<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#ended) reject(this.#ended.error);
      else this.#waiting.add(reject);
      work.then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }
}
