import { namePart, type Part, partOf } from "./calendar.ts";
import { type KeepPolicy, type KeepRule, keepRules } from "./keep_policy.ts";
import type { Span } from "./moment.ts";

/** A leap of time that is taken for a clock set wrong: the parts of the calendar on its two sides count as one. */
export const leapMs = 5 * 365 * 24 * 3_600_000;

/** A snapshot's place in time. One that does not count is judged like the others, but pushes none of them out. */
export interface Placed extends Span {
  counts: boolean;
}

/** What a policy's rules say about one snapshot. */
export interface Judgement {
  /** The rules that keep it, and in words why. */
  kept: Map<KeepRule, string>;
  /** The rules that do not: because it is older than what they count, or because a newer one stands for its part. */
  past: KeepRule[];
  covered: KeepRule[];
}

/**
 * Applies a policy to snapshots whose times are known exactly or lie in a span. Each rule by itself: of each of the last
 * `count` parts of the calendar that have snapshots, the newest one stays (restic counts so too).
 *
 * With spans the answer errs to one side: a snapshot stays when it would for some choice of times within all spans.
 *
 * @returns One judgement for each snapshot, in their order.
 */
export function applyRules(placed: readonly Placed[], policy: KeepPolicy): Judgement[] {
  const judgements = placed.map((): Judgement => ({ kept: new Map(), past: [], covered: [] }));
  for (const rule of keepRules) {
    const count = policy[rule];
    if (count === undefined) continue;
    if (rule === "last") applyLast(count, placed, judgements);
    else applyPart(rule, count, placed, judgements);
  }
  return judgements;
}

function applyLast(count: number, placed: readonly Placed[], judgements: Judgement[]): void {
  newerCounts(placed).forEach((rank, i) => {
    if (rank < count) judgements[i]!.kept.set("last", `last ${rank + 1} of ${count}`);
    else judgements[i]!.past.push("last");
  });
}

/** For each snapshot how many are newer. */
export function newerCounts(placed: readonly Placed[]): number[] {
  const newer = newerThan(placed.flatMap((one, order) => one.counts ? [{ ...one, order }] : []));
  return placed.map((one, order) => newer({ ...one, order }));
}

/** In the order in which their files were stored, which decides between two of one time. */
type Ordered = Span & { order: number };

type Key = [ms: number, order: number];

/**
 * A function that says how many of these are newer than another one. Spans are newer when they begin after its end; of two
 * spans that overlap it is the one that ends later: both end when their files were stored.
 */
function newerThan(all: readonly Ordered[]): (one: Ordered) => number {
  const isExact = ({ fromMs, toMs }: Span) => fromMs === toMs;
  const descending = (keys: Key[]) => keys.sort((a, b) => b[0] - a[0] || b[1] - a[1]);
  const exact = descending(all.filter(isExact).map(({ fromMs, order }) => [fromMs, order]));
  const spans = all.filter((one) => !isExact(one));
  const begins = descending(spans.map(({ fromMs }) => [fromMs, 0]));
  const ends = descending(spans.map(({ toMs, order }) => [toMs, order]));
  return (one) =>
    isExact(one)
      ? countAbove(exact, [one.fromMs, one.order]) + countAbove(begins, [one.fromMs, 0])
      : countAbove(exact, [one.toMs, Infinity]) + countAbove(ends, [one.toMs, one.order]);
}

function applyPart(part: Part, count: number, placed: readonly Placed[], judgements: Judgement[]): void {
  const spans = placed.map((one, order) => {
    return { ...one, order, first: partOf(part, one.fromMs), last: partOf(part, one.toMs) };
  });
  const counting = spans.filter(({ counts }) => counts);
  const occupied = disjoint(counting);
  const inside = Map.groupBy(counting.filter(({ first, last }) => first === last), ({ first }) => first);
  const counters = new Map<number, (one: Ordered) => number>(); // made when needed: few parts are
  const newerInside = (number: number, one: Ordered) => {
    if (!counters.has(number)) counters.set(number, newerThan(inside.get(number) ?? []));
    return counters.get(number)!(one);
  };
  for (const one of spans) {
    const { kept, past, covered } = judgements[one.order]!;
    let isPast = false;
    for (let number = one.last; number >= one.first && !isPast && !kept.has(part); number--) {
      const rank = countAbove(occupied, [number, 0]);
      isPast = rank >= count;
      if (isPast || newerInside(number, one) > 0) continue;
      const perhaps = one.first === one.last ? "" : "perhaps ";
      kept.set(part, `${part} ${rank + 1} of ${count}: ${perhaps}the newest of ${namePart(part, number)}`);
    }
    if (!kept.has(part)) (isPast ? past : covered).push(part);
  }
}

/**
 * The most parts, newest first, that certainly hold a snapshot each, whatever the times within the spans: spans that share
 * no part, the one that begins latest always taken first.
 */
function disjoint(spans: readonly (Span & { first: number; last: number })[]): Key[] {
  const chosen: Key[] = [];
  let before = Infinity;
  let above: Span | undefined;
  let hasLeapt = false;
  for (const span of spans.toSorted((a, b) => b.fromMs - a.fromMs)) {
    const isLeap = !hasLeapt && above !== undefined && above.fromMs - span.toMs > leapMs;
    above = span;
    if (span.last >= before) continue;
    before = span.first;
    if (isLeap) hasLeapt = true;
    else chosen.push([span.first, 0]);
  }
  return chosen;
}

/** How many of the keys, largest first, are above a limit. */
function countAbove(keys: readonly Key[], [ms, order]: Key): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const key = keys[middle]!;
    if (key[0] > ms || (key[0] === ms && key[1] > order)) low = middle + 1;
    else high = middle;
  }
  return low;
}
