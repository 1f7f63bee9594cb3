import { AmberError } from "../errors.ts";
import type { StatementFailure } from "../engines/engine.ts";
import { positionOf, type Statement } from "./splitter.ts";

const widest = 110; // characters of a line that are shown

/**
 * A refused statement, for a tired person: file, line and column, the statement with a caret under the place, the
 * database's own words, and what to do.
 */
export function explain(
  failure: StatementFailure,
  at: { name: string; path: string; text: string; statement?: Statement; aftermath: string; hint?: string },
): AmberError {
  const { statement } = at;
  const offset = statement ? statement.offset + Math.min(failure.offset ?? 0, statement.text.length) : 0;
  const position = statement ? positionOf(at.text, offset) : undefined;
  const lines = [
    ...(statement ? excerpt(at.text, statement, offset) : []),
    `database: ${failure.message}${failure.code && !failure.code.startsWith("SQLITE") ? ` (${failure.code})` : ""}`,
    ...(failure.detail ? [`detail: ${failure.detail}`] : []),
    ...(failure.hint ? [`its hint: ${failure.hint}`] : []),
    ...(failure.context ? [`context: ${failure.context}`] : []),
  ];
  return new AmberError("STATEMENT_FAILED", {
    message: `Cannot apply "${at.name}": ${failure.message}`,
    where: position ? `${at.path}:${position.line}:${position.column}` : at.path,
    detail: lines.join("\n"),
    hint: `${at.aftermath} ${at.hint ?? "Mend the file and run the same command again."}`,
    cause: failure,
  });
}

/** The line with the place, the lines of the statement around it, and a caret. */
function excerpt(text: string, statement: Statement, offset: number): string[] {
  const place = positionOf(text, offset);
  const first = positionOf(text, statement.offset).line;
  const all = text.split(/\r\n|\r|\n/);
  const last = first + statement.text.split(/\r\n|\r|\n/).length - 1;
  const out: string[] = [];
  for (let line = Math.max(first, place.line - 3); line <= Math.min(last, place.line + 2); line++) {
    const characters = [...(all[line - 1] ?? "").replaceAll("\t", " ")];
    const number = String(line).padStart(5);
    if (line !== place.line) {
      out.push(`${number} | ${characters.slice(0, widest).join("")}`);
      continue;
    }
    const start = Math.max(0, place.column - 1 - Math.floor(widest * 0.8)); // the caret stays in sight on a long line
    out.push(`${number} | ${characters.slice(start, start + widest).join("")}`);
    out.push(`${" ".repeat(5)} | ${" ".repeat(place.column - 1 - start)}^`);
  }
  return out;
}
