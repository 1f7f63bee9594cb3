/** `migrate` after something that was killed, and beside something that runs: it finishes the one and waits for the other. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { restore } from "../../lib/stories/restore.ts";
import { spawnAmber } from "../support/command.ts";
import { steppedCalls } from "../support/faulty_restore.ts";
import { appIn, placesOf } from "../support/restoring.ts";
import { steppedWipe, wipeApp } from "../support/wiping.ts";
import { type DataApp, dataApp } from "./data_app.ts";

const env = { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository" };
const app = () => dataApp({ "data/a.txt": "old", "migrations/0001_tags.sql": "create table if not exists tags (x);" });
const parts = ({ folder }: DataApp) => appIn(folder.root, { database: folder.path("data/app.db") });

function posts({ folder }: DataApp): number | undefined {
  using database = new DatabaseSync(folder.path("data/app.db"));
  const isThere = database.prepare("select 1 from sqlite_schema where name = 'posts'").get();
  return isThere && Number(database.prepare("select count(*) as count from posts").get()!.count);
}

/** Stops a restore of the latest snapshot right after it was decided. */
async function interruptRestore(made: DataApp): Promise<void> {
  let isDecided = false;
  const calls = steppedCalls(({ call }) => {
    if (isDecided) throw new Error(`power failure before ${call}`);
  });
  const options = { ...await placesOf(parts(made)), calls, wanted: "latest", noSafety: true };
  const takeSafety = () => Promise.reject(new Error("not asked for"));
  const report = ({ type }: { type: string }) => void (isDecided ||= type === "decided");
  await assert.rejects(restore({ ...options, takeSafety, report }), /power failure/);
}

Deno.test("migrate finishes an interrupted restore first, also when nothing is pending, and --plan tells of it", async () => {
  await using made = await app();
  await made.ends(0, ["migrate"]);
  const id = await made.take();
  await made.folder.write({ "data/a.txt": "new" });
  made.sql("delete from posts");
  await interruptRestore(made);
  const planned = await made.ends(0, ["migrate", "--plan"]);
  assert.match(planned.stderr, new RegExp(`a restore of snapshot ${id} was interrupted`));
  assert.equal(await made.folder.read("data/a.txt"), "new");
  const { stderr, stdout } = await made.ends(0, ["migrate"]);
  assert.match(stderr, new RegExp(`finishing the restore of snapshot ${id} that was interrupted`));
  assert.equal(stdout, "Nothing to do.\n");
  assert.deepEqual([await made.folder.read("data/a.txt"), posts(made)], ["old", 3]);
});

Deno.test("a restore that cannot be finished keeps migrate from running, and is told", async () => {
  await using made = await app();
  const id = await made.take();
  await made.folder.write({ "data/a.txt": "new" });
  await interruptRestore(made);
  Deno.removeSync(made.folder.path("repository"), { recursive: true });
  const { json } = await made.ends(1, ["migrate", "--json"]);
  assert.equal(json.at(-1)!.code, "RESTORE_UNFINISHED");
  assert.match(String(json.at(-1)!.message), new RegExp(id));
  assert.match(String(json.at(-1)!.hint), /amber restore --discard/);
  await made.ends(0, ["restore", "--discard", "--yes"]);
  await made.ends(0, ["migrate"]);
});

Deno.test("migrate finishes an interrupted wipe first, and then begins anew", async () => {
  await using made = await app();
  await made.ends(0, ["migrate"]);
  const calls = steppedWipe((_, call) => {
    if (call === "makeTrash") throw Object.assign(new Error("power failure"), { code: "EIO" });
  });
  const takeSafety = () => Promise.resolve({ id: "0123456789", incomplete: false });
  await assert.rejects(wipeApp(parts(made), { calls, takeSafety }), /power failure/);
  assert.match((await made.ends(0, ["migrate", "--plan"])).stderr, /a wipe was interrupted/);
  assert.equal(await made.folder.read("data/a.txt"), "old");
  const { stderr, stdout } = await made.ends(0, ["migrate"]);
  assert.match(stderr, /finishing the wipe that was interrupted.*amber restore 0123456789/);
  assert.match(stdout, /applied {3}0001_tags/);
  assert.equal(posts(made), undefined);
  assert.deepEqual([...Deno.readDirSync(made.folder.path("data"))].map(({ name }) => name).sort(), [
    ".amber",
    "app.db",
  ]);
});

Deno.test("migrate waits for a restore or a wipe that runs", async () => {
  await using made = await app();
  const lockPath = made.folder.path("data/.amber/restore.lock");
  Deno.mkdirSync(made.folder.path("data/.amber"), { recursive: true });
  const lock = Deno.openSync(lockPath, { read: true, write: true, create: true });
  lock.lockSync(true);
  const { json } = await made.ends(5, ["migrate", "--json", "--wait", "100ms"]);
  assert.equal(json.at(-1)!.code, "RESTORE_RUNNING");
  await using waiting = spawnAmber(["migrate", "--json"], { cwd: made.folder.root, env });
  await waiting.until("waiting for another amber that restores");
  lock.close();
  assert.equal((await waiting.result).code, 0);
});
