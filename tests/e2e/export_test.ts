/** `amber export`: what other people's tools make of it. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { command, spawnCommand } from "../support/command.ts";
import { makeEverything, makeOwned, treeOf } from "../support/data_tree.ts";
import { amberProgram } from "../support/driven.ts";
import { testWith } from "../support/skip.ts";
import { isRoot } from "../support/user.ts";
import { dataApp } from "./data_app.ts";

testWith(["tar", "sqlite3"], "GNU tar unpacks an export, and all that was in the data folder is there", async () => {
  await using app = await dataApp();
  const { folder } = app;
  makeEverything(folder.path("data", "all"));
  if (isRoot()) makeOwned(folder.path("data", "all"));
  await app.take();
  const { stderr } = await app.ends(0, ["export", "latest", "-o", "data.tar"]);
  assert.doesNotMatch(stderr, /note/);
  assert.equal(Deno.statSync(folder.path("data.tar")).mode! & 0o777, 0o600);

  Deno.mkdirSync(folder.path("out"));
  const unpack = ["-x", "-p", "-f", "data.tar", "-C", "out", ...(isRoot() ? ["--same-owner"] : [])];
  const { code, stderr: said } = await command("tar", unpack, { cwd: folder.root });
  assert.deepEqual({ code, said }, { code: 0, said: "" });
  // A plain tar knows no holes; and whoever looks at a database in WAL mode changes its folder's time.
  const comparable = (at: string) => {
    const tree = treeOf(folder.path(at), { owners: isRoot() });
    delete tree.all!.mtimeMs;
    return Object.entries(tree).map(([path, { isSparse: _, ...facts }]) => [path, facts]);
  };
  assert.deepEqual(comparable("out"), comparable("data"));
  for (const [path, count] of [["app.db", 3], ["all/notes.db", 200], ["all/deep/old.sqlite", 50]] as const) {
    const table = path === "app.db" ? "posts" : "notes";
    const asked = `pragma integrity_check; select count(*) from ${table}`;
    const { stdout } = await command("sqlite3", [folder.path("out", path), asked], { cwd: folder.root });
    assert.equal(stdout, `ok\n${count}\n`, path);
  }
});

testWith(["tar", "sqlite3"], "the configured database outside the data folder is database.db, at the end", async () => {
  await using app = await dataApp({ "data/kept.txt": "kept" }, { DB_PATH: "elsewhere.db" });
  const { folder } = app;
  using database = new DatabaseSync(folder.path("elsewhere.db"));
  database.exec("create table t (a); insert into t values (1), (2)");
  await app.take();
  await app.ends(0, ["export", "latest", "-o", "data.tar"]);
  const { stdout } = await command("tar", ["-tf", "data.tar"], { cwd: folder.root });
  assert.deepEqual(stdout.trim().split("\n"), ["app.db", "kept.txt", "database.db"]);
  await command("tar", ["-xf", "data.tar", "database.db"], { cwd: folder.root });
  const asked = await command("sqlite3", [folder.path("database.db"), "select count(*) from t"], { cwd: folder.root });
  assert.equal(asked.stdout, "2\n");

  await folder.write({ "data/database.db": "no database, and in the way" });
  await app.take();
  const { stderr } = await app.ends(0, ["export", "latest", "-o", "data.tar"]);
  assert.match(stderr, /the configured database is "database-2.db" in the tar/);
  const listed = await command("tar", ["-tf", "data.tar"], { cwd: folder.root });
  assert.deepEqual(listed.stdout.trim().split("\n"), ["app.db", "database.db", "kept.txt", "database-2.db"]);
});

testWith(["tar", "python3"], "to stdout it is the same tar, byte for byte, and nothing else", async () => {
  await using app = await dataApp({ "data/uploads/a.txt": "a", "data/größe.txt": "ä" });
  const { folder } = app;
  await app.take();
  await app.ends(0, ["export", "latest", "-o", "data.tar"]);
  const script = `
import subprocess, sys
piped = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True).stdout
print(piped == open("data.tar", "rb").read())`;
  const env = { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository" };
  const { stdout, stderr } = await command("python3", ["-c", script, ...amberProgram(), "export", "latest"], {
    cwd: folder.root,
    env,
  });
  assert.equal(stdout, "True\n", stderr);
  // Python reads it as well, with the names and times of its own.
  const list = `
import tarfile
for one in tarfile.open("data.tar"):
    print(one.name, one.mtime)`;
  const times = await command("python3", ["-c", list], { cwd: folder.root });
  const time = (path: string) => Deno.statSync(folder.path("data", path)).mtime!.getTime() / 1000;
  assert.match(times.stdout, /^größe\.txt /m);
  assert.ok(times.stdout.includes(`uploads/a.txt ${time("uploads/a.txt")}\n`), times.stdout);
});

testWith("tar", "a reader that stops reading ends it without an error", async () => {
  await using app = await dataApp();
  const { folder } = app;
  await folder.write({ "data/large.bin": crypto.getRandomValues(new Uint8Array(65_536)) });
  for (let i = 0; i < 8; i++) Deno.writeFileSync(folder.path("data", `${i}.bin`), new Uint8Array(3 << 20).fill(i + 1));
  await app.take();
  const line = '"$@" export latest 2>err | head -c 1000 | wc -c; cat err';
  await using shell = spawnCommand("bash", ["-c", `set -o pipefail; ${line}`, "bash", ...amberProgram()], {
    cwd: folder.root,
    env: { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository" },
  });
  const { stdout } = await shell.result;
  assert.equal(stdout.trim(), "1000");
});

testWith("tar", "a damaged snapshot leaves no tar behind, and the old one as it was", async () => {
  await using app = await dataApp({ "data/a.txt": "a".repeat(5000) });
  const { folder } = app;
  const id = await app.take();
  const packs = (await folder.list()).filter((path) => path.startsWith("repository/packs/"));
  await folder.write({ "data.tar": "the old one" });
  for (const path of packs) {
    const bytes = Deno.readFileSync(folder.path(path));
    bytes[20]! ^= 1;
    Deno.writeFileSync(folder.path(path), bytes);
  }
  const { stderr } = await app.ends(7, ["export", id, "-o", "data.tar"]);
  assert.match(stderr, /OBJECT_DAMAGED/);
  assert.equal(await folder.read("data.tar"), "the old one");
  assert.deepEqual((await folder.list()).filter((path) => path.startsWith("data.tar")), ["data.tar"]);
});

testWith("tar", "what cannot be is said: JSON on stdout, a folder, a snapshot that is not there", async () => {
  await using app = await dataApp();
  await app.take();
  const code = async (status: number, ...args: string[]) =>
    (await app.ends(status, ["export", ...args, "--json"])).json.at(-1)?.code;
  assert.equal(await code(2, "latest"), "USAGE");
  assert.equal(await code(2, "latest", "-o", "data"), "USAGE");
  assert.equal(await code(2, "abcdef", "-o", "x.tar"), "SNAPSHOT_UNKNOWN");
  assert.equal(await code(1, "latest", "-o", "nowhere/x.tar"), "FILE_UNWRITABLE");
  const done = (await app.ends(0, ["export", "latest", "-o", "x.tar", "--json"])).json.at(-1)!;
  assert.deepEqual({ type: done.type, output: done.output, files: done.files }, {
    type: "result",
    output: "x.tar",
    files: 1,
  });
});
