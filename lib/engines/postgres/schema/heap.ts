/** The least comes first. */
export class Heap<T> {
  #items: T[] = [];

  constructor(items: readonly T[], private readonly compare: (a: T, b: T) => number) {
    for (const item of items) this.add(item);
  }

  add(item: T): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (this.compare(items[up]!, items[at]!) <= 0) break;
      [items[up], items[at]] = [items[at]!, items[up]!];
      at = up;
    }
  }

  take(): T | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (items.length > 0 && last) {
      items[0] = last;
      for (let at = 0;;) {
        const [left, right] = [2 * at + 1, 2 * at + 2];
        let least = at;
        if (left < items.length && this.compare(items[left]!, items[least]!) < 0) least = left;
        if (right < items.length && this.compare(items[right]!, items[least]!) < 0) least = right;
        if (least === at) break;
        [items[at], items[least]] = [items[least]!, items[at]!];
        at = least;
      }
    }
    return first;
  }
}
