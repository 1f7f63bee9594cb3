import type { Token } from "./lexer.ts";

/** How far a statement is: whether ";" may end it, and what it still waits for. */
export abstract class Body {
  readonly tokens: Token[] = [];
  protected parentheses: number[] = []; // where the open ones stand

  constructor(protected readonly text: string) {}

  add(token: Token, symbol: string): void {
    if (symbol === "(") this.parentheses.push(token.start);
    if (symbol === ")") this.parentheses.pop();
    this.follow(token, symbol);
    this.tokens.push(token);
  }

  missing(): { what: string; offset: number } | undefined {
    return this.parentheses.length > 0 ? { what: '"("', offset: this.parentheses[0]! } : undefined;
  }

  wantsRows(): boolean {
    return false;
  }

  protected abstract follow(token: Token, symbol: string): void; // with the tokens before it in `tokens`
  abstract endsHere(): boolean;
}

/** As psql: ";" counts outside parentheses (CREATE RULE has some inside) and outside a routine's BEGIN ATOMIC … END. */
export class PostgresBody extends Body {
  private depth = 0; // of BEGIN ATOMIC and of CASE inside it, both ended by END
  private beginsAt = 0;

  protected follow(token: Token): void {
    if (token.kind !== "word" || this.parentheses.length > 0) return;
    const size = token.end - token.start;
    if (size > "atomic".length || (this.depth === 0 && size < "atomic".length)) return;
    const word = lower(this.text, token);
    const last = this.tokens.at(-1);
    const lastWord = lower(this.text, last);
    if (this.depth > 0) {
      if (lastWord === "." || lastWord === "as") return; // t.end and AS end are names
      if (word === "case") this.depth++;
      if (word === "end") this.depth--;
    } else if (word === "atomic" && lastWord === "begin" && beginsRoutine(this.text, this.tokens)) {
      this.beginsAt = last!.start;
      this.depth = 1;
    }
  }

  endsHere(): boolean {
    return this.parentheses.length === 0 && this.depth === 0;
  }

  override wantsRows(): boolean {
    return copiesFromStdin(this.text, this.tokens);
  }

  override missing() {
    return super.missing() ?? (this.depth > 0 ? { what: '"BEGIN ATOMIC"', offset: this.beginsAt } : undefined);
  }
}

/** The machine of `sqlite3_complete()`: a trigger ends with ";", END and ";" in a row. "*" is everything else. */
const sqliteStates = {
  start: { explain: "explain", create: "create", "*": "other" },
  explain: { create: "create", "*": "explain" },
  create: { temp: "create", temporary: "create", trigger: "trigger", "*": "other" },
  trigger: { ";": "semicolon", "*": "trigger" },
  semicolon: { ";": "semicolon", end: "end", "*": "trigger" },
  end: { "*": "trigger" },
  other: { "*": "other" },
} as const;

export class SqliteBody extends Body {
  private state: keyof typeof sqliteStates = "start";

  protected follow(token: Token, symbol: string): void {
    if (this.state === "other") return;
    const steps: Record<string, keyof typeof sqliteStates> = sqliteStates[this.state];
    const word = symbol || lower(this.text, token);
    this.state = Object.hasOwn(steps, word) ? steps[word]! : steps["*"]!;
    if (symbol === ";") this.parentheses = [];
  }

  endsHere(): boolean {
    return this.state !== "trigger" && this.state !== "semicolon";
  }

  override missing() {
    return this.endsHere() ? super.missing() : { what: 'the trigger\'s "BEGIN"', offset: this.tokens[0]!.start };
  }
}

/** A token's text in lower case. */
export function lower(text: string, token: Token | undefined): string {
  return token ? text.slice(token.start, token.end).toLowerCase() : "";
}

function beginsRoutine(text: string, tokens: Token[]): boolean {
  const head = tokens.slice(0, 4).map((token) => lower(text, token)).join(" ");
  return /^create (?:or replace )?(?:function|procedure)\b/.test(head);
}

/** PostgreSQL reads STDOUT after FROM as STDIN. */
function copiesFromStdin(text: string, tokens: Token[]): boolean {
  let depth = 0;
  return lower(text, tokens[0]) === "copy" && tokens.some((token, index) => {
    const word = lower(text, token);
    depth += word === "(" ? 1 : word === ")" ? -1 : 0;
    return depth === 0 && word === "from" && /^std(?:in|out)$/.test(lower(text, tokens[index + 1]));
  });
}
