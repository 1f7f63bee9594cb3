/** Starting over on purpose: what `amber wipe` asks, removes, leaves and gives back. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type AmberOptions, command, spawnAmber } from "../support/command.ts";
import type { Files } from "../support/temp_folder.ts";
import { treeOf } from "../support/data_tree.ts";
import { type DataApp, dataApp } from "./data_app.ts";
import { contentOf, refuses } from "./refusal.ts";

const files: Files = {
  "data/uploads/cat.jpg": "a cat",
  "data/uploads/deep/dog.jpg": "a dog",
  "data/settings.json": "{}",
  "outside/precious": "precious",
};

/** By name: the repository lies where it lies by default, inside the data folder. */
const inside = { AMBER_REPOSITORY: "data/backups" };

const app = (env: Record<string, string> = {}, more: Files = {}) => dataApp({ ...files, ...more }, env);

/** What lies in the data folder, amber's own and a database's companions aside. */
function left({ folder }: DataApp): string[] {
  return [...Deno.readDirSync(folder.path("data"))].map(({ name }) => name)
    .filter((name) => !/^\.amber$|-(wal|shm)$/.test(name)).sort();
}

function posts({ folder }: DataApp, path = "data/app.db"): number | undefined {
  using database = new DatabaseSync(folder.path(path));
  const isThere = database.prepare("select 1 from sqlite_schema where name = 'posts'").get();
  return isThere && Number(database.prepare("select count(*) as count from posts").get()!.count);
}

Deno.test("wipe removes everything, and its safety snapshot brings everything back", async () => {
  await using made = await app(inside);
  const before = treeOf(made.folder.path("data"), { except: [".amber", "backups"] });
  const result = await made.result("wipe", "--yes");
  assert.deepEqual([result.state, result.command], ["wiped", `amber restore ${result.safety}`]);
  assert.deepEqual(left(made), ["app.db", "backups"]);
  assert.equal(posts(made), undefined);
  const listed = await made.result("snapshots") as unknown as { snapshots: { id: string; kind: string }[] };
  assert.deepEqual(listed.snapshots.map(({ id, kind }) => [id, kind]), [[result.safety, "safety"]]);
  await made.ends(0, ["restore", String(result.safety), "--yes"]);
  assert.deepEqual(treeOf(made.folder.path("data"), { except: [".amber", "backups"] }), before);
});

Deno.test("people see what goes and what stays, and how it comes back", async () => {
  await using made = await app(inside);
  Deno.mkdirSync(made.folder.path("data/backups"));
  const planned = await made.ends(0, ["wipe", "--plan"]);
  for (const line of [/^Plan:$/m, /removes 3 files and 2 folders/, /- uploads/, /app\.db: 1 table/, /- posts/]) {
    assert.match(planned.stdout, line);
  }
  assert.match(planned.stdout, /stays {3}backups {2}\(the repository\)/);
  const { stdout, stderr } = await made.ends(0, ["wipe", "--yes"]);
  assert.match(stdout, /Wiped: 3 files and 2 folders.*the database with 1 table\./);
  assert.match(stdout, /To put it back: amber restore [0-9a-f]{10}$/m);
  assert.match(stderr, /safety.*amber restore/);
});

Deno.test("a plan, and what is refused, change nothing", async () => {
  await using made = await app();
  const before = contentOf(made.folder.root);
  const { plan } = await made.result("wipe", "--plan") as unknown as {
    plan: { files: number; entries: { place: string }[]; database: { tables: string[] } };
  };
  assert.deepEqual([plan.files, plan.entries.map(({ place }) => place)], [3, ["settings.json", "uploads"]]);
  assert.deepEqual(plan.database.tables, ["posts"]);
  assert.equal((await made.result("wipe", "--dry-run")).state, "planned");
  assert.deepEqual(contentOf(made.folder.root), before);
  const options = { cwd: made.folder.root, env: { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository" } };
  const refused = (args: string[], message: RegExp, hint: RegExp, env: Record<string, string> = {}) =>
    refuses(["wipe", ...args], { ...options, env: { ...options.env, ...env } }, {
      code: "CONFIRMATION_NEEDED",
      message,
      hint,
    });
  const production = { AMBER_PRODUCTION: "1" };
  await refused([], /Nobody can be asked here/, /--yes/);
  await refused(["--confirm", "date"], /"date".*"data"/, /--confirm data/);
  await refused(["--yes"], /This is production.*--yes is not enough/, /--confirm data/, production);
  await refused(["--yes"], /This is production/, /--confirm data/, { PLASH_PRODUCTION: "1" });
  await refused(["--yes", "--database"], /This is production/, /--confirm app\.db/, production);
  await refused(["--yes", "--database", "--confirm", "data"], /"data".*"app\.db"/, /--confirm app\.db/, production);
  await refused(["--yes", "--no-safety"], /Cannot wipe without a safety snapshot/, /--no-safety --confirm data/);
});

Deno.test("in production the name is enough", async () => {
  await using made = await app({ AMBER_PRODUCTION: "1" });
  await made.ends(0, ["wipe", "--database", "--confirm", "app.db"]);
  assert.equal(posts(made), undefined);
  assert.equal((await made.result("wipe", "--confirm", "data", "--yes")).state, "wiped");
  assert.deepEqual(left(made), ["app.db"]);
});

Deno.test("--files and --database remove their part alone", async () => {
  await using made = await app({}, { "data/second.db-journal": "stale" });
  using second = new DatabaseSync(made.folder.path("data/second.db"));
  second.exec("pragma journal_mode = wal; create table t (x)");
  await made.ends(0, ["wipe", "--database", "--yes"]);
  assert.equal(posts(made), undefined);
  assert.equal(await made.folder.read("data/uploads/cat.jpg"), "a cat");
  made.sql("create table posts (x); insert into posts values (1)");
  await made.ends(0, ["wipe", "--files", "--yes"]);
  assert.deepEqual([left(made), posts(made)], [["app.db"], 1]);
  assert.equal((await made.result("wipe", "--files", "--yes")).state, "nothing");
  await made.ends(0, ["wipe", "--files", "--database", "--yes"]);
  assert.equal(posts(made), undefined);
  const again = await made.result("wipe");
  assert.deepEqual([again.state, again.safety], ["nothing", undefined], "nothing goes: nobody is asked");
});

Deno.test("a server that has the database open goes on, and what it commits then stays", async () => {
  await using made = await app();
  using server = new DatabaseSync(made.folder.path("data/app.db"), { timeout: 5_000 });
  const count = server.prepare("select count(*) as count from posts");
  assert.equal(count.get()!.count, 3);
  const { ino } = Deno.statSync(made.folder.path("data/app.db"));
  await made.ends(0, ["wipe", "--yes"]);
  assert.equal(Deno.statSync(made.folder.path("data/app.db")).ino, ino, "it was never unlinked");
  assert.throws(() => count.get(), /no such table/);
  server.exec("create table posts (text); insert into posts values ('new')");
  assert.equal(posts(made), 1);
});

Deno.test("nothing outside the data folder is touched but the database, wherever it lies", async () => {
  await using made = await app({ DB_PATH: "elsewhere/real.db" }, { "elsewhere/other": "x" });
  const { folder } = made;
  Deno.renameSync(folder.path("data/app.db"), folder.path("elsewhere/real.db"));
  Deno.symlinkSync(folder.path("outside"), folder.path("data/out"));
  Deno.symlinkSync("../../outside/precious", folder.path("data/uploads/precious"));
  assert.equal((await made.result("wipe", "--yes")).state, "wiped");
  assert.deepEqual(left(made), []);
  assert.equal(await folder.read("outside/precious"), "precious");
  assert.equal(await folder.read("elsewhere/other"), "x");
  assert.equal(posts(made, "elsewhere/real.db"), undefined);
});

Deno.test("the repository inside, what is excluded, and another amber's folders stay", async () => {
  await using made = await app({ ...inside, AMBER_EXCLUDE: "*.log\n/cache/" }, {
    "data/cache/page": "x",
    "data/uploads/app.log": "line",
  });
  const id = await made.take();
  const busy = made.folder.path("data/.amber-0123456789abcdef");
  Deno.mkdirSync(busy);
  using lock = Deno.openSync(`${busy}/lock`, { write: true, createNew: true });
  lock.lockSync(true);
  await made.ends(0, ["wipe", "--yes"]);
  assert.deepEqual(left(made), [".amber-0123456789abcdef", "app.db", "backups", "cache", "uploads"]);
  assert.equal(await made.folder.read("data/uploads/app.log"), "line");
  await made.ends(0, ["restore", id, "--yes"]);
  assert.equal(await made.folder.read("data/uploads/cat.jpg"), "a cat");
});

/** A file whose name is no UTF-8 cannot be kept. */
async function spoil({ folder }: DataApp): Promise<void> {
  const { code } = await command("sh", ["-c", `touch "$(printf 'data/uploads/\\377')"`], { cwd: folder.root });
  assert.equal(code, 0);
}

const stopped: Record<string, { spoil: (made: DataApp) => Promise<void> | void; message: RegExp }> = {
  "is incomplete": { spoil, message: /safety snapshot [0-9a-f]+ .* is incomplete/ },
  "cannot be taken": {
    spoil: ({ folder }) => Deno.writeTextFileSync(folder.path("repository"), "a file"),
    message: /cannot be kept in a safety snapshot/,
  },
};

for (const [what, { spoil, message }] of Object.entries(stopped)) {
  Deno.test(`a safety snapshot that ${what} stops it, and --no-safety --confirm is the way past`, async () => {
    await using made = await app();
    await spoil(made);
    const { json } = await made.ends(1, ["wipe", "--yes", "--json"]);
    const error = json.at(-1)!;
    assert.equal(error.code, "SAFETY_SNAPSHOT_FAILED");
    assert.match(String(error.message), message);
    assert.match(String(error.hint), /--no-safety --confirm/);
    assert.equal(await made.folder.read("data/uploads/cat.jpg"), "a cat");
    assert.equal(posts(made), 3);
    const result = await made.result("wipe", "--no-safety", "--confirm", "data");
    assert.deepEqual([result.state, result.safety], ["wiped", undefined]);
    assert.deepEqual([left(made), posts(made)], [["app.db"], undefined]);
  });
}

Deno.test("a Postgres that does not answer is not wiped; files can be", async () => {
  await using made = await app();
  const env = { DATABASE_URL: "postgres://u:s3cretpass@127.0.0.1:1/shop", AMBER_REPOSITORY: "repository" };
  for (const part of [[], ["--database"], ["--files", "--database"]]) {
    await refuses(["wipe", "--yes", "--wait", "0", ...part], { cwd: made.folder.root, env }, {
      code: "DATABASE_SILENT",
      message: /the connection was refused/,
      hint: /./,
      secrets: ["s3cretpass"],
    });
  }
  const { json } = await made.ends(0, ["wipe", "--files", "--no-safety", "--confirm", "data", "--json"], { env });
  assert.equal(json.at(-1)!.state, "wiped");
  assert.deepEqual(left(made), [], "app.db is a file like others then");
});

Deno.test("while somebody restores, migrates or writes it waits, and says so in the end", async () => {
  await using made = await app();
  const { folder } = made;
  const code = async (options: Partial<AmberOptions> = {}) =>
    (await made.ends(5, ["wipe", "--yes", "--json", "--wait", "200ms"], options)).json.at(-1)!.code;
  Deno.mkdirSync(folder.path("data/.amber"), { recursive: true });
  {
    using lock = Deno.openSync(folder.path("data/.amber/restore.lock"), { read: true, write: true, create: true });
    lock.lockSync(false);
    assert.equal(await code(), "RESTORE_RUNNING");
  }
  {
    using lock = Deno.openSync(folder.path("data/app.db.amber-lock"), { read: true, write: true, create: true });
    lock.lockSync(true);
    assert.equal(await code(), "LOCK_HELD");
  }
  {
    using writer = new DatabaseSync(folder.path("data/app.db"));
    writer.exec("begin immediate");
    assert.equal(await code(), "DATABASE_BUSY");
  }
  assert.equal(await folder.read("data/uploads/cat.jpg"), "a cat");
  assert.equal(posts(made), 3);
  await made.ends(0, ["wipe", "--yes"]);
});

Deno.test("killed when its safety snapshot exists, amber migrate leaves all of it or nothing, and wipe again ends it", async () => {
  await using made = await app({}, { "migrations/0001_posts.sql": "create table if not exists posts (text);" });
  const { folder } = made;
  {
    const env = { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository" };
    await using wiping = spawnAmber(["wipe", "--yes", "--json"], { cwd: folder.root, env });
    await wiping.until('"type":"safety"');
    wiping.kill("SIGKILL");
    await wiping.result;
  }
  await made.ends(0, ["migrate"]);
  const isOld = left(made).includes("uploads");
  assert.deepEqual(left(made), isOld ? ["app.db", "settings.json", "uploads"] : ["app.db"]);
  assert.equal(posts(made), isOld ? 3 : 0);
  await made.ends(0, ["wipe", "--yes"]);
  assert.deepEqual([left(made), posts(made)], [["app.db"], undefined]);
});

Deno.test("the migration history goes too: migrate begins anew", async () => {
  await using made = await app({}, { "migrations/0001_notes.sql": "create table notes (x);" });
  await made.ends(0, ["migrate"]);
  await made.ends(0, ["wipe", "--yes"]);
  assert.deepEqual((await made.result("migrate")).applied, ["0001_notes"]);
});
