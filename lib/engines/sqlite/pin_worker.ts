import { backup, type DatabaseSync, type StatementSync } from "node:sqlite";
import { AmberError } from "../../errors.ts";
import { sizeOf, statOrNone } from "../../fs.ts";
import { readMigrationState } from "./migration_state.ts";
import type { Pinned, PinnedFacts, PinReply, PinRequest, PlainError } from "./pin.ts";
import { type Access, openForSnapshot } from "./snapshot_connection.ts";
import { isBusy, toFailure } from "./statement.ts";

// The other end of pin.ts: every call here is synchronous and may take long.
interface Connection {
  path: string;
  database: DatabaseSync;
  access: Access;
  file: string;
  device: number;
  inode: number;
  begin: StatementSync;
  rollback: StatementSync;
  isPinned: boolean;
  /** What the file looked like when it was opened as unchanging. */
  stamp: string;
}

const connections = new Map<string, Connection>();
const scope = self as unknown as Worker; // the same two words as a worker has on its outside
const clock = new Int32Array(new SharedArrayBuffer(4));
const patienceMs = { open: 5_000, pin: 1_000 }; // all writers wait for a pin

scope.onmessage = async ({ data }: MessageEvent<PinRequest & { id: number }>) => {
  const reply = (message: PinReply) => scope.postMessage(message);
  try {
    reply({ id: data.id, value: await answer(data) });
  } catch (error) {
    reply({ id: data.id, error: toPlain(error) });
  }
};

async function answer(request: PinRequest): Promise<unknown> {
  switch (request.type) {
    case "open":
      return await open(request.paths);
    case "pin":
      return pin();
    case "facts":
      return facts(pinned(request.path));
    case "copy":
      return await copy(pinned(request.path), request.target);
    case "unpin":
      return unpin(pinned(request.path));
    case "close":
      return close();
  }
}

function open(paths: readonly string[]): [path: string, why: string][] {
  const failed: [string, string][] = [];
  for (const path of paths) {
    try {
      const one = openOne(path);
      connections.set(path, one);
      // Once for nothing: what runs while all writers wait is then compiled and cached.
      begin(one);
      describe(one);
      unpin(one);
    } catch (error) {
      if (error instanceof AmberError && error.code === "DATABASE_BUSY") throw error;
      failed.push([path, wordsOf(error)]);
    }
  }
  return failed;
}

function openOne(path: string): Connection {
  const file = Deno.realPathSync(path);
  const before = Deno.statSync(path);
  const { database, access } = patiently(path, patienceMs.open, () => openForSnapshot(path));
  const after = Deno.statSync(path);
  if (before.ino !== after.ino || before.dev !== after.dev) {
    database.close();
    throw new Error("another file has taken its place meanwhile");
  }
  return {
    path,
    database,
    access,
    file,
    device: after.dev,
    inode: after.ino ?? 0,
    begin: database.prepare("begin"),
    rollback: database.prepare("rollback"),
    isPinned: false,
    stamp: stampOf(path),
  };
}

function pin(): Pinned[] {
  const begun: Connection[] = [];
  try {
    for (const one of connections.values()) {
      if (one.isPinned) continue;
      begun.push(one);
      begin(one);
    }
    return begun.map(describe);
  } catch (error) {
    for (const one of begun) unpin(one);
    throw error;
  }
}

function begin(one: Connection): void {
  one.begin.run(); // alone it pins nothing
  one.isPinned = true;
  patiently(one.path, patienceMs.pin, () => one.database.prepare("select 1 from sqlite_schema limit 1").get());
}

function describe({ path, database, access, file, device, inode }: Connection): Pinned {
  const ask = (name: string) => Object.values(database.prepare(`pragma ${name}`).get()!)[0];
  return {
    path,
    pageSize: Number(ask("page_size")),
    pages: Number(ask("page_count")),
    journal: String(ask("journal_mode")),
    encoding: String(ask("encoding")),
    access,
    file,
    device,
    inode,
  };
}

function facts({ database }: Connection): PinnedFacts {
  const rows: Record<string, number> = {};
  const tables = database.prepare(
    `select name from pragma_table_list where schema = 'main' and type = 'table' and name not like 'sqlite\\_%' escape '\\'
     order by name`,
  ).all() as { name: string }[];
  for (const { name } of tables) {
    try {
      const counted = database.prepare(`select count(*) as count from main."${name.replaceAll('"', '""')}"`).get()!;
      rows[name] = Number(counted.count);
    } catch {
      // An app's own function or collation that only the app has; or a damaged page, which a drill finds by itself
    }
  }
  return { rows, ...("amber_migrations" in rows ? { migrations: readMigrationState(database) } : {}) };
}

async function copy(one: Connection, target: string): Promise<void> {
  const failed = (cause: unknown): AmberError => {
    const { message, code, errcode = 0 } = cause as { message: string; code?: string; errcode?: number };
    const isFull = code === "ENOSPC" || errcode % 256 === 13 || /disk (is )?full/.test(message);
    return new AmberError(isFull ? "DISK_FULL" : "FILE_UNWRITABLE", {
      message: `Cannot copy the database "${one.path}" to "${target}": ${message}`,
      where: target,
      hint: "AMBER_SCRATCH names a folder with more room.",
      cause,
    });
  };
  try {
    Deno.openSync(target, { write: true, createNew: true, mode: 0o600 }).close();
  } catch (cause) {
    throw failed(cause);
  }
  try {
    // Any finite rate starts over whenever somebody else writes.
    await backup(one.database, target, { rate: -1 });
  } catch (cause) {
    Deno.removeSync(target);
    throw failed(cause);
  }
  if (one.access === "unchanging" && stampOf(one.path) !== one.stamp) {
    Deno.removeSync(target);
    throw new AmberError("DATABASE_UNREADABLE", {
      message: `Cannot read the database "${one.path}": it changes while it is read`,
      where: one.path,
      hint: "Run this as a user who may write in its folder: then it can be held for a moment.",
    });
  }
}

function unpin(one: Connection): void {
  if (!one.isPinned) return;
  one.isPinned = false;
  one.rollback.run();
}

function close(): void {
  for (const one of connections.values()) {
    unpin(one);
    one.database.close();
  }
  connections.clear();
}

function pinned(path: string): Connection {
  const one = connections.get(path);
  if (!one) throw new Error(`"${path}" is not open here`);
  return one;
}

/** Tries again while somebody else has it locked, for a moment: a recovery, or a commit of a database that nobody could hold. */
function patiently<T>(path: string, waitMs: number, work: () => T): T {
  const until = performance.now() + waitMs;
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error)) throw toFailure(error, path);
      if (performance.now() >= until) {
        throw new AmberError("DATABASE_BUSY", {
          message: `Cannot read the database "${path}" now: somebody else has it locked`,
          where: path,
          hint: "Which program has the file open? `fuser FILE` tells. Then run this once more.",
          cause: error,
        });
      }
      Atomics.wait(clock, 0, 0, 0.2);
    }
  }
}

/** SQLite's own words. */
function wordsOf(error: unknown): string {
  const said = error instanceof AmberError && error.cause instanceof Error ? error.cause : error;
  return said instanceof Error ? said.message : String(said);
}

function stampOf(path: string): string {
  const now = statOrNone(path);
  return `${now?.ino} ${now?.size} ${now?.mtime?.getTime()} ${sizeOf(`${path}-wal`)}`;
}

function toPlain(error: unknown): PlainError {
  if (error instanceof AmberError) {
    const { code, message, where, hint } = error;
    return { code, message, where, hint };
  }
  return { message: error instanceof Error ? error.message : String(error) };
}
