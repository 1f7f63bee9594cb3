import { DatabaseSync } from "node:sqlite";
import { AmberError } from "../../errors.ts";
import { fileUrl, sizeOf, statOrNone } from "../../fs.ts";
import { type EngineEvent, quoteName } from "../engine.ts";
import { sleep } from "../sleep.ts";
import { openToLook } from "./open.ts";
import { markerTable, readMarker } from "./put_image.ts";
import { isBusy, toFailure } from "./statement.ts";

export interface EmptyOptions {
  /** Longest wait for whoever has it locked, ms. */
  waitMs: number;
  stop: AbortSignal;
  report: (event: Extract<EngineEvent, { type: "waiting" }>) => void;
}

/** What is in a database, as far as a wipe is concerned. */
export interface Contents {
  /** Names, amber's history among them; SQLite's own left out. */
  tables: string[];
  /** Bytes on the disk, those of its log among them. */
  size: number;
  /** Nothing is in it: no table, view, trigger or index. */
  isEmpty: boolean;
  /** Pages of what was in it are still there: giveBackSpace(). */
  hasRests: boolean;
  /** The wipe that it was emptied by, until that is finished: see empty(). */
  marker?: string;
}

/** A schema page, a pointer map, the marker's free page, and one to spare: what an empty database may have. */
const fewPages = 4;
const tellMs = 2_000;
const pollMs = 2;

/**
 * Looks without leaving anything behind. Undefined when there is no database, or a file of no bytes.
 *
 * @throws {AmberError} DATABASE_BUSY; DATABASE_PATH, DATABASE_FORMAT, DATABASE_UNREADABLE
 */
export async function lookAtContents(path: string, options: EmptyOptions): Promise<Contents | undefined> {
  if (!statOrNone(path)) return undefined;
  return await patiently(path, "read", options, () => {
    const opened = openToLook(path);
    if (!opened) return undefined;
    const { database, settled } = opened;
    try {
      const names = database.prepare("select type, name from sqlite_schema order by name").all()
        .map(({ type, name }) => ({ type, name: String(name) }))
        .filter(({ name }) => !/^sqlite_/i.test(name) && name !== markerTable);
      const contents: Contents = {
        tables: names.filter(({ type }) => type === "table").map(({ name }) => name),
        size: sizeOf(path) + sizeOf(`${path}-wal`),
        isEmpty: names.length === 0,
        hasRests: names.length === 0 && count(database, "page_count") > fewPages,
        marker: readMarker(database),
      };
      if (!settled()) throw Object.assign(new Error("it changed meanwhile"), { errcode: 5 });
      return contents;
    } finally {
      database.close();
    }
  });
}

/**
 * A database that nobody else can write until it is emptied or let go: what is kept of it before is all that is lost.
 *
 *     using held = await HeldToEmpty.hold(path, options);
 *     …                                     // the safety snapshot: others still read, nobody commits
 *     await held.empty(id);                 // wholly gone, or wholly there, whenever this is killed
 *     held[Symbol.dispose]();
 *     await giveBackSpace(path, id, options);
 */
export class HeldToEmpty implements Disposable {
  private constructor(private readonly database: DatabaseSync, private readonly path: string) {}

  /** @throws {AmberError} DATABASE_BUSY, DATABASE_PATH (not to be written), DATABASE_FORMAT */
  static async hold(path: string, options: EmptyOptions): Promise<HeldToEmpty> {
    const database = open(path);
    try {
      await patiently(path, "wipe", options, () => {
        // BEGIN IMMEDIATE alone says nothing where nothing may be written. Prepared: exec() tells no error's number.
        for (const sql of ["begin immediate", "pragma user_version = 0", "rollback", "begin immediate"]) {
          database.prepare(sql).run();
        }
      }, () => rollBack(database));
      return new HeldToEmpty(database, path);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /**
   * Drops everything and commits. What is in it needs none of the app's functions and modules, and nothing of it runs.
   * The commit also brings the marker of restores (put_image.ts) with this id, so that whoever finishes knows of it.
   *
   * @throws {AmberError} DATABASE_BUSY when readers hold up the commit (rollback mode): nothing has changed then.
   */
  async empty(id: string, options: EmptyOptions): Promise<void> {
    try {
      this.#drop(id);
      await patiently(this.path, "wipe", options, () => this.database.exec("commit"));
    } catch (error) {
      rollBack(this.database);
      throw error;
    }
  }

  #drop(id: string): void {
    try {
      try {
        dropAll(this.database);
      } catch (error) {
        if (!isDamage(error)) throw error;
        // Its pages cannot be followed. They are left to themselves; the space comes back with giveBackSpace().
        rollBack(this.database);
        this.database.exec("begin immediate");
        forgetAll(this.database);
      }
      this.database.exec(
        `pragma user_version = 0; pragma application_id = 0; create table main.${markerTable} (plan text not null)`,
      );
      this.database.prepare(`insert into main.${markerTable} values (?)`).run(id);
    } catch (error) {
      throw inWords(error, this.path);
    }
  }

  /** Lets go; what was not committed is undone. */
  [Symbol.dispose](): void {
    if (!this.database.isOpen) return;
    rollBack(this.database);
    this.database.close();
  }
}

/**
 * Makes the file as small as what is in it, so that nothing of what was dropped stays in it, and takes the marker out.
 * Returns false when somebody who reads it kept that from being done: once they are gone it can be called again.
 *
 * @throws {AmberError} DATABASE_BUSY
 */
export async function giveBackSpace(path: string, id: string, options: EmptyOptions): Promise<boolean> {
  const database = open(path);
  try {
    database.exec("pragma secure_delete = on"); // what the marker's row leaves in the schema page
    const isDone = await vacuum(database, path, options);
    await patiently(path, "wipe", options, () => {
      database.exec("begin immediate");
      if (readMarker(database) === id) database.exec(`drop table main.${markerTable}`);
      database.exec("commit");
    }, () => rollBack(database));
    const log = database.prepare("pragma wal_checkpoint(truncate)").get();
    return isDone && log?.busy === 0;
  } finally {
    database.close();
  }
}

async function vacuum(database: DatabaseSync, path: string, options: EmptyOptions): Promise<boolean> {
  try {
    await patiently(path, "wipe", options, () => database.exec("vacuum"));
    return true;
  } catch (error) {
    if (error instanceof AmberError && error.code === "DATABASE_BUSY") return false;
    throw error;
  }
}

const settings = {
  timeout: 0, // SQLite's own back-off starves under a busy writer: who waits polls
  enableForeignKeyConstraints: false,
  enableDoubleQuotedStringLiterals: true,
  allowExtension: false,
  defensive: false, // the schema's own table has to be written
};

function open(path: string): DatabaseSync {
  try {
    const database = new DatabaseSync(`${fileUrl(path)}?mode=rw`, settings);
    database.exec("pragma trusted_schema = off");
    return database;
  } catch (error) {
    throw inWords(error, path);
  }
}

/**
 * Views, triggers and virtual tables have no pages of their own, and dropping a virtual table would want its module:
 * their rows are taken out of the schema. What is left are ordinary tables, with their indexes.
 */
function dropAll(database: DatabaseSync): void {
  changeSchema(database, "delete from main.sqlite_schema where coalesce(rootpage, 0) = 0 and type <> 'index'");
  const tables = database.prepare("select name from main.sqlite_schema where type = 'table'").all();
  for (const { name } of tables) {
    if (name === "sqlite_sequence") database.exec("delete from main.sqlite_sequence");
    else database.exec(`drop table main.${quoteName(String(name))}`);
  }
}

function forgetAll(database: DatabaseSync): void {
  changeSchema(database, "delete from main.sqlite_schema");
}

function changeSchema(database: DatabaseSync, sql: string): void {
  database.exec("pragma writable_schema = on");
  try {
    database.exec(sql);
  } finally {
    database.exec("pragma writable_schema = reset"); // reads the schema anew as well
  }
}

function count(database: DatabaseSync, pragma: "page_count"): number {
  return Number(database.prepare(`pragma ${pragma}`).get()![pragma]);
}

function rollBack(database: DatabaseSync): void {
  if (database.isTransaction) database.exec("rollback");
}

/** Again and again while somebody else has it locked. */
async function patiently<T>(
  path: string,
  verb: "read" | "wipe",
  { waitMs, stop, report }: EmptyOptions,
  work: () => T,
  undo: () => void = () => {},
): Promise<T> {
  const started = performance.now();
  let told = started;
  for (;;) {
    try {
      return work();
    } catch (error) {
      undo();
      if (!isBusy(error)) throw inWords(error, path);
    }
    const now = performance.now();
    const leftMs = waitMs - (now - started);
    if (leftMs <= 0) {
      throw new AmberError("DATABASE_BUSY", {
        message: `Cannot ${verb} the database "${path}" now: somebody else had it locked for ${
          Math.max(1, Math.round((now - started) / 1000))
        } s`,
        where: path,
        hint: "Which program has the file open? `fuser FILE` tells. A longer --wait waits longer.",
      });
    }
    if (now - told > tellMs) {
      told = now;
      report({
        type: "waiting",
        message: `waiting for the lock of ${path}: somebody else uses it`,
        remainingSeconds: Math.ceil(leftMs / 1000),
      });
    }
    await sleep(pollMs, stop);
  }
}

/** Whether SQLite says that it is damaged: SQLITE_CORRUPT. */
function isDamage(error: unknown): boolean {
  const { errcode, message = "" } = error as { errcode?: number; message?: string };
  return errcode === undefined ? /malformed/.test(message) : (errcode & 0xff) === 11;
}

/** What SQLite threw, in amber's words. */
function inWords(error: unknown, path: string): unknown {
  const known = toFailure(error, path);
  if (!(known instanceof AmberError) || known.code !== "DATABASE_FORMAT") return known;
  return new AmberError("DATABASE_FORMAT", {
    message: known.message.replace(/^Cannot read/, "Cannot wipe"),
    where: path,
    hint:
      "Nothing in it was changed. Stop the server, then remove that file, and those named like it with -wal, -shm and -journal.",
    cause: known,
  });
}
