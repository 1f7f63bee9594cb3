/** What of a data folder goes in a wipe, and what stays. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { wipeCalls } from "../../lib/capture/wipe_calls.ts";
import { wipeFiles } from "../../lib/capture/wipe_files.ts";
import { type FilesToWipe, lookAtFiles, mountPoints, stillGoing } from "../../lib/capture/wipe_look.ts";
import { linksOnTheWay, type WipePlaces, wipeTarget } from "../../lib/stories/wipe_target.ts";
import { compilePatterns } from "../../lib/patterns.ts";
import { command, otherUser, projectFolder } from "../support/command.ts";
import { makeEverything } from "../support/data_tree.ts";
import { testWith } from "../support/skip.ts";
import { type Files, type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { steppedWipe } from "../support/wiping.ts";

const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));

/** An app in a folder: data/, and by default everything of amber's at its usual places in it. */
function placesIn({ root }: TempFolder, changes: Partial<WipePlaces> & { exclude?: never; patterns?: string[] } = {}) {
  const { patterns = [], ...rest } = changes;
  return {
    data: `${root}/data`,
    database: { engine: "sqlite", path: `${root}/data/prod.db` },
    repositoryFolder: `${root}/data/backups`,
    scratch: `${root}/data/.amber`,
    exclude: compilePatterns(patterns),
    now: () => new Date(),
    random,
    stop: new AbortController().signal,
    report: () => {},
    ...rest,
  } satisfies WipePlaces;
}

function lookIn(places: WipePlaces): FilesToWipe {
  const { root, whyKept } = wipeTarget(places);
  return lookAtFiles({ calls: wipeCalls, root, whyKept, mounts: mountPoints() });
}

function wipeIn(places: WipePlaces, going = lookIn(places).going) {
  return wipeFiles({ calls: wipeCalls, root: wipeTarget(places).root, going, random });
}

/** Every path below a folder, a folder with "/" at its end. */
function pathsIn(folder: string, prefix = ""): string[] {
  return [...Deno.readDirSync(join(folder, prefix))].sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap((entry) => {
    const path = `${prefix}${entry.name}`;
    return entry.isDirectory ? [`${path}/`, ...pathsIn(folder, `${path}/`)] : [path];
  });
}

const usual: Files = {
  "data/prod.db": "database",
  "data/prod.db-wal": "its log",
  "data/prod.db-shm": "",
  "data/prod.db.amber-lock": "",
  "data/prod.db.old": "no companion",
  "data/backups/packs/aa/1": "pack",
  "data/.amber/restore.lock": "",
  "data/uploads/cat.jpg": "a cat",
  "data/uploads/deep/dog.jpg": "a dog",
  "data/empty/": "",
  "data/other.db": "x",
  "data/other.db-wal": "x",
  "outside/precious": "precious",
};

interface Case {
  files?: Files;
  changes?: Parameters<typeof placesIn>[1];
  prepare?: (folder: TempFolder) => void;
  stays: string[];
}

const own = [".amber/", ".amber/restore.lock", "backups/", "backups/packs/", "backups/packs/aa/", "backups/packs/aa/1"];
const database = ["prod.db", "prod.db-shm", "prod.db-wal", "prod.db.amber-lock"];

const cases: Record<string, Case> = {
  "amber's own and the database stay, all else goes": { stays: [...own, ...database] },
  "what is excluded stays, with the folders that it lies in": {
    files: { "data/uploads/deep/app.log": "line", "data/logs/app.log": "line", "data/cache/a/b": "page" },
    changes: { patterns: ["*.log", "/cache/"] },
    stays: [
      ...own,
      ...["cache/", "cache/a/", "cache/a/b", "logs/", "logs/app.log"],
      ...database,
      ...["uploads/", "uploads/deep/", "uploads/deep/app.log"],
    ],
  },
  "lost+found stays, but only the file system's": {
    files: { "data/lost+found/": "", "data/uploads/lost+found/x": "x" },
    stays: [...own, "lost+found/", ...database],
  },
  "links go, and what they lead to stays": {
    prepare: ({ root, path }) => {
      Deno.symlinkSync(path("outside"), path("data/out"));
      Deno.symlinkSync("../outside/precious", path("data/uploads/precious"));
      Deno.symlinkSync(root, path("data/uploads/deep/root"));
      Deno.symlinkSync("nowhere", path("data/dangling"));
    },
    stays: [...own, ...database],
  },
};

for (const [name, { files = {}, changes = {}, prepare, stays }] of Object.entries(cases)) {
  Deno.test(`wipe: ${name}`, async () => {
    await using folder = await tempFolder({ ...usual, ...files });
    prepare?.(folder);
    const places = placesIn(folder, changes);
    const seen = lookIn(places);
    assert.ok(seen.files > 0);
    assert.deepEqual(wipeIn(places), []);
    assert.deepEqual(pathsIn(folder.path("data")), stays);
    assert.equal(await folder.read("outside/precious"), "precious");
    assert.deepEqual(lookIn(places).going, [], "nothing more goes");
  });
}

Deno.test("wipe: a repository deep inside, a cache, and the program itself stay", async () => {
  await using folder = await tempFolder({
    ...{ "data/a/b/repository/packs/1": "pack", "data/a/other": "x", "data/bin/amber": "elf", "data/bin/more": "x" },
    ...{ "data/c/cache/1": "x", "data/c/d": "x" },
  });
  const { path } = folder;
  const places = placesIn(folder, {
    repositoryFolder: path("data/a/b/repository"),
    program: path("data/bin/amber"),
    scratch: path("scratch"),
    leaveAlone: [path("data/c/cache")],
  });
  wipeIn(places);
  assert.deepEqual(pathsIn(path("data")), [
    ...["a/", "a/b/", "a/b/repository/", "a/b/repository/packs/", "a/b/repository/packs/1"],
    ...["bin/", "bin/amber", "c/", "c/cache/", "c/cache/1"],
  ]);
});

Deno.test("wipe: a link on the way to the database, or to the repository, stays as well", async () => {
  await using folder = await tempFolder({ "data/x": "x", "disk/db/real.db": "database", "disk/backups/1": "pack" });
  const { path } = folder;
  Deno.symlinkSync(path("disk/db"), path("data/db"));
  Deno.symlinkSync("real.db", path("disk/db/prod.db"));
  Deno.symlinkSync("../disk/backups", path("data/backups"));
  Deno.symlinkSync("../disk", path("data/elsewhere"));
  const places = placesIn(folder, { database: { engine: "sqlite", path: path("data/db/prod.db") } });
  const { kept } = lookIn(places);
  assert.deepEqual(kept, [
    { place: "backups", why: "a link on the way to the repository" },
    { place: "db", why: "a link on the way to the configured database" },
  ]);
  wipeIn(places);
  assert.deepEqual(pathsIn(path("data")), ["backups", "db"]);
  assert.deepEqual(pathsIn(path("disk")), ["backups/", "backups/1", "db/", "db/prod.db", "db/real.db"]);
  assert.deepEqual(linksOnTheWay(path("data/db/prod.db")), [path("data/db"), path("disk/db/prod.db")]);
  assert.deepEqual(linksOnTheWay(`${path("data")}/db/../elsewhere/db`), [path("data/db")]);
  Deno.symlinkSync("b", path("data/a"));
  Deno.symlinkSync("a", path("data/b"));
  assert.equal(linksOnTheWay(path("data/a/x")).length, 64, "a circle ends");
});

Deno.test("wipe: everything that a data folder can hold goes", async () => {
  await using folder = await tempFolder();
  const data = folder.path("data");
  makeEverything(data);
  const { code } = await command("sh", ["-c", `mkfifo fifo; mkdir odd; touch "$(printf 'odd/\\377')"`], { cwd: data });
  assert.equal(code, 0);
  const places = placesIn(folder);
  const { going, entries, files } = lookIn(places);
  assert.ok(files > 20);
  assert.deepEqual(going.map(({ place }) => place).sort(), entries.map(({ place }) => place));
  assert.deepEqual(wipeIn(places, going), []);
  assert.deepEqual(pathsIn(data), []);
});

Deno.test("wipe: what was made anew since the look stays", async () => {
  await using folder = await tempFolder({ "data/a": "old", "data/b/c": "old", "data/d": "old" });
  const { path } = folder;
  const places = placesIn(folder);
  const { going } = lookIn(places);
  for (const name of ["a", "d"]) {
    Deno.writeTextFileSync(path(`data/${name}.new`), "new");
    Deno.renameSync(path(`data/${name}.new`), path(`data/${name}`));
  }
  wipeIn(places, going);
  assert.deepEqual(pathsIn(path("data")), ["a", "d"]);
});

Deno.test("wipe: a folder that becomes a link meanwhile is not followed", async () => {
  await using folder = await tempFolder({
    ...{ "data/logs/keep.log": "x", "data/logs/a": "x", "data/logs/b": "x", "outside/a": "precious" },
  });
  const { path } = folder;
  const places = placesIn(folder, { patterns: ["*.log"] });
  const { going } = lookIn(places);
  assert.deepEqual(going.map(({ place }) => place), ["logs/a", "logs/b"]);
  Deno.renameSync(path("data/logs"), path("data/moved"));
  Deno.symlinkSync(path("outside"), path("data/logs"));
  wipeIn(places, going);
  assert.equal(await folder.read("outside/a"), "precious");
  assert.deepEqual(pathsIn(path("data/moved")), ["a", "b", "keep.log"]);
});

Deno.test("wipe: what cannot be moved is removed where it is, and what cannot be removed is named", async () => {
  await using folder = await tempFolder({ "data/a/b/c": "x", "data/a/d": "x", "data/e": "x", "data/f": "x" });
  const places = placesIn(folder);
  const root = wipeTarget(places).root;
  const refuse = (code: string) => {
    throw Object.assign(new Error(`${code} here`), { code });
  };
  const { going } = lookIn(places);
  const left = wipeFiles({
    ...{ root, going, random },
    calls: {
      ...wipeCalls,
      // As on another file system.
      rename: (from, to) => from.endsWith("/f") ? wipeCalls.rename(from, to) : refuse("EXDEV"),
      remove: (path) => path.endsWith("/e") ? refuse("EPERM") : wipeCalls.remove(path),
    },
  });
  assert.deepEqual(left, [{ place: "e", why: "EPERM here" }]);
  assert.deepEqual(pathsIn(folder.path("data")), ["e"]);
});

testWith("root", "wipe: a mount point stays, also deep inside, and what is in it goes", async (t) => {
  await using folder = await tempFolder({
    "data/a/mounted/": "",
    "data/a/x": "x",
    "data/same/": "",
    "elsewhere/y": "y",
  });
  const { path } = folder;
  const mounted: string[] = [];
  const mount = async (...args: string[]) => {
    const { code, stderr } = await command("mount", args, { cwd: folder.root });
    if (code === 0) mounted.push(args.at(-1)!);
    return code === 0 ? undefined : stderr;
  };
  try {
    const why = await mount("-t", "tmpfs", "none", path("data/a/mounted")) ??
      await mount("--bind", path("elsewhere"), path("data/same"));
    if (why !== undefined) return console.log(`${t.name}: left out: ${why.trim()}`);
    Deno.mkdirSync(path("data/a/mounted/folder"));
    Deno.writeTextFileSync(path("data/a/mounted/folder/file"), "x");
    const places = placesIn(folder);
    assert.deepEqual(lookIn(places).kept.map(({ place }) => place), ["a/mounted", "same"]);
    assert.deepEqual(wipeIn(places), []);
    assert.deepEqual(pathsIn(path("data")), ["a/", "a/mounted/", "same/"]);
  } finally {
    for (const point of mounted.reverse()) await command("umount", [point], { cwd: "/" });
  }
});

testWith("root", "wipe: folders that are closed to their own user go too", async () => {
  await using folder = await tempFolder({ "data/closed/in/file": "x", "data/closed/other": "x", "data/x": "x" });
  await using user = await otherUser();
  const data = folder.path("data");
  Deno.chmodSync(folder.path("data/closed/in"), 0o000);
  Deno.chmodSync(folder.path("data/closed"), 0o500);
  if (user.user) await folder.giveTo(user.user);
  const library = join(user.project ?? projectFolder, "lib/capture");
  await folder.write({
    "wipe.ts": `import { wipeCalls as calls } from ${JSON.stringify(`${library}/wipe_calls.ts`)};
      import { wipeFiles } from ${JSON.stringify(`${library}/wipe_files.ts`)};
      import { lookAtFiles } from ${JSON.stringify(`${library}/wipe_look.ts`)};
      const root = Deno.args[0];
      const { going } = lookAtFiles({ calls, root, whyKept: () => undefined, mounts: new Set() });
      const random = (size) => crypto.getRandomValues(new Uint8Array(size));
      console.log(JSON.stringify(wipeFiles({ calls, root, going, random })));`,
  });
  Deno.chmodSync(folder.root, 0o755);
  const run = ["run", "-A", "--quiet", "--no-check", folder.path("wipe.ts"), data];
  const { stdout, stderr } = await command(user.deno ?? Deno.execPath(), run, { cwd: folder.root, as: user });
  assert.equal(stdout.trim(), "[]", stderr);
  assert.deepEqual(pathsIn(data), []);
});

Deno.test("wipe: what is decided goes only as far as the present rules let it", async () => {
  await using folder = await tempFolder({
    "data/a/x": "x",
    "data/a/y.log": "x",
    "data/b/backups/1": "pack",
    "data/b/z": "x",
  });
  const { path } = folder;
  const loose = placesIn(folder, { repositoryFolder: path("elsewhere") });
  const strict = placesIn(folder, { repositoryFolder: path("data/b/backups"), patterns: ["*.log"] });
  const { root } = wipeTarget(loose);
  const decided = lookIn(loose).going;
  const again = (before: typeof decided, now: WipePlaces) =>
    stillGoing(before, lookIn(now), { calls: wipeCalls, root }).map(({ place }) => place).sort();
  assert.deepEqual(decided.map(({ place }) => place), ["a", "b"]);
  // Someone who may write wipe.json names a folder that the repository lies in.
  assert.deepEqual(again(decided, strict), ["a/x", "b/z"]);
  assert.deepEqual(again(lookIn(strict).going, loose), ["a/x", "b/z"], "and no more than was decided");
  const forged = [
    { ...decided[0]!, place: "b/backups/1" },
    { ...decided[0]!, place: "a", inode: 1 },
    { place: "../outside", device: 0, inode: 0 },
  ];
  assert.deepEqual(again(forged, strict), []);
});

Deno.test("wipe: a disk that fails at any step fails the wipe, and again it ends", async () => {
  let steps = 0;
  for (let failAt = 1, isOver = false; !isOver; failAt++) {
    await using folder = await tempFolder({ "data/a/b": "x", "data/c": "x" });
    const places = placesIn(folder);
    const { root } = wipeTarget(places);
    isOver = true;
    const calls = steppedWipe((number, call) => {
      if (number !== failAt) return;
      isOver = false;
      throw Object.assign(new Error(`EIO at ${call}`), { code: "EIO" });
    });
    try {
      wipeFiles({ calls, root, going: lookIn(places).going, random });
      steps = failAt - 1;
    } catch (error) {
      assert.match(String(error), /EIO at/);
    }
    wipeIn(places);
    assert.deepEqual(pathsIn(root), []);
  }
  assert.ok(steps >= 6, `${steps} steps`);
});
