/** The two SQL dialects, and the engines that speak them. */
export type Dialect = "sqlite" | "postgres";

/**
 * - `word`: an unquoted keyword or name, `variable`: `$1`, `?1`, `:name`, `@name`
 * - `quoted`: a quoted name (`"x"`; on SQLite also `[x]` and `` `x` ``)
 * - `string`: any string constant with its prefix, and a whole dollar-quoted string with its tags
 * - `symbol`: one operator or punctuation character
 * - `unterminated`: a string, quoted name or block comment that the text ends in the middle of
 */
export type TokenKind =
  | "space"
  | "comment"
  | "word"
  | "quoted"
  | "string"
  | "number"
  | "variable"
  | "symbol"
  | "unterminated";

/** One token: where it stands in its text, in UTF-16 units; `end` is exclusive. Tokens joined give back the text. */
export interface Token {
  kind: TokenKind;
  start: number;
  end: number;
}

/**
 * Cuts SQL into tokens, lazily and from `from` on, the way the engine itself does (PostgreSQL's `scan.l`, SQLite's
 * `tokenize.c`). Never fails: what the text ends in the middle of becomes one last `unterminated` token.
 */
export function* lex(text: string, dialect: Dialect, from = 0): Generator<Token> {
  let continued = -1; // the quote with which an E'' string goes on after a line end, backslashes and all
  for (let at = from; at < text.length;) {
    const token = dialect === "sqlite" ? readSqlite(text, at) : readPostgres(text, at, at === continued);
    if (token.kind === "string" && (at === continued || (text.charCodeAt(at) | 32) === E)) {
      continued = continuation(text, token.end);
    }
    at = token.end; // before the yield: the token is the caller's to change
    yield token;
  }
}

const TAB = 9, NEWLINE = 10, RETURN = 13, SPACE = 32, DOUBLE_QUOTE = 34, DOLLAR = 36, AMPERSAND = 38, QUOTE = 39;
const STAR = 42, MINUS = 45, DOT = 46, SLASH = 47, COLON = 58, QUESTION = 63, AT = 64, BRACKET = 91, BACKSLASH = 92;
const BACKQUOTE = 96, B = 98, E = 101, N = 110, U = 117, X = 120, BYTE_ORDER_MARK = 0xfeff;

function readPostgres(text: string, start: number, escapes: boolean): Token {
  const code = text.charCodeAt(start);
  const next = text.charCodeAt(start + 1);
  switch (code) {
    case QUOTE:
      return until("string", start, escapes ? endOfEscaped(text, start + 1) : endOfQuoted(text, start + 1, "'"), text);
    case DOUBLE_QUOTE:
      return until("quoted", start, endOfQuoted(text, start + 1, '"'), text);
    case SLASH:
      if (next === STAR) return until("comment", start, endOfNested(text, start), text);
      break;
    case DOLLAR:
      return readDollar(text, start);
  }
  const letter = code | 32;
  if (next === QUOTE && letter === E) return until("string", start, endOfEscaped(text, start + 2), text);
  if (next === QUOTE && (letter === B || letter === X || letter === N)) {
    return until("string", start, endOfQuoted(text, start + 2, "'"), text);
  }
  if (next === AMPERSAND && letter === U) {
    const quote = text.charAt(start + 2);
    if (quote === "'") return until("string", start, endOfQuoted(text, start + 3, quote), text);
    if (quote === '"') return until("quoted", start, endOfQuoted(text, start + 3, quote), text);
  }
  return readCommon(text, start, endOfLineInPostgres);
}

function readSqlite(text: string, start: number): Token {
  const code = text.charCodeAt(start);
  switch (code) {
    case QUOTE:
      return until("string", start, endOfQuoted(text, start + 1, "'"), text);
    case DOUBLE_QUOTE:
      return until("quoted", start, endOfQuoted(text, start + 1, '"'), text);
    case BACKQUOTE:
      return until("quoted", start, endOfQuoted(text, start + 1, "`"), text);
    case BRACKET:
      return until("quoted", start, after(text, "]", start + 1), text);
    case SLASH:
      // A comment may stay open at the end, except a bare "/*", which SQLite takes for two operators.
      if (text.charCodeAt(start + 1) !== STAR || start + 2 === text.length) break;
      return { kind: "comment", start, end: after(text, "*/", start + 2) ?? text.length };
    case DOLLAR:
    case COLON:
    case AT:
      return sticky("variable", sqliteVariable, text, start) ?? { kind: "symbol", start, end: start + 1 };
    case QUESTION:
      return sticky("variable", /\?\d*/y, text, start)!;
    case BYTE_ORDER_MARK:
      return { kind: "space", start, end: start + 1 };
  }
  if ((code | 32) === X && text.charCodeAt(start + 1) === QUOTE) {
    return until("string", start, endOfQuoted(text, start + 2, "'"), text);
  }
  return readCommon(text, start, endOfLineInSqlite);
}

/** What both dialects write alike. */
function readCommon(text: string, start: number, endOfLine: (text: string, from: number) => number): Token {
  const code = text.charCodeAt(start);
  if (isSpace(code)) {
    let end = start + 1;
    while (isSpace(text.charCodeAt(end))) end++;
    return { kind: "space", start, end };
  }
  if (code === MINUS && text.charCodeAt(start + 1) === MINUS) {
    return { kind: "comment", start, end: endOfLine(text, start + 2) };
  }
  if (isDigit(code) || (code === DOT && isDigit(text.charCodeAt(start + 1)))) {
    return sticky("number", number, text, start)!;
  }
  let end = start + 1;
  if (!isWordPart(code)) return { kind: "symbol", start, end };
  while (isWordPart(text.charCodeAt(end))) end++;
  return { kind: "word", start, end };
}

const number = /0[xob][\da-f_]+|(?:\d[\d_]*(?:\.(?!\.)[\d_]*)?|\.\d[\d_]*)(?:e[+-]?\d[\d_]*)?/iy;

// The parenthesis belongs to the name in Tcl's array syntax, $name(index), and SQLite reads it for everybody.
const sqliteVariable = /[$:@](?:::)*[\w$\x80-\uffff](?:[\w$\x80-\uffff]|::)*(?:\([^\s)]*\))?/y;

const dollarTag = /\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$/y;

/** A `$` that continues a name was read with the name, so here it begins `$1`, a dollar quote or nothing. */
function readDollar(text: string, start: number): Token {
  const tag = sticky("string", dollarTag, text, start);
  if (tag) return until("string", start, after(text, text.slice(start, tag.end), tag.end), text);
  return sticky("variable", /\$\d+/y, text, start) ?? { kind: "symbol", start, end: start + 1 };
}

function sticky(kind: TokenKind, pattern: RegExp, text: string, start: number): Token | undefined {
  pattern.lastIndex = start;
  return pattern.test(text) ? { kind, start, end: pattern.lastIndex } : undefined;
}

/** A token that ends where its closing mark was found, or else is `unterminated`. */
function until(kind: TokenKind, start: number, end: number | undefined, text: string): Token {
  return end === undefined ? { kind: "unterminated", start, end: text.length } : { kind, start, end };
}

function after(text: string, mark: string, from: number): number | undefined {
  const found = text.indexOf(mark, from);
  return found < 0 ? undefined : found + mark.length;
}

/** After the closing quote; a doubled quote is a character of the string. */
function endOfQuoted(text: string, from: number, quote: string): number | undefined {
  for (let at = text.indexOf(quote, from); at >= 0; at = text.indexOf(quote, at + 2)) {
    if (text[at + 1] !== quote) return at + 1;
  }
  return undefined;
}

function endOfEscaped(text: string, from: number): number | undefined {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE && text.charCodeAt(++at) !== QUOTE) return at;
  }
  return undefined;
}

function endOfNested(text: string, start: number): number | undefined {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = start;
  for (let depth = 0; mark.test(text);) {
    depth += text.charCodeAt(mark.lastIndex - 1) === STAR ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return undefined;
}

/** PostgreSQL joins strings when there is a line end between them and nothing but space and `--` comments. */
function continuation(text: string, from: number): number {
  const gap = /[ \t\f\v]*(?:--[^\n\r]*)?[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*'/y;
  gap.lastIndex = from;
  return gap.test(text) ? gap.lastIndex - 1 : -1;
}

function endOfLineInSqlite(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  return end < 0 ? text.length : end;
}

function endOfLineInPostgres(text: string, from: number): number {
  let end = from;
  while (end < text.length && text.charCodeAt(end) !== NEWLINE && text.charCodeAt(end) !== RETURN) end++;
  return end;
}

function isSpace(code: number): boolean {
  return code === SPACE || (code >= TAB && code <= RETURN);
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isWordPart(code: number): boolean {
  const letter = code | 32;
  return (letter >= 97 && letter <= 122) || isDigit(code) || code === 95 || code === DOLLAR || code > 127;
}
