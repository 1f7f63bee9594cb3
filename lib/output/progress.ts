import { numberText } from "./snapshot_text.ts";
import { formatBytes } from "../bytes.ts";
import { formatDuration } from "../duration.ts";
import type { ProgressEvent } from "../stories/progress.ts";

export interface ProgressOptions {
  /** What time it is, ms; a clock that is put back does no harm. */
  nowMs: () => number;
  /** Columns of the terminal, asked for each line since windows change; absent: a log. */
  columns?: () => number;
  json: boolean;
}

/** Shortest time between two lines, ms: on a terminal, as JSON, in a log. */
const terminalMs = 100;
const jsonMs = 1_000;
const logMs = 30_000;
/** Work that is over before this leaves no line in a log. */
const firstLogMs = 10_000;

/** The rate is that of the last seconds: what is found unchanged goes much faster than what is stored. */
const rateWindowMs = 15_000;
const maxMarks = 32;

const clearLine = "\r\u001b[K";

/**
 * Turns progress events, which come often, into the few texts that are shown: on a terminal one line that is written
 * over in place, at most ten times a second; in a log a line after 10 s and then every 30 s; with `json` an object at
 * most once a second.
 */
export class Progress {
  #what: string | undefined;
  #marks: { atMs: number; done: number }[] = []; // the oldest of the window first
  #shownMs: number | undefined; // for a log: when it is to be reckoned from
  #isVisible = false;

  constructor(private readonly options: ProgressOptions) {}

  /**
   * What is to be written now: for a terminal as it stands, without a line end; otherwise a line. undefined: nothing.
   */
  next(event: ProgressEvent): string | undefined {
    const nowMs = this.options.nowMs();
    this.#mark(event, nowMs);
    if (!this.#isDue(nowMs)) return undefined;
    this.#shownMs = nowMs;
    if (this.options.json) return JSON.stringify(event);
    if (!this.options.columns) return lineText(event, this.#rate());
    this.#isVisible = true;
    // Without the last column: some terminals go to the next line when it is filled.
    return `${clearLine}${lineText(event, this.#rate(), this.options.columns() - 1)}`;
  }

  /** What makes room for another line on a terminal; the next event writes the progress again. undefined: there is room. */
  clear(): string | undefined {
    if (!this.#isVisible) return undefined;
    this.#isVisible = false;
    return clearLine;
  }

  /** The work is over: as clear(), and what comes later begins anew. */
  end(): string | undefined {
    this.#what = undefined;
    this.#shownMs = undefined;
    return this.clear();
  }

  #isDue(nowMs: number): boolean {
    const { json, columns } = this.options;
    if (this.#shownMs === undefined) {
      if (json || columns) return true;
      this.#shownMs = nowMs - logMs + firstLogMs;
    }
    const sinceMs = nowMs - this.#shownMs;
    return sinceMs < 0 || sinceMs >= (json ? jsonMs : columns ? terminalMs : logMs);
  }

  #mark({ what, done }: ProgressEvent, nowMs: number): void {
    const last = this.#marks.at(-1);
    const isNew = what !== this.#what || (last && (nowMs < last.atMs || done < last.done));
    if (isNew) this.#marks = [];
    this.#what = what;
    const previous = this.#marks.at(-2);
    // The newest mark moves along; a new one is set when it has come far enough from the one before it.
    if (previous && nowMs - previous.atMs < rateWindowMs / maxMarks) this.#marks.pop();
    this.#marks.push({ atMs: nowMs, done });
    while (this.#marks.length > 2 && nowMs - this.#marks[1]!.atMs >= rateWindowMs) this.#marks.shift();
  }

  /** Units a second; 0 before there is enough to tell. */
  #rate(): number {
    const [first, last] = [this.#marks[0], this.#marks.at(-1)];
    if (!first || !last || last.atMs - first.atMs < 500) return 0;
    return (last.done - first.done) / ((last.atMs - first.atMs) / 1_000);
  }
}

/** One line; with `columns` no longer than that, and with a bar when there is room for one. */
function lineText({ what, done, total, unit }: ProgressEvent, rate = 0, columns?: number): string {
  const amount = (count: number) => unit === "bytes" ? formatBytes(count) : numberText(Math.round(count));
  const name = unit === "bytes" ? "" : ` ${unit}`;
  const share = total === undefined ? undefined : total === 0 ? 1 : Math.min(1, done / total);
  const leftSeconds = total === undefined || rate === 0 ? 0 : Math.ceil((total - done) / rate);
  const head = printable(what);
  const bar = columns === undefined || share === undefined ? "" : barText(share, columns - head.length - factsWidth);
  const facts = [
    ...(bar === "" ? [] : [bar]),
    ...(share === undefined ? [] : [`${String(Math.floor(share * 100)).padStart(columns === undefined ? 1 : 3)} %`]),
    total === undefined ? `${amount(done)}${name}` : `${amount(done)} of ${amount(total)}${name}`,
    ...(Math.round(rate) > 0 ? [`${amount(rate)}/s`] : []),
    ...(leftSeconds > 0 ? [`${formatDuration(leftSeconds * 1_000)} left`] : []),
  ];
  if (columns === undefined) return [head, ...facts].join("  ");
  while (facts.length > 1 && [head, ...facts].join("  ").length > columns) facts.pop();
  return [head, ...facts].join("  ").slice(0, Math.max(0, columns));
}

/** Columns for all that is no bar. Kept free whether they are needed or not: else the bar would change its length. */
const factsWidth = 60;

function barText(share: number, room: number): string {
  if (room < 10) return "";
  const width = Math.min(30, room) - 2;
  const filled = Math.floor(share * width);
  return `[${"#".repeat(filled)}${".".repeat(width - filled)}]`;
}

/** A file's name may hold what moves a terminal's cursor. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?");
}
