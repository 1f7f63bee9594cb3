import { type Dialect, lex, type Token } from "./lexer.ts";
import { type Body, PostgresBody, SqliteBody } from "./statement_body.ts";

/** One statement of a file, as it is sent to the database. */
export interface Statement {
  text: string; // without the ";" that ends it and without space and comments around it; comments inside stay
  offset: number; // of text[0] in the file, in UTF-16 units
  tokens: Token[]; // of the text, without space and comments, positions relative to the text
  data?: string; // the rows of a COPY … FROM stdin block as the file has them, up to but without its "\." line
}

/** A `--` comment with its place in the file. */
export interface LineComment {
  text: string; // from "--" on, without space at its end
  offset: number;
  end: number; // where its line ends
  isAlone: boolean; // nothing but space stands before it on its line
}

/** What a text consists of, each list in the order of the file. */
export interface Script {
  statements: Statement[];
  markers: LineComment[]; // those that begin with "migrate:", well written or not
  comments: LineComment[]; // the other ones, except those inside parentheses and bodies
}

/** What cannot be split, and where. The caller knows the file and makes an AmberError of it. */
export class SplitError extends Error {
  constructor(message: string, readonly offset: number, readonly hint?: string) {
    super(message);
    this.name = "SplitError";
  }
}

/**
 * Splits a text into statements the way the engine's own shell does: psql by parentheses and `BEGIN ATOMIC … END`,
 * sqlite3 by `sqlite3_complete()`. A `-- migrate:` comment ends a statement too. A byte-order mark is skipped.
 *
 * @throws {SplitError} What the text ends in the middle of; shell commands, which no server understands.
 */
export function split(text: string, dialect: Dialect): Script {
  const script: Script = { statements: [], markers: [], comments: [] };
  for (let at = text.startsWith("\uFEFF") ? 1 : 0; at < text.length;) at = readStatement(text, dialect, at, script);
  return script;
}

/**
 * The statement as checksums see it: comments dropped, one space where there was space or a comment, every line end
 * (also in strings, dollar quotes and COPY rows) a newline.
 */
export function normalized({ text, tokens, data }: Statement): string {
  let sql = "";
  let end = 0;
  for (const token of tokens) {
    if (token.start > end) sql += " ";
    sql += text.slice(token.start, end = token.end);
  }
  if (data !== undefined) sql += `\n${data}`;
  return sql.replace(/\r\n?/g, "\n");
}

/** Line and column of an offset, both from 1 on, the column in characters as editors count them. */
export function positionOf(text: string, offset: number): { line: number; column: number } {
  const lineEnd = /\r\n?|\n/g;
  let line = 1;
  let start = text.startsWith("\uFEFF") ? 1 : 0;
  while (lineEnd.test(text) && lineEnd.lastIndex <= offset) {
    line++;
    start = lineEnd.lastIndex;
  }
  return { line, column: [...text.slice(start, offset)].length + 1 };
}

const markerStart = /^--[-\s]*migrate\s*:/i;

/** Reads up to and with the next ";" or marker, puts what it finds into `script`, returns where to go on. */
function readStatement(text: string, dialect: Dialect, from: number, script: Script): number {
  const body = dialect === "sqlite" ? new SqliteBody(text) : new PostgresBody(text);
  const { tokens } = body;
  for (const token of lex(text, dialect, from)) {
    if (token.kind === "space") continue;
    if (token.kind === "unterminated") throw unterminated(text, token.start);
    if (token.kind === "comment") {
      const comment = lineComment(text, token);
      if (comment && markerStart.test(comment.text)) {
        closeStatement(text, body, script, { marker: comment });
        script.markers.push(comment);
        return token.end;
      }
      if (comment && !body.missing()) script.comments.push(comment);
      continue;
    }
    const symbol = token.kind === "symbol" ? text[token.start]! : "";
    if (symbol === ";" && body.endsHere()) {
      const rows = body.wantsRows() ? copyRows(text, token.end) : undefined;
      closeStatement(text, body, script, { rows });
      return rows?.next ?? token.end;
    }
    if (symbol === "\\" && dialect === "postgres") return skipPsqlCommand(text, token.start, tokens.length === 0);
    if (text[token.start] === "." && dialect === "sqlite" && tokens.length === 0) {
      throw shellCommand(text, token.start, "the sqlite3 shell");
    }
    body.add(token, symbol);
  }
  closeStatement(text, body, script, {});
  return text.length;
}

function closeStatement(text: string, body: Body, script: Script, by: { marker?: LineComment; rows?: Rows }): void {
  const { tokens } = body;
  const missing = body.missing();
  if (missing) {
    const line = by.marker && positionOf(text, by.marker.offset).line;
    const problem = line ? `not closed before the marker on line ${line}` : "never closed";
    throw new SplitError(`${missing.what} is ${problem}`, missing.offset);
  }
  if (tokens.length === 0) return;
  const offset = tokens[0]!.start;
  const end = tokens.at(-1)!.end;
  if (body.wantsRows() && !by.rows) throw new SplitError('COPY … FROM stdin is not followed by ";" and rows', offset);
  for (const token of tokens) {
    token.start -= offset;
    token.end -= offset;
  }
  script.statements.push({ text: text.slice(offset, end), offset, tokens, ...by.rows && { data: by.rows.data } });
}

interface Rows {
  data: string;
  next: number; // where SQL begins again
}

/** The rows begin on the line after ";" and end with a line "\.", which is not one of them. */
function copyRows(text: string, from: number): Rows {
  const restOfLine = /[ \t\f\v]*(?:--[^\r\n]*)?(?:\r\n?|\n|$)/y;
  restOfLine.lastIndex = from;
  if (!restOfLine.test(text)) {
    const hint = 'Begin the rows on the line after the ";", end them with a line "\\.", and go on after that.';
    throw new SplitError("something stands between COPY … FROM stdin and its rows", from, hint);
  }
  const start = restOfLine.lastIndex;
  const lastLine = /(?<![^\r\n])\\\.(?![^\r\n])/g;
  lastLine.lastIndex = start;
  if (lastLine.test(text)) return { data: text.slice(start, lastLine.lastIndex - 2), next: lastLine.lastIndex };
  throw new SplitError('the rows of COPY … FROM stdin are never closed: a line "\\." is missing', start);
}

function lineComment(text: string, { start, end }: Token): LineComment | undefined {
  if (text[start] !== "-") return undefined;
  let before = start;
  while (before > 0 && /[ \t\uFEFF#]/.test(text[before - 1]!)) before--; // Play writes its markers as "# --- !Downs"
  const isAlone = before === 0 || /[\r\n]/.test(text[before - 1]!);
  return { text: text.slice(start, end).trimEnd(), offset: start, end, isAlone };
}

function unterminated(text: string, offset: number): SplitError {
  const [opening] = /^(?:\$[^$\s]*\$|\/\*|[a-z]?&?['"`[])/i.exec(text.slice(offset, offset + 100)) ?? ["$"];
  const mark = opening.at(-1)!;
  const what = mark === "*" ? "comment" : mark === "$" ? "dollar quote" : mark === "'" ? "string" : "quoted name";
  return new SplitError(`the ${what} that begins with ${opening} is never closed`, offset);
}

/** Where the line ends, of one that pg_dump writes around its output and that means nothing to a server. */
function skipPsqlCommand(text: string, offset: number, isFirst: boolean): number {
  const guard = /\\(?:un)?restrict\b[^\r\n]*/y;
  guard.lastIndex = offset;
  if (isFirst && guard.test(text)) return guard.lastIndex;
  throw shellCommand(text, offset, "psql");
}

function shellCommand(text: string, offset: number, shell: string): SplitError {
  const [command] = /^\S+/.exec(text.slice(offset, offset + 40))!;
  const hint = "amber sends SQL to the database, without a shell in between: say it in SQL, or remove the line.";
  return new SplitError(`"${command}" is a command of ${shell}`, offset, hint);
}
