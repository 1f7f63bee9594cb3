import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { AmberError } from "../../lib/errors.ts";
import { guardAgainstRestore, unfinishedRestore } from "../../lib/stories/unfinished_restore.ts";
import { makeDatabase, makeEverything, makeOwned, rowsOf, treeOf } from "../support/data_tree.ts";
import { type App, appIn, placesOf, putBack, take, takeSafety } from "../support/restoring.ts";
import { testWith } from "../support/skip.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

/** An app with some files and its configured database, and a snapshot of them. */
async function appWith(folder: TempFolder, parts: Partial<App> = {}): Promise<App> {
  const app = appIn(folder.root, parts);
  await folder.write({ "data/a": "one", "data/uploads/b": "two", "data/uploads/c": "three" });
  makeDatabase(app.database, { rows: 20, text: "kept" });
  await take(app);
  return app;
}

/** What the data folder holds; folders' times aside, which looking into a database changes. */
function seen(app: App): Record<string, unknown> {
  const tree = treeOf(app.data, { except: [".amber", "repository"] });
  return Object.fromEntries(Object.entries(tree).map(([path, one]) => [path, one.type === "folder" ? "folder" : one]));
}

function textsOf(path: string): string[] {
  const database = new DatabaseSync(path);
  try {
    return database.prepare("select text from notes order by id").all().map((row) =>
      String(row.text).slice(0, 7).trim()
    );
  } finally {
    database.close();
  }
}

Deno.test("restore() brings back a tree with everything in it, in place and into another folder", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root);
  makeEverything(app.data);
  makeDatabase(app.database, { rows: 30 });
  const before = treeOf(app.data);
  await take(app);
  Deno.removeSync(`${app.data}/names`, { recursive: true });
  Deno.writeTextFileSync(`${app.data}/hard/b`, "all three names change");
  Deno.removeSync(`${app.data}/links/outside`);
  Deno.writeTextFileSync(`${app.data}/links/outside`, "a file where a link was");
  Deno.removeSync(`${app.data}/empty`);
  Deno.truncateSync(`${app.data}/sizes/several`, 1000);
  Deno.mkdirSync(`${app.data}/new/er`, { recursive: true });
  makeDatabase(`${app.data}/new/other.db`);
  const { state, gone, safety, plan } = await putBack(app);
  assert.deepEqual([state, gone, plan!.goes], ["restored", 1, ["new"]]);
  assert.match(safety!, /^[0-9a-f]{10}$/);
  assert.deepEqual(treeOf(app.data), before);
  await putBack(app, { to: folder.path("other") });
  assert.deepEqual(treeOf(folder.path("other")), before);
  assert.equal(Deno.statSync(folder.path("other")).mode! & 0o777, 0o700);
  assert.deepEqual([...Deno.readDirSync(folder.path("other"))].filter(({ name }) => name === ".amber"), []);
});

testWith("root", "restore() gives owners and set-id bits back only when asked to", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root);
  Deno.mkdirSync(app.data);
  makeOwned(app.data);
  makeDatabase(app.database);
  const before = treeOf(app.data, { owners: true });
  await take(app);
  await putBack(app, { to: folder.path("ours") });
  const ours = treeOf(folder.path("ours"), { owners: true });
  assert.deepEqual([ours.setuid!.mode, ours.setuid!.owner, ours.theirs!.mode], ["755", "0:0", "770"]);
  await putBack(app, { to: folder.path("theirs"), owners: true });
  assert.deepEqual(treeOf(folder.path("theirs"), { owners: true }), before);
});

Deno.test("restore() of paths touches nothing else, and removes nothing", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  await folder.write({ "data/a": "changed", "data/uploads/b": "changed", "data/uploads/new": "new" });
  Deno.removeSync(`${app.data}/uploads/c`);
  const { placed, plan } = await putBack(app, { selection: { paths: ["uploads/c"] } });
  assert.deepEqual([placed, plan!.overwrites], [1, false]);
  assert.deepEqual([await folder.read("data/uploads/c"), await folder.read("data/uploads/b")], ["three", "changed"]);
  await putBack(app, { selection: { paths: ["./uploads/"] } });
  assert.deepEqual([await folder.read("data/uploads/b"), await folder.read("data/uploads/new")], ["two", "new"]);
  assert.equal(await folder.read("data/a"), "changed");
  await assert.rejects(putBack(app, { selection: { paths: ["nope"] } }), { code: "SNAPSHOT_FILE_UNKNOWN" });
  await assert.rejects(putBack(app, { selection: { paths: ["a"], files: true } }), { code: "USAGE" });
});

Deno.test("restore() of the database alone goes to the one that is configured now; of the files alone leaves it", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  await folder.write({ "data/a": "changed" });
  const local = { ...app, database: folder.path("local.db") };
  await putBack(local, { selection: { database: true } });
  assert.equal(textsOf(local.database).length, 20);
  assert.equal(await folder.read("data/a"), "changed");
  makeChange(app.database);
  await putBack(app, { selection: { files: true } });
  assert.equal(textsOf(app.database).length, 21);
  assert.equal(await folder.read("data/a"), "one");
  await putBack(app, { selection: { database: true } });
  assert.equal(textsOf(app.database).length, 20);
});

Deno.test("restore() --to puts a database from outside to database.db, and touches nothing of the app", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder, { database: folder.path("local.db") });
  makeChange(app.database);
  const before = [seen(app), textsOf(app.database)];
  const { safety } = await putBack(app, { to: folder.path("other") });
  assert.equal(safety, undefined);
  assert.equal(textsOf(folder.path("other/database.db")).length, 20);
  assert.deepEqual([seen(app), textsOf(app.database)], before);
  await assert.rejects(putBack(app, { to: folder.path("other") }), { code: "USAGE", message: /not empty/ });
  await assert.rejects(putBack(app, { to: folder.path("data/a") }), { code: "USAGE", message: /not a folder/ });
  await assert.rejects(putBack(app, { to: folder.path("repository/new") }), {
    code: "USAGE",
    message: /in the repository/,
  });
});

Deno.test("restore() as of a time, by an id, and of nothing that there is", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  const between = new Date();
  await folder.write({ "data/a": "later" });
  await new Promise((resolve) => setTimeout(resolve, 2)); // another millisecond
  const later = await take(app);
  await folder.write({ "data/a": "spoiled" });
  await putBack(app, { at: between });
  assert.equal(await folder.read("data/a"), "one");
  await putBack(app, { wanted: later });
  assert.equal(await folder.read("data/a"), "later");
  await assert.rejects(putBack(app, { at: new Date(0) }), { code: "SNAPSHOT_UNKNOWN" });
  await assert.rejects(putBack(app, { wanted: "ffffffff" }), { code: "SNAPSHOT_UNKNOWN" });
  await assert.rejects(putBack(app, { wanted: later, at: between }), { code: "USAGE" });
  await assert.rejects(putBack(appIn(folder.path("nowhere"))), { code: "REPOSITORY_MISSING" });
});

Deno.test("restore() with plan changes nothing, and shows what would be done", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  await folder.write({ "data/new": "x", "data/a": "changed" });
  const before = [treeOf(app.data, { except: [] }), await folder.list()];
  const { state, plan } = await putBack(app, {
    plan: true,
    takeSafety: () => Promise.reject(new Error("none is taken")),
    confirm: () => Promise.reject(new Error("nothing is asked")),
  });
  assert.equal(state, "planned");
  assert.deepEqual(plan!.goes, ["new"]);
  assert.deepEqual(plan!.items.find(({ path }) => path === "a")?.how, "replaced");
  assert.deepEqual(plan!.databases.map(({ way, rows, configured }) => [way, rows, configured]), [["live", 20, true]]);
  assert.ok(plan!.freeBytes! > 0 && plan!.neededBytes > 0);
  assert.deepEqual([treeOf(app.data, { except: [] }), await folder.list()], before);
});

Deno.test("restore() tells the migration state that comes back", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root);
  await folder.write({ "data/a": "one" });
  const database = new DatabaseSync(app.database);
  database.exec(`create table amber_migrations (name text, state text, applied_at text);
    insert into amber_migrations values ('0001_first', 'applied', '2026'), ('0002_second', 'applied', '2027')`);
  database.close();
  await take(app);
  const { plan } = await putBack(app, { plan: true });
  assert.deepEqual(plan!.databases[0]!.migrations, { count: 2, last: "0002_second" });
});

Deno.test("restore() asks before it overwrites, and nothing is touched when the answer is no", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  await folder.write({ "data/a": "changed" });
  const before = seen(app);
  const no = new AmberError("CONFIRMATION_NEEDED", { message: "no" });
  const taken: string[] = [];
  const confirm = () => {
    throw no;
  };
  await assert.rejects(putBack(app, { confirm, takeSafety: () => Promise.reject(taken.push("safety")) }), no);
  assert.deepEqual([seen(app), taken], [before, []]);
  Deno.removeSync(app.data, { recursive: true });
  await putBack(app, { confirm, takeSafety: () => Promise.reject(new Error("there is nothing to keep")) });
  assert.equal(await folder.read("data/a"), "one");
});

Deno.test("restore() takes a safety snapshot first, which restores what was overwritten", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  await folder.write({ "data/a": "precious", "data/new": "precious too" });
  makeChange(app.database);
  const before = seen(app);
  const { safety, events } = await putBack(app);
  assert.notDeepEqual(seen(app), before);
  assert.deepEqual(events.find(({ type }) => type === "safety"), {
    type: "safety",
    id: safety,
    command: `amber restore ${safety}`,
  });
  const order = events.map(({ type }) => type).filter((type) => type !== "progress");
  assert.deepEqual(order, ["restoring", "restore plan", "safety", "decided"]);
  await putBack(app, { wanted: safety! });
  assert.deepEqual(seen(app), before);
  // And latest is an ordinary one, always.
  assert.equal((await putBack(app)).snapshot!.kind, "ordinary");
  assert.equal(await folder.read("data/a"), "one");
});

Deno.test("restore() stops when the safety snapshot fails or is incomplete; noSafety is the way past", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  await folder.write({ "data/a": "changed" });
  const before = seen(app);
  const failing = () => Promise.reject(new AmberError("STORE_FULL", { message: "Cannot store: no room" }));
  await assert.rejects(putBack(app, { takeSafety: failing }), {
    code: "SAFETY_SNAPSHOT_FAILED",
    message: /no room/,
    hint: /--no-safety/,
  });
  const incomplete = async () => ({ ...await takeSafety(app), incomplete: true });
  await assert.rejects(putBack(app, { takeSafety: incomplete }), {
    code: "SAFETY_SNAPSHOT_FAILED",
    message: /incomplete/,
  });
  assert.deepEqual(seen(app), before);
  await putBack(app, { takeSafety: failing, noSafety: true });
  assert.equal(await folder.read("data/a"), "one");
});

Deno.test("restore() leaves alone what is amber's own, what is excluded, and what is no file", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root, { repository: folder.path("data/repository"), exclude: ["*.tmp", "/cache/"] });
  await folder.write({
    "data/a": "one",
    "data/cache/page": "p",
    "data/x.tmp": "t",
    "data/lost+found/": "",
    "data/.amber-0123456789abcdef/0": "another snapshot's links",
  });
  makeDatabase(app.database);
  await take(app);
  using _socket = Deno.listen({ transport: "unix", path: folder.path("data/new/../socket") });
  await folder.write({
    "data/cache/page": "p2",
    "data/new/y.tmp": "t2",
    "data/new/gone": "g",
    "data/lost+found/x": "x",
  });
  const { plan } = await putBack(app);
  assert.deepEqual(plan!.goes, ["new/gone"]);
  const left = (await folder.list()).filter((path) => !/^data\/(repository|\.amber)\//.test(path));
  assert.deepEqual(left, [
    "data/.amber-0123456789abcdef/0",
    "data/a",
    "data/cache/page",
    "data/lost+found/x",
    "data/new/y.tmp",
    "data/prod.db",
    "data/socket",
    "data/x.tmp",
  ]);
  assert.equal(await folder.read("data/cache/page"), "p2");
});

Deno.test("restore() follows no link: what it would write through one stays untouched", async () => {
  await using folder = await tempFolder({ "outside/b": "mine", "outside/keep": "mine" });
  const app = await appWith(folder);
  Deno.removeSync(`${app.data}/uploads`, { recursive: true });
  Deno.symlinkSync("../outside", `${app.data}/uploads`);
  Deno.removeSync(`${app.data}/a`);
  Deno.symlinkSync("../outside/keep", `${app.data}/a`);
  await putBack(app);
  assert.deepEqual([await folder.read("data/uploads/b"), await folder.read("data/a")], ["two", "one"]);
  assert.deepEqual([await folder.read("outside/b"), await folder.read("outside/keep")], ["mine", "mine"]);
  assert.deepEqual((await folder.list()).filter((path) => path.startsWith("outside/")), ["outside/b", "outside/keep"]);
});

Deno.test("restore() where no database stands is not misled by what an old one left", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  const kept = rowsOf(app.database);
  // A real -wal of another state, which would be read as this database's.
  const writer = new DatabaseSync(app.database);
  writer.exec("pragma wal_autocheckpoint = 0; update notes set text = 'stale'");
  const wal = Deno.readFileSync(`${app.database}-wal`);
  writer.close();
  for (const end of ["", "-wal", "-shm"]) if (await exists(app.database + end)) Deno.removeSync(app.database + end);
  Deno.writeFileSync(`${app.database}-wal`, wal);
  Deno.writeTextFileSync(`${app.database}-journal`, "stale");
  await putBack(app);
  assert.deepEqual(rowsOf(app.database), kept);
});

Deno.test("restore() into a file of no bytes goes through SQLite: whoever has it open goes on with it", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  Deno.truncateSync(app.database);
  using server = new DatabaseSync(app.database);
  server.exec("pragma user_version");
  const { ino } = Deno.statSync(app.database);
  await putBack(app);
  assert.equal(Deno.statSync(app.database).ino, ino);
  assert.equal(server.prepare("select count(*) as count from notes").get()!.count, 20);
});

Deno.test("restore() stops before a live database of another page size or a damaged one; --replace renames", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  const kept = rowsOf(app.database);
  const spoilers: [string, () => void][] = [
    ["pages have 8192 bytes", () => makeDatabase(app.database, { pageSize: 8192, rows: 3 })],
    ["cannot be read .*not a database", () => Deno.writeTextFileSync(app.database, "garbage ".repeat(2000))],
  ];
  for (const [why, spoil] of spoilers) {
    Deno.removeSync(app.database);
    spoil();
    const before = Deno.readFileSync(app.database);
    await assert.rejects(putBack(app, { noSafety: true }), {
      code: "RESTORE_BLOCKED",
      message: new RegExp(why),
      hint: /--replace/,
    });
    assert.deepEqual(Deno.readFileSync(app.database), before);
    assert.equal(unfinishedRestore(app.scratch), undefined);
    await putBack(app, { noSafety: true, replace: true });
    assert.deepEqual(rowsOf(app.database), kept);
  }
});

Deno.test("restore() restores what was not sound as it was, and says so", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root);
  await folder.write({ "data/a": "one" });
  const database = new DatabaseSync(app.database, { enableForeignKeyConstraints: false });
  database.exec(`create table a (id integer primary key); create table b (a integer references a (id));
    insert into b values (7)`);
  database.close();
  await take(app);
  const { notes } = await putBack(app);
  assert.match(notes.join(), /1 rows that refer to missing ones \(b\)/);
});

Deno.test("two restores at once: the second waits, and gives up with its own code", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  await folder.write({ "data/a": "changed" });
  const second = Promise.withResolvers<unknown>();
  await putBack(app, {
    confirm: async () => {
      await putBack(app, { waitMs: 50 }).catch(second.resolve);
      const places = async () => await placesOf(app);
      const guard = guardAgainstRestore(app.scratch, { ...await places(), waitMs: 50 }, places);
      await assert.rejects(guard, { code: "RESTORE_RUNNING" });
    },
  });
  assert.equal((await second.promise as AmberError).code, "RESTORE_RUNNING");
  assert.equal((await second.promise as AmberError).exitStatus, 5);
  assert.equal(await folder.read("data/a"), "one");
});

Deno.test("a command that writes keeps restores from beginning while it runs", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  const places = async () => await placesOf(app);
  {
    using _guard = await guardAgainstRestore(app.scratch, { ...await places(), waitMs: 50 }, places);
    using _other = await guardAgainstRestore(app.scratch, { ...await places(), waitMs: 50 }, places); // others may write as well
    Deno.mkdirSync(app.scratch, { recursive: true });
    using _third = await guardAgainstRestore(app.scratch, { ...await places(), waitMs: 50 }, places);
    await assert.rejects(putBack(app, { waitMs: 50 }), { code: "RESTORE_RUNNING" });
  }
  await putBack(app, { waitMs: 50 });
});

function makeChange(path: string): void {
  const database = new DatabaseSync(path);
  database.exec("insert into notes (text) values ('later')");
  database.close();
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}
