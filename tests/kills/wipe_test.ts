/** A wipe that is killed before each of its steps: the next command that writes leaves all of it, or nothing. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Repository } from "../../lib/repository/repository.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { type CommandResult, projectFolder, spawnCommand } from "../support/command.ts";
import { makeDatabase, treeOf } from "../support/data_tree.ts";
import { random, runSeed } from "../support/random.ts";
import { type App, appIn, putBack } from "../support/restoring.ts";
import { isLong } from "../support/skip.ts";
import { removeFolder, tempFolder } from "../support/temp_folder.ts";
import { finishApp, wipeApp, type WipeTask } from "../support/wiping.ts";

interface Variation {
  name: string;
  parts: Partial<App>;
  selection?: WipeTask["selection"];
  /** A server has the database open all the time, and commits between the kill and the next command. */
  server: boolean;
}

const variations: Variation[] = [
  { name: "files and database", parts: {}, server: false },
  { name: "with a server that commits on", parts: {}, server: true },
  { name: "only files", parts: {}, selection: { files: true }, server: true },
  { name: "with what is excluded in each folder", parts: { exclude: ["*.log"] }, server: false },
];

function make(app: App): void {
  for (const folder of ["uploads/deep", "empty", "logs"]) Deno.mkdirSync(`${app.data}/${folder}`, { recursive: true });
  for (let i = 0; i < 3; i++) Deno.writeTextFileSync(`${app.data}/uploads/deep/${i}`, `upload ${i}`);
  Deno.writeTextFileSync(`${app.data}/logs/app.log`, "line");
  Deno.writeTextFileSync(`${app.data}/logs/other`, "other");
  Deno.writeTextFileSync(`${app.data}/settings.json`, "{}");
  Deno.symlinkSync("uploads/deep", `${app.data}/latest`);
  makeDatabase(app.database, { rows: 100, text: "old" });
  makeDatabase(`${app.data}/second.db`, { rows: 10, text: "old" });
}

/** Before which step, or how long after it began: that is chance, nothing can be awaited there. */
type Kill = { killAt?: number; afterMs?: number };

/** A wipe in a process of its own. */
async function wipeIn(task: WipeTask, { afterMs }: Kill): Promise<CommandResult> {
  const script = `${projectFolder}/tests/support/wiping.ts`;
  const run = ["run", "-A", "--quiet", "--no-check", script, JSON.stringify(task)];
  const wiping = spawnCommand(Deno.execPath(), run, { cwd: task.app.root, timeoutMs: 120_000 });
  if (afterMs !== undefined) {
    await wiping.until("begun");
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    try {
      wiping.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it ended in this very moment
    }
  }
  return await wiping.result;
}

/** Paths in the data folder besides amber's own and the database, with what is in them. */
function filesOf(app: App): Record<string, unknown> {
  // What a killed process left beside it goes when it is opened and closed, not in the middle of the look.
  if (exists(`${app.data}/second.db`)) textsOf(`${app.data}/second.db`);
  return Object.fromEntries(
    Object.entries(treeOf(app.data)).filter(([path]) => !/^(\.amber|prod\.db)/.test(path))
      // A killed snapshot leaves second names, which the next one removes.
      .map(([path, one]) => [path, { ...one, sameAs: "", ...(one.type === "folder" ? { mtimeMs: 0 } : {}) }]),
  );
}

/** Texts of all rows; undefined when there is no such table. */
function textsOf(path: string): string[] | undefined {
  const database = new DatabaseSync(path);
  try {
    const isThere = database.prepare("select 1 from sqlite_schema where name = 'notes'").get();
    return isThere && database.prepare("select text from notes order by id").all().map((row) => String(row.text));
  } finally {
    database.close();
  }
}

async function killAndFinish(variation: Variation, app: App, kill: Kill) {
  const { killAt } = kill;
  const story = `${variation.name}, ${JSON.stringify(kill)}`;
  const old = { files: filesOf(app), texts: textsOf(app.database)! };
  const server = variation.server ? new DatabaseSync(app.database, { timeout: 5_000 }) : undefined;
  server?.prepare("select count(*) from notes").get();
  try {
    const result = await wipeIn({ app, selection: variation.selection, ...(killAt ? { killAt } : {}) }, kill);
    if (result.signal === null) assert.equal(result.code, 0, `${story}\n${result.stdout}\n${result.stderr}`);
    if (killAt !== undefined) assert.equal(result.signal, "SIGKILL", `${story}\n${result.stdout}\n${result.stderr}`);
    server?.exec("create table if not exists notes (id integer primary key, text text not null, n integer)");
    server?.prepare("insert into notes (text) values ('acknowledged')").run();
    const texts = textsOf(app.database);

    await finishApp(app); // the next command that writes
    assert.deepEqual(textsOf(app.database), texts, `${story}: a commit was lost`);
    const files = filesOf(app);
    const isOld = JSON.stringify(files) === JSON.stringify(old.files);
    const stays = Object.keys(old.files).filter((path) =>
      app.exclude.length > 0 && (path === "logs" || path.endsWith(".log"))
    );
    if (!isOld) assert.deepEqual(Object.keys(files), stays, `${story}: neither all nor nothing`);
    const acknowledged = server ? ["acknowledged"] : [];
    const wasEmptied = !isOld && !variation.selection?.files;
    const expected = wasEmptied ? (server ? acknowledged : undefined) : [...old.texts, ...acknowledged];
    assert.deepEqual(texts, expected, story);
    const marker = "select 1 from sqlite_schema where name = 'amber_restore'";
    using database = new DatabaseSync(app.database);
    assert.equal(database.prepare(marker).get(), undefined, `${story}: the marker is there`);
    assert.equal(database.prepare("pragma integrity_check").get()!.integrity_check, "ok", story);
    return { isOld, old, result };
  } finally {
    server?.close();
  }
}

for (const variation of variations) {
  Deno.test(`a wipe killed at each step, ${variation.name}: all of it or nothing, and again it ends`, async (t) => {
    const dice = random(runSeed());
    await using folder = await tempFolder();
    const clean = appIn(folder.path("clean"), variation.parts);
    make(clean);
    const started = performance.now();
    const { isOld, result } = await killAndFinish(variation, clean, {});
    const wholeMs = performance.now() - started;
    assert.equal(isOld, false);
    const { steps, safety } = JSON.parse(result.stdout.trim().split("\n").at(-1)!);
    assert.ok(steps > 10 && safety, result.stdout);
    const all = Array.from({ length: steps }, (_, index) => ({ killAt: index + 1 }));
    const anywhere = Array.from({ length: isLong ? 55 : 1 }, () => ({ afterMs: Math.round(dice.next() * wholeMs) }));
    const chosen: Kill[] = [...(isLong ? all : dice.shuffle(all).slice(0, 6)), ...anywhere];
    const outcomes = { untouched: 0, wiped: 0 };
    for (const [number, kill] of chosen.entries()) {
      const app = appIn(folder.path(`run-${number}`), variation.parts);
      make(app);
      const story = JSON.stringify(kill);
      const killed = await killAndFinish(variation, app, kill);
      outcomes[killed.isOld ? "untouched" : "wiped"]++;
      await wipeApp(app, { selection: variation.selection });
      const left = [...Deno.readDirSync(app.data)].map(({ name }) => name).filter((name) => name !== ".amber");
      const stays = app.exclude.length > 0 ? ["logs", "prod.db"] : ["prod.db"];
      assert.deepEqual(left.filter((name) => !/-(wal|shm)$/.test(name)).sort(), stays, story);
      // The oldest safety snapshot has what was there before the first wipe began.
      const first = await firstSafety(app);
      if (first !== undefined) {
        Deno.removeSync(app.data, { recursive: true });
        await putBack(app, { wanted: first, noSafety: true });
        const { files, texts } = killed.old;
        for (const path of Object.keys(files)) {
          if (!path.endsWith(".log") || app.exclude.length === 0) {
            assert.deepEqual(filesOf(app)[path], files[path], `${story}: ${path}`);
          }
        }
        assert.deepEqual(textsOf(app.database)?.slice(0, texts.length), texts, story);
      }
      await removeFolder(app.root);
    }
    console.log(
      `${t.name}: ${chosen.length} kills, ${steps} steps, seed ${dice.seed}: ${JSON.stringify(outcomes)}`,
    );
  });
}

function exists(path: string): boolean {
  try {
    return Deno.lstatSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function firstSafety(app: App): Promise<string | undefined> {
  const repository = await Repository.open(new DirectoryStore(app.repository)).catch(() => undefined);
  return (await repository?.snapshots())?.find(({ kind }) => kind === "safety")?.hash;
}
