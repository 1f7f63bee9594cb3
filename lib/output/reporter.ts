import { AmberError } from "../errors.ts";
import type { Event, Outcome } from "./events.ts";
import { errorText, eventText, paint } from "./human.ts";

/** Where text goes. */
export interface Streams {
  stdout(text: string): void;
  stderr(text: string): void;
}

/**
 * The only one who writes to the terminal: events, the outcome and errors, as text for people or one JSON object a line.
 * Everything goes through `redact` last.
 */
export class Reporter {
  constructor(
    private readonly streams: Streams,
    private readonly options: { json: boolean; colour: boolean; redact: (text: string) => string },
  ) {}

  /** A copy that hides these secrets as well; known only once the configuration has been read. */
  hiding(redact: (text: string) => string): Reporter {
    return new Reporter(this.streams, { ...this.options, redact });
  }

  event(event: Event): void {
    if (this.options.json) return this.#line("stdout", jsonText(event));
    const shown = eventText(event, paint(this.options.colour));
    if (shown) this.#line(shown.stream, shown.text);
  }

  outcome(outcome: Outcome): void {
    if (this.options.json) return this.#line("stdout", jsonText({ type: "result", ...outcome.result }));
    for (const line of outcome.lines) this.#line("stdout", line);
  }

  /** @returns The exit status that goes with it. */
  error(error: unknown): number {
    const known = error instanceof AmberError ? error : unexpected(error);
    const { code, message, where, detail, hint, exitStatus } = known;
    if (this.options.json) {
      this.#line("stdout", jsonText({ type: "error", code, message, where, detail, hint, exit: exitStatus }));
    } else this.#line("stderr", errorText(known, paint(this.options.colour)));
    return exitStatus;
  }

  #line(stream: "stdout" | "stderr", text: string): void {
    this.streams[stream](`${this.options.redact(text)}\n`);
  }
}

/** What nobody has thought of: its text and place are kept, so that it can be reported. */
function unexpected(error: unknown): AmberError {
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
