import { AmberError } from "../errors.ts";
import type { Dialect } from "./lexer.ts";
import { type LineComment, positionOf, type Script, split, SplitError, type Statement } from "./splitter.ts";

/** The statements that lead in one direction, with the options of their marker. */
export interface Section {
  statements: Statement[];
  transaction?: boolean; // as the marker says; absent where it says nothing
  rows: string[]; // tables that may lose rows, as `rows:` names them, without quotes
}

/** What a migration's SQL file says. */
export interface SqlFile {
  depends?: string[]; // names, as written; absent where the file names none
  up: Section;
  down?: Section; // absent: there is no way back; with no statements: nothing needs to be done
  irreversible?: string; // the reason, perhaps empty
}

/**
 * Reads a migration with dbmate's markers. Without `-- migrate:up` the whole text is `up`.
 *
 * @param input.name The file as messages shall name it.
 * @throws {AmberError} MIGRATION_MALFORMED, with line and column: what cannot be split, and everything about the
 * markers that leaves it open what would run in which direction.
 */
export function parseSqlFile(input: { name: string; text: string; dialect: Dialect }): SqlFile {
  try {
    return assemble(input.text, readScript(input.text, input.dialect));
  } catch (error) {
    if (!(error instanceof SplitError)) throw error;
    const { line, column } = positionOf(input.text, error.offset);
    throw new AmberError("MIGRATION_MALFORMED", {
      message: `Cannot read "${input.name}": ${error.message}`,
      where: `${input.name}:${line}:${column}`,
      hint: error.hint ?? "Mend the file and run the same command again.",
    });
  }
}

function readScript(text: string, dialect: Dialect): Script {
  const nul = text.indexOf("\0");
  if (nul >= 0) throw new SplitError("it contains a NUL character", nul, "Save the file as UTF-8 text.");
  const script = split(text, dialect);
  if (script.statements.length === 0 && script.markers.length === 0) {
    const hint = 'Restore the file. If the migration is meant to do nothing, write "-- migrate:up" into it.';
    throw new SplitError("it contains no statement", 0, hint);
  }
  return script;
}

/** A marker that is understood, with its place. */
interface Marker extends LineComment {
  word: "up" | "down" | "depends" | "irreversible";
  rest: string;
}

function assemble(text: string, script: Script): SqlFile {
  const markers = script.markers.map(readMarker);
  const [up, down, irreversible] = (["up", "down", "irreversible"] as const).map((word) =>
    onlyOne(text, markers, word)
  );
  if (down && (!up || up.offset > down.offset)) {
    const hint = 'Begin with "-- migrate:up", and let "-- migrate:down" follow after its statements.';
    throw new SplitError(
      `"${down.text}" stands before ${up ? `"${up.text}"` : 'any "-- migrate:up"'}`,
      down.offset,
      hint,
    );
  }
  const first = script.statements[0];
  if (up && first && first.offset < up.offset) {
    throw new SplitError(`a statement stands before "${up.text}"`, first.offset, `Move it below "${up.text}".`);
  }
  const isDown = (statement: Statement) => down !== undefined && statement.offset > down.offset;
  const file: SqlFile = {
    up: { statements: script.statements.filter((statement) => !isDown(statement)), rows: [], ...options(up) },
  };
  if (down) file.down = { statements: script.statements.filter(isDown), rows: [], ...options(down) };

  const depends = markers.filter((marker) => marker.word === "depends");
  if (depends.length > 0) file.depends = [...new Set(depends.flatMap((marker) => names(marker, script, up)))];
  if (irreversible) {
    file.irreversible = irreversible.rest;
    if (file.down?.statements.length) {
      const hint = `Keep one of the two: "${irreversible.text}", or the statements after "${down!.text}".`;
      throw new SplitError(`it is irreversible and has a way down`, irreversible.offset, hint);
    }
    delete file.down;
  }
  refuseForeignDown(script, file.up);
  return file;
}

/** Another letter case is understood; whatever else begins with "migrate:" is never taken for a plain comment. */
function readMarker(comment: LineComment): Marker {
  const [, word = "", rest = ""] = /^--\s*migrate:([a-z]+)(?:\s+(.*))?$/i.exec(comment.text) ?? [];
  const known = word.toLowerCase();
  if (comment.text.includes("\r")) {
    const message = "the lines end with CR alone, so that SQLite takes everything after a marker for its comment";
    throw new SplitError(message, comment.offset, "Save the file with LF or CRLF line ends.");
  }
  const isKnown = known === "up" || known === "down" || known === "depends" || known === "irreversible";
  if (!isKnown) {
    const hint = 'Write "-- migrate:up", "-- migrate:down", "-- migrate:depends NAME" or "-- migrate:irreversible ' +
      'REASON". If it is a plain comment, let it begin with another word.';
    throw new SplitError(`"${comment.text}" is not a marker that amber knows`, comment.offset, hint);
  }
  if (!comment.isAlone) {
    const hint = "Put the marker on a line of its own.";
    throw new SplitError(`"${comment.text}" stands behind something else on its line`, comment.offset, hint);
  }
  return { ...comment, word: known, rest };
}

function onlyOne(text: string, markers: Marker[], word: Marker["word"]): Marker | undefined {
  const [first, second] = markers.filter((marker) => marker.word === word);
  if (!first || !second) return first;
  const lines = [first, second].map((marker) => positionOf(text, marker.offset).line);
  const message = `"${second.text}" on line ${lines[1]} is the second one, the first is on line ${lines[0]}`;
  throw new SplitError(message, second.offset, "Put what belongs to each migration into a file of its own.");
}

function options(marker: Marker | undefined): Partial<Section> {
  const section: Partial<Section> = {};
  // A word is what spaces end, except spaces in double quotes.
  for (const word of marker?.rest.match(/(?:"[^"]*"|[^\s"])+|"/g) ?? []) {
    const [, name = "", value = ""] = /^([^:]*):(.*)$/.exec(word) ?? [];
    const refuse = (problem: string) => {
      const hint = "The options are transaction:false, transaction:true and rows:NAME,NAME, with spaces in between.";
      throw new SplitError(`"${marker!.text}" ${problem}`, marker!.offset, hint);
    };
    if (name === "transaction") {
      if (section.transaction !== undefined) refuse(`gives "transaction" twice`);
      if (!/^(?:true|false)$/i.test(value)) refuse(`gives "transaction" the value "${value}"`);
      section.transaction = value.toLowerCase() === "true";
    } else if (name === "rows") {
      if (section.rows) refuse(`gives "rows" twice`);
      const tables = value.match(/(?:"(?:[^"]|"")*"|[^,"])+|,/g)?.filter((part) => part !== ",") ?? [];
      section.rows = tables.map((table) => table.replace(/"((?:[^"]|"")*)"/g, (_, name) => name.replaceAll('""', '"')));
      if (section.rows.length === 0 || section.rows.includes("")) refuse(`names no table in "${word}"`);
    } else {
      refuse(`has an option that amber does not know, "${word}"`);
    }
  }
  return section;
}

function names(marker: Marker, script: Script, up: Marker | undefined): string[] {
  const first = script.statements[0]?.offset ?? Infinity;
  if (marker.offset > Math.min(first, up?.offset ?? Infinity)) {
    const hint = 'Move it to the top of the file, above "-- migrate:up".';
    throw new SplitError(`"${marker.text}" stands after ${up ? `"${up.text}"` : "a statement"}`, marker.offset, hint);
  }
  const found = marker.rest.split(/[\s,]+/).filter((name) => name !== "");
  if (found.length === 0) {
    const hint = "Name the migrations that this one depends on, or remove the line.";
    throw new SplitError(`"${marker.text}" names no migration`, marker.offset, hint);
  }
  return found;
}

// How others begin the way down, all in comments: goose, sql-migrate, micrate, rambler; tern; and, told by its only words,
// node-pg-migrate, MyBatis (//@UNDO), Play (# --- !Downs), sqlite (-- Down), shmig (==== DOWN ====) and what people write.
const foreignDowns = [
  /^--\s*(?:\+(?:goose|migrate|micrate)|rambler)\s+down\b/i,
  /^-{4}\s*create above\s*\/\s*drop below/i,
  /^-[-\s=+*#!@[\]<>:/]*(?:migrat(?:e|ions?)[\s:.-]+)?(?:downs?|undo|rollback)(?:[\s:]+(?:migration|section|script|sql))?[-\s=+*#!@[\]<>:/]*(?:\(.*\))?$/i,
];
// Prose may begin with "down migration" too, but hardly where "up migration" began a comment before.
const foreignPair = [/^--[-\s]*up\s+migration\b/i, /^--[-\s]*down\s+migration\b/i] as const;

/** Refuses a file of another tool whose way down would run together with its way up, as plain SQL. */
function refuseForeignDown({ comments }: Script, { statements }: Section): void {
  const last = statements.at(-1);
  let hasForeignUp = false;
  for (const { text, offset, isAlone } of comments) {
    if (!isAlone || !last || offset > last.offset + last.text.length) continue;
    const isForeignDown = foreignDowns.some((pattern) => pattern.test(text)) ||
      (hasForeignUp && foreignPair[1].test(text));
    if (isForeignDown) {
      const hint = 'Write "-- migrate:up" and "-- migrate:down" where the other tool has its markers. ' +
        "If it is a plain comment, say it in other words.";
      throw new SplitError(
        `"${text}" looks like a marker of another tool, and what follows would run as up`,
        offset,
        hint,
      );
    }
    hasForeignUp ||= foreignPair[0].test(text);
  }
}
