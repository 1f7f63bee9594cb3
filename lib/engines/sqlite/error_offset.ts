const longest = 200_000; // characters of a statement that are searched: a hint must not take seconds

/**
 * Where in a statement the word is that SQLite complains about, in UTF-16 units. SQLite knows and node:sqlite does not
 * tell, so it is found again: for a syntax error near X, the X at which a statement cut off right behind it already
 * fails in the same way, and not only for want of the rest.
 *
 * @param prepare Compiles a text without running it; throws what SQLite says.
 */
export function errorOffset(message: string, text: string, prepare: (part: string) => void): number | undefined {
  if (text.length > longest) return undefined;
  if (/incomplete input/.test(message)) return text.length;
  const token = /^near "([\s\S]*)": syntax error/.exec(message)?.[1];
  if (token) {
    let tries = 0;
    for (let at = text.indexOf(token); at >= 0 && tries < 200; at = text.indexOf(token, at + 1), tries++) {
      try {
        prepare(text.slice(0, at + token.length));
      } catch (error) {
        if (error instanceof Error && error.message.startsWith(`near "${token}": syntax error`)) return at;
      }
    }
    return undefined;
  }
  const bad = /^unrecognized token: "([\s\S]*)"/.exec(message)?.[1];
  if (bad) return indexOrNone(text.indexOf(bad));
  const name =
    /^no such (?:column|table|function|index|view|trigger|module|collation sequence): (?:\w+\.)*(.+)$/.exec(message)
      ?.[1] ??
      /^(?:table|index|view|trigger) (.+) already exists$/.exec(message)?.[1] ??
      /^(?:duplicate column name:|table \S+ has no column named) (.+)$/.exec(message)?.[1];
  if (!name) return undefined;
  const bare = name.replace(/^"(.*)"$/, "$1");
  const found = new RegExp(`(?<![\\w$])${bare.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?![\\w$])`, "i").exec(text);
  return found?.index;
}

function indexOrNone(index: number): number | undefined {
  return index < 0 ? undefined : index;
}
