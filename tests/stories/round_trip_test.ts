import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { otherUser } from "../support/command.ts";
import { amber } from "../support/command.ts";
import { makeDatabase, makeEverything, makeOwned, rowsOf, treeOf } from "../support/data_tree.ts";
import { appIn, putBack } from "../support/restoring.ts";
import { testWith } from "../support/skip.ts";
import { contentsOf, takeSnapshot } from "../support/taking.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { isRoot } from "../support/user.ts";

Deno.test("a tree with everything in it comes back equal", async () => {
  await using folder = await tempFolder({ "data/": "" });
  const app = { ...appIn(folder.root), database: folder.path("data/notes.db") };
  makeEverything(app.data);
  if (isRoot()) makeOwned(app.data);
  Deno.symlinkSync(folder.path("data"), folder.path("data/links/loop"));
  Deno.symlinkSync("self", folder.path("data/links/self"));
  Deno.symlinkSync("../notes.db", folder.path("data/links/database"));
  // A database with a second name, in a folder that sorts after it.
  Deno.linkSync(folder.path("data/deep/old.sqlite"), folder.path("data/hard/old again"));
  const { snapshot, incomplete } = await takeSnapshot(app);
  assert.equal(incomplete, false);
  const named = snapshot.facts.remarks.filter(({ what }) => what !== "rollback");
  assert.deepEqual(named, []);
  await putBack(app, { to: folder.path("back"), owners: isRoot() });
  const options = { except: [".amber", "links"], owners: isRoot() };
  const [there, back] = [treeOf(app.data, options), treeOf(folder.path("back"), options)];
  assert.deepEqual(back, there);
  assert.ok(Object.keys(there).length > 40);
  const links = (root: string) =>
    Object.fromEntries(
      [...Deno.readDirSync(`${root}/links`)].map(({ name }) => [name, Deno.readLinkSync(`${root}/links/${name}`)]),
    );
  assert.deepEqual(links(folder.path("back")), links(app.data));
  const [one, two] = ["deep/old.sqlite", "hard/old again"].map((path) => Deno.statSync(folder.path("back", path)).ino);
  assert.equal(one, two);
});

Deno.test("a database with two names is read by the one that its programs use", async () => {
  await using folder = await tempFolder({ "data/": "" });
  const app = { ...appIn(folder.root), database: folder.path("outside.db") };
  makeDatabase(app.database);
  const open = (path: string) => {
    makeDatabase(path, { rows: 5 });
    const database = new DatabaseSync(path);
    database.exec("pragma wal_autocheckpoint = 0; update notes set text = 'only in the log'"); // and it stays open
    return database;
  };
  using _one = open(folder.path("data/z.db"));
  Deno.linkSync(folder.path("data/z.db"), folder.path("data/a.db"));
  Deno.linkSync(app.database, folder.path("data/copy.db"));
  const { snapshot, remarks } = await takeSnapshot(app);
  assert.deepEqual(remarks, { "a.db": "special", "copy.db": "special" });
  await putBack(app, { to: folder.path("back") });
  using back = new DatabaseSync(folder.path("back/z.db"));
  assert.deepEqual({ ...back.prepare("select distinct text from notes").get() }, { text: "only in the log" });
  assert.deepEqual(snapshot.facts.databases.map(({ path }) => path).sort(), ["/database.db", "z.db"]);
  assert.equal(rowsOf(folder.path("back/database.db")).count, 10);
});

testWith("python3", "what a snapshot cannot keep is named", async () => {
  await using folder = await tempFolder({ "data/plain.txt": "plain", "data/up/tagged.txt": "tagged" });
  const app = appIn(folder.root);
  makeDatabase(app.database);
  const [one, other] = ["x\ufffd", "y\ufffd"];
  await python(
    `import os, socket
d = os.fsencode(${JSON.stringify(app.data)})
open(d + b"/x\\xff", "w").write("bytes")
open(d + ${JSON.stringify(`/${one}`)}.encode(), "w").write("a name that is UTF-8, and looks the same")
open(d + b"/y\\xff", "w").write("bytes")
os.mkdir(d + b"/up/\\xe9")
os.mkfifo(d + b"/fifo")
os.setxattr(d + b"/up/tagged.txt", "user.colour", b"red")
socket.socket(socket.AF_UNIX).bind(d + b"/socket")`,
  );
  const { snapshot, incomplete, remarks } = await takeSnapshot(app);
  assert.equal(incomplete, true); // exit 6
  assert.deepEqual(remarks, {
    [one!]: "name",
    [other!]: "name",
    "up/\ufffd": "name",
    "up/tagged.txt": "attributes",
    fifo: "special",
    socket: "special",
  });
  const contents = await contentsOf(new DirectoryStore(app.repository), snapshot);
  assert.deepEqual([...contents.keys()], ["plain.txt", "prod.db", "up", "up/tagged.txt", one]);
  assert.equal(contents.get(one!)?.text, "a name that is UTF-8, and looks the same");
});

async function python(script: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("python3", { args: ["-c", script] }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

testWith("root", "what this user may not read is named, and the snapshot is incomplete", async () => {
  await using somebody = await otherUser();
  await using folder = await tempFolder({
    "data/mine.txt": "mine",
    "data/secret.txt": "secret",
    "data/closed/file.txt": "closed",
    "data/theirs.txt": "theirs",
  });
  makeDatabase(folder.path("data/prod.db"));
  await folder.giveTo(somebody.user!);
  Deno.chmodSync(folder.path("data/secret.txt"), 0o000);
  Deno.chmodSync(folder.path("data/closed"), 0o000);
  Deno.chownSync(folder.path("data/theirs.txt"), 0, 0); // it can be read, but not linked
  const env = { DB_PATH: "data/prod.db", AMBER_REPOSITORY: "repository" };
  const { code, json, stderr } = await amber(["snapshot", "--json"], { cwd: folder.root, env, as: somebody });
  const result = json.at(-1)!;
  assert.deepEqual([code, result.code], [6, "SNAPSHOT_INCOMPLETE"], stderr);
  const remarks = Object.fromEntries(
    (result.remarks as { path: string; what: string }[]).map((one) => [one.path, one.what]),
  );
  const { "theirs.txt": theirs = "in place", ...rest } = remarks; // where the system lets anybody link anything: nothing
  assert.deepEqual([rest, theirs], [{ "secret.txt": "unreadable", closed: "unreadable" }, "in place"]);
});
