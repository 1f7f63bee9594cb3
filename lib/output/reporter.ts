import { AmberError } from "../errors.ts";
import type { ProgressEvent } from "../stories/progress.ts";
import type { Event, Outcome } from "./events.ts";
import { errorText, eventText, paint } from "./human.ts";
import { Progress } from "./progress.ts";

/** Where text goes. */
export interface Streams {
  stdout(text: string): void;
  stderr(text: string): void;
  /** Columns of the terminal that stderr is, where a line can be written over in place; absent where it is none. */
  columns?: () => number;
  /** Absent: no progress is shown. */
  now?: () => Date;
}

/**
 * The only one who writes to the terminal: events, the outcome and errors, as text for people or one JSON object a line.
 * Everything goes through `redact` last.
 */
export class Reporter {
  constructor(
    private readonly streams: Streams,
    private readonly options: { json: boolean; colour: boolean; redact: (text: string) => string },
    private readonly progress = progressOf(streams, options.json),
  ) {}

  /** A copy that hides these secrets as well; known only once the configuration has been read. */
  hiding(redact: (text: string) => string): Reporter {
    return new Reporter(this.streams, { ...this.options, redact }, this.progress);
  }

  event(event: Event): void {
    if (event.type === "progress") return this.#showProgress(event);
    if (this.options.json) return this.#line("stdout", jsonText(event));
    const shown = eventText(event, paint(this.options.colour));
    if (shown) this.#line(shown.stream, shown.text);
  }

  outcome(outcome: Outcome): void {
    this.#clear(this.progress?.end());
    if (this.options.json) return this.#line("stdout", jsonText({ type: "result", ...outcome.result }));
    for (const line of outcome.lines) this.#line("stdout", line);
  }

  /** How a part of a longer command ended: what that part's own command ends with, as an event of this type. */
  part(type: string, { result, lines }: Outcome): void {
    this.#clear(this.progress?.end());
    if (this.options.json) return this.#line("stdout", jsonText({ ...result, type }));
    for (const line of lines) this.#line("stdout", line);
  }

  /** @returns The exit status that goes with it. */
  error(error: unknown): number {
    this.#clear(this.progress?.end());
    const known = knownError(error);
    const { code, message, where, detail, hint, exitStatus } = known;
    if (this.options.json) {
      this.#line("stdout", jsonText({ type: "error", code, message, where, detail, hint, exit: exitStatus }));
    } else this.#line("stderr", errorText(known, paint(this.options.colour)));
    return exitStatus;
  }

  /** Takes the progress off the terminal, before somebody else writes there: a question, a program. */
  makeRoom(): void {
    this.#clear(this.progress?.clear());
  }

  #showProgress(event: ProgressEvent): void {
    const text = this.progress?.next(event);
    if (text === undefined) return;
    if (this.options.json) this.streams.stdout(`${this.options.redact(text)}\n`);
    else this.streams.stderr(this.options.redact(text) + (this.streams.columns ? "" : "\n"));
  }

  #clear(text: string | undefined): void {
    if (text !== undefined) this.streams.stderr(text);
  }

  #line(stream: "stdout" | "stderr", text: string): void {
    this.makeRoom();
    this.streams[stream](`${this.options.redact(text)}\n`);
  }
}

function progressOf({ now, columns }: Streams, json: boolean): Progress | undefined {
  return now && new Progress({ nowMs: () => now().getTime(), columns, json });
}

/** What nobody has thought of is UNEXPECTED: its text and place are kept, so that it can be reported. */
export function knownError(error: unknown): AmberError {
  if (error instanceof AmberError) return error;
  const known = error instanceof Error ? error : new Error(String(error));
  return new AmberError("UNEXPECTED", {
    message: `Something unexpected happened: ${known.message}`,
    detail: known.stack?.split("\n").slice(1, 6).map((line) => line.trim()).join("\n"),
    hint:
      "This is a mistake in amber, or a database error that it does not know. Running the same command again is safe.",
    cause: error,
  });
}

function jsonText(value: unknown): string {
  return JSON.stringify(value, (_key, part) => (typeof part === "bigint" ? String(part) : part));
}
