/** What the system does not let a snapshot do: design, faults 2 (no space), 3 (reads that fail) and 10 (permission denied). */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { openRegular } from "../../lib/capture/regular_file.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { leftovers } from "../stores/leftovers.ts";
import { amber, command, otherUser } from "../support/command.ts";
import { makeDatabase, patterned } from "../support/data_tree.ts";
import { random, runSeed } from "../support/random.ts";
import { type App, appIn } from "../support/restoring.ts";
import { isLong, testWith } from "../support/skip.ts";
import { contentsOf, readEverything, takeSnapshot } from "../support/taking.ts";
import { removeFolder, type TempFolder, tempFolder } from "../support/temp_folder.ts";

async function place(): Promise<TempFolder & { app: App; store: DirectoryStore }> {
  const folder = await tempFolder({
    "data/a.txt": "one",
    "data/up/b.bin": patterned(1_500_000),
    "data/up/c.txt": "three",
    "data/up/deep/d.bin": patterned(2_500_000).fill(9, 1_000_000),
  });
  const app = appIn(folder.root);
  makeDatabase(app.database);
  makeDatabase(folder.path("data/up/old.db"), { journal: "delete" });
  return Object.assign(folder, { app, store: new DirectoryStore(app.repository) });
}

/** What a read of a file does instead. */
const faults = ["EIO", "ESTALE", "EINVAL", "EACCES", "EIO at opening", "short", "ends early"] as const;

Deno.test("each read of a file fails, or gives less than there is: named and left out, or read again; never wrong bytes", async (t) => {
  await using at = await place();
  const dice = random(runSeed());
  let reads = 0;
  await takeSnapshot(at.app, {
    openFile: (path) => {
      const file = openRegular(path);
      return file && { ...file, read: (buffer, from) => (reads++, file.read(buffer, from)) };
    },
  });
  assert.ok(reads >= 6, `${reads}`);
  const expected = await contentsOf(at.store, (await takeSnapshot(at.app)).snapshot);
  const counts: Record<string, number> = {};
  let runs = 0;
  for (const fault of faults) {
    const steps = Array.from({ length: reads }, (_, index) => index + 1);
    for (const k of isLong ? steps : dice.shuffle(steps).slice(0, 4)) {
      let read = 0;
      let opened = 0;
      const failure = () => Object.assign(new Error(`${fault} (os error)`), { code: fault.split(" ")[0] });
      const { snapshot, remarks, incomplete } = await takeSnapshot(at.app, {
        reread: true,
        openFile: (path) => {
          if (++opened === Math.min(k, 4) && fault === "EIO at opening") throw failure();
          const file = openRegular(path);
          return file && {
            ...file,
            read: (buffer, from) => {
              if (++read !== k || fault === "EIO at opening") return file.read(buffer, from);
              if (fault === "short") { // as read(2) may: the rest comes with the next call
                return file.read(buffer.subarray(0, Math.ceil(buffer.length / 3)), from);
              }
              if (fault === "ends early") return 0;
              throw failure();
            },
          };
        },
      });
      runs++;
      const story = `seed ${dice.seed}, ${fault} at ${k}: ${JSON.stringify(remarks)}`;
      const contents = await contentsOf(at.store, snapshot);
      const { "up/old.db": rollback, ...others } = remarks;
      assert.equal(rollback, "rollback", story);
      const unread = Object.entries(others);
      for (const [path, entry] of expected) {
        if (entry.type !== "file" || path in others) continue;
        const there = contents.get(path);
        assert.ok(there?.type === "file" && there.contentHash === entry.contentHash, `${story}: ${path}`);
      }
      if (fault === "short" || fault === "ends early") {
        // It did not stand still, as far as anybody can see: the second time it is read whole.
        assert.deepEqual([unread, incomplete], [[], false], story);
      } else {
        assert.deepEqual([unread.map(([, what]) => what), incomplete], [["unreadable"], true], story);
        assert.ok(!contents.has(unread[0]![0]), story);
      }
      counts[fault] = (counts[fault] ?? 0) + 1;
    }
  }
  // Nothing of it is believed later on.
  const { remarks, snapshot } = await takeSnapshot(at.app);
  assert.deepEqual(Object.values(remarks).filter((what) => what !== "rollback"), []);
  const after = await contentsOf(at.store, snapshot);
  assert.deepEqual([...after.keys()], [...expected.keys()]);
  console.log(`  ${t.name}: ${runs} runs of ${reads} reads, ${JSON.stringify(counts)}, seed ${dice.seed}`);
  assert.ok(runs >= 25);
});

interface Closed {
  what: string;
  /** Closes something; what lies in the folder belongs to the one who runs amber. */
  close: (at: TempFolder) => void;
  args?: string[];
  env?: Record<string, string>;
  exit: number;
  code: string;
  /** What the message, or the remarks, must name. */
  names: RegExp;
  /** What was stored before is there, and another snapshot is not. */
  committed?: boolean;
}

const closed: Closed[] = [
  ...["a.txt", "up/c.txt", "up/deep", "up"].map((path): Closed => ({
    what: `data/${path}`,
    close: (at) => Deno.chmodSync(at.path("data", path), 0),
    ...{ exit: 6, code: "SNAPSHOT_INCOMPLETE", names: new RegExp(`"path":"${path}","what":"unreadable"`) },
    committed: true,
  })),
  {
    what: "a database among the uploads",
    close: (at) => Deno.chmodSync(at.path("data/up/old.db"), 0),
    ...{ exit: 6, code: "SNAPSHOT_INCOMPLETE", names: /"path":"up\/old.db","what":"unreadable"/ },
    committed: true,
  },
  {
    what: "the data folder",
    close: (at) => Deno.chmodSync(at.path("data"), 0),
    ...{ exit: 1, code: "FILE_UNREADABLE", names: /data/ },
  },
  {
    what: "the configured database",
    close: (at) => Deno.chmodSync(at.path("data/prod.db"), 0),
    ...{ exit: 2, code: "DATABASE_FORBIDDEN", names: /prod\.db/ },
  },
  ...["repository/packs", "repository/snapshots", "repository/tmp"].map((path): Closed => ({
    what: `${path}, not to be written`,
    close: (at) => Deno.chmodSync(at.path(path), 0o500),
    ...{ exit: 2, code: "STORE_FORBIDDEN", names: new RegExp(path) },
  })),
  ...["repository", "repository/packs", "repository/snapshots", "repository/amber.json"].map((path): Closed => ({
    what: `${path}, not to be read`,
    close: (at) => Deno.chmodSync(at.path(path), 0),
    ...{ exit: 2, code: "STORE_FORBIDDEN", names: new RegExp(path) },
  })),
  {
    what: "a folder for the repository that is not there yet",
    close: (at) => Deno.chmodSync(at.root, 0o500),
    env: { AMBER_REPOSITORY: "new" },
    ...{ exit: 2, code: "STORE_FORBIDDEN", names: /new/ },
  },
  {
    what: "scratch, to be written: a database in rollback mode is copied there",
    close: (at) => Deno.chmodSync(at.path("scratch"), 0o500),
    env: { AMBER_SCRATCH: "scratch" },
    ...{ exit: 1, code: "FILE_UNWRITABLE", names: /scratch/ },
  },
  ...["snapshot", "prune", "wipe"].map((name): Closed => ({
    what: `scratch as a whole, for amber ${name}`,
    close: (at) => Deno.chmodSync(at.path("scratch"), 0),
    args: [name, "--json", ...(name === "wipe" ? ["--yes"] : [])],
    env: { AMBER_SCRATCH: "scratch" },
    ...{ exit: 1, code: "FILE_UNREADABLE", names: /scratch/ },
  })),
  ...["snapshots", "verify", "prune", "drill", "ls latest", "restore latest --yes"].map((command): Closed => ({
    what: `the repository, for amber ${command}`,
    close: (at) => Deno.chmodSync(at.path("repository"), 0),
    args: [...command.split(" "), "--json"],
    ...{ exit: 2, code: "STORE_FORBIDDEN", names: /repository/ },
  })),
];

testWith("root", "permission denied, not as root: named, with its own code and exit status", async (t) => {
  await using somebody = await otherUser();
  const problems: string[] = [];
  for (const { what, close, args = ["snapshot", "--json"], env, exit, code, names, committed } of closed) {
    await using at = await place();
    await takeSnapshot(at.app);
    Deno.mkdirSync(at.path("scratch"));
    Deno.writeTextFileSync(at.path("data/a.txt"), "changed since");
    await at.giveTo(somebody.user!);
    close(at);
    const run = {
      cwd: at.root,
      env: { DB_PATH: "data/prod.db", AMBER_REPOSITORY: "repository", ...env },
      as: somebody,
    };
    const result = await amber(args, run);
    const last = result.json.at(-1);
    const story = `${what}: exit ${result.code}\n${result.stdout}${result.stderr}`;
    try {
      assert.deepEqual([last?.code, result.code], [code, exit]);
      assert.match(JSON.stringify(last), names);
      if (!committed) assert.ok(last?.hint, "there is a hint");
      assert.equal(await readEverything(at.store), committed ? 2 : 1);
      assert.deepEqual(leftovers(at.app.repository), []);
    } catch (error) {
      problems.push(`${story}\n${(error as Error).message}`);
    }
  }
  console.log(`  ${t.name}: ${closed.length} cases`);
  assert.deepEqual(problems, [], problems.join("\n\n"));
});

/** A file system of its own until the end of the scope; undefined where this machine mounts nothing. */
async function mounted(path: string, size: string): Promise<AsyncDisposable | undefined> {
  Deno.mkdirSync(path, { recursive: true });
  const { code } = await command("mount", ["-t", "tmpfs", "-o", size, "amber-test", path], { cwd: "/" });
  if (code !== 0) return undefined;
  return {
    [Symbol.asyncDispose]: async () => {
      // Lazily: this process keeps databases' files open, see kept_files.ts.
      const { code, stderr } = await command("umount", ["-l", path], { cwd: "/" });
      assert.equal(code, 0, stderr);
    },
  };
}

const skipped = (t: Deno.TestContext) => console.log(`${t.name}: skipped, this machine may not mount anything`);

testWith(
  "root",
  "no space in the repository, wherever it ends: told, and with more space the next one works",
  async (t) => {
    const rooms = isLong ? Array.from({ length: 60 }, (_, i) => 16 + 24 * i) : [16, 64, 200, 600, 1_200];
    let full = 0;
    for (const roomKB of rooms) {
      await using at = await tempFolder({ "data/a.txt": "a" });
      const app = appIn(at.root);
      makeDatabase(app.database);
      await using repository = await mounted(app.repository, "size=8m,mode=700");
      if (!repository) return skipped(t);
      const store = new DirectoryStore(app.repository);
      await takeSnapshot(app, { store });
      for (let i = 0; i < 3; i++) {
        Deno.writeFileSync(at.path(`data/${i}.bin`), crypto.getRandomValues(new Uint8Array(60_000)));
      }
      Deno.writeFileSync(at.path("data/large.bin"), noise(1_000_000));
      await command("mount", ["-o", "remount,size=8m", app.repository], { cwd: "/" });
      // What is left free, to the kilobyte.
      const fill = at.path("repository/filler");
      const { stdout } = await command("stat", ["-f", "-c", "%a %S", app.repository], { cwd: "/" });
      const [blocks, blockSize] = stdout.trim().split(" ").map(Number) as [number, number];
      Deno.writeFileSync(fill, new Uint8Array(Math.max(0, blocks * blockSize - (roomKB << 10))).fill(1));
      const failure = await takeSnapshot(app, { store, partialMs: 0 }).then(() => undefined, (error) => error);
      if (failure) {
        full++;
        assert.equal(failure.code, "STORE_FULL", `${roomKB} KB: ${failure}`);
        assert.ok(failure.hint);
      }
      assert.equal(await readEverything(store), failure ? 1 : 2, `${roomKB} KB`);
      Deno.removeSync(fill);
      await takeSnapshot(app, { store });
      assert.equal(await readEverything(store), failure ? 2 : 3, `${roomKB} KB`);
      assert.deepEqual(leftovers(app.repository), []);
    }
    console.log(`  ${t.name}: ${full} of ${rooms.length} times there was not enough`);
    assert.ok(full >= 3);
  },
);

function noise(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(size, at + 65_536)));
  return bytes;
}

testWith("root", "no space in scratch, or in the data folder: told, or done without", async (t) => {
  await using at = await tempFolder();
  const app = appIn(at.root, { scratch: at.path("scratch") });
  await using data = await mounted(app.data, "size=4m,mode=700");
  if (!data) return skipped(t);
  await at.write({ "data/a.txt": "one", "data/up/b.txt": "two" });
  makeDatabase(app.database);
  makeDatabase(at.path("data/up/old.db"), { journal: "delete", rows: 3_000 });
  {
    await using scratch = await mounted(app.scratch, "size=64k,mode=700");
    assert.ok(scratch);
    await assert.rejects(takeSnapshot(app), { code: "DISK_FULL", hint: /AMBER_SCRATCH/ });
    const repository = new DirectoryStore(app.repository);
    assert.deepEqual(await repository.list("snapshots/"), []);
    assert.deepEqual([...Deno.readDirSync(app.scratch)], []); // nor does anything stay there
  }
  // The data folder is full: where links cannot be made files are read in place.
  using server = new DatabaseSync(app.database); // SQLite opens no database with a log where it cannot make its -shm
  server.prepare("select count(*) from notes").get();
  const { stdout } = await command("stat", ["-f", "-c", "%a %S", app.data], { cwd: "/" });
  const [blocks, blockSize] = stdout.trim().split(" ").map(Number) as [number, number];
  Deno.writeFileSync(at.path("data/filler"), new Uint8Array(blocks * blockSize).fill(1));
  assert.throws(() => Deno.writeTextFileSync(at.path("data/more"), "x"), { code: "ENOSPC" });
  Deno.removeSync(at.path("data/more"));
  const { snapshot, incomplete } = await takeSnapshot(app);
  const contents = await contentsOf(new DirectoryStore(app.repository), snapshot);
  assert.deepEqual([contents.get("a.txt")?.text, contents.get("up/b.txt")?.text, incomplete], ["one", "two", false]);
  assert.equal(snapshot.facts.databases.length, 2);
  // Now nobody has it open, and there is no room to open it.
  server.close();
  const fill = () => {
    for (;;) Deno.writeFileSync(at.path("data/filler"), new Uint8Array(blockSize).fill(1), { append: true });
  };
  assert.throws(fill, { code: "ENOSPC" });
  await assert.rejects(takeSnapshot(app), { code: /^(DISK_FULL|DATABASE_UNREADABLE)$/, hint: /room/ });
  await removeFolder(app.scratch);
});
