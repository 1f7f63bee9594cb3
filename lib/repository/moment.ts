import type { Snapshot, SnapshotFacts } from "./snapshot_file.ts";

/** Clocks that differ by less are taken for right: a store may be an hour off, and take a while. */
export const slackMs = 90 * 60_000;

/** Longest time that a snapshot is believed to have taken. */
const longestMs = 7 * 24 * 3_600_000;

/** From the store's time back to the barrier it is as long as the snapshot took, and a little for storing its file. */
const storingMs = 60_000;

/** A time between two, both included; often one and the same. */
export interface Span {
  fromMs: number;
  toMs: number;
}

/** When a snapshot was taken, as far as one can know. */
export interface Moment {
  /** The recorded time when the store's agrees with it, else what follows from the store's. */
  span: Span;
  /**
   * Only when the recorded time lies long before the store's: that time. Either the clock was behind and `span` is right,
   * or the file was written again since (the repository copied, the snapshot forgotten and brought back) and this is.
   */
  recorded?: Span;
  /** For people: why the recorded time is not simply believed. */
  doubt?: string;
}

/** What is known about when a snapshot was taken. */
export type Timed = Pick<Snapshot, "time"> & {
  /** The store's time of its file, ms. */
  storedMs: number;
  facts: Partial<Pick<SnapshotFacts, "durationMs">>;
};

/**
 * Compares the time that a snapshot's own machine recorded with the store's time of its file. A clock may be a day back or
 * ten years forward; no snapshot was taken after its file was stored.
 */
export function momentOf({ time, storedMs, facts }: Timed): Moment {
  const recordedMs = Date.parse(time);
  const tookMs = Math.min(Math.max(facts.durationMs ?? 0, 0), longestMs);
  const fromStore = { fromMs: storedMs - tookMs - storingMs, toMs: storedMs };
  if (!Number.isFinite(recordedMs)) return { span: fromStore, doubt: `its time "${time}" is none: the store's counts` };
  const exact = { fromMs: recordedMs, toMs: recordedMs };
  if (recordedMs > storedMs + slackMs) {
    const doubt = `its clock was ahead, at ${minuteOf(recordedMs)}: the store's time ${minuteOf(storedMs)} counts`;
    return { span: fromStore, doubt };
  }
  if (recordedMs < storedMs - tookMs - slackMs) {
    const doubt = `its file was stored at ${minuteOf(storedMs)}, long after its time ${minuteOf(recordedMs)}: ` +
      `copied, brought back, or its clock was behind; it stays when one of the two times keeps it`;
    return { span: fromStore, recorded: exact, doubt };
  }
  return { span: exact };
}

/** A moment for people, to the minute: `2026-11-20 12:34`, UTC. */
export function minuteOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ");
}
