import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Decision } from "../../lib/capture/restore_decision.ts";
import { discardRestore, guardAgainstRestore, unfinishedRestore } from "../../lib/stories/unfinished_restore.ts";
import type { RestoreOptions } from "../../lib/stories/restore_types.ts";
import { makeDatabase } from "../support/data_tree.ts";
import { steppedCalls, systemFailure } from "../support/faulty_restore.ts";
import { type App, appIn, placesOf, putBack, take } from "../support/restoring.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

/** An app of three files and a database, whose snapshot has been restored as far as its first rename. */
async function interrupted(folder: TempFolder): Promise<App> {
  const app = appIn(folder.root);
  await folder.write({ "data/a": "one", "data/b": "two", "data/c": "three" });
  makeDatabase(app.database, { rows: 20, text: "kept" });
  await take(app);
  await folder.write({ "data/a": "spoiled", "data/b": "spoiled", "data/c": "spoiled", "data/new": "new" });
  change(app.database, "spoiled");
  let isDecided = false;
  let seen = 0;
  const calls = steppedCalls((step) => {
    // The second one after the decision: the first has been done.
    if (isDecided && step.call === "rename" && ++seen === 2) throw systemFailure("EIO", step);
  });
  const report = ({ type }: { type: string }) => {
    if (type === "decided") isDecided = true;
  };
  await assert.rejects(putBack(app, { calls, report }), { code: "FILE_UNWRITABLE", hint: /goes on where it was/ });
  assert.ok(unfinishedRestore(app.scratch));
  return app;
}

async function guard(app: App, more: Partial<RestoreOptions> = {}): Promise<void> {
  const places = async () => ({ ...await placesOf(app), ...more });
  (await guardAgainstRestore(app.scratch, { ...await places(), waitMs: 5_000 }, places))[Symbol.dispose]();
}

function change(path: string, text: string): void {
  const database = new DatabaseSync(path);
  database.prepare("insert into notes (text) values (?)").run(text);
  database.close();
}

function rowsIn(path: string): number {
  const database = new DatabaseSync(path);
  try {
    return Number(database.prepare("select count(*) as count from notes").get()!.count);
  } finally {
    database.close();
  }
}

async function contents(folder: TempFolder): Promise<string[]> {
  const paths = (await folder.list()).filter((path) => /^data\/[a-z]+$/.test(path));
  return await Promise.all(paths.map(async (path) => `${path.slice(5)} ${await folder.read(path)}`));
}

const restored = ["a one", "b two", "c three"];

Deno.test("an interrupted restore is reported by who reads, and finished by who writes next", async () => {
  await using folder = await tempFolder();
  const app = await interrupted(folder);
  const { snapshot, safety, message } = unfinishedRestore(app.scratch)!;
  assert.match(message, new RegExp(`restore of snapshot ${snapshot} was interrupted`));
  assert.ok(safety);
  assert.notDeepEqual(await contents(folder), restored);
  await guard(app);
  assert.deepEqual(await contents(folder), restored);
  assert.equal(rowsIn(app.database), 20);
  assert.equal(unfinishedRestore(app.scratch), undefined);
  assert.deepEqual(
    [...Deno.readDirSync(app.scratch)].map(({ name }) => name).filter((name) => name !== "restore.lock"),
    [],
  );
});

Deno.test("the same restore again finishes the interrupted one: latest is what it was, never the safety snapshot", async () => {
  await using folder = await tempFolder();
  const app = await interrupted(folder);
  const { snapshot, safety } = unfinishedRestore(app.scratch)!;
  assert.notEqual(snapshot, safety);
  const result = await putBack(app, { takeSafety: () => Promise.reject(new Error("it has one already")) });
  assert.deepEqual([result.state, result.snapshot!.id, result.safety], ["finished", snapshot, safety]);
  assert.equal(result.snapshot!.kind, "ordinary");
  assert.deepEqual(await contents(folder), restored);
  assert.equal((await putBack(app)).state, "restored");
});

Deno.test("a restore that was stopped before it was decided left everything as it was, and latest is still latest", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root);
  await folder.write({ "data/a": "one" });
  makeDatabase(app.database);
  const id = await take(app);
  await folder.write({ "data/a": "spoiled" });
  const controller = new AbortController();
  const report = ({ type }: { type: string }) => type === "safety" && controller.abort(new Error("interrupted"));
  await assert.rejects(putBack(app, { stop: controller.signal, report }), /interrupted/);
  assert.equal(await folder.read("data/a"), "spoiled");
  assert.equal(unfinishedRestore(app.scratch), undefined);
  assert.equal((await putBack(app)).snapshot!.id, id);
  assert.equal(await folder.read("data/a"), "one");
});

Deno.test("another restore finishes the interrupted one first", async () => {
  await using folder = await tempFolder();
  const app = await interrupted(folder);
  await guard(app);
  const second = await take(app, { tags: ["second"] });
  const again = await interruptedAgain(app, folder);
  const { state, events } = await putBack(again, { wanted: second });
  assert.equal(state, "restored");
  assert.ok(events.some((event) => event.type === "note" && /that was interrupted/.test(event.message)));
  assert.deepEqual(await contents(folder), restored);
});

async function interruptedAgain(app: App, folder: TempFolder): Promise<App> {
  await folder.write({ "data/a": "spoiled", "data/b": "spoiled" });
  let renames = 0;
  const calls = steppedCalls((step) => {
    if (step.call === "rename" && !step.path.includes("plan.json") && ++renames === 2) throw systemFailure("EIO", step);
  });
  await assert.rejects(putBack(app, { calls }), { code: "FILE_UNWRITABLE" });
  return app;
}

Deno.test("what was restored before the kill and changed since keeps its changes", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root);
  await folder.write({ "data/a": "one" });
  makeDatabase(app.database, { rows: 20 });
  await take(app);
  change(app.database, "spoiled");
  // Stopped after the database was written, before its image went.
  let isWritten = false;
  const calls = steppedCalls((step) => {
    if (step.call === "putImage") isWritten = true;
    else if (isWritten) throw systemFailure("EIO", step);
  });
  await assert.rejects(putBack(app, { calls }), { code: "FILE_UNWRITABLE" });
  change(app.database, "acknowledged afterwards");
  await folder.write({ "data/new upload": "afterwards" });
  // Not even --replace renames over it.
  await guard(app, { replace: true });
  assert.equal(rowsIn(app.database), 21);
  assert.equal(await folder.read("data/new upload"), "afterwards");
});

Deno.test("a staged file that the app has changed is staged again from the snapshot", async () => {
  await using folder = await tempFolder();
  const app = await interrupted(folder);
  const staged = `${app.scratch}/restore`;
  const left = [...Deno.readDirSync(staged)].filter(({ name, isFile }) => isFile && /^\d+$/.test(name));
  assert.ok(left.length >= 2);
  for (const { name } of left) Deno.writeTextFileSync(`${staged}/${name}`, "poisoned");
  await guard(app);
  assert.deepEqual(await contents(folder), restored);
  assert.equal(rowsIn(app.database), 20);
});

Deno.test("a staged file that became a link is staged again, and where it led is untouched", async () => {
  await using folder = await tempFolder({ "victim": "mine" });
  const app = await interrupted(folder);
  const staged = `${app.scratch}/restore`;
  for (const { name, isFile } of [...Deno.readDirSync(staged)]) {
    if (!isFile || !/^\d+$/.test(name)) continue;
    Deno.removeSync(`${staged}/${name}`);
    Deno.symlinkSync(folder.path("victim"), `${staged}/${name}`);
  }
  await guard(app);
  assert.deepEqual(await contents(folder), restored);
  assert.equal(await folder.read("victim"), "mine");
});

const forgeries: { name: string; forge: (plan: Decision, folder: TempFolder) => unknown }[] = [
  { name: "no JSON", forge: () => "{" },
  { name: "null", forge: () => null },
  { name: "a name that leads out", forge: (plan) => ({ ...plan, names: ["../../victim"] }) },
  { name: "an absolute name", forge: (plan, folder) => ({ ...plan, names: [folder.path("victim")] }) },
  { name: "a name that the snapshot does not have", forge: (plan) => ({ ...plan, names: ["victim", ...plan.names] }) },
  { name: "a name twice", forge: (plan) => ({ ...plan, names: [...plan.names, plan.names[0]] }) },
  { name: "something outside that goes", forge: (plan) => ({ ...plan, goes: ["../victim"] }) },
  { name: "no snapshot that there is", forge: (plan) => ({ ...plan, snapshot: "0".repeat(64) }) },
  { name: "a snapshot's name that is none", forge: (plan) => ({ ...plan, name: "../../../../etc/passwd" }) },
  { name: "another folder", forge: (plan, folder) => ({ ...plan, target: folder.path("elsewhere") }) },
  { name: "another database", forge: (plan, folder) => ({ ...plan, database: folder.path("elsewhere.db") }) },
  { name: "a marker that is no number", forge: (plan) => ({ ...plan, id: "'; drop table notes; --" }) },
  { name: "nothing that was asked", forge: (plan) => ({ ...plan, asked: { wanted: 7 } }) },
];

Deno.test("plan.json is input: one that is malformed or does not fit is refused, and --discard drops it", async () => {
  await using folder = await tempFolder({ victim: "mine" });
  const app = await interrupted(folder);
  const path = `${app.scratch}/restore/plan.json`;
  const plan: Decision = JSON.parse(Deno.readTextFileSync(path));
  const before = [await contents(folder), await folder.list()];
  for (const { name, forge } of forgeries) {
    const forged = forge(plan, folder);
    Deno.writeTextFileSync(path, typeof forged === "string" ? forged : JSON.stringify(forged));
    await assert.rejects(guard(app), { code: "RESTORE_UNFINISHED", hint: /amber restore --discard/ }, name);
    assert.deepEqual([await contents(folder), await folder.list()], before, name);
  }
  await assert.rejects(putBack(app), { code: "RESTORE_UNFINISHED" });
  assert.equal((await discardRestore(await placesOf(app))).discarded, true);
  assert.deepEqual([await contents(folder), await folder.read("victim")], [before[0], "mine"]);
  await guard(app);
  assert.equal((await putBack(app)).state, "restored");
  assert.deepEqual(await contents(folder), restored);
});

Deno.test("what a forged plan wants to go: never what is amber's own, nor what has come meanwhile", async () => {
  await using folder = await tempFolder();
  const app = await interrupted(folder);
  const path = `${app.scratch}/restore/plan.json`;
  const plan: Decision = JSON.parse(Deno.readTextFileSync(path));
  const goes = [...plan.goes, "a", "prod.db", ".amber/restore.lock", ".amber", "/database.db"];
  Deno.writeTextFileSync(path, JSON.stringify({ ...plan, goes }));
  await guard(app);
  assert.deepEqual(await contents(folder), restored);
  assert.equal(rowsIn(app.database), 20);
});

Deno.test("discardRestore() takes the marker out of what was written already, and tells what it dropped", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root);
  await folder.write({ "data/a": "one" });
  makeDatabase(app.database, { rows: 20 });
  await take(app);
  change(app.database, "spoiled");
  const calls = steppedCalls((step) => {
    if (step.call === "dropMarker") throw systemFailure("EIO", step);
  });
  await assert.rejects(putBack(app, { calls }), { code: "FILE_UNWRITABLE" });
  const { snapshot, safety } = unfinishedRestore(app.scratch)!;
  assert.deepEqual(await discardRestore(await placesOf(app)), { discarded: true, snapshot, safety });
  const database = new DatabaseSync(app.database);
  assert.equal(database.prepare("select 1 from sqlite_schema where name = 'amber_restore'").get(), undefined);
  database.close();
  assert.deepEqual(await discardRestore(await placesOf(app)), { discarded: false });
});

Deno.test("an interrupted restore into another folder is finished by the same again, and by nothing else", async () => {
  await using folder = await tempFolder();
  const app = appIn(folder.root);
  await folder.write({ "data/a": "one", "data/b": "two" });
  makeDatabase(app.database, { rows: 20 });
  await take(app);
  const to = folder.path("other");
  let renames = 0;
  const calls = steppedCalls((step) => {
    if (step.call === "rename" && ++renames === 3) throw systemFailure("EIO", step);
  });
  await assert.rejects(putBack(app, { to, calls }), { code: "FILE_UNWRITABLE" });
  await guard(app);
  assert.ok(Deno.statSync(`${to}/.amber/restore/plan.json`).isFile);
  assert.equal((await putBack(app, { to })).state, "finished");
  assert.deepEqual([...Deno.readDirSync(to)].map(({ name }) => name).sort(), ["a", "b", "prod.db"]);
  assert.equal(rowsIn(`${to}/prod.db`), 20);
});
