import { AmberError } from "../errors.ts";
import type { StatementFailure } from "../engines/engine.ts";
import { positionOf, type Statement } from "./splitter.ts";

// deno-lint-ignore no-control-regex
const unprintable = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g; // also what turns the line's direction round
const widest = 110; // columns of a line that are shown

/**
 * A refused statement, for a tired person: file, line and column, the statement with a caret under the place, the
 * database's own words, and what to do.
 *
 * @param at.statement Absent when the database refused to commit: no statement, but all of them together.
 */
export function explain(
  failure: StatementFailure,
  at: { name: string; path: string; text: string; statement?: Statement; aftermath: string; hint?: string },
): AmberError {
  const { statement } = at;
  const offset = statement ? place(failure, statement, at.text) : 0;
  const position = statement ? positionOf(at.text, offset) : undefined;
  const lines = [
    ...(statement ? excerpt(at.text, statement, offset) : []),
    `database: ${failure.message}${failure.code && !failure.code.startsWith("SQLITE") ? ` (${failure.code})` : ""}`,
    ...(failure.detail ? [`detail: ${failure.detail}`] : []),
    ...(failure.hint ? [`its hint: ${failure.hint}`] : []),
    ...(failure.context ? [`context: ${failure.context}`] : []),
    ...(statement ? [] : ["when: at COMMIT, where deferred constraints are checked"]),
  ];
  return new AmberError("STATEMENT_FAILED", {
    message: `Cannot apply "${at.name}": ${failure.message}`,
    where: position ? `${at.path}:${position.line}:${position.column}` : at.path,
    detail: lines.join("\n"),
    hint: `${at.aftermath} ${at.hint ?? "Mend the file and run the same command again."}`,
    cause: failure,
  });
}

/** Where in the file it went wrong, in UTF-16 units: as near as the database's words allow. */
function place(failure: StatementFailure, statement: Statement, text: string): number {
  if (failure.offset !== undefined) return statement.offset + Math.min(failure.offset, statement.text.length);
  const row = /^COPY .*, line (\d+)/m.exec(failure.context ?? "")?.[1];
  if (row !== undefined && statement.data) {
    const start = text.indexOf(statement.data, statement.offset + statement.text.length);
    if (start >= 0) return lineStart(text, start, Number(row)) ?? statement.offset;
  }
  // The body of a DO block begins behind its dollar quote, in the middle of line 1.
  const line = /inline_code_block line (\d+)/.exec(failure.context ?? "")?.[1];
  const body = /\$[^$\s]*\$/.exec(statement.text);
  if (line !== undefined && body && line !== "1") {
    const found = lineStart(text, statement.offset + body.index + body[0].length, Number(line));
    if (found !== undefined) return found + /^[ \t]*/.exec(text.slice(found))![0].length;
  }
  // Utility statements come without a position, but the message names what it is about.
  const name = /^[a-z ]+ "([^"]+)" (?:does not exist|already exists|is not available|of relation )/.exec(
    failure.message,
  )
    ?.[1];
  if (name !== undefined) {
    const word = new RegExp(`(?<![\\w$])${RegExp.escape(name)}(?![\\w$])`, "gi");
    const found = [...statement.text.matchAll(word)];
    if (found.length === 1) return statement.offset + found[0]!.index;
  }
  return statement.offset;
}

/** Where line `count` begins, counted from 1 at `from`. */
function lineStart(text: string, from: number, count: number): number | undefined {
  const lineEnd = /\r\n?|\n/g;
  lineEnd.lastIndex = from;
  for (let line = 1; line < count; line++) if (!lineEnd.test(text)) return undefined;
  return count === 1 ? from : lineEnd.lastIndex;
}

/** The line with the place, the lines of the statement around it, and a caret. */
function excerpt(text: string, statement: Statement, offset: number): string[] {
  const place = positionOf(text, offset);
  const first = positionOf(text, statement.offset).line;
  const end = statement.offset + statement.text.length;
  const last = Math.max(positionOf(text, end).line, place.line);
  const all = text.replace(/^\ufeff/, "").split(/\r\n|\r|\n/);
  const out: string[] = [];
  for (let line = Math.max(first, place.line - 3); line <= Math.min(last, place.line + 2); line++) {
    const shown = (all[line - 1] ?? "").replaceAll("\t", " ").replace(unprintable, "·");
    const characters = [...shown];
    const number = String(line).padStart(5);
    if (line !== place.line) {
      out.push(`${number} | ${characters.slice(0, widest).join("")}`);
      continue;
    }
    const start = Math.max(0, place.column - 1 - Math.floor(widest * 0.8)); // the caret stays in sight on a long line
    out.push(`${number} | ${characters.slice(start, start + widest).join("")}`);
    const before = characters.slice(start, place.column - 1);
    out.push(`${" ".repeat(5)} | ${" ".repeat(before.reduce((sum, one) => sum + columnsOf(one), 0))}^`);
  }
  return out;
}

// Two columns on a terminal: the wide blocks of East Asian Width (unicode.org/reports/tr11) and what is drawn as an emoji.
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

/** How many columns of a terminal a character takes. */
function columnsOf(character: string): number {
  if (/[\p{Mn}\p{Me}\u200b-\u200d\ufe00-\ufe0f]/u.test(character)) return 0;
  return wide.test(character) ? 2 : 1;
}
