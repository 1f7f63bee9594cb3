/** A data folder into which somebody puts what should hurt: design, "Find databases by content", and issue 4's bad input. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { amber } from "../support/command.ts";
import { makeDatabase, patterned, rowsOf } from "../support/data_tree.ts";
import { type App, appIn, putBack } from "../support/restoring.ts";
import { testWith } from "../support/skip.ts";
import { contentsOf, takeSnapshot, writeOut } from "../support/taking.ts";
import { type Files, type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { craftedJournal } from "./crafted_journal.ts";

async function place(files: Files = {}): Promise<TempFolder & { app: App; store: DirectoryStore }> {
  const folder = await tempFolder({ "data/a.txt": "one", "data/up/b.txt": "two", ...files });
  const app = appIn(folder.root);
  makeDatabase(app.database);
  return Object.assign(folder, { app, store: new DirectoryStore(app.repository) });
}

Deno.test("an upload with a journal that names another file is stored as it is, and that file stays", async () => {
  await using at = await place({ "elsewhere/dear": "dear" });
  makeDatabase(at.path("bait.db"), { journal: "delete" });
  const bait = await Deno.readFile(at.path("bait.db"));
  const journal = craftedJournal(bait, at.path("elsewhere/dear"));
  const uploads = Array.from({ length: 4 }, (_, i) => `up/bait-${i}.jpg`);
  for (const upload of uploads) await at.write({ [`data/${upload}`]: bait, [`data/${upload}-journal`]: journal });

  const started = performance.now();
  const { snapshot, remarks, incomplete } = await takeSnapshot(at.app);
  assert.ok(performance.now() - started < 10_000, "each of them was waited for by itself");
  assert.equal(await at.read("elsewhere/dear"), "dear");
  assert.deepEqual(remarks, Object.fromEntries(uploads.map((upload) => [upload, "raw"])));
  assert.equal(incomplete, false);
  const contents = await contentsOf(at.store, snapshot);
  for (const upload of uploads) {
    assert.ok(contents.get(upload)?.type === "file" && contents.has(`${upload}-journal`), upload);
    assert.deepEqual(await Deno.readFile(at.path("data", upload)), bait); // nobody rolled anything back
  }
  assert.deepEqual(snapshot.facts.databases.map(({ path }) => path), ["prod.db"]);

  // To be sure that the journal is what it should be: SQLite itself follows it.
  using database = new DatabaseSync(at.path("data", uploads[0]!));
  database.prepare("select count(*) from notes").get();
  await assert.rejects(at.read("elsewhere/dear"), Deno.errors.NotFound);
});

Deno.test("uploads that look like databases and are none are stored as they are", async () => {
  const header = new TextEncoder().encode("SQLite format 3\0");
  const garbage = patterned(20_000);
  garbage.set(header);
  await using at = await place({ "data/up/garbage.db": garbage, "data/up/header.db": header, "data/up/empty.db": "" });
  makeDatabase(at.path("whole.db"), { rows: 2_000 });
  const whole = await Deno.readFile(at.path("whole.db"));
  const damaged = whole.slice();
  damaged.fill(0xff, 100, 4096); // the schema
  await at.write({ "data/up/cut.db": whole.subarray(0, 10_000), "data/up/damaged.db": damaged });
  const { snapshot, remarks, incomplete } = await takeSnapshot(at.app);
  assert.deepEqual([remarks, incomplete], [
    { "up/cut.db": "raw", "up/damaged.db": "raw", "up/garbage.db": "raw" },
    false,
  ]);
  await writeOut(at.store, snapshot, at.path("back"));
  for (const name of ["garbage", "header", "empty", "cut", "damaged"]) {
    const path = `up/${name}.db`;
    assert.deepEqual(await Deno.readFile(at.path("back", path)), await Deno.readFile(at.path("data", path)), path);
  }
});

Deno.test("an upload with a table of amber's name, with any content, is no history and no reason to fail", async () => {
  await using at = await place();
  for (const [i, value] of ["null", "12", "x'00ff'", `'${"n".repeat(70_000)}'`, "'0007_fine'"].entries()) {
    using database = new DatabaseSync(at.path(`data/up/${i}.db`));
    database.exec(`create table amber_migrations (name, state, applied_at);
      insert into amber_migrations values (${value}, 'applied', 1)`);
  }
  const { snapshot } = await takeSnapshot(at.app);
  assert.deepEqual(
    snapshot.facts.databases.map(({ migrations }) => migrations?.last),
    [undefined, undefined, undefined, undefined, undefined, "0007_fine"],
  );
  assert.equal((await contentsOf(at.store, snapshot)).size, 2 + 1 + 1 + 5);
});

Deno.test("what a killed writer left is rolled back: that state is stored", async () => {
  await using at = await place();
  const path = at.path("data/up/hot.db");
  const script = `
    import { DatabaseSync } from "node:sqlite";
    const database = new DatabaseSync(${JSON.stringify(path)});
    database.exec("pragma journal_mode = delete; create table t (n); insert into t values (1)");
    database.exec("pragma cache_size = 1; begin; create table big (b)");
    for (let i = 0; i < 300; i++) database.exec("insert into big values (randomblob(3000))");
    database.exec("update t set n = 2");
    Deno.kill(Deno.pid, "SIGKILL");`;
  await new Deno.Command(Deno.execPath(), { args: ["eval", "--quiet", script] }).output();
  assert.ok(Deno.statSync(`${path}-journal`).size > 0);
  const { snapshot } = await takeSnapshot(at.app);
  await writeOut(at.store, snapshot, at.path("back"));
  using database = new DatabaseSync(at.path("back/up/hot.db"));
  assert.deepEqual({ ...database.prepare("select n from t").get() }, { n: 1 });
  assert.equal(database.prepare("pragma integrity_check").get()!.integrity_check, "ok");
});

Deno.test("an empty log, links in a ring, a data folder that is a link, a database that is one", async () => {
  await using at = await place({ "real/outside.txt": "outside" });
  Deno.writeTextFileSync(at.path("data/prod.db-wal"), "");
  Deno.symlinkSync("ring2", at.path("data/ring1"));
  Deno.symlinkSync("ring1", at.path("data/ring2"));
  makeDatabase(at.path("real/true.db"), { rows: 4 });
  Deno.symlinkSync("../real/true.db", at.path("data/linked.db"));
  Deno.symlinkSync("data", at.path("alias"));
  const app = appIn(at.root, { data: at.path("alias"), database: at.path("alias/linked.db") });
  const { snapshot, remarks } = await takeSnapshot(app);
  assert.deepEqual(remarks, {});
  const contents = await contentsOf(at.store, snapshot);
  assert.equal(contents.get("linked.db")?.type, "link");
  // The configured database is taken wherever it lies, and what else is linked is not followed.
  assert.deepEqual(
    snapshot.facts.databases.map(({ path, configured, rows }) => [path, configured, rows.notes]),
    [["/database.db", true, 4], ["prod.db", false, 10]],
  );
  assert.ok(![...contents.keys()].some((path) => path.includes("outside")));
  await putBack(app, { to: at.path("back") });
  assert.equal(rowsOf(at.path("back/database.db")).count, 4);
});

Deno.test("a repository, scratch and cache inside data/ are left out, by whatever path they are named", async () => {
  await using at = await place({ "data/cache/x": "x", "data/deep/.scratch/y": "y" });
  Deno.symlinkSync("data/deep", at.path("short"));
  Deno.mkdirSync(at.path("data/deep/kept"));
  const app = appIn(at.root, { repository: at.path("short/kept"), scratch: at.path("short/.scratch") });
  for (let round = 0; round < 3; round++) {
    const { snapshot } = await takeSnapshot(app, { cache: `${at.root}/data/../data/cache` });
    const paths = [...(await contentsOf(new DirectoryStore(app.repository), snapshot)).keys()];
    assert.deepEqual(paths, ["a.txt", "deep", "prod.db", "up", "up/b.txt"]);
  }
});

Deno.test("what is planted where a killed run would have left its links is neither followed nor waited for", async () => {
  await using at = await place({ "elsewhere/lock": "", "elsewhere/dear": "dear" });
  const planted = ["0123456789abcdef", "1123456789abcdef", "2123456789abcdef", "3123456789abcdef"]
    .map((id) => at.path(`data/.amber-${id}`));
  Deno.symlinkSync(at.path("elsewhere"), planted[0]!);
  Deno.mkdirSync(planted[1]!);
  assert.ok(new Deno.Command("mkfifo", { args: [`${planted[1]}/lock`] }).outputSync().success);
  Deno.mkdirSync(planted[2]!);
  Deno.symlinkSync(at.path("elsewhere/dear"), `${planted[2]}/lock`);
  Deno.mkdirSync(planted[3]!); // a run that was killed right here
  const { snapshot } = await takeSnapshot(at.app);
  assert.equal(await at.read("elsewhere/dear"), "dear");
  assert.deepEqual([...Deno.readDirSync(at.path("elsewhere"))].length, 2);
  assert.throws(() => Deno.lstatSync(planted[3]!), Deno.errors.NotFound);
  assert.ok(![...(await contentsOf(at.store, snapshot)).keys()].some((path) => path.startsWith(".amber")));
});

Deno.test("somebody who cleans up the links while they are needed ends the snapshot, which never leaves files out for it", async () => {
  await using at = await place();
  const folders = () =>
    [...Deno.readDirSync(at.app.data)].map(({ name }) => name).filter((name) => /^\.amber-/.test(name));
  await assert.rejects(
    takeSnapshot(at.app, {
      now: () => {
        for (const name of folders()) Deno.removeSync(at.path("data", name), { recursive: true });
        return new Date();
      },
    }),
    { code: "DATA_CHANGING" },
  );
  assert.deepEqual(await at.store.list("snapshots/"), []);
  assert.deepEqual((await takeSnapshot(at.app)).remarks, {});
});

testWith("root", "files that a file system does not tell apart are not taken for one", async () => {
  await using at = await tempFolder({ "memory/": "", "data/": "", "lower/": "" });
  for (let i = 0; i < 20; i++) Deno.writeTextFileSync(at.path(`lower/file-${i}`), `content ${i}`);
  makeDatabase(at.path("lower/one.db"), { rows: 1 });
  makeDatabase(at.path("lower/two.db"), { rows: 2 });
  const run = async (program: string, ...args: string[]) =>
    (await new Deno.Command(program, { args }).output()).success;
  const isMounted = await run("mount", "-t", "tmpfs", "tmpfs", at.path("memory"));
  try {
    for (const name of ["upper", "work"]) Deno.mkdirSync(at.path("memory", name));
    // What lies on another file system than the upper layer gets inodes with their highest bits set.
    const layers = `lowerdir=${at.path("lower")},upperdir=${at.path("memory/upper")},workdir=${at.path("memory/work")}`;
    if (!isMounted || !await run("mount", "-t", "overlay", "overlay", "-o", `${layers},xino=on`, at.path("data"))) {
      return console.log("  not tried: no overlay file system can be mounted here");
    }
    const inodeOf = ({ name }: Deno.DirEntry) => Deno.lstatSync(at.path("data", name)).ino;
    console.log(`  22 files have ${new Set([...Deno.readDirSync(at.path("data"))].map(inodeOf)).size} inodes`);
    const app = appIn(at.root, { database: at.path("data/one.db"), scratch: at.path("scratch") });
    for (let round = 0; round < 2; round++) {
      const { snapshot } = await takeSnapshot(app);
      const contents = await contentsOf(new DirectoryStore(app.repository), snapshot);
      for (let i = 0; i < 20; i++) assert.equal(contents.get(`file-${i}`)?.text, `content ${i}`);
      const rows = snapshot.facts.databases.map(({ path, rows }) => [path, rows.notes]);
      assert.deepEqual(rows, [["one.db", 1], ["two.db", 2]]);
      await putBack(app, { to: at.path(`back-${round}`) });
      for (const [i, name] of ["one", "two"].entries()) {
        assert.equal(rowsOf(at.path(`back-${round}`, `${name}.db`)).count, i + 1);
      }
    }
  } finally {
    for (const name of ["data", "memory"]) await run("umount", "-l", at.path(name)); // -l: SQLite's files stay open
  }
});

Deno.test("a data folder that is missing, empty, a file, or holds the repository as a whole is refused", async () => {
  await using at = await place({ "empty/": "", "file.txt": "x" });
  const env = { DB_PATH: "data/prod.db", AMBER_REPOSITORY: "repository" };
  const cases: [string, Record<string, string>][] = [
    ["DATA_MISSING", { AMBER_DATA: "nowhere", DB_PATH: "nowhere/prod.db" }],
    ["DATA_EMPTY", { AMBER_DATA: "empty", DB_PATH: "empty/prod.db" }],
    ["DATA_MISSING", { AMBER_DATA: "file.txt" }],
    ["CONFIG_VALUE", { AMBER_REPOSITORY: "data" }],
  ];
  for (const [code, changed] of cases) {
    const { code: exit, json } = await amber(["snapshot", "--json"], { cwd: at.root, env: { ...env, ...changed } });
    assert.deepEqual([json.at(-1)?.code, exit], [code, 2], JSON.stringify(changed));
  }
});
