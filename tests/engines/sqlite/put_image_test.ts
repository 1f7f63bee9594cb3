import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { lookAtLive } from "../../../lib/engines/sqlite/look_live.ts";
import { dropMarker, markImage, putImage } from "../../../lib/engines/sqlite/put_image.ts";
import { makeDatabase, rowsOf } from "../../support/data_tree.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";

const stop = new AbortController().signal;
const id = "0123456789abcdef0123456789abcdef";
const quick = { waitMs: 2_000, stop, report: () => {} };

/** An image that is marked, and what it holds. */
function imageIn(folder: TempFolder, options: Parameters<typeof makeDatabase>[1] = {}) {
  const image = folder.path("image");
  makeDatabase(image, { rows: 123, text: "from the snapshot", ...options });
  const holds = rowsOf(image);
  markImage(image, id);
  return { image, holds };
}

for (const journal of ["wal", "delete"] as const) {
  Deno.test(`putImage() replaces a live database in ${journal} mode: a server that has it open sees it and goes on`, async () => {
    await using folder = await tempFolder();
    const { image, holds } = imageIn(folder);
    const live = folder.path("live.db");
    makeDatabase(live, { journal, rows: 5 });
    using server = new DatabaseSync(live);
    const count = server.prepare("select count(*) as count from notes");
    assert.equal(count.get()!.count, 5);
    await putImage(image, live, quick);
    assert.equal(count.get()!.count, 123);
    assert.equal(lookAtLive(live, { trusted: true }).marker, id);
    await dropMarker(live, id, { ...quick, isWal: true });
    server.exec("insert into notes (text) values ('after')");
    assert.equal(count.get()!.count, 124);
    assert.equal(lookAtLive(live, { trusted: true }).marker, undefined);
    server.exec("delete from notes where text = 'after'");
    server.close();
    assert.deepEqual(rowsOf(live), holds);
  });
}

Deno.test("putImage() fills a file of no bytes, which keeps the image's page size and comes into WAL mode", async () => {
  await using folder = await tempFolder({ "live.db": "" });
  const { image, holds } = imageIn(folder, { pageSize: 1024 });
  const live = folder.path("live.db");
  await putImage(image, live, { ...quick, onlyIfEmpty: true });
  await dropMarker(live, id, { ...quick, isWal: true });
  assert.deepEqual(rowsOf(live), holds);
  const database = new DatabaseSync(live);
  assert.equal(database.prepare("pragma journal_mode").get()!.journal_mode, "wal");
  assert.equal(database.prepare("pragma page_size").get()!.page_size, 1024);
  database.close();
});

Deno.test("putImage() waits for a writer, says so, and gives up in time without ever writing later", async () => {
  await using folder = await tempFolder();
  const { image } = imageIn(folder);
  const live = folder.path("live.db");
  makeDatabase(live, { rows: 5 });
  const server = new DatabaseSync(live);
  server.exec("begin immediate; insert into notes (text) values ('acknowledged')");
  const told: string[] = [];
  await assert.rejects(
    putImage(image, live, { waitMs: 2_600, stop, report: ({ message }) => told.push(message) }),
    { code: "DATABASE_BUSY" },
  );
  assert.match(told[0] ?? "", /waiting for the lock of .*live\.db/);
  server.exec("commit");
  assert.equal(server.prepare("select count(*) as count from notes").get()!.count, 6);
  server.close();
});

Deno.test("putImage() can be stopped while it waits for a lock; a worker that is left behind never writes", async () => {
  await using folder = await tempFolder();
  const { image } = imageIn(folder);
  const live = folder.path("live.db");
  makeDatabase(live, { rows: 5 });
  const server = new DatabaseSync(live);
  server.exec("begin immediate");
  const controller = new AbortController();
  const put = putImage(image, live, {
    waitMs: 600_000,
    stop: controller.signal,
    report: () => controller.abort(new Error("stopped")),
  });
  await assert.rejects(put, /stopped/);
  server.exec("commit");
  assert.equal(server.prepare("select count(*) as count from notes").get()!.count, 5);
  assert.equal(lookAtLive(live, { trusted: true }).marker, undefined);
  server.close();
});

Deno.test("putImage() refuses another page size in WAL mode, and tables that somebody made in an empty database", async () => {
  await using folder = await tempFolder();
  const { image } = imageIn(folder);
  const other = folder.path("other.db");
  makeDatabase(other, { pageSize: 8192, rows: 3 });
  await assert.rejects(putImage(image, other, quick), { code: "RESTORE_BLOCKED", hint: /--replace/ });
  assert.equal(rowsOf(other).count, 3);
  const filled = folder.path("filled.db");
  makeDatabase(filled, { rows: 4 });
  await assert.rejects(putImage(image, filled, { ...quick, onlyIfEmpty: true }), { code: "RESTORE_BLOCKED" });
  assert.equal(rowsOf(filled).count, 4);
});

Deno.test("markImage() takes a forged view of the marker's name away; dropMarker() leaves another's marker alone", async () => {
  await using folder = await tempFolder();
  const image = folder.path("image");
  makeDatabase(image);
  const database = new DatabaseSync(image);
  database.exec("create view amber_restore as select 'forged' as plan");
  database.close();
  markImage(image, id);
  markImage(image, id); // again, as after a kill
  assert.equal(lookAtLive(image, { trusted: true }).marker, id);
  await dropMarker(image, "f".repeat(32), { ...quick, isWal: false });
  assert.equal(lookAtLive(image, { trusted: true }).marker, id);
  assert.deepEqual((await folder.list()).filter((path) => path !== "image"), []);
});

Deno.test("lookAtLive() tells what is there, leaves nothing behind, and does not open what names other files", async () => {
  await using folder = await tempFolder({
    "none/": "",
    "empty.db": "",
    "text.db": "this is no database, and is long enough to be asked: ".repeat(40),
    "folder.db/": "",
  });
  makeDatabase(folder.path("good.db"), { pageSize: 2048 });
  makeDatabase(folder.path("linked.db"));
  Deno.symlinkSync("/etc/hostname", folder.path("linked.db-wal"));
  makeDatabase(folder.path("bound.db"));
  const victim = folder.path("victim");
  await Deno.writeTextFile(victim, "must stay");
  await Deno.writeFile(folder.path("bound.db-journal"), superJournal(victim));
  Deno.symlinkSync("good.db", folder.path("link.db"));
  const before = await folder.list();
  const look = (name: string, trusted = false) => lookAtLive(folder.path(name), { trusted });
  assert.deepEqual(look("none/x.db"), { state: "none" });
  assert.deepEqual(look("empty.db"), { state: "empty" });
  assert.deepEqual(look("good.db"), { state: "database", pageSize: 2048, tables: 1, marker: undefined });
  assert.match(look("text.db").why!, /not a SQLite database|not a database/);
  assert.match(look("folder.db").why!, /not a file/);
  assert.match(look("linked.db").why!, /-wal" is no file/);
  assert.match(look("bound.db").why!, /journal names another file/);
  assert.match(look("link.db").why!, /not a file/);
  assert.equal(look("link.db", true).state, "database"); // what is configured may be a link
  assert.deepEqual(await folder.list(), before);
  assert.equal(await Deno.readTextFile(victim), "must stay");
});

/** A journal that names another file at its end, as a commit over several databases leaves it when it is killed. */
function superJournal(name: string): Uint8Array {
  const text = new TextEncoder().encode(name);
  const magic = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
  const bytes = new Uint8Array(512 + text.length + 16);
  bytes.set(magic);
  const view = new DataView(bytes.buffer);
  const end = 512 + text.length;
  bytes.set(text, 512);
  view.setUint32(end, text.length);
  view.setUint32(end + 4, text.reduce((sum, byte) => (sum + byte) >>> 0, 0));
  bytes.set(magic, end + 8);
  return bytes;
}
