import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { makeDatabase } from "../support/data_tree.ts";
import { steppedCalls, systemFailure } from "../support/faulty_restore.ts";
import { type App, appIn, putBack, take } from "../support/restoring.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

const ifEmpty = {
  ifEmpty: true,
  confirm: () => Promise.reject(new Error("nothing is asked")),
  takeSafety: () => Promise.reject(new Error("there is nothing to keep")),
};

async function appWith(folder: TempFolder, parts: Partial<App> = {}): Promise<App> {
  const app = appIn(folder.root, parts);
  await folder.write({ "data/a": "one" });
  makeDatabase(app.database, { rows: 20 });
  await take(app);
  return app;
}

/** What makes data empty, or not, and what is restored then: `f` files, `d` the database. */
const cases: { name: string; make: (app: App) => void; restored: string }[] = [
  { name: "no data folder at all", make: () => {}, restored: "fd" },
  { name: "an empty folder", make: (app) => Deno.mkdirSync(app.data), restored: "fd" },
  {
    name: "lost+found, and what is amber's own",
    make: (app) => {
      for (const path of ["lost+found", ".amber", ".amber-0123456789abcdef"]) {
        Deno.mkdirSync(`${app.data}/${path}`, { recursive: true });
      }
    },
    restored: "fd",
  },
  {
    name: "a database of no bytes",
    make: (app) => {
      Deno.mkdirSync(app.data);
      Deno.writeTextFileSync(app.database, "");
    },
    restored: "fd",
  },
  {
    name: "a database with nothing but amber's own table",
    make: (app) => {
      Deno.mkdirSync(app.data);
      sql(app.database, "create table amber_migrations (name text)");
    },
    restored: "fd",
  },
  {
    name: "a database with a table of the app, without rows",
    make: (app) => {
      Deno.mkdirSync(app.data);
      sql(app.database, "pragma journal_mode = wal; create table notes (id integer primary key, text text, n integer)");
    },
    restored: "f",
  },
  {
    name: "a file, and no database",
    make: (app) => {
      Deno.mkdirSync(app.data);
      Deno.writeTextFileSync(`${app.data}/b`, "mine");
    },
    restored: "d",
  },
  {
    name: "an empty folder in it",
    make: (app) => Deno.mkdirSync(`${app.data}/uploads`, { recursive: true }),
    restored: "d",
  },
  {
    name: "a file and tables",
    make: (app) => {
      Deno.mkdirSync(app.data);
      Deno.writeTextFileSync(`${app.data}/b`, "mine");
      sql(app.database, "create table t (x)");
    },
    restored: "",
  },
];

for (const { name, make, restored } of cases) {
  Deno.test(`restore() if empty, over ${name}: ${restored === "" ? "nothing" : restored.replace("f", "files ").replace("d", "database")}`, async () => {
    await using folder = await tempFolder();
    const app = await appWith(folder);
    Deno.removeSync(app.data, { recursive: true });
    make(app);
    const before = (await folder.list()).filter((path) => path.startsWith("data/") && !path.includes("prod.db"));
    const { state, reason, plan } = await putBack(app, ifEmpty);
    assert.deepEqual([state, reason], restored === "" ? ["nothing", "not empty"] : ["restored", undefined]);
    const after = await folder.list();
    assert.equal(after.includes("data/a"), restored.includes("f"));
    assert.equal(rowsIn(app.database) === 20, restored.includes("d"));
    assert.deepEqual(plan?.goes ?? [], []);
    for (const path of before) assert.ok(after.includes(path), path);
    // And again, as the next container does.
    assert.equal((await putBack(app, ifEmpty)).reason, "not empty");
  });
}

Deno.test("restore() if empty, over nothing but the repository and the folder of the database", async () => {
  await using folder = await tempFolder({ "data/db/": "" });
  const app = await appWith(folder, {
    repository: folder.path("data/backups"),
    database: folder.path("data/db/prod.db"),
  });
  for (const path of ["a", "db"]) Deno.removeSync(`${app.data}/${path}`, { recursive: true });
  Deno.mkdirSync(`${app.data}/db`);
  assert.equal((await putBack(app, ifEmpty)).state, "restored");
  assert.equal(await folder.read("data/a"), "one");
  assert.equal(rowsIn(app.database), 20);
});

Deno.test("restore() if empty in the first deployment: no repository, or one without snapshots, is nothing to do", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root);
  const { state, reason } = await putBack(app, ifEmpty);
  assert.deepEqual([state, reason], ["nothing", "no snapshot"]);
  assert.deepEqual([...Deno.readDirSync(folder.root)], []); // least of all a data folder that is not mounted
  await folder.write({ "data/a": "one" });
  makeDatabase(app.database);
  await take(app);
  for (const { name } of Deno.readDirSync(`${app.repository}/snapshots`)) {
    Deno.removeSync(`${app.repository}/snapshots/${name}`);
  }
  assert.equal((await putBack(app, ifEmpty)).reason, "no snapshot");
});

Deno.test("restore() if empty finishes an interrupted one", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  Deno.removeSync(app.data, { recursive: true });
  const calls = steppedCalls((step) => {
    if (step.call === "rename" && !step.path.includes("plan.json")) throw systemFailure("EIO", step);
  });
  await assert.rejects(putBack(app, { ...ifEmpty, calls }), { code: "FILE_UNWRITABLE" });
  assert.equal((await putBack(app, ifEmpty)).state, "finished");
  assert.equal(await folder.read("data/a"), "one");
  assert.equal(rowsIn(app.database), 20);
});

Deno.test("restore() if empty does not write over tables that somebody makes meanwhile", async () => {
  await using folder = await tempFolder();
  const app = await appWith(folder);
  Deno.removeSync(app.data, { recursive: true });
  Deno.mkdirSync(app.data);
  Deno.writeTextFileSync(app.database, "");
  const calls = steppedCalls(({ call }) => {
    if (call === "putImage") sql(app.database, "create table quicker (x)");
  });
  const { state, events } = await putBack(app, { ...ifEmpty, calls });
  assert.equal(state, "restored");
  assert.ok(events.some((event) => event.type === "note" && /not empty any more/.test(event.message)));
  assert.equal(await folder.read("data/a"), "one");
  const database = new DatabaseSync(app.database);
  assert.ok(database.prepare("select 1 from sqlite_schema where name = 'quicker'").get());
  database.close();
});

function sql(path: string, text: string): void {
  const database = new DatabaseSync(path);
  database.exec(text);
  database.close();
}

function rowsIn(path: string): number {
  const database = new DatabaseSync(path);
  try {
    return Number(database.prepare("select count(*) as count from notes").get()!.count);
  } catch {
    return -1; // no such table
  } finally {
    database.close();
  }
}
