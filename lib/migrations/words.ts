import type { Dialect, Token } from "./lexer.ts";
import type { Statement as WholeStatement } from "./splitter.ts";

/** A statement as far as the facts need it. */
export type Statement = Pick<WholeStatement, "text" | "tokens">;

/**
 * The name of a table, index or other object, as the database stores it: without quotes, on Postgres folded to
 * lower case unless quoted and cut to 63 bytes, on SQLite as it is written (compare with `sameName`).
 */
export interface Name {
  schema?: string; // absent where the statement names none; a database's name before it is dropped
  name: string;
}

/** Reads a statement from its first word on. A `;` at its end is not seen. */
export function words(statement: Statement, dialect: Dialect): Words {
  const { text, tokens } = statement;
  let end = tokens.length;
  while (end > 0 && text.slice(tokens[end - 1]!.start, tokens[end - 1]!.end) === ";") end--;
  return new Words(statement, dialect, 0, end);
}

/** Whether two names mean the same object: exactly on Postgres, without regard to ASCII case on SQLite. */
export function sameName(one: string, other: string, dialect: Dialect): boolean {
  return dialect === "postgres" ? one === other : lowerCase(one) === lowerCase(other);
}

/** A to Z in lower case and nothing else, as both databases fold names: `É` stays what it is. */
export function lowerCase(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** A cursor over the tokens of a statement, or of one pair of parentheses in it. What it cannot find, it leaves where it is. */
export class Words {
  constructor(
    readonly statement: Statement,
    readonly dialect: Dialect,
    private at: number,
    private readonly end: number,
  ) {}

  get isDone(): boolean {
    return this.at >= this.end;
  }

  /** Another cursor at the same place, to look ahead with. */
  copy(): Words {
    return new Words(this.statement, this.dialect, this.at, this.end);
  }

  /** The token at the cursor; `ahead` may be negative. */
  token(ahead = 0): Token | undefined {
    const index = this.at + ahead;
    return index < this.end ? this.statement.tokens[index] : undefined;
  }

  raw(ahead = 0): string {
    const token = this.token(ahead);
    return token ? this.statement.text.slice(token.start, token.end) : "";
  }

  /** The unquoted word at the cursor in upper case, else an empty text. */
  keyword(ahead = 0): string {
    const text = this.token(ahead)?.kind === "word" ? this.raw(ahead) : "";
    return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
  }

  symbol(ahead = 0): string {
    return this.token(ahead)?.kind === "symbol" ? this.raw(ahead) : "";
  }

  /** Whether these keywords and symbols come next, in this order: `is("IF", "EXISTS")`. */
  is(...expected: string[]): boolean {
    return expected.every((one, i) => (this.keyword(i) || this.symbol(i)) === one);
  }

  next(): void {
    this.at++;
  }

  skip(...expected: string[]): boolean {
    const found = this.is(...expected);
    if (found) this.at += expected.length;
    return found;
  }

  /** Moves past one of these keywords, if one is next. */
  skipOne(...choices: string[]): boolean {
    return choices.some((choice) => this.skip(choice));
  }

  /** Moves past `IF EXISTS` or `IF NOT EXISTS`. */
  skipIf(): boolean {
    return this.skip("IF", "EXISTS") || this.skip("IF", "NOT", "EXISTS");
  }

  /** The inside of the parentheses that begin at the cursor, which moves behind them. */
  group(): Words {
    const start = this.at + 1;
    let depth = 0;
    for (; this.at < this.end; this.at++) {
      const symbol = this.symbol();
      if (symbol === "(") depth++;
      if (symbol === ")" && --depth === 0) break;
    }
    return new Words(this.statement, this.dialect, start, this.at++);
  }

  /** What stands up to the next comma that is in no brackets, or to the end; moves behind that comma. */
  item(): Words {
    const start = this.at;
    let depth = 0;
    for (; this.at < this.end; this.at++) {
      const symbol = this.symbol();
      if (symbol === "(" || symbol === "[") depth++;
      if (symbol === ")" || symbol === "]") depth--;
      if (symbol === "," && depth === 0) break;
    }
    return new Words(this.statement, this.dialect, start, Math.min(this.at++, this.end));
  }

  /** All items up to the end: `a, b (c, d)` has two. */
  items(): Words[] {
    const found = [];
    while (!this.isDone) found.push(this.item());
    return found;
  }

  /** Whether these words stand somewhere from the cursor on, side by side and in this order. */
  has(...expected: string[]): boolean {
    for (const ahead = this.copy(); !ahead.isDone; ahead.next()) if (ahead.is(...expected)) return true;
    return false;
  }

  /** One identifier, without its quotes. SQLite takes a `'string'` for one too. */
  name(): string | undefined {
    const token = this.token();
    if (!token) return undefined;
    const text = this.raw();
    const isName = token.kind === "word" || token.kind === "quoted" ||
      (token.kind === "string" && this.dialect === "sqlite");
    if (!isName) return undefined;
    this.next();
    if (this.dialect === "sqlite") return unquoted(text);
    if (token.kind === "word") return cut(lowerCase(text));
    return /^u&/i.test(text) ? this.unicodeName(text.slice(2)) : cut(unquoted(text));
  }

  /** `a`, `schema.a` or `database.schema.a`. */
  qualifiedName(): Name | undefined {
    let name = this.name();
    if (name === undefined) return undefined;
    let schema: string | undefined;
    while (this.skip(".")) [schema, name] = [name, this.name() ?? ""];
    return schema === undefined ? { name } : { schema, name };
  }

  /** A table as Postgres names it where rows are meant: `ONLY a`, `ONLY (a)`, `a *`. */
  relation(): Name | undefined {
    const isOnly = this.skip("ONLY");
    const name = isOnly && this.symbol() === "(" ? this.group().qualifiedName() : this.qualifiedName();
    this.skip("*");
    return name;
  }

  /** Relations with commas between them. */
  relations(): Name[] {
    const found = [];
    do {
      const name = this.relation();
      if (!name) break;
      found.push(name);
    } while (this.skip(","));
    return found;
  }

  /** The value of the constant, word or number at the cursor; escapes in it stay as they are written. */
  value(): string {
    const text = this.raw();
    this.next();
    const dollars = /^\$[^$]*\$/.exec(text)?.[0];
    if (dollars) return text.slice(dollars.length, -dollars.length);
    return unquoted(text.replace(/^(?:[ebn]|u&)(?=')/i, ""));
  }

  private unicodeName(quoted: string): string {
    const escape = this.skip("UESCAPE") ? this.value() : "\\";
    const mark = escape.replace(/[^0-9A-Za-z]/g, "\\$&");
    const code = new RegExp(`${mark}(?:(${mark})|\\+([0-9a-f]{6})|([0-9a-f]{4}))`, "gi");
    const plain = unquoted(quoted).replace(code, (all, itself, long, short) => {
      const point = parseInt(long ?? short, 16);
      return itself ?? (point > 0x10ffff ? all : String.fromCodePoint(point));
    });
    return cut(plain);
  }
}

function unquoted(text: string): string {
  const open = text[0] ?? "";
  if (open === "[") return text.slice(1, -1);
  return `"'\``.includes(open) ? text.slice(1, -1).replaceAll(open + open, open) : text;
}

// NAMEDATALEN is 64: Postgres cuts longer names to 63 bytes, never inside a character, and stores what is left.
function cut(name: string): string {
  if (name.length <= 15) return name; // 15 UTF-16 units are at most 45 bytes
  const bytes = new TextEncoder().encode(name);
  if (bytes.length <= 63) return name;
  let end = 63;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return new TextDecoder().decode(bytes.subarray(0, end));
}
