import type { MigrationFile } from "./migration.ts";

/** Why code could not be loaded, and where. */
export interface LoadFailure {
  why: string;
  /** `path:line:column`, as far as it is known. */
  where: string;
}

/**
 * Puts what the runtime says of a file that it cannot import into words for people. From source it says so itself. A
 * compiled binary gives the inner form of its parser's complaint, with all of the file's text in it and without a line:
 * there the file is parsed once more.
 *
 * @param given.message The runtime's, with paths as people know them.
 * @param given.text The migration's own text.
 * @param given.where What is known of the place already.
 * @param given.inside A file that the migration imports, by its path on this machine; undefined for the migration itself.
 * @param given.complaint What a parser says of a text: first what is wrong, and at the end `…:line:column`.
 */
export function loadFailure(
  { path }: Pick<MigrationFile, "path">,
  given: {
    message: string;
    text: string;
    where: string;
    inside: (path: string) => { shown: string; text: string } | undefined;
    complaint: (text: string) => string | undefined;
  },
): LoadFailure {
  const { message, where } = given;
  if (message.startsWith("JsErrorBox {")) {
    // The first path is the complaint's own; behind it comes the text of the file, which may hold anything.
    const other = given.inside(unescaped(/ path: "((?:[^"\\]|\\.)*)"/.exec(message)?.[1] ?? path));
    const { shown, text } = other ?? { shown: path, text: given.text };
    const complaint = given.complaint(text) ?? "it does not parse";
    const place = /:(\d+:\d+)\s*$/.exec(complaint)?.[1];
    return { why: firstLine(complaint), where: place ? `${shown}:${place}` : shown };
  }
  const why = firstLine(message).replace(/^Module not found: (.*)$/, 'Module not found "$1"');
  const missing = /^Module not found "([^"]+)"|^Import "([^"]+)" not/.exec(why);
  const name = missing?.[1]?.split("/").at(-1) ?? missing?.[2];
  const place = where === path && name !== undefined ? importPlace(given.text, name) : undefined;
  return { why, where: place ? `${path}:${place}` : where };
}

/** The path of an address as the file system has it. */
function unescaped(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return path;
  }
}

/** Line and column of the import whose name ends like this, from 1. */
function importPlace(text: string, name: string): string | undefined {
  const end = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const index = new RegExp(`(?<=\\b(?:from|import)\\s*\\(?\\s*)["'](?:[^"'\\n]*/)?${end}["']`).exec(text)?.index;
  if (index === undefined) return undefined;
  const before = text.slice(0, index).split("\n");
  return `${before.length}:${before.at(-1)!.length + 1}`;
}

function firstLine(text: string): string {
  return text.split("\n")[0]!;
}
