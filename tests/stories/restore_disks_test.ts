import assert from "node:assert/strict";
import { unfinishedRestore } from "../../lib/stories/unfinished_restore.ts";
import { amber, command, otherUser } from "../support/command.ts";
import { makeDatabase, makeEverything, patterned, treeOf } from "../support/data_tree.ts";
import { appIn, putBack, take } from "../support/restoring.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { unprivilegedUser } from "../support/user.ts";

/** A file system of its own, as large as said, until the end of the scope. undefined where this machine mounts nothing. */
async function mounted(path: string, sizeBytes: number): Promise<AsyncDisposable | undefined> {
  await Deno.mkdir(path, { recursive: true });
  const { code } = await command("mount", ["-t", "tmpfs", "-o", `size=${sizeBytes},mode=700`, "amber-test", path], {
    cwd: "/",
  });
  if (code !== 0) return undefined;
  return {
    [Symbol.asyncDispose]: async () => {
      // Lazily: this process keeps databases' files open, see kept_files.ts.
      const { code, stderr } = await command("umount", ["-l", path], { cwd: "/" });
      assert.equal(code, 0, stderr);
    },
  };
}

function skip(t: Deno.TestContext): void {
  console.log(`${t.name}: skipped, this machine may not mount anything`);
}

testWith(
  "root",
  "restore() into a mount point, which it never renames, and into one inside the data folder",
  async (t) => {
    await using folder = await tempFolder();
    const app = appIn(folder.root);
    await using data = await mounted(app.data, 64 << 20);
    if (!data) return skip(t);
    makeEverything(app.data);
    makeDatabase(app.database, { rows: 30 });
    Deno.mkdirSync(`${app.data}/volume`);
    {
      await using inside = await mounted(`${app.data}/volume`, 16 << 20);
      assert.ok(inside);
      Deno.writeTextFileSync(`${app.data}/volume/kept`, "on another file system");
      Deno.linkSync(`${app.data}/volume/kept`, `${app.data}/volume/twice`);
      Deno.symlinkSync("kept", `${app.data}/volume/link`);
      makeDatabase(`${app.data}/volume/other.db`, { rows: 7 });
      const before = treeOf(app.data);
      await take(app);
      Deno.writeTextFileSync(`${app.data}/volume/kept`, "spoiled");
      Deno.removeSync(`${app.data}/volume/other.db`);
      Deno.mkdirSync(`${app.data}/volume/new/folder`, { recursive: true });
      Deno.writeTextFileSync(`${app.data}/volume/new/folder/file`, "new");
      Deno.removeSync(`${app.data}/deep`, { recursive: true });
      const { plan } = await putBack(app);
      assert.deepEqual(plan!.goes, ["volume/new"]);
      const after = treeOf(app.data);
      assert.deepEqual({ ...after, volume: 0 }, { ...before, volume: 0 });
    }
  },
);

testWith(
  "root",
  "restore() on a disk that has no room: refused before anything is touched, or told in the middle",
  async (t) => {
    await using folder = await tempFolder();
    const app = appIn(folder.root);
    await using data = await mounted(app.data, 10 << 20);
    if (!data) return skip(t);
    await folder.write({ "data/a": patterned(4 << 20), "data/b": patterned(3 << 20) });
    makeDatabase(app.database, { rows: 30 });
    await take(app);
    await folder.write({ "data/a": "spoiled", "data/b": "spoiled", "data/filler": new Uint8Array(5 << 20).fill(1) });
    const before = treeOf(app.data);
    await assert.rejects(putBack(app), { code: "DISK_FULL", hint: /Nothing was touched/ });
    assert.deepEqual(treeOf(app.data), before);
    // There seemed to be room, and while it is staged somebody else takes it.
    Deno.removeSync(`${app.data}/filler`);
    const confirm = () => Deno.writeFileSync(`${app.data}/filler`, new Uint8Array(5 << 20).fill(1));
    await assert.rejects(putBack(app, { confirm }), { code: "DISK_FULL" });
    const { filler: _filler, ...rest } = before;
    assert.deepEqual(treeOf(app.data, { except: [".amber", "filler"] }), rest);
    assert.equal(unfinishedRestore(app.scratch), undefined);
    assert.deepEqual(
      [...Deno.readDirSync(app.scratch)].map(({ name }) => name).filter((name) => name !== "restore.lock"),
      [],
    );
    // Less fits.
    await putBack(app, { selection: { paths: ["b"] } });
    assert.equal(Deno.statSync(`${app.data}/b`).size, 3 << 20);
  },
);

Deno.test("restore() with scratch on another file system copies beside the place and renames there", async (t) => {
  if (Deno.statSync("/dev/shm").dev === Deno.statSync("/tmp").dev) {
    return console.log(`${t.name}: skipped, /dev/shm is no file system of its own`);
  }
  await using folder = await tempFolder();
  const scratch = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "amber-test-" });
  try {
    const app = appIn(folder.root, { scratch });
    makeEverything(app.data);
    makeDatabase(app.database, { rows: 30 });
    const before = treeOf(app.data);
    await take(app);
    for (const path of ["names", "sizes", "hard", "deep"]) Deno.removeSync(`${app.data}/${path}`, { recursive: true });
    await folder.write({ "data/new/folder/file": "new" });
    Deno.removeSync(app.database);
    await putBack(app);
    assert.deepEqual(treeOf(app.data), before);
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
});

testWith("root", "restore() by a user who may not write in a folder: told before anything is touched", async () => {
  await using folder = await tempFolder({ "data/theirs/a": "one", "data/b": "two" });
  const app = appIn(folder.root);
  makeDatabase(app.database);
  await take(app);
  const user = unprivilegedUser()!;
  await folder.write({ "data/theirs/a": "spoiled", "data/b": "spoiled" });
  await folder.giveTo(user);
  Deno.chownSync(`${app.data}/theirs`, 0, 0);
  Deno.chmodSync(`${app.data}/theirs`, 0o755);
  await using other = await otherUser();
  const env = { DB_PATH: "data/prod.db", AMBER_REPOSITORY: "repository" };
  const { code, stderr } = await amber(["restore", "latest", "--yes"], { cwd: folder.root, env, as: other });
  assert.equal(code, 1, stderr);
  assert.match(stderr, /this user may not write in the folder ".*theirs"/);
  assert.deepEqual([await folder.read("data/theirs/a"), await folder.read("data/b")], ["spoiled", "spoiled"]);
});
