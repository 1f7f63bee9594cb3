/** Random choices that can be repeated: the same seed gives the same ones. */
export interface Random {
  seed: number;
  /** 0 up to, but not, 1. */
  next(): number;
  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number;
  pick<T>(items: readonly T[]): T;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** The same items in another order. */
  shuffle<T>(items: readonly T[]): T[];
  /** A text of this many characters of the alphabet. */
  text(size: number, alphabet?: string): string;
}

/**
 * The seed of this run: AMBER_TEST_SEED, else a new one. A test that uses it prints it when it fails, so that the run
 * can be repeated.
 */
export function runSeed(): number {
  const text = Deno.env.get("AMBER_TEST_SEED");
  return text ? Number(text) : crypto.getRandomValues(new Uint32Array(1))[0]!;
}

export function random(seed: number): Random {
  // Mulberry32 (Tommy Ettinger, public domain): 32 bits of state are plenty for choosing test cases.
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));
  const pick = <T>(items: readonly T[]): T => {
    if (items.length === 0) throw new Error("Cannot pick from nothing");
    return items[int(0, items.length - 1)]!;
  };
  return {
    seed,
    next,
    int,
    pick,
    chance: (probability) => next() < probability,
    shuffle(items) {
      const order = items.map((item) => ({ item, rank: next() }));
      return order.sort((a, b) => a.rank - b.rank).map(({ item }) => item);
    },
    text: (size, alphabet = "abcdefghijklmnopqrstuvwxyz") =>
      Array.from({ length: size }, () => pick([...alphabet])).join(""),
  };
}
