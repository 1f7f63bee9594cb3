/** Databases that may be read and not written: another user's. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { command, otherUser, projectFolder } from "../../support/command.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("what this user may not write is read without being held, and what it may not read is named", async () => {
  await using folder = await tempFolder({ "closed/": "", "scratch/": "" });
  const at = (name: string) => folder.path("closed", name);
  create(at("hidden.db"), "delete").close();
  create(at("rollback.db"), "delete").close();
  create(at("wal.db"), "wal").close();
  using live = create(at("live.db"), "wal");
  const crashed = create(at("crashed.db"), "wal");
  for (const end of ["", "-wal"]) Deno.copyFileSync(at(`crashed.db${end}`), at(`left.db${end}`)); // no -shm to join the two with
  crashed.close();
  Deno.removeSync(at("crashed.db"));

  await using user = await otherUser();
  for (const { name } of Deno.readDirSync(folder.path("closed"))) Deno.chmodSync(at(name), 0o444);
  Deno.chmodSync(at("hidden.db"), 0);
  Deno.chmodSync(folder.path("closed"), 0o555);
  Deno.chmodSync(folder.root, 0o755);
  Deno.chmodSync(folder.path("scratch"), 0o777);
  const project = user.project ?? projectFolder;
  const script = join(project, "tests", "engines", "sqlite", "look_on.ts");
  if (user.project) {
    Deno.mkdirSync(join(project, "tests", "engines", "sqlite"), { recursive: true });
    Deno.copyFileSync(join(import.meta.dirname!, "look_on.ts"), script);
  }
  const names = ["hidden.db", "left.db", "live.db", "rollback.db", "wal.db"];
  const args = ["run", "-A", "--quiet", "--no-prompt", "--config", join(project, "deno.json"), script];
  const result = await command(user.deno ?? Deno.execPath(), [...args, folder.path("scratch"), ...names.map(at)], {
    cwd: "/",
    as: user,
  });
  assert.equal(result.code, 0, result.stderr);
  const found = JSON.parse(result.stdout);
  assert.match(found[at("hidden.db")].unreadable, /unable to open/);
  assert.match(found[at("left.db")].unreadable, /unable to open/);
  const pages = 2;
  const read = { rows: { t: 3 }, copiedPages: pages, unheld: "attempt to write a readonly database" };
  assert.deepEqual(found[at("rollback.db")], { ...read, access: "read", readDirectly: true });
  // Not held, so the log's end is not known to be the pin's.
  assert.deepEqual(found[at("live.db")], { ...read, access: "read", readDirectly: false });
  assert.deepEqual(found[at("wal.db")], { ...read, access: "unchanging", readDirectly: false });
  assert.equal(live.prepare("select count(*) as rows from t").get()!.rows, 3);
});

function create(path: string, journal: string): DatabaseSync & Disposable {
  const database = new DatabaseSync(path);
  database.exec(`pragma journal_mode = ${journal}; create table t (a); insert into t values (1), (2), (3)`);
  return Object.assign(database, { [Symbol.dispose]: () => database.close() });
}
