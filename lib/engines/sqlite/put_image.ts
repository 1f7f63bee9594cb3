import { DatabaseSync } from "node:sqlite";
import { AmberError, type ErrorCode } from "../../errors.ts";
import { fileUrl } from "../../fs.ts";
import type { EngineEvent } from "../engine.ts";
import { sleep } from "../sleep.ts";
import type { PutMessage } from "./put_worker.ts";
import { isBusy } from "./statement.ts";

/** How a live database is written. */
export interface PutOptions {
  /** Longest wait for whoever has it locked, ms. */
  waitMs: number;
  /** While it is being copied nothing can stop it: then it ends first. */
  stop: AbortSignal;
  report: (event: Extract<EngineEvent, { type: "waiting" }>) => void;
  /** Give up when somebody has made tables in it: for what may only fill an empty one. */
  onlyIfEmpty?: boolean;
}

/**
 * Connections that keep an abandoned copy from ever going on: open as long as the process lives. Its worker hangs until
 * then, and keeps a process that does not call Deno.exit() from ending.
 */
const barred: DatabaseSync[] = [];

/**
 * Makes a live database equal to an image, in one transaction of SQLite's own: readers and writers that have it open see
 * wholly the old or wholly the new, whenever this is killed. The image must be one that markImage() has marked.
 *
 * SQLite's backup() is synchronous and waits for a lock for ever, hence a worker; and a worker that waits in it cannot be
 * ended. So when the time is up the image is locked: backup() needs to read it, and will never come to write.
 *
 * @throws {AmberError} DATABASE_BUSY, RESTORE_BLOCKED (another page size, not to be written, damaged), DISK_FULL.
 */
export async function putImage(image: string, live: string, options: PutOptions): Promise<void> {
  const { waitMs, stop, report } = options;
  stop.throwIfAborted();
  const worker = new Worker(new URL("./put_worker.ts", import.meta.url), { type: "module" });
  const answer = Promise.withResolvers<PutMessage>();
  worker.onmessage = ({ data }: MessageEvent<PutMessage>) => {
    if (data.type !== "waiting") return answer.resolve(data);
    report({
      type: "waiting",
      message: `waiting for the lock of ${live}: somebody else is writing`,
      remainingSeconds: Math.ceil(data.remainingMs / 1000),
    });
  };
  worker.onerror = (event) => {
    event.preventDefault();
    answer.reject(new Error(event.message));
  };
  worker.postMessage({ image, live, waitMs, onlyIfEmpty: options.onlyIfEmpty ?? false });
  const watch = new AbortController();
  try {
    const message = await Promise.race([answer.promise, watchOver(image, live, options, watch.signal)]);
    if (message.type === "failed") throw new AmberError(message.code as ErrorCode, message);
  } finally {
    watch.abort();
    worker.terminate();
  }
}

/** Bars the image when nothing has come of it: it can be locked exactly while backup() is not copying. */
async function watchOver(image: string, live: string, options: PutOptions, ended: AbortSignal): Promise<never> {
  const started = performance.now();
  // The worker itself waits for so long, and says so; only what it does not hear is ended from here.
  const limitMs = options.waitMs + 2_000;
  for (;;) {
    const isOver = options.stop.aborted || performance.now() - started >= limitMs;
    // While it waits, backup() lets go of the image only for a moment every few seconds.
    await sleep(isOver ? 1 : 50, ended).catch(() => {});
    if (ended.aborted) return await new Promise<never>(() => {});
    if (!isOver || !bar(image)) continue;
    options.stop.throwIfAborted();
    throw busyError(live, performance.now() - started);
  }
}

function bar(image: string): boolean {
  const database = new DatabaseSync(image, { timeout: 0 });
  try {
    database.exec("begin exclusive");
    barred.push(database);
    return true;
  } catch (error) {
    database.close();
    if (isBusy(error)) return false;
    throw error;
  }
}

export function busyError(path: string, elapsedMs: number): AmberError {
  return new AmberError("DATABASE_BUSY", {
    message: `Cannot write the database "${path}" now: somebody else had it locked for ${
      Math.max(1, Math.round(elapsedMs / 1000))
    } s`,
    where: path,
    hint: "Run the same restore again: it goes on where it was. Which program has the file open? `fuser FILE` tells.",
  });
}

/**
 * Puts the marker into an image: a table of one row, so that "this restore is done" arrives in the database in the same
 * commit as its data. And takes it out of WAL mode: nothing is to lie beside it, and its lock is to keep readers out.
 */
export function markImage(image: string, id: string): void {
  const database = new DatabaseSync(image, options);
  try {
    database.exec("pragma trusted_schema = off; pragma locking_mode = exclusive");
    database.prepare("pragma journal_mode = delete").get();
    database.exec("begin exclusive");
    const known = database.prepare("select type from sqlite_schema where name = ? collate nocase").get(markerTable);
    if (known) database.exec(`drop ${known.type === "view" ? "view" : "table"} ${markerTable}`);
    database.exec(`create table ${markerTable} (plan text not null)`);
    database.prepare(`insert into ${markerTable} values (?)`).run(id);
    database.exec("commit");
  } finally {
    database.close();
  }
}

/** The table that says which restore a database comes from; there only while that restore is not finished. */
export const markerTable = "amber_restore";

export interface DropOptions {
  /** Longest wait for whoever has it locked, ms. */
  waitMs: number;
  stop: AbortSignal;
  /** Whether the snapshot's database was in WAL mode: its image is not, see markImage(). */
  isWal: boolean;
}

/**
 * Takes the marker out of a live database again; nothing happens when it is not there, or is another's.
 *
 * @throws {AmberError} DATABASE_BUSY
 */
export async function dropMarker(path: string, id: string, { waitMs, stop, isWal }: DropOptions): Promise<void> {
  const started = performance.now();
  for (;;) {
    const database = new DatabaseSync(`${fileUrl(path)}?mode=rw`, options);
    try {
      database.exec("pragma trusted_schema = off");
      if (readMarker(database) !== id) return;
      if (isWal) intoWal(database);
      database.exec("begin immediate");
      if (readMarker(database) === id) database.exec(`drop table ${markerTable}`);
      database.exec("commit");
      return;
    } catch (error) {
      if (!isBusy(error)) throw error;
    } finally {
      database.close();
    }
    if (performance.now() - started >= waitMs) throw busyError(path, performance.now() - started);
    await sleep(2, stop);
  }
}

/** Where somebody reads it at this moment it stays as it is: the app sets the mode that it wants. */
function intoWal(database: DatabaseSync): void {
  try {
    database.prepare("pragma journal_mode = wal").get();
  } catch (error) {
    if (!isBusy(error)) throw error;
  }
}

/** The restore that a database says it comes from. */
export function readMarker(database: DatabaseSync): string | undefined {
  const isThere = database.prepare(
    "select 1 from sqlite_schema where type = 'table' and name = ? and sql like '%(plan text not null)'",
  ).get(markerTable);
  const row = isThere && database.prepare(`select plan from main.${markerTable} limit 1`).get();
  return row ? String(row.plan) : undefined;
}

/** Tables of the app: not SQLite's, not amber's. */
export function appTableCount(database: DatabaseSync): number {
  return Number(
    database.prepare(
      `select count(*) as count from sqlite_schema where type = 'table' and name not like 'sqlite\\_%' escape '\\'
       and name not in ('amber_migrations', '${markerTable}')`,
    ).get()!.count,
  );
}

const options = {
  timeout: 0, // SQLite's own back-off starves under a busy writer: who waits polls
  enableForeignKeyConstraints: false,
  enableDoubleQuotedStringLiterals: true,
  allowExtension: false,
  defensive: true,
};
