/** A small app that has been snapshotted and then spoiled, and how to look at what a restore has made of it. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { command } from "./command.ts";
import { makeDatabase, treeOf } from "./data_tree.ts";
import { type App, appIn, take } from "./restoring.ts";

/** Two databases, files in folders, a link, hard links: what the snapshot has. */
export function makeOld(app: App): void {
  Deno.mkdirSync(`${app.data}/uploads/deep`, { recursive: true });
  for (let i = 0; i < 4; i++) Deno.writeTextFileSync(`${app.data}/uploads/${i}`, `upload ${i}`);
  Deno.linkSync(`${app.data}/uploads/0`, `${app.data}/uploads/deep/same`);
  Deno.symlinkSync("../uploads", `${app.data}/uploads/link`);
  makeDatabase(app.database, { rows: 100, text: "old" });
  makeDatabase(`${app.data}/uploads/second.db`, { rows: 100, text: "old", journal: "delete" });
}

/** Everything is changed: the databases have other rows. */
export function spoilRows(app: App): void {
  for (const path of databasesOf(app)) {
    const database = new DatabaseSync(path);
    database.exec("delete from notes where id % 2; insert into notes (text) values ('spoiled')");
    database.close();
  }
  spoilFiles(app);
}

export function spoilAll(app: App): void {
  for (const path of databasesOf(app)) {
    Deno.removeSync(path);
    // What a removed database leaves behind must not become the restored one's.
    Deno.writeTextFileSync(`${path}-wal`, "stale");
    Deno.writeTextFileSync(`${path}-journal`, "stale");
  }
  spoilFiles(app);
}

export function spoilPages(app: App): void {
  for (const path of databasesOf(app)) {
    Deno.removeSync(path);
    makeDatabase(path, { rows: 3, text: "spoiled", pageSize: 8192 });
  }
  spoilFiles(app);
}

export function spoilFiles(app: App): void {
  Deno.writeTextFileSync(`${app.data}/uploads/1`, "spoiled");
  Deno.removeSync(`${app.data}/uploads/deep`, { recursive: true });
  Deno.writeTextFileSync(`${app.data}/uploads/deep`, "a file where a folder was");
  Deno.mkdirSync(`${app.data}/new/folder`, { recursive: true });
  Deno.writeTextFileSync(`${app.data}/new/folder/file`, "new");
  Deno.removeSync(`${app.data}/uploads/2`);
}

export function databasesOf(app: App): string[] {
  return [app.database, `${app.data}/uploads/second.db`];
}

/** Texts of all rows, without looking at the marker. */
export function textsOf(path: string): string[] {
  const database = new DatabaseSync(path);
  try {
    return database.prepare("select text from notes order by id").all().map((row) => String(row.text));
  } finally {
    database.close();
  }
}

/** Files of the data folder, databases and their folder's times aside. */
export function filesOf(app: App): Record<string, unknown> {
  const tree = treeOf(app.data);
  return Object.fromEntries(
    Object.entries(tree).filter(([path, { type }]) => type !== "database" && !/-(wal|shm|journal)$/.test(path))
      .map(([path, one]) => [path, one.type === "folder" ? { ...one, mtimeMs: 0 } : one]),
  );
}

export interface Fresh {
  app: App;
  old: Record<string, unknown>;
  spoiled: Record<string, unknown>;
  oldTexts: string[][];
}

/** The app once more, spoiled: from a copy that was made once. */
export async function fresh(template: string, root: string, spoil: (app: App) => void): Promise<Fresh> {
  const copied = await command("cp", ["-a", template, root], { cwd: "/" });
  assert.equal(copied.code, 0, copied.stderr);
  const app = appIn(root);
  const old = filesOf(app);
  const oldTexts = databasesOf(app).map(textsOf);
  spoil(app);
  return { app, old, spoiled: filesOf(app), oldTexts };
}

export async function makeTemplate(root: string): Promise<void> {
  const app = appIn(root);
  makeOld(app);
  await take(app);
}

export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
