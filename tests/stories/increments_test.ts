/** What the second snapshot costs, and that a killed one is continued. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Snapshot } from "../../lib/repository/snapshot_file.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { spawnCommand } from "../support/command.ts";
import { type App, appIn } from "../support/restoring.ts";
import { contentsOf, packBytes, readEverything, takeSnapshot } from "../support/taking.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

const mb = 1_000_000;

/** Bytes that cannot be compressed. */
function noise(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(size, at + 65_536)));
  return bytes;
}

function makeDatabase(path: string, rows: number): void {
  using database = new DatabaseSync(path);
  database.exec("pragma journal_mode = wal; create table notes (id integer primary key, body blob)");
  const insert = database.prepare("insert into notes (body) values (?)");
  database.exec("begin");
  for (let i = 0; i < rows; i++) insert.run(noise(700));
  database.exec("commit");
}

/** How many files a snapshot holds; each is read whole. */
async function filesIn(store: DirectoryStore, snapshot: Snapshot): Promise<number> {
  return [...(await contentsOf(store, snapshot)).values()].filter(({ type }) => type === "file").length;
}

async function withData(
  body: (at: { app: App; data: string; store: DirectoryStore; folder: TempFolder }) => Promise<void>,
) {
  await using folder = await tempFolder({
    "data/uploads/small.bin": noise(300_000),
    "data/uploads/large.bin": noise(5 * mb),
  });
  const app = appIn(folder.root, { database: folder.path("data/app.db") });
  makeDatabase(app.database, 20_000); // 15 MB
  await body({ app, data: app.data, store: new DirectoryStore(app.repository), folder });
}

Deno.test("nothing changed costs nothing, and what moved or was copied costs its line in the tree", async () => {
  await withData(async ({ app, data, store }) => {
    const first = await takeSnapshot(app);
    assert.ok(first.snapshot.facts.stored > 19 * mb, `${first.snapshot.facts.stored}`);
    const second = await takeSnapshot(app, { reread: true });
    assert.equal(second.snapshot.facts.stored, 0);
    Deno.renameSync(`${data}/uploads/large.bin`, `${data}/moved.bin`);
    Deno.copyFileSync(`${data}/uploads/small.bin`, `${data}/copy.bin`);
    Deno.utimeSync(`${data}/uploads/small.bin`, 1, 1);
    const third = await takeSnapshot(app);
    assert.ok(third.snapshot.facts.stored < 20_000, `${third.snapshot.facts.stored}`);
    assert.equal(await filesIn(store, third.snapshot), 4);
  });
});

Deno.test("of a database only changed pages are stored, of a file only changed pieces", async () => {
  await withData(async ({ app, data, store }) => {
    await takeSnapshot(app);
    using database = new DatabaseSync(`${data}/app.db`);
    database.exec("update notes set body = randomblob(700) where id % 500 = 0"); // 40 pages of 4,000
    const pages = await takeSnapshot(app);
    assert.ok(pages.snapshot.facts.stored < 0.4 * mb, `${pages.snapshot.facts.stored}`);
    database.exec("insert into notes (body) select randomblob(700) from notes limit 500");
    const rows = await takeSnapshot(app);
    assert.ok(rows.snapshot.facts.stored < 0.8 * mb, `${rows.snapshot.facts.stored}`);
    using file = Deno.openSync(`${data}/uploads/large.bin`, { write: true, append: true });
    file.writeSync(noise(10_000));
    const appended = await takeSnapshot(app);
    assert.ok(appended.snapshot.facts.stored < 1.2 * mb, `${appended.snapshot.facts.stored}`);
    assert.equal(await readEverything(store), 4);
  });
});

Deno.test("a snapshot that was killed is continued: what is stored is not stored again", async () => {
  await using folder = await tempFolder({ "data/z.bin": noise(20 * mb) });
  const app = appIn(folder.root, { database: folder.path("data/app.db") });
  makeDatabase(app.database, 40_000);
  const store = new DirectoryStore(app.repository);
  const script = new URL("../faults/killed_snapshot.ts", import.meta.url).pathname;
  {
    // Killed when it has left its second trace, in the middle of the work.
    const run = ["run", "-A", "--quiet", script, folder.root, "partial:2", JSON.stringify({ partialBytes: 4 << 20 })];
    await using running = spawnCommand(Deno.execPath(), run, { cwd: folder.root });
    assert.equal((await running.result).signal, "SIGKILL");
    assert.equal((await store.list("snapshots/")).length, 1); // each trace replaces the one before
  }
  const partial = await packBytes(store);
  assert.ok(partial > 8 * mb, `${partial}`);
  const { snapshot } = await takeSnapshot(app);
  const all = await packBytes(store);
  assert.ok(snapshot.facts.stored <= all - partial, `${snapshot.facts.stored} of ${all}, ${partial} were there`);
  assert.ok(snapshot.facts.stored < all * 0.8, `${snapshot.facts.stored} of ${all} was stored by the second run`);
  assert.deepEqual((await store.list("snapshots/")).length, 1);
  assert.equal(await filesIn(store, snapshot), 2);
  assert.deepEqual(
    [...Deno.readDirSync(app.data)].map(({ name }) => name).filter((name) => name.startsWith(".amber-")),
    [],
  );
});

Deno.test("what lies in a pack that is gone, or damaged where it is read, is stored again", async () => {
  await withData(async ({ app, data, store, folder }) => {
    await takeSnapshot(app);
    for (const { name } of await store.list("packs/")) Deno.removeSync(folder.path("repository", name));
    Deno.writeTextFileSync(`${data}/new.txt`, "new");
    const { snapshot } = await takeSnapshot(app);
    assert.ok(snapshot.facts.stored > 19 * mb, `${snapshot.facts.stored}`);
    assert.equal(await filesIn(store, snapshot), 4);
  });
});

Deno.test("packs of which little is in use are left behind", async () => {
  await withData(async ({ app, data, store }) => {
    const first = await takeSnapshot(app);
    using database = new DatabaseSync(`${data}/app.db`);
    for (let round = 0; round < 8; round++) {
      database.exec(`update notes set body = randomblob(700) where id % 8 = ${round}`);
      Deno.writeFileSync(`${data}/uploads/large.bin`, noise(5 * mb));
      await takeSnapshot(app);
    }
    const { snapshot } = await takeSnapshot(app);
    const old = new Set(first.snapshot.packs.map(({ hash }) => hash));
    const kept = snapshot.packs.filter(({ hash }) => old.has(hash));
    assert.ok(kept.length < old.size, `${kept.length} of ${old.size} old packs are still named`);
    assert.equal(await filesIn(store, snapshot), 3);
  });
});
