/** A journal that names a file elsewhere, planted where a restore, a drill or a wipe comes by: that file stays. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { guardAgainstRestore } from "../../lib/stories/unfinished_restore.ts";
import { amber } from "../support/command.ts";
import { makeDatabase, rowsOf } from "../support/data_tree.ts";
import { steppedCalls, systemFailure } from "../support/faulty_restore.ts";
import { type App, appIn, placesOf, putBack } from "../support/restoring.ts";
import { takeSnapshot } from "../support/taking.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { wipeApp } from "../support/wiping.ts";
import { craftedJournal } from "./crafted_journal.ts";

/** An app with a second database, of which there is a snapshot. */
async function place(): Promise<TempFolder & { app: App; second: string }> {
  const folder = await tempFolder({ "elsewhere/dear": "dear", "data/a.txt": "one" });
  const app = appIn(folder.root);
  makeDatabase(app.database);
  const second = folder.path("data/second.db");
  makeDatabase(second, { journal: "delete", rows: 20 });
  await takeSnapshot(app);
  return Object.assign(folder, { app, second });
}

/** Somebody puts it beside a database of the app. */
async function plant(at: TempFolder, database: string): Promise<void> {
  const bytes = craftedJournal(await Deno.readFile(database), at.path("elsewhere/dear"));
  await Deno.writeFile(`${database}-journal`, bytes);
}

/** The file lives, and SQLite itself would have removed it: so the journal is what it should be. */
async function assertAlive(at: TempFolder, database: string): Promise<void> {
  assert.equal(await at.read("elsewhere/dear"), "dear");
  using opened = new DatabaseSync(database);
  opened.prepare("select count(*) from notes").get();
  await assert.rejects(at.read("elsewhere/dear"), Deno.errors.NotFound);
}

Deno.test("a restore over a database beside which it lies is blocked, and touches nothing", async () => {
  await using at = await place();
  await at.write({ "data/a.txt": "spoiled" });
  await plant(at, at.second);
  await assert.rejects(putBack(at.app), { code: "RESTORE_BLOCKED", hint: /--replace/ });
  assert.equal(await at.read("data/a.txt"), "spoiled");
  await assertAlive(at, at.second);
});

Deno.test("with --replace the database is put back, and the planted journal goes unread", async () => {
  await using at = await place();
  const before = rowsOf(at.second);
  {
    using database = new DatabaseSync(at.second);
    database.exec("delete from notes");
  }
  await plant(at, at.second);
  await putBack(at.app, { replace: true });
  assert.throws(() => Deno.lstatSync(`${at.second}-journal`), Deno.errors.NotFound);
  assert.deepEqual(rowsOf(at.second), before);
  assert.equal(await at.read("elsewhere/dear"), "dear");
});

Deno.test("planted between a restore that was interrupted and the command that finishes it", async () => {
  await using at = await place();
  using server = new DatabaseSync(at.second);
  server.exec("delete from notes");
  const calls = steppedCalls((step) => {
    if (step.call === "putImage") throw systemFailure("EIO", step);
  });
  await assert.rejects(putBack(at.app, { noSafety: true, calls }), { code: "FILE_UNWRITABLE" });
  server.close();
  await plant(at, at.second);
  const places = async () => await placesOf(at.app);
  await assert.rejects(
    async () =>
      (await guardAgainstRestore(at.app.scratch, { ...await places(), waitMs: 1_000 }, places))[Symbol.dispose](),
    { code: "RESTORE_BLOCKED" },
  );
  await assertAlive(at, at.second);
});

Deno.test("stored as a file it comes back as one: neither a restore, a drill, a verify, a diff nor a wipe opens it", async () => {
  await using at = await place();
  await plant(at, at.second);
  const { remarks } = await takeSnapshot(at.app);
  assert.equal(remarks["second.db"], "raw");
  const journal = await Deno.readFile(`${at.second}-journal`);
  await putBack(at.app, { to: at.path("back") });
  assert.deepEqual(await Deno.readFile(at.path("back/second.db-journal")), journal);
  const env = { DB_PATH: "data/prod.db", AMBER_REPOSITORY: "repository" };
  for (const command of ["drill", "verify", "diff latest", "snapshot --plan", "status --max-age 1d"]) {
    const { code, stderr } = await amber(command.split(" "), { cwd: at.root, env });
    assert.equal(code, 0, `${command}: ${stderr}`);
  }
  assert.equal(await at.read("elsewhere/dear"), "dear");
  await wipeApp(at.app);
  assert.equal(await at.read("elsewhere/dear"), "dear");
  assert.throws(() => Deno.lstatSync(at.second), Deno.errors.NotFound);
  await putBack(at.app, { noSafety: true });
  assert.deepEqual(await Deno.readFile(`${at.second}-journal`), journal);
  assert.equal((await new DirectoryStore(at.app.repository).list("snapshots/")).length, 3); // the wipe's safety one
  await assertAlive(at, at.second);
});
