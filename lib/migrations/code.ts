import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { AmberError } from "../errors.ts";
import { type Engine, type Row, StatementFailure, type Value } from "../engines/engine.ts";
import { type BatchOptions, type Checkpoint, runBatch } from "./batch.ts";
import { realPath } from "./carried.ts";
import { sha256 } from "./digest.ts";
import type { Dialect } from "./lexer.ts";
import { type LoadFailure, loadFailure } from "./load_failure.ts";
import { declaredDepends, decode, type MigrationFile } from "./migration.ts";
import * as pg from "./postgres_facts.ts";
import * as lite from "./sqlite_facts.ts";
import { type RebuildOptions, rebuildTable } from "./sqlite_rebuild.ts";
import { split, type Statement } from "./splitter.ts";

/** What a TypeScript migration is handed: `export async function up(db: MigrationDatabase)`. */
export interface MigrationDatabase {
  /** Which engine it runs on. */
  readonly engine: "sqlite" | "postgres";
  /**
   * Runs SQL: several statements, or one with parameters (`$1`, `$2` on both engines). On SQLite whole numbers are bound
   * as INTEGER. BEGIN and COMMIT are refused in a migration that is one transaction anyway.
   */
  exec(sql: string, params?: readonly Value[]): Promise<void>;
  /** Rows of one statement, as objects. Integers over 2^53 are bigint on SQLite and strings on Postgres. */
  query<T extends Row = Row>(sql: string, params?: readonly Value[]): Promise<T[]>;
  /**
   * Walks over a table in order of a unique key, some rows at a time, for backfills of millions of rows. In a migration
   * with `export const atomic = false` each round is a transaction of its own that keeps how far it came: killed, it goes
   * on there.
   */
  batch(options: BatchOptions, work: (rows: Row[]) => void | Promise<void>): Promise<void>;
  /** SQLite: gives a table another definition and keeps its rows, indexes, triggers, views and AUTOINCREMENT counter. */
  rebuild(options: RebuildOptions): Promise<void>;
}

/** A TypeScript or JavaScript migration, loaded. */
export interface CodeModule {
  up(db: MigrationDatabase): void | Promise<void>;
  down?(db: MigrationDatabase): void | Promise<void>;
  /** false: not one transaction; started again from its beginning after a kill, batches from where they stood. */
  atomic: boolean;
  /** Tables that may lose rows. */
  rows: string[];
}

/**
 * Imports a migration's code, which runs what stands at its top level.
 *
 * @throws {AmberError} MIGRATION_MALFORMED when it does not parse, throws, imports what is not there or has no `up`.
 */
export async function loadCode(file: MigrationFile): Promise<CodeModule> {
  const fail = (why: string, hint: string, cause?: unknown, where = file.path): never => {
    throw new AmberError("MIGRATION_MALFORMED", { message: `Cannot load "${file.path}": ${why}`, where, hint, cause });
  };
  // The hash in the address: a long-lived process that reads an edited file must not get the old module.
  const url = `${pathToFileURL(resolve(realPath(file.path))).href}?${(await sha256(file.bytes)).slice(0, 16)}`;
  let module: Record<string, unknown>;
  try {
    module = await import(url);
  } catch (cause) {
    const { why, where } = await whyNotLoaded(cause, file, url);
    return fail(
      why,
      "Mend the file. It may import node: modules, npm packages of the project and files beside it.",
      cause,
      where,
    );
  }
  if (typeof module.up !== "function") {
    fail("it exports no function `up`", 'export async function up(db) { await db.exec("…"); }');
  }
  if (module.down !== undefined && typeof module.down !== "function") {
    fail("its `down` is not a function", "export async function down(db) { … }");
  }
  const declared = declaredDepends(decode(file), "code") ?? [];
  const actual = module.depends ?? [];
  if (!Array.isArray(actual) || actual.join() !== declared.join()) {
    fail("its `depends` is not a plain list of names", 'Write it out: export const depends = ["0001_initial"];');
  }
  const rows = module.rows ?? [];
  if (!Array.isArray(rows)) fail("its `rows` is not a list of table names", 'export const rows = ["name"];');
  return {
    up: module.up as CodeModule["up"],
    down: module.down as CodeModule["down"],
    atomic: module.atomic !== false,
    rows: rows as string[],
  };
}

async function whyNotLoaded(cause: unknown, file: MigrationFile, url: string): Promise<LoadFailure> {
  const folder = pathToFileURL(`${resolve(".")}/`).href;
  const named = (text: string) => text.replaceAll(url, file.path).replaceAll(folder, "");
  const { stripTypeScriptTypes } = await import("node:module");
  return loadFailure(file, {
    message: named(cause instanceof Error ? cause.message : String(cause)).replace(/\.$/m, ""),
    text: decode(file).replace(/^\ufeff/, ""),
    where: placeIn(cause, file),
    inside: (path) => {
      const address = pathToFileURL(path).href;
      const isOwn = address === url.replace(/\?.*$/, "");
      return isOwn ? undefined : { shown: named(address), text: Deno.readTextFileSync(path).replace(/^\ufeff/, "") };
    },
    complaint: (text) => {
      try {
        stripTypeScriptTypes(text, { mode: "transform" });
        return undefined;
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    },
  });
}

/** The text that a code migration's checksum is made of: plain line ends, no byte-order mark, no space at line ends. */
export function codeText(file: MigrationFile): string {
  return decode(file).replace(/^\ufeff/, "").replace(/\r\n?/g, "\n").replace(/[ \t]+$/gm, "").trim();
}

/**
 * What a code migration works with.
 *
 * @param checkpoint Where batches keep how far they came; absent in a migration that is one transaction.
 * @param executed Filled with the statements that run, each text once, for the SQLite guard.
 */
export function migrationDatabase(
  engine: Engine,
  file: MigrationFile,
  { checkpoint, executed }: { checkpoint?: Checkpoint; executed: Map<string, Statement> },
): MigrationDatabase {
  let batches = 0;
  const atomic = checkpoint === undefined;
  const database: MigrationDatabase = {
    engine: engine.dialect,
    async exec(sql, params = []) {
      const { statements } = split(sql, engine.dialect);
      for (const statement of statements) {
        executed.set(statement.text, statement);
        const word = engine.dialect === "postgres" ? pg.transactionWord(statement) : lite.transactionWord(statement);
        if (word !== undefined) {
          throw new AmberError("CODE_FAILED", {
            message: `Cannot run "${file.path}": it says ${word.toUpperCase()}, and amber begins and commits by itself`,
            where: file.path,
            hint: "Leave it out. For rounds of their own: export const atomic = false; and db.batch(…)",
          });
        }
      }
      if (params.length > 0) {
        await database.query(sql, params);
        return;
      }
      const { stack } = new Error();
      await engine.run(statements.map(({ text, data }) => ({ text, data, lockWait: "none" as const })))
        .catch((error) => refused(error, stack, statements[(error as StatementFailure).index]?.text));
    },
    async query<T extends Row>(sql: string, params: readonly Value[] = []) {
      if (engine.dialect === "sqlite" && !executed.has(sql)) {
        for (const statement of split(sql, "sqlite").statements) executed.set(sql, statement);
      }
      const { stack } = new Error();
      return await engine.query(numbered(sql, engine.dialect), params)
        .catch((error) => refused(error, stack, sql)) as T[];
    },
    batch: (options, work) => runBatch(engine, options, work, atomic ? undefined : { ...checkpoint, index: batches++ }),
    rebuild: (options) => rebuildTable(engine, options),
  };
  return database;
}

/** What a statement was that the database refused, for the message. */
const refusedTexts = new WeakMap<StatementFailure, string>();

/** Keeps the place in the code where the statement came from: the answer arrives on the driver's own stack. */
function refused(error: unknown, calledFrom: string | undefined, text: string | undefined): never {
  if (error instanceof StatementFailure) {
    error.stack = `${error.stack}\n${calledFrom}`;
    if (text !== undefined) refusedTexts.set(error, text);
  }
  throw error;
}

/** An error that a migration's code threw, with the line in the file. */
export function codeFailure(error: unknown, file: MigrationFile, name: string, aftermath: string): AmberError {
  if (error instanceof AmberError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new AmberError("CODE_FAILED", {
    message: `Cannot apply "${name}": ${message}`,
    where: placeIn(error, file),
    detail: error instanceof StatementFailure
      ? [
        ...(refusedTexts.has(error)
          ? [`statement: ${refusedTexts.get(error)!.replace(/\s+/g, " ").trim().slice(0, 200)}`]
          : []),
        `database: ${message}`,
        ...(error.detail ? [`detail: ${error.detail}`] : []),
        ...(error.hint ? [`its hint: ${error.hint}`] : []),
      ].join("\n")
      : undefined,
    hint: `${aftermath} Mend the file and run the same command again.`,
    cause: error,
  });
}

/** `$1` is a parameter's number on SQLite as well, where it would otherwise be a name. */
function numbered(sql: string, dialect: Dialect): string {
  if (dialect === "postgres" || !/\$\d/.test(sql)) return sql;
  const statement = split(sql, dialect).statements[0];
  if (!statement) return sql;
  let out = "";
  let at = 0;
  for (const token of statement.tokens) {
    const text = statement.text.slice(token.start, token.end);
    if (token.kind !== "variable" || !/^\$\d+$/.test(text)) continue;
    out += `${statement.text.slice(at, token.start)}?${text.slice(1)}`;
    at = token.end;
  }
  return out + statement.text.slice(at);
}

function placeIn(error: unknown, file: MigrationFile): string {
  const stack = error instanceof Error ? `${error.message}\n${error.stack ?? ""}` : "";
  const base = file.path.split("/").at(-1)!.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const match = new RegExp(`${base}(?:\\?[0-9a-f]{16})?:(\\d+):(\\d+)`).exec(stack);
  return match ? `${file.path}:${match[1]}:${match[2]}` : file.path;
}
