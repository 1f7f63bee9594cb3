import { AmberError } from "../errors.ts";
import type { Dialect } from "./lexer.ts";

/** One migration file as it lies in the folder: its name's parts and its bytes. */
export interface MigrationFile {
  /** The migration's name: the file name without engine and ending, e.g. `0002_add_posts`. */
  name: string;
  /** The number in front; numbers sort as numbers. */
  number: bigint;
  kind: "sql" | "code";
  /** The path for messages and for imports, as the folder was given: `migrations/0002_add_posts.sql`. */
  path: string;
  bytes: Uint8Array;
}

/** A migration in its place in the graph. */
export interface Migration extends MigrationFile {
  /** Names of the migrations that must be applied before: those it names, else all of the next smaller number. */
  parents: string[];
}

export interface FileName {
  name: string;
  number: bigint;
  kind: "sql" | "code";
  /** Set when the file is for one engine only. */
  dialect?: Dialect;
}

const otherEngines: Record<string, string> = {
  // in another letter case
  postgres: "postgres",
  sqlite: "sqlite",
  pg: "postgres",
  pgsql: "postgres",
  postgresql: "postgres",
  psql: "postgres",
  sqlite3: "sqlite",
};
const halves = new Set(["up", "down", "do", "undo", "rollback", "revert"]);

/**
 * What a file's name says; undefined for what is no migration: hidden files, notes, and code whose name begins with `_`
 * (helpers of other migrations).
 *
 * @throws {AmberError} MIGRATION_NAME for a name that looks like a migration and is none: it would be left out silently.
 */
export function parseFileName(file: string, path: string): FileName | undefined {
  const match = /^(.*)\.(sql|ts|js|mts|mjs)$/is.exec(file);
  if (!match || file.startsWith(".") || /\.d\.ts$/.test(file)) return undefined;
  const stem = match[1]!;
  const ending = match[2]!;
  const kind = ending.toLowerCase() === "sql" ? "sql" : "code";
  if (kind === "code" && stem.startsWith("_")) return undefined;
  const refuse = (why: string, hint: string): never => {
    throw new AmberError("MIGRATION_NAME", {
      message: `Cannot read the migration "${file}": ${why}`,
      where: path,
      hint,
    });
  };
  if (ending !== ending.toLowerCase()) {
    refuse("its ending is not in lower case", `Rename it: ${stem}.${ending.toLowerCase()}`);
  }
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(file)) refuse("its name holds a control character", "Rename it.");
  const flyway = /^[VURB](\d[\d._]*)__(.*)$/.exec(stem);
  if (flyway) {
    refuse(
      "its name is of Flyway's kind",
      `Rename it: ${flyway[1]!.replace(/\D/g, "").padStart(4, "0")}_${flyway[2]}.${ending}`,
    );
  }
  const parts = /^(\d+)(.*?)(?:\.(sqlite|postgres))?$/s.exec(stem);
  if (!parts) {
    return refuse(
      "its name does not begin with a number",
      `Rename it, e.g. 0001_${stem}.${ending}` + (kind === "code" ? `, or _${file} if it is no migration` : ""),
    );
  }
  const written = /\.([a-z]+\d*)$/i.exec(parts[2]!)?.[1];
  const last = written?.toLowerCase();
  if (last && otherEngines[last]) {
    refuse(
      `"${written}" is not how amber names an engine`,
      `Rename it: ${stem.slice(0, -last.length)}${otherEngines[last]}.${ending}`,
    );
  }
  if (last && halves.has(last)) {
    refuse(
      "amber keeps both directions of a migration in one file",
      `Join the pair into one file with "-- migrate:up" and "-- migrate:down" lines.`,
    );
  }
  const dialect = parts[3] as Dialect | undefined;
  return {
    name: dialect ? stem.slice(0, -dialect.length - 1) : stem,
    number: BigInt(parts[1]!),
    kind,
    ...(dialect ? { dialect } : {}),
  };
}

/** Sorts by number, then by name: plain code units, the same on every machine. */
export function compareMigrations(a: { number: bigint; name: string }, b: { number: bigint; name: string }): number {
  if (a.number !== b.number) return a.number < b.number ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** The number of a name in the history, whose file may be gone. A name without one sorts last. */
export function numberOf(name: string): bigint {
  const digits = /^\d+/.exec(name)?.[0];
  return digits === undefined ? 10n ** 30n : BigInt(digits);
}

/**
 * The dependencies that a file declares before its first section, read without parsing the rest: an applied migration
 * takes part in the graph even if a newer amber could not split it any more. Undefined: none declared.
 */
export function declaredDepends(text: string, kind: "sql" | "code"): string[] | undefined {
  if (kind === "code") {
    const list = /^\s*export\s+const\s+depends\s*(?::[^=]+)?=\s*\[([^\]]*)\]/m.exec(text)?.[1];
    return list === undefined ? undefined : [...list.matchAll(/(["'`])(.*?)\1/g)].map((match) => match[2]!);
  }
  const names: string[] = [];
  let found = false;
  for (const line of text.replace(/^\ufeff/, "").split(/\r\n|\r|\n/)) {
    if (/^\s*--\s*migrate:(up|down)\b/i.test(line)) break;
    const list = /^\s*--\s*migrate:depends\b(.*)$/i.exec(line)?.[1];
    if (list === undefined) continue;
    found = true;
    names.push(...list.split(/[\s,]+/).filter((name) => name !== ""));
  }
  return found ? names : undefined;
}

/** Text of a migration. @throws {AmberError} MIGRATION_MALFORMED when the bytes are not UTF-8 text. */
export function decode(file: Pick<MigrationFile, "bytes" | "path">): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(file.bytes);
  } catch (cause) {
    const [first, second] = file.bytes;
    const utf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
    throw new AmberError("MIGRATION_MALFORMED", {
      message: `Cannot read "${file.path}": it is not UTF-8 text${utf16 ? " but UTF-16" : ""}`,
      where: `${file.path}:${badLine(file.bytes)}:1`,
      hint: utf16 ? "Save it as UTF-8." : `Save it as UTF-8, e.g. iconv -f latin1 -t utf-8.`,
      cause,
    });
  }
}

/** The line of the first bytes that are not UTF-8, from 1. */
function badLine(bytes: Uint8Array): number {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = 1;
  let start = 0;
  for (let i = 0; i <= bytes.length; i++) {
    if (i < bytes.length && bytes[i] !== 10) continue;
    try {
      decoder.decode(bytes.subarray(start, i));
    } catch {
      return line;
    }
    start = i + 1;
    line++;
  }
  return 1;
}
