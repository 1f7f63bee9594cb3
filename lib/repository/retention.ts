import { applyRules, type Judgement, leapMs, newerCounts, type Placed } from "./keep_rules.ts";
import type { KeepPolicy } from "./keep_policy.ts";
import { minuteOf, type Moment, momentOf, slackMs, type Span } from "./moment.ts";
import { idOf, type Snapshot, type SnapshotFacts } from "./snapshot_file.ts";

const dayMs = 24 * 3_600_000;
const safetyDays = 7;
const partialDays = 2;

/** A run writes its partial file anew each hour: one that is older may be another run's to go on from. */
const runningMs = 2 * 3_600_000;

/** What retention looks at. */
export type Judged = Pick<Snapshot, "hash" | "kind" | "time"> & Partial<Pick<Snapshot, "parent">> & {
  /** The store's time of its file, ms. */
  storedMs: number;
  facts: Pick<SnapshotFacts, "tags"> & Partial<Pick<SnapshotFacts, "durationMs" | "remarks">>;
  /** False for one that a drill found damaged. Default: whether everything could be read when it was taken. */
  good?: boolean;
};

export interface RetentionOptions {
  /** Absent: only traces of ended runs (partial ones) are forgotten. */
  policy?: KeepPolicy;
  /** Snapshots with one of these tags stay, whatever their age. */
  keepTags?: readonly string[];
  /** What time it is for the store. */
  nowMs: number;
}

/** What becomes of one snapshot. */
export interface Decision<T> {
  snapshot: T;
  keep: boolean;
  /** In words, the first one first; never empty. */
  reasons: string[];
}

/**
 * Decides for each snapshot whether it stays, and why, in the given order. Of each hour, day, ISO week, month and year
 * (UTC) that has an ordinary snapshot, as far back as the policy counts, the newest one stays; the newest of all always.
 *
 * Clocks are not trusted. Where a time is uncertain (moment.ts), a snapshot stays when one of its possible times keeps it,
 * and pushes out only what all of them would: what right clocks keep, wrong ones keep as well, and a little more.
 */
export function decideRetention<T extends Judged>(snapshots: readonly T[], options: RetentionOptions): Decision<T>[] {
  const { policy, keepTags = [], nowMs } = options;
  const kept = new Map<T, string[]>(snapshots.map((one) => [one, []]));
  const forgotten = new Map<T, string>();
  const notes: Notes<T> = {
    keep: (one, reason) => kept.get(one)!.push(reason),
    forget: (one, reason) => forgotten.set(one, reason),
  };
  // A file from the future was stored while the store's own clock was wrong: it neither goes nor counts.
  const [future, present] = split(snapshots, ({ storedMs }) => storedMs > nowMs + slackMs);
  for (const one of future) {
    notes.keep(one, `from the future: stored at ${minuteOf(one.storedMs)}, and now it is ${minuteOf(nowMs)}`);
  }
  const [partial, whole] = split(present, ({ kind }) => kind === "partial");
  const [safety, ordinary] = split(whole, ({ kind }) => kind === "safety");
  const ageOf = ageByStore(present, nowMs);
  judgePartial(partial, present, ageOf, notes);
  for (const one of whole) {
    if (policy === undefined) notes.keep(one, "no policy");
    for (const tag of one.facts.tags) if (policy && keepTags.includes(tag)) notes.keep(one, `tag ${tag}`);
  }
  const moments = new Map(present.map((one) => [one, momentOf(one)]));
  if (policy !== undefined) {
    judgeSafety(safety, ageOf, notes);
    const histories = { moments, ageOf, isBeforeParent: parents(snapshots, { moments, ageOf }) };
    judgeOrdinary(ordinary.toSorted(byStore), { ...histories, policy, notes });
    keepWithParents(ordinary, { ...histories, kept });
  }
  return snapshots.map((snapshot) => {
    const reasons = kept.get(snapshot)!;
    const doubt = policy && snapshot.kind === "ordinary" ? moments.get(snapshot)?.doubt : undefined;
    const why = reasons.length > 0 ? reasons : [forgotten.get(snapshot)!];
    return { snapshot, keep: reasons.length > 0, reasons: doubt === undefined ? why : [...why, doubt] };
  });
}

interface Notes<T> {
  keep(one: T, reason: string): void;
  forget(one: T, reason: string): void;
}

/** Those for which it is true, and the others. */
function split<T>(all: readonly T[], test: (one: T) => boolean): [T[], T[]] {
  return [all.filter(test), all.filter((one) => !test(one))];
}

/** How long ago a file was stored, by the store's own clock; a leap of years in it is no time that passed. */
function ageByStore(present: readonly Judged[], nowMs: number): (one: Judged) => number {
  const times = [nowMs, ...present.map(({ storedMs }) => storedMs)].sort((a, b) => b - a);
  const leap = times.findIndex((ms, i) => ms - (times[i + 1] ?? ms) > leapMs);
  const leaptMs = leap < 0 ? 0 : times[leap]! - times[leap + 1]!;
  const byHash = new Map(present.map((one) => [one.hash, one]));
  return ({ storedMs, parent }) => {
    // A parent was stored first. Where that was later by its time, the store's clock was set back in between.
    const ms = Math.max(storedMs, byHash.get(parent ?? "")?.storedMs ?? storedMs);
    return nowMs - ms - (leap >= 0 && ms <= times[leap + 1]! ? leaptMs : 0);
  };
}

/** A partial one goes when another file names all of its packs, or when nobody went on from it for days. */
function judgePartial<T extends Judged>(partial: T[], all: T[], ageOf: (one: T) => number, notes: Notes<T>): void {
  const children = new Map(all.map((one) => [one.parent, one]));
  // The files of one run have one time and one parent, and each names all packs of those before it.
  const runOf = ({ time, parent }: T) => `${time} ${parent}`;
  const last = new Map<string, T>();
  for (const one of all.toSorted(byStore)) {
    if (one.kind !== "partial" || (last.get(runOf(one))?.kind ?? "partial") === "partial") last.set(runOf(one), one);
  }
  for (const one of partial) {
    const next = children.get(one.hash) ?? last.get(runOf(one))!;
    if (next !== one && ageOf(one) > runningMs) notes.forget(one, `partial, and ${idOf(next)} goes on from it`);
    else if (ageOf(one) > partialDays * dayMs) notes.forget(one, `partial, older than ${partialDays} days`);
    else notes.keep(one, `partial, kept ${partialDays} days`);
  }
}

function judgeSafety<T extends Judged>(safety: T[], ageOf: (one: T) => number, notes: Notes<T>): void {
  const newest = safety.toSorted((a, b) => ageOf(b) - ageOf(a) || byStore(a, b)).at(-1);
  for (const one of safety) {
    if (one === newest) notes.keep(one, "newest safety");
    else if (ageOf(one) <= safetyDays * dayMs) notes.keep(one, `safety, kept ${safetyDays} days`);
    else notes.forget(one, `safety, older than ${safetyDays} days`);
  }
}

/** In the order in which they were stored; those that were copied at one moment by their recorded times. */
function byStore(a: Judged, b: Judged): number {
  const [first, second] = [`${a.time} ${a.hash}`, `${b.time} ${b.hash}`];
  return a.storedMs - b.storedMs || (first < second ? -1 : first > second ? 1 : 0);
}

interface Histories<T> {
  /** Of those that are not from the future. */
  moments: ReadonlyMap<T, Moment>;
  /** How long ago its file was stored, ms. */
  ageOf: (one: T) => number;
  /** Whether a span ends before the snapshot's parent can have been taken. */
  isBeforeParent: Test<T>;
}

type Test<T> = (one: T, span: Span) => boolean;

function judgeOrdinary<T extends Judged>(
  ordinary: T[],
  { policy, notes, ...histories }: Histories<T> & { policy: KeepPolicy; notes: Notes<T> },
): void {
  const told = new Set<string>();
  const keep = (one: T, what: string, reason: string) => {
    if (told.has(`${one.hash} ${what}`)) return; // another history keeps it for the same
    told.add(`${one.hash} ${what}`);
    notes.keep(one, reason);
  };
  for (const placed of possibleHistories(ordinary, histories)) {
    for (const [i, newer] of newerCounts(placed).entries()) if (newer === 0) keep(ordinary[i]!, "newest", "newest");
    const good = ordinary.flatMap((one, i) => isGood(one) ? [{ one, place: placed[i]! }] : []);
    for (const [i, newer] of newerCounts(good.map(({ place }) => place)).entries()) {
      const { one } = good[i]!;
      if (newer === 0 && !told.has(`${one.hash} newest`)) keep(one, "good", "newest without faults");
    }
    for (const [i, judgement] of applyRules(placed, policy).entries()) {
      for (const [rule, reason] of judgement.kept) keep(ordinary[i]!, rule, reason);
      notes.forget(ordinary[i]!, tellMissed(judgement, policy));
    }
  }
}

function isGood({ good, facts }: Judged): boolean {
  return good ?? !facts.remarks?.some(({ what }) => what === "changed" || what === "unreadable");
}

/**
 * Where the snapshots lie in time: as the store's times say; and, when some files were stored long after their recorded
 * times, as these say. That is how a repository looks that was copied: all of it was stored at one time.
 */
function possibleHistories<T>(ordinary: T[], { moments, isBeforeParent }: Histories<T>): Placed[][] {
  const place = (one: T, span: Span) => ({ ...span, counts: !isBeforeParent(one, span) });
  const byStore = ordinary.map((one) => place(one, moments.get(one)!.span));
  const recorded = ordinary.map((one) => {
    const span = moments.get(one)!.recorded;
    return span && !isBeforeParent(one, span) ? span : undefined;
  });
  if (!recorded.some((span) => span)) return [byStore];
  return [byStore, ordinary.map((one, i) => recorded[i] ? place(one, recorded[i]) : byStore[i]!)];
}

/**
 * A parent was taken before its child. A child whose time says otherwise has a wrong time, or its parent has. A parent from
 * the future leaves that open as well, but not for ever: it may be there for years.
 */
function parents<T extends Judged>(all: readonly T[], histories: Pick<Histories<T>, "moments" | "ageOf">): Test<T> {
  const byHash = new Map(all.map((one) => [one.hash, one]));
  return (one, { toMs }) => {
    const parent = byHash.get(one.parent ?? "");
    if (parent === undefined) return false;
    const moment = histories.moments.get(parent);
    if (moment === undefined) return histories.ageOf(one) <= safetyDays * dayMs;
    return Math.min(moment.span.fromMs, moment.recorded?.fromMs ?? Infinity) > toMs + slackMs;
  };
}

/** One whose time is wrong by what its parent says has no place of its own in time: it stays as long as its parent does. */
function keepWithParents<T extends Judged>(
  ordinary: T[],
  { moments, isBeforeParent, kept }: Histories<T> & { kept: Map<T, string[]> },
): void {
  const byHash = new Map([...kept.keys()].map((one) => [one.hash, one]));
  const misplaced = ordinary.filter((one) => isBeforeParent(one, moments.get(one)!.span));
  for (let isNew = true; isNew;) {
    isNew = false;
    for (const one of misplaced) {
      const parent = byHash.get(one.parent!)!;
      if (kept.get(one)!.length > 0 || kept.get(parent)!.length === 0) continue;
      const until = moments.has(parent) ? "it stays as long as that one" : `kept ${safetyDays} days`;
      kept.get(one)!.push(`its time is before that of its parent ${idOf(parent)}: ${until}`);
      isNew = true;
    }
  }
}

/** `past 5 hourly, 2 daily; newer ones of its week and month`. */
function tellMissed({ past, covered }: Judgement, policy: KeepPolicy): string {
  const nouns = { hourly: "hour", daily: "day", weekly: "week", monthly: "month", yearly: "year", last: "" };
  const older = past.map((rule) => rule === "last" ? `the last ${policy.last}` : `${policy[rule]} ${rule}`);
  return [
    ...(older.length > 0 ? [`older than ${older.join(", ")}`] : []),
    ...(covered.length > 0 ? [`a newer one of its ${covered.map((rule) => nouns[rule]).join(", ")}`] : []),
  ].join("; ") || "no rule keeps it";
}
