import { AmberError } from "./errors.ts";

/** What is left out of snapshots. */
export interface Patterns {
  /** As they were written, each once. */
  readonly patterns: readonly string[];
  /**
   * The first pattern that leaves this path out, or a folder above it; undefined when the path is kept.
   *
   * @param path Relative to the data folder, "/" between its components, none at the end.
   */
  match(path: string, isFolder: boolean): string | undefined;
}

/** Where patterns come from: only for messages. */
export interface PatternsOrigin {
  /** The variable with its source, or the flag. */
  where?: string;
  /** The data folder as it is configured: whoever begins a pattern with it has not seen that patterns are relative. */
  data?: string;
}

/** More than anybody writes by hand; `{a,b}` repeated thirty times is a thousand million. */
const maxAlternatives = 256;

/**
 * Reads globs relative to the data folder, much like those of .gitignore and restic:
 *
 * | pattern         | leaves out                                                             |
 * | --------------- | ---------------------------------------------------------------------- |
 * | `*.tmp`         | whatever has such a name, at any depth: there is no `/` in the pattern |
 * | `/cache`        | `cache` in the data folder itself: a `/` at the beginning anchors      |
 * | `uploads/thumb` | exactly that path: a `/` in the middle anchors as well                 |
 * | `cache/`        | folders of that name, not files                                        |
 * | `uploads/**`    | all that is in `uploads`, but not the empty folder                     |
 *
 * `*` and `?` stay within one name, `**` does not; `[a-z]`, `[!a-z]`, `{a,b}`; a backslash takes a character's meaning
 * away. Upper and lower case differ, names that begin with a dot are like all others. A folder that is left out takes
 * everything below it with it.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * const { match } = compilePatterns(["*.tmp", "/cache/"]);
 * assert.equal(match("uploads/a.tmp", false), "*.tmp");
 * assert.equal(match("cache/2026/page.html", false), "/cache/");
 * assert.equal(match("uploads/cache", true), undefined);
 * ```
 *
 * @throws {AmberError} CONFIG_VALUE that names the pattern: empty, a bracket that is never closed, a component `..`.
 */
export function compilePatterns(patterns: readonly string[], origin: PatternsOrigin = {}): Patterns {
  const known = [...new Set(patterns)];
  const sources = known.map((pattern) => sourceOf(pattern, origin));
  const single = sources.map((source) => new RegExp(source, "su"));
  const all = known.length === 0 ? undefined : new RegExp(sources.join("|"), "su");
  return {
    patterns: known,
    match(path, isFolder) {
      const subject = isFolder ? `${path}/` : path;
      // Nearly every path is kept, so that one look is enough.
      if (!all?.test(subject)) return undefined;
      return known[single.findIndex((expression) => expression.test(subject))];
    },
  };
}

/**
 * A snapshot without the configured database would be none.
 *
 * @param path The database's, relative to the data folder; not to be called when it lies elsewhere.
 * @throws {AmberError} CONFIG_VALUE when a pattern leaves it out.
 */
export function checkDatabaseIsKept({ match }: Patterns, path: string, origin: PatternsOrigin = {}): void {
  const pattern = match(path, false);
  if (pattern === undefined) return;
  throw refusal(pattern, `it leaves out the configured database "${path}"`, {
    ...origin,
    hint: "Name what can be lost more closely. Without the database a snapshot is none.",
  });
}

/** A regular expression for paths as they are, folders with a "/" at their end. */
function sourceOf(pattern: string, origin: PatternsOrigin): string {
  const refuse = (reason: string, hint?: string) => refusal(pattern, reason, { ...origin, hint });
  if (pattern.trim() === "") throw refuse("it is empty");
  if (pattern.includes("\0")) throw refuse("it holds a NUL byte");
  if (pattern.startsWith("!")) {
    throw refuse("nothing can be taken back in", "Write \\! when a name begins with that character.");
  }
  const data = origin.data?.replace(/\/+$/, "");
  if (data?.startsWith("/") && `${pattern}/`.startsWith(`${data}/`)) {
    throw refuse(
      `patterns are relative to the data folder "${data}"`,
      `Write it without the folder: ${pattern.slice(data.length + 1) || "cache"}`,
    );
  }
  const alternatives: string[] = [];
  for (const tokens of expand(tokenize(pattern, refuse), refuse)) {
    alternatives.push(alternativeSource(tokens, refuse));
    if (alternatives.length > maxAlternatives) throw refuse(`it stands for more than ${maxAlternatives} patterns`);
  }
  return alternatives.join("|");
}

type Refuse = (reason: string, hint?: string) => AmberError;

/** Characters, escaped characters (`\*`) and whole brackets (`[a-z]`). */
function tokenize(pattern: string, refuse: Refuse): string[] {
  const tokens: string[] = pattern.match(/\\.|\[[!^]?\]?(?:\\.|[^\\\]])*\]|./gsu) ?? [];
  if (tokens.includes("[")) throw refuse("its bracket [ is never closed", "Write \\[ for a bracket in a name.");
  if (tokens.includes("\\")) throw refuse("nothing follows its backslash", "Write \\\\ for a backslash in a name.");
  return tokens;
}

/** One list of tokens for each way to choose among `{a,b}`. */
function* expand(tokens: string[], refuse: Refuse): Generator<string[]> {
  const open = tokens.indexOf("{");
  if (open < 0) return yield tokens;
  const cuts = [open];
  let depth = 0;
  let at = open;
  for (; at < tokens.length; at++) {
    if (tokens[at] === "{") depth++;
    else if (tokens[at] === "}" && --depth === 0) break;
    else if (tokens[at] === "," && depth === 1) cuts.push(at);
  }
  if (at === tokens.length) throw refuse("its brace { is never closed", "Write \\{ for a brace in a name.");
  if (cuts.length === 1) throw refuse("its braces hold no comma", "Write \\{ and \\} for braces in a name.");
  for (const [index, cut] of cuts.entries()) {
    const chosen = tokens.slice(cut + 1, cuts[index + 1] ?? at);
    yield* expand([...tokens.slice(0, open), ...chosen, ...tokens.slice(at + 1)], refuse);
  }
}

function alternativeSource(tokens: string[], refuse: Refuse): string {
  const isFolderOnly = tokens.at(-1) === "/";
  const isRooted = tokens[0] === "/";
  const components: string[][] = [[]];
  for (const token of tokens.slice(isRooted ? 1 : 0, isFolderOnly ? -1 : undefined)) {
    if (token === "/") components.push([]);
    else components.at(-1)!.push(token);
  }
  const isAnchored = isRooted || components.length > 1;
  const parts = components.map((component, index) => {
    const isLast = index === components.length - 1;
    const text = component.join("");
    if (text === "") throw refuse("one of its components is empty");
    if (/^\.{1,2}$/.test(text)) {
      throw refuse(`it has a component "${text}"`, "Write it as a path inside the data folder.");
    }
    if (text === "**") return isLast ? ".+" : "(?:.*/)?";
    // Not nothing: "a/*" is not to match the "/" at the end of the folder "a/".
    return `(?=[^/])${componentSource(component, refuse)}${isLast ? "" : "/"}`;
  });
  return `${isAnchored ? "^" : "(?:^|/)"}${parts.join("")}${isFolderOnly ? "/" : "(?:/|$)"}`;
}

function componentSource(tokens: string[], refuse: Refuse): string {
  let source = "";
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token === "*") {
      const from = i;
      while (tokens[i + 1] === "*") i++;
      source += i > from ? ".*" : "[^/]*";
    } else if (token === "?") source += "[^/]";
    else if (token.length > 1 && token.startsWith("[")) source += bracketSource(token, refuse);
    else source += RegExp.escape(token.length > 1 && token.startsWith("\\") ? token.slice(1) : token);
  }
  return source;
}

function bracketSource(token: string, refuse: Refuse): string {
  const [, negation, inside = ""] = /^\[([!^]?)(.*)\]$/su.exec(token)!;
  if (inside === "") throw refuse(`its bracket ${token} holds nothing`, "Write \\[ for a bracket in a name.");
  if (/\[[:=.]/.test(inside)) throw refuse("it holds a named class", "Write its characters: [a-z], [0-9].");
  const members: string[] = [];
  for (const [, from = "", to] of inside.matchAll(/(\\.|.)(?:-(\\.|[^\\]))?/gsu)) {
    const [first, last] = [from, to].map((text) => text?.replace(/^\\(?=.)/su, ""));
    if (last !== undefined && first!.codePointAt(0)! > last.codePointAt(0)!) {
      throw refuse(`its range ${first}-${last} is the wrong way round`);
    }
    members.push(RegExp.escape(first!) + (last === undefined ? "" : `-${RegExp.escape(last)}`));
  }
  return `(?!/)[${negation ? "^" : ""}${members.join("")}]`;
}

function refusal(pattern: string, reason: string, { where, hint }: PatternsOrigin & { hint?: string }): AmberError {
  return new AmberError("CONFIG_VALUE", {
    message: `Cannot use the exclude pattern "${pattern}": ${reason}`,
    where,
    hint: hint ?? "Patterns are globs relative to the data folder: *.tmp, cache/, /uploads/{tmp,old}",
  });
}
