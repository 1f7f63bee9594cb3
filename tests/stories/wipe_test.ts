/** A wipe on a disk that fails, and what it waits for. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { AmberError } from "../../lib/errors.ts";
import { unfinishedWipe } from "../../lib/stories/unfinished_wipe.ts";
import { makeDatabase } from "../support/data_tree.ts";
import { type App, appIn, putBack, take } from "../support/restoring.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { finishApp, steppedWipe, wipeApp } from "../support/wiping.ts";

function make(app: App): void {
  Deno.mkdirSync(`${app.data}/uploads`, { recursive: true });
  for (let i = 0; i < 3; i++) Deno.writeTextFileSync(`${app.data}/uploads/${i}`, `upload ${i}`);
  Deno.writeTextFileSync(`${app.data}/settings.json`, "{}");
  makeDatabase(app.database, { rows: 10 });
}

const isOld = (app: App) => [...Deno.readDirSync(app.data)].some(({ name }) => name === "settings.json");

function rows(app: App): number | undefined {
  using database = new DatabaseSync(app.database);
  const isThere = database.prepare("select 1 from sqlite_schema where name = 'notes'").get();
  return isThere && Number(database.prepare("select count(*) as count from notes").get()!.count);
}

/** A safety snapshot costs time, and is told elsewhere. */
const takeSafety = () => Promise.resolve({ id: "0123456789", incomplete: false });

for (const code of ["ENOSPC", "EIO"]) {
  Deno.test(`wipe: ${code} at each step is told, and the next command leaves all of it or nothing`, async (t) => {
    const outcomes = { untouched: 0, wiped: 0 };
    for (let failAt = 1;; failAt++) {
      await using folder = await tempFolder();
      const app = appIn(folder.root);
      make(app);
      let hasFailed = false;
      const calls = steppedWipe((number, call) => {
        if (number !== failAt) return;
        hasFailed = true;
        throw Object.assign(new Error(`${code} at ${call}`), { code });
      });
      const error = await wipeApp(app, { calls, takeSafety }).then(() => undefined, (error) => error);
      if (!hasFailed) break;
      const story = `step ${failAt}: ${error}`;
      if (error === undefined) assert.equal(isOld(app), false, story); // what is in the way of nobody may stay
      else if (!/ at (holdToEmpty|empty|giveBackSpace)$/.test(error.message)) {
        assert.ok(error instanceof AmberError, story);
        assert.equal(error.code, code === "ENOSPC" ? "DISK_FULL" : "FILE_UNWRITABLE", story);
      }
      await finishApp(app);
      outcomes[isOld(app) ? "untouched" : "wiped"]++;
      assert.equal(rows(app), isOld(app) ? 10 : undefined, story);
      assert.equal(unfinishedWipe(app.scratch), undefined, story);
      await wipeApp(app, { takeSafety });
      const left = [...Deno.readDirSync(app.data)].map(({ name }) => name).sort();
      assert.deepEqual(left.filter((name) => !/-(wal|shm)$/.test(name)), [".amber", "prod.db"], story);
      assert.deepEqual([...Deno.readDirSync(app.scratch)].map(({ name }) => name), ["restore.lock"], story);
    }
    console.log(`${t.name}: ${JSON.stringify(outcomes)}`);
    assert.ok(outcomes.untouched >= 5 && outcomes.wiped >= 5, JSON.stringify(outcomes));
  });
}

Deno.test("wipe: between the safety snapshot and the emptying nobody can commit", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root);
  make(app);
  using server = new DatabaseSync(app.database, { timeout: 0 });
  server.exec("insert into notes (text) values ('before')");
  const { safety } = await wipeApp(app, {
    takeSafety: async (held) => {
      const id = await take(app, { kind: "safety", before: "wipe", held });
      assert.throws(() => server.exec("insert into notes (text) values ('lost')"), /locked/);
      return { id, incomplete: false };
    },
  });
  assert.ok(safety);
  assert.equal(rows(app), undefined);
});

Deno.test("wipe: a signal before anything is decided stops it, and changes nothing", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root);
  make(app);
  const stop = new AbortController();
  const reason = new Error("enough");
  const stopping = () => {
    stop.abort(reason);
    return takeSafety();
  };
  await assert.rejects(wipeApp(app, { stop: stop.signal, takeSafety: stopping }), (error) => error === reason);
  assert.deepEqual([isOld(app), rows(app)], [true, 10]);
});

Deno.test("wipe: one that was begun for another folder is told, and left alone", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root);
  make(app);
  let id = "";
  const calls = steppedWipe((_, call) => {
    if (call === "makeTrash") throw Object.assign(new Error("EIO"), { code: "EIO" });
  });
  await assert.rejects(wipeApp(app, { calls, takeSafety: () => (id = "abcdef0123", takeSafety()) }), {
    code: "FILE_UNWRITABLE",
  });
  const found = unfinishedWipe(app.scratch);
  assert.match(found!.message, /a wipe was interrupted.*snapshot 0123456789/);
  assert.ok(id);
  const other = { ...app, data: folder.path("other") };
  Deno.mkdirSync(other.data);
  Deno.writeTextFileSync(`${other.data}/settings.json`, "{}");
  assert.equal(await finishApp(other), false);
  assert.ok(isOld(other));
  assert.equal(await finishApp(app), true);
  assert.equal(isOld(app), false);
});

Deno.test("wipe: names with backslashes, line ends and dots are removed as any others, and come back", async () => {
  const names = ["a\\b", "c\\d\\", "line\nend", " ", "...", "-rf", "*", "ünï"];
  await using folder = await tempFolder(Object.fromEntries(names.map((name) => [`data/${name}/${name}`, name])));
  const app = appIn(folder.root);
  makeDatabase(app.database);
  const id = await take(app);
  await wipeApp(app);
  const left = [...Deno.readDirSync(app.data)].map(({ name }) => name).sort();
  assert.deepEqual(left.filter((name) => !/-(wal|shm)$/.test(name)), [".amber", "prod.db"]);
  await putBack(app, { wanted: id });
  for (const name of names) assert.equal(Deno.readTextFileSync(`${app.data}/${name}/${name}`), name);
});
