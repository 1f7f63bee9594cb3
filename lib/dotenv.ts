import { parseEnv } from "node:util";
import { AmberError } from "./errors.ts";

type Quote = "'" | '"' | "`";

/**
 * The variables of a `.env` file; of a name that comes twice, the last value.
 *
 * What quotes mean is up to `parseEnv` (in double quotes `\n` is a line end, nothing else is expanded). Where a value
 * ends is decided here, because `parseEnv` changes some passwords in silence: it cuts `a#b` to `a`, reads `'a'b` as
 * `a`, and lets `A= ` swallow the next line. Here, as in shells and Docker, `#` begins a comment only after white
 * space. A quoted value ends at the next such quote, lines further down if need be; text right after it is refused.
 *
 * @param file Its name, for errors.
 * @throws {AmberError} CONFIG_UNREADABLE, with file and line but never the text: it may be half of a secret.
 */
export function parseDotenv(text: string, file: string): Map<string, string> {
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  const found = new Map<string, string>();
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index]!;
    const where = `${file}:${index + 1}`;
    if (line.includes("\0")) throw unreadable(where, "it holds a NUL byte", "Save the file as UTF-8.");
    if (/^\s*(#|$)/.test(line)) continue;

    const [, name, rest] = /^\s*(?:export\s+)?([\w.-]+)[ \t]*=(.*)$/s.exec(line) ?? [];
    if (name === undefined || rest === undefined) {
      throw unreadable(
        where,
        "it is not NAME=value",
        "Put # before a comment, and quotes around a value of several lines.",
      );
    }
    const quote = /^[ \t]*(['"`])/.exec(rest)?.[1] as Quote | undefined;
    if (quote === undefined) {
      found.set(name, rest.replace(/[ \t]#.*$/s, "").replace(/^[ \t]+|[ \t]+$/g, ""));
      continue;
    }
    const { inner, after, count } = readQuoted([rest, ...lines.slice(index + 1)], quote, where);
    if (!/^[ \t]*$|^[ \t]+#/.test(after)) {
      throw unreadable(
        where,
        `more text follows the closing ${quote}`,
        "Use a quote that the value does not hold: ', \" or `.",
      );
    }
    found.set(name, parseEnv(`VALUE=${quote}${inner}${quote}`)["VALUE"] ?? "");
    index += count - 1;
  }
  return found;
}

/** What stands between two quotes and after the second one, and on how many of the lines that was. */
function readQuoted(lines: string[], quote: Quote, where: string): { inner: string; after: string; count: number } {
  const start = lines[0]!.indexOf(quote) + 1;
  for (let count = 1; count <= lines.length; count++) {
    const end = lines[count - 1]!.indexOf(quote, count === 1 ? start : 0);
    if (end < 0) continue;
    const before = [...lines.slice(0, count - 1), lines[count - 1]!.slice(0, end)].join("\n");
    return { inner: before.slice(start), after: lines[count - 1]!.slice(end + 1), count };
  }
  throw unreadable(
    where,
    `the quote ${quote} is never closed`,
    "Close it, or put another quote around the whole value.",
  );
}

function unreadable(where: string, reason: string, hint: string): AmberError {
  return new AmberError("CONFIG_UNREADABLE", { message: `Cannot read this line: ${reason}`, where, hint });
}
