/** Files that vanish, grow, or become something else while a snapshot is taken: design, fault 9. */
import assert from "node:assert/strict";
import { openRegular, type RegularFile } from "../../lib/capture/regular_file.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { makeDatabase } from "../support/data_tree.ts";
import { random, runSeed } from "../support/random.ts";
import { type App, appIn } from "../support/restoring.ts";
import { isLong, testWith } from "../support/skip.ts";
import { contentsOf, type Stored, type Taken, takeSnapshot } from "../support/taking.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

/** What becomes of a file, by name. */
const changes: Record<string, (path: string) => void> = {
  vanishes: (path) => Deno.removeSync(path),
  grows: (path) => Deno.writeTextFileSync(path, "more", { append: true }),
  shrinks: (path) => Deno.truncateSync(path, 3),
  "is written anew": (path) => Deno.writeTextFileSync(path, "something else of another size"),
  "is replaced": (path) => {
    Deno.writeTextFileSync(`${path}.new`, "replaced");
    Deno.renameSync(`${path}.new`, path);
  },
  "becomes a folder": (path) => {
    Deno.removeSync(path);
    Deno.mkdirSync(path);
    Deno.writeTextFileSync(`${path}/inside`, "inside");
  },
  "becomes a FIFO": (path) => {
    Deno.removeSync(path);
    assert.ok(new Deno.Command("mkfifo", { args: [path] }).outputSync().success);
  },
  "becomes a link": (path) => {
    Deno.removeSync(path);
    Deno.symlinkSync("/etc/passwd", path);
  },
  "is closed to everybody": (path) => Deno.chmodSync(path, 0),
};
const names = Object.keys(changes);
const moments = ["before the moment", "after the moment", "when it is opened", "while it is read"] as const;

async function place(): Promise<TempFolder & { app: App; store: DirectoryStore }> {
  const folder = await tempFolder({
    "data/quiet.txt": "quiet",
    "data/up/small.txt": "small",
    "data/up/other.txt": "other",
  });
  await Deno.writeFile(folder.path("data/up/large.bin"), new Uint8Array(3_000_000).map((_, i) => i % 251));
  const app = appIn(folder.root);
  makeDatabase(app.database);
  return Object.assign(folder, { app, store: new DirectoryStore(app.repository) });
}

/** Takes a snapshot while something happens to a file at a moment. */
async function takeWhile(
  app: App,
  { moment, path, change }: { moment: typeof moments[number]; path: string; change: () => void },
): Promise<Taken> {
  let isDone = false;
  const once = () => {
    if (!isDone) change();
    isDone = true;
  };
  const inode = Deno.statSync(path).ino;
  const openFile = (from: string): RegularFile | undefined => {
    if (moment === "after the moment") once();
    const isIt = Deno.lstatSync(from).ino === inode;
    if (isIt && moment === "when it is opened") once();
    const file = openRegular(from);
    if (!file || !isIt || moment !== "while it is read") return file;
    return {
      ...file,
      read: (buffer, at) => {
        const count = file.read(buffer, at);
        once();
        return count;
      },
    };
  };
  const now = () => {
    if (moment === "before the moment") once(); // writers are held, and no path has been looked at yet
    return new Date();
  };
  const taken = await takeSnapshot(app, { openFile, now });
  assert.ok(isDone, "nothing happened");
  return taken;
}

for (const change of names) {
  Deno.test(`a file that ${change}: the snapshot completes, says so, and reads whole`, async () => {
    const files = [["small.txt", 5], ["large.bin", 3_000_000]] as const;
    for (const [i, moment] of moments.entries()) {
      for (const [name, size] of isLong ? files : [files[(i + names.indexOf(change)) % 2]!]) {
        await using at = await place();
        const path = at.path("data/up", name);
        const { snapshot, remarks } = await takeWhile(at.app, { moment, path, change: () => changes[change]!(path) });
        const contents = await contentsOf(at.store, snapshot);
        const story = `${name} ${change} ${moment}: ${JSON.stringify(remarks)}`;
        assert.equal(contents.get("quiet.txt")?.text, "quiet", story);
        assert.equal(contents.get("up/other.txt")?.text, "other", story);
        // What it has become before the moment is what is stored, or it is none of ours.
        if (moment !== "before the moment") {
          check({ stored: contents.get(`up/${name}`), remark: remarks[`up/${name}`], change, size, story });
        }
      }
    }
  });
}

/** What is stored is what was there at the moment, or it is said that it is not. */
function check(
  { stored, remark, change, size, story }: Record<"change" | "story", string> & {
    stored?: Stored;
    remark?: string;
    size: number;
  },
): void {
  const isOfTheMoment = stored?.type === "file" && stored.size === size;
  if (["grows", "shrinks", "is written anew"].includes(change)) {
    assert.ok(remark === "in place" || remark === "changed", story);
  } else if (change !== "is closed to everybody") { // the hard link still has it
    assert.ok(isOfTheMoment && remark === undefined, story);
  }
}

const rounds = isLong ? 200 : 25;
Deno.test(`${rounds} times everything changes at random moments: no snapshot hangs, each reads whole`, async () => {
  const dice = random(runSeed());
  await using at = await place();
  const told = new Set<string>();
  for (let round = 0; round < rounds; round++) {
    const paths = Array.from({ length: 12 }, (_, i) => at.path(`data/up/file-${round}-${i}`));
    for (const path of paths) Deno.writeTextFileSync(path, `content of ${path}`.repeat(dice.int(1, 200)));
    const waiting = paths.map((path) => ({ path, change: dice.pick(names), after: dice.int(1, 20) }));
    let calls = 0;
    const step = () => {
      calls++;
      for (const { path, change } of waiting.filter(({ after }) => after === calls)) changes[change]!(path);
    };
    const { snapshot, remarks } = await takeSnapshot(at.app, {
      now: () => (step(), new Date()),
      openFile: (from) => {
        step();
        const file = openRegular(from);
        return file && { ...file, read: (buffer, from) => (step(), file.read(buffer, from)) };
      },
    });
    for (const what of Object.values(remarks)) told.add(what);
    const contents = await contentsOf(at.store, snapshot);
    assert.equal(contents.get("quiet.txt")?.text, "quiet", `seed ${dice.seed}, round ${round}`);
    assert.ok(contents.has("prod.db"), `seed ${dice.seed}, round ${round}`);
    for (const { name } of Deno.readDirSync(at.path("data/up"))) {
      if (name.startsWith("file-")) Deno.removeSync(at.path("data/up", name), { recursive: true }); // folders among them
    }
  }
  console.log(`  ${rounds} snapshots; remarks: ${[...told].join(", ")}`);
  assert.ok(told.has("in place"), `${[...told]}`);
});

Deno.test("a file that grows without end is stored as far as it went, and read again by the next one", async () => {
  await using at = await place();
  const path = at.path("data/up/large.bin");
  let grown = 0;
  const { snapshot, remarks, incomplete } = await takeSnapshot(at.app, {
    openFile: (from) => {
      const file = openRegular(from);
      if (!file || file.size < 3_000_000) return file;
      return {
        ...file,
        read: (buffer, at) => {
          const count = file.read(buffer, at);
          grown += 70_000;
          Deno.writeFileSync(path, new Uint8Array(70_000).fill(7), { append: true });
          return count;
        },
      };
    },
  });
  assert.deepEqual([remarks["up/large.bin"], incomplete], ["changed", true]);
  const entry = (await contentsOf(at.store, snapshot)).get("up/large.bin");
  assert.ok(entry?.type === "file" && entry.size >= 3_000_000 && entry.size <= 3_000_000 + grown);
  const next = await takeSnapshot(at.app);
  assert.equal(next.incomplete, false);
  const again = (await contentsOf(at.store, next.snapshot)).get("up/large.bin");
  assert.ok(again?.type === "file" && again.size === Deno.statSync(path).size);
});

Deno.test("a database that vanishes, or is replaced, in the last moment is none of the snapshot, or the new one", async () => {
  for (const become of ["gone", "another"]) {
    await using at = await place();
    const path = at.path("data/up/temporary.db");
    makeDatabase(path, { rows: 3, text: "old" });
    makeDatabase(at.path("new.db"), { rows: 7, text: "new" });
    let isDone = false;
    const { snapshot, remarks } = await takeSnapshot(at.app, {
      now: () => {
        if (!isDone && become === "gone") Deno.removeSync(path);
        if (!isDone && become === "another") Deno.renameSync(at.path("new.db"), path);
        isDone = true;
        return new Date();
      },
    });
    // It was noticed only while writers were held, so the moment was taken once more.
    assert.deepEqual(remarks, {});
    const rows = snapshot.facts.databases.map(({ path, rows }) => [path, rows.notes]);
    assert.deepEqual(rows, become === "gone" ? [["prod.db", 10]] : [["prod.db", 10], ["up/temporary.db", 7]]);
    await contentsOf(at.store, snapshot);
  }
});

testWith(
  "root",
  "a file system that misses replaced files while it lists a folder: the snapshot has them",
  async () => {
    await using at = await tempFolder({ "data/": "" });
    const run = async (program: string, ...args: string[]) =>
      (await new Deno.Command(program, { args }).output()).success;
    if (!await run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", at.path("data"))) {
      return console.log("  not tried: nothing can be mounted here");
    }
    try {
      const count = 3_000;
      Deno.mkdirSync(at.path("data/f"));
      for (let i = 0; i < count; i++) Deno.writeTextFileSync(at.path(`data/f/${i}`), "x");
      const script = `for (let i = 0;; i = Math.floor(Math.random() * ${count})) {
      Deno.writeTextFileSync("new", "x");
      Deno.renameSync("new", "f/" + i);
    }`;
      const replacing = new Deno.Command(Deno.execPath(), { args: ["eval", script], cwd: at.path("data") }).spawn();
      const app = appIn(at.root, { database: at.path("none.db"), scratch: at.path("scratch") });
      const store = new DirectoryStore(app.repository);
      try {
        for (let round = 0; round < (isLong ? 100 : 8); round++) {
          const { snapshot, remarks } = await takeSnapshot(app);
          const contents = await contentsOf(store, snapshot);
          const missing = Array.from({ length: count }, (_, i) => `f/${i}`).filter((path) => !contents.has(path));
          assert.deepEqual(missing, [], `round ${round}, remarks: ${JSON.stringify(remarks)}`);
          assert.equal([...contents.keys()].filter((path) => path.startsWith("f/")).length, count);
        }
      } finally {
        replacing.kill("SIGKILL");
        await replacing.status;
      }
    } finally {
      await run("umount", at.path("data"));
    }
  },
);
