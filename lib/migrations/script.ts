import { AmberError } from "../errors.ts";
import type { Runnable } from "../engines/engine.ts";
import { sha256 } from "./digest.ts";
import { type Dialect, lex } from "./lexer.ts";
import * as pg from "./postgres_facts.ts";
import * as lite from "./sqlite_facts.ts";
import { normalized, positionOf, type Statement } from "./splitter.ts";
import type { Section } from "./sql_file.ts";
import { words } from "./words.ts";

/** Some statements of a script that are committed together. */
export interface Unit {
  /** Index of its first statement in the script. */
  from: number;
  /** How many statements it covers, BEGIN and COMMIT included. */
  count: number;
  /** What is run of them. */
  run: (Runnable & { index: number })[];
  /** Set when it cannot run inside a transaction: what to look up after a crash, or `call`, of which nothing can be known. */
  outside?: pg.OutsideKind | { kind: "call" };
}

/** A section, decided: what is run, in which transactions. Pure. */
export interface Script {
  dialect: Dialect;
  path: string;
  text: string;
  statements: Statement[];
  units: Unit[];
  /** All of it in one transaction, together with its history row. */
  atomic: boolean;
  /** SQLite: the file asks for enforced foreign keys with its first statement. */
  foreignKeys: boolean;
  /** SQLite: the connection is left with something that the next migration must not see. */
  reopen: boolean;
  /** Tables that may lose rows, from `rows:`. */
  rows: string[];
  /** Known to remove and change nothing that exists. */
  additive: boolean;
  /** Statements that set the session up, to be run again before a later one is resumed: their indexes. */
  settings: number[];
}

/** @throws {AmberError} MIGRATION_MALFORMED for a statement whose effect cannot be kept: ROLLBACK, PREPARE TRANSACTION. */
export function makeScript(section: Section, file: { path: string; text: string; dialect: Dialect }): Script {
  const { statements } = section;
  const { dialect } = file;
  const created = new Set<string>();
  const facts = statements.map((statement) => {
    if (isInsert(statement)) return { additive: isAdditive(statement, dialect, created), outside: undefined };
    refuse(statement, file);
    const additive = isAdditive(statement, dialect, created);
    if (dialect === "postgres") pg.noteCreated(statement, created);
    else lite.noteCreated(statement, created);
    return { additive, outside: dialect === "postgres" ? pg.outsideKind(statement) : lite.outsideKind(statement) };
  });
  const atomic = section.transaction !== false && facts.every((fact) => fact.outside === undefined);
  const first = dialect === "sqlite" && statements[0] ? lite.pragma(statements[0]) : undefined;
  return {
    ...file,
    statements,
    units: makeUnits(statements, file, atomic, facts.map((fact) => fact.outside)),
    atomic,
    foreignKeys: first?.name === "foreign_keys" && /^(on|yes|true|1)$/i.test(first.value ?? ""),
    reopen: dialect === "sqlite" && statements.some((statement) => !isInsert(statement) && lite.reopens(statement)),
    rows: section.rows,
    additive: facts.every((fact) => fact.additive),
    settings: dialect === "postgres"
      ? statements.flatMap((statement, index) => (!isInsert(statement) && pg.onlySets(statement) ? [index] : []))
      : [],
  };
}

/** SHA-256 over the statements as they count, and 8 hex digits for each, to tell which one has changed. */
export async function checksums(statements: readonly Statement[]): Promise<{ checksum: string; hashes: string }> {
  const texts = statements.map(normalized);
  return { checksum: await sha256(texts.join("\u0000")), hashes: texts.map(hash8).join(" ") };
}

/** SHA-256 over the first `count` statements. */
export async function prefixHash(statements: readonly Statement[], count: number): Promise<string> {
  return await sha256(statements.slice(0, count).map(normalized).join("\u0000"));
}

/** A section as text that can be read again: kept in the history, for a binary that has not the file. */
export function sectionText(section: Section): string {
  const options = section.transaction === false ? " transaction:false" : "";
  const rows = section.rows.length > 0 ? ` rows:${section.rows.map((name) => `"${name}"`).join(",")}` : "";
  const body = section.statements.map(({ text, data }) => `${text};\n${data === undefined ? "" : `${data}\\.\n`}`).join(
    "",
  );
  return `-- migrate:down${options}${rows}\n${body}`;
}

function makeUnits(
  statements: readonly Statement[],
  { dialect, text }: { dialect: Dialect; text: string },
  atomic: boolean,
  outside: readonly Unit["outside"][],
): Unit[] {
  const units: Unit[] = [];
  let group: Unit | undefined; // between the file's own BEGIN and COMMIT, or all of an atomic script
  let ownLimit = false;
  if (atomic) units.push(group = { from: 0, count: statements.length, run: [] });
  for (const [index, statement] of statements.entries()) {
    const insert = isInsert(statement);
    const word = insert ? undefined : transactionWord(statement, dialect);
    if (!insert && dialect === "postgres" && pg.setsLockTimeout(statement)) ownLimit = true;
    if (word !== undefined || (!insert && isSkipped(statement, dialect, atomic))) {
      if (atomic) continue;
      if (word === "begin" && !group) units.push(group = { from: index, count: 1, run: [] });
      else if (group) group.count++;
      else units.push({ from: index, count: 1, run: [] });
      if (word === "commit") group = undefined;
      continue;
    }
    const wait = dialect === "sqlite"
      ? undefined
      : ownLimit
      ? "own"
      : !insert && pg.lockNeed(statement) === "exclusive"
      ? "short"
      : "none";
    const written = dialect === "sqlite" ? asWritten(statement, text) : statement.text;
    const runnable = { index, text: written, data: statement.data, lockWait: wait } as Unit["run"][number];
    const kind = outside[index] ??
      (!atomic && !group && dialect === "postgres" && pg.isCallOrDo(statement) ? { kind: "call" } as const : undefined);
    if (group) {
      group.run.push(runnable);
      if (!atomic) group.count++;
    } else units.push({ from: index, count: 1, run: [runnable], outside: kind });
  }
  return units;
}

/** SQLite keeps the definition of a view or an index as it was written, with the space and comments before its ";". */
function asWritten(statement: Statement, text: string): string {
  const end = statement.offset + statement.text.length;
  if (text[end] === ";") return statement.text;
  for (const { kind, start, end: next } of lex(text, "sqlite", end)) {
    if (kind === "space") continue;
    if (kind === "comment" && !/^--[-\s]*migrate\s*:/i.test(text.slice(start, next))) continue;
    return text[start] === ";" ? text.slice(statement.offset, start) : statement.text;
  }
  return text.slice(statement.offset);
}

/** DETACH fails inside a transaction; with ATTACH in it the connection is opened anew behind the migration. */
/** Most statements of a large file are INSERTs, of which little has to be asked. */
function isInsert({ text }: Statement): boolean {
  return /^insert\b/i.test(text);
}

function isAdditive(statement: Statement, dialect: Dialect, created: ReadonlySet<string>): boolean {
  return dialect === "postgres" ? pg.isAdditive(statement, created) : lite.isAdditive(statement, created);
}

function transactionWord(statement: Statement, dialect: Dialect) {
  return dialect === "postgres" ? pg.transactionWord(statement) : lite.transactionWord(statement);
}

function isSkipped(statement: Statement, dialect: Dialect, atomic: boolean): boolean {
  if (dialect !== "sqlite") return false;
  if (atomic && words(statement, "sqlite").is("DETACH")) return true;
  const found = lite.pragma(statement);
  return found !== undefined && lite.skippedPragma(found.name);
}

function refuse(statement: Statement, file: { path: string; text: string; dialect: Dialect }): void {
  const word = transactionWord(statement, file.dialect);
  const fail = (message: string, hint: string) => {
    const { line, column } = positionOf(file.text, statement.offset);
    throw new AmberError("MIGRATION_MALFORMED", { message, where: `${file.path}:${line}:${column}`, hint });
  };
  if (word === "rollback") {
    fail(
      `Cannot run "${file.path}": it has a ROLLBACK, and a migration is applied as a whole or not at all`,
      "Take it out.",
    );
  }
  if (word === "prepare") {
    fail(`Cannot run "${file.path}": it has a PREPARE TRANSACTION`, "Take it out: amber commits the migration itself.");
  }
  if (file.dialect === "postgres" && pg.turnsOffStandardStrings(statement)) {
    fail(
      `Cannot run "${file.path}": with standard_conforming_strings off, strings would end elsewhere than amber reads`,
      "Take the setting out and write E'…' where a backslash is an escape.",
    );
  }
}

/** FNV-1a over UTF-16 units, 8 hex digits: tells which statement changed, nothing depends on it. */
function hash8(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
