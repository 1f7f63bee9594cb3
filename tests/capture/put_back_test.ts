import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { putBack, type PutBackOptions } from "../../lib/capture/put_back.ts";
import { type RestoreCalls, restoreCalls } from "../../lib/capture/restore_calls.ts";
import { type Decision, readDecision, writeDecision } from "../../lib/capture/restore_decision.ts";
import type { Item } from "../../lib/capture/restore_items.ts";
import { makeDatabase, rowsOf } from "../support/data_tree.ts";
import { type Step, steppedCalls } from "../support/faulty_restore.ts";
import { databaseItem, fileItem } from "../support/memory_contents.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

const text = (content: string) => new TextEncoder().encode(content);

/** A staging folder made by hand, and what is to be done with it. */
function prepared(folder: TempFolder, items: Item[], more: Partial<Decision & PutBackOptions> = {}): PutBackOptions {
  const staging = folder.path("scratch/restore");
  Deno.mkdirSync(`${staging}/gone`, { recursive: true });
  const decision: Decision = {
    ...{ id: "a".repeat(32), snapshot: "b".repeat(64), name: "x", target: folder.path("data"), time: "2026" },
    asked: { wanted: "latest", selection: { paths: [], files: true, database: true }, owners: false, ifEmpty: false },
    names: more.names ?? items.filter(({ type }) => type !== "folder").map(({ path }) => path),
    ...{ databases: [], goes: more.goes ?? [] },
  };
  writeDecision(staging, decision, restoreCalls);
  Deno.mkdirSync(folder.path("data"), { recursive: true });
  return {
    ...{ calls: more.calls ?? restoreCalls, folder: staging, decision, items, root: folder.path("data") },
    ...{ database: folder.path("outside.db"), isKept: more.isKept ?? (() => false), replace: more.replace ?? false },
    ...{ waitMs: 2_000, stop: more.stop ?? new AbortController().signal, report: () => {}, progress: () => {} },
  };
}

function stagedDatabase(
  folder: TempFolder,
  number: number,
  options: Parameters<typeof makeDatabase>[1] = {},
): Uint8Array {
  const path = folder.path(`scratch/restore/${number}`);
  Deno.mkdirSync(folder.path("scratch/restore"), { recursive: true });
  makeDatabase(path, { rows: 50, text: "kept", ...options });
  return Deno.readFileSync(path);
}

Deno.test("putBack() does what is staged, leaves what is not, and ends with nothing staged", async () => {
  await using folder = await tempFolder({ "scratch/restore/1": "new b", "data/a": "done before, and written since" });
  const items = [
    fileItem("a", text("new a")),
    fileItem("b", text("new b")),
    { ...fileItem("d", text("")), type: "folder" } as Item,
  ];
  const options = prepared(folder, items, { names: ["a", "b"] });
  assert.deepEqual(await putBack(options), { placed: 1, gone: 0, bytes: 5 });
  assert.deepEqual([await folder.read("data/a"), await folder.read("data/b")], [
    "done before, and written since",
    "new b",
  ]);
  assert.ok(Deno.statSync(folder.path("data/d")).isDirectory);
  assert.equal(readDecision(options.folder, restoreCalls), undefined);
  assert.deepEqual([...Deno.readDirSync(folder.path("scratch"))], []);
});

Deno.test("putBack() moves what goes once: what comes to the place later stays", async () => {
  await using folder = await tempFolder({ "data/old/file": "old", "data/other": "other" });
  const options = prepared(folder, [], { goes: ["old", "other"] });
  // As if it had been killed after the first was moved, and the app had made it anew.
  Deno.renameSync(folder.path("data/old"), `${options.folder}/gone/0`);
  await folder.write({ "data/old/file": "made since" });
  await putBack(options);
  assert.deepEqual((await folder.list()).filter((path) => path.startsWith("data/")), ["data/old/file"]);
  assert.equal(await folder.read("data/old/file"), "made since");
});

Deno.test("putBack() moves nothing that is kept, nor a folder that holds it", async () => {
  await using folder = await tempFolder({ "data/old/deep/kept": "kept", "data/mine": "mine" });
  const isKept = (place: string) => place === "mine" || place === "old/deep/kept";
  await putBack(prepared(folder, [], { goes: ["old", "mine"], isKept }));
  assert.deepEqual((await folder.list()).filter((path) => path.startsWith("data/")), [
    "data/mine",
    "data/old/deep/kept",
  ]);
});

Deno.test("putBack() removes what lies beside a database that is gone, before the new one comes", async () => {
  await using folder = await tempFolder({
    "data/x.db-wal": "stale",
    "data/x.db-shm": "stale",
    "data/x.db-journal/in": "odd",
  });
  const bytes = stagedDatabase(folder, 0);
  const steps: string[] = [];
  const calls = steppedCalls(({ call, path }: Step) => {
    if (call === "remove" || call === "rename" || call === "file.syncSync") {
      steps.push(`${call} ${path.split("/").at(-1)}`);
    }
  });
  await putBack(prepared(folder, [databaseItem("x.db", bytes, { notes: 50 })], { calls }));
  assert.equal(rowsOf(folder.path("data/x.db")).count, 50);
  const came = steps.indexOf("rename 0");
  assert.ok(steps.indexOf("remove x.db-wal") >= 0 && steps.indexOf("remove x.db-wal") < came, steps.join());
  // And the folder was flushed in between: a power failure must not bring the stale -wal back.
  assert.ok(steps.slice(0, came).includes("file.syncSync data"), steps.join());
});

Deno.test("putBack() writes a database that is there through SQLite, and drops its marker after the staged file went", async () => {
  await using folder = await tempFolder();
  const bytes = stagedDatabase(folder, 0);
  Deno.mkdirSync(folder.path("data"));
  const live = folder.path("data/x.db");
  makeDatabase(live, { rows: 3 });
  const { ino } = Deno.statSync(live);
  const steps: string[] = [];
  const calls = steppedCalls(({ call, path }: Step) => steps.push(`${call} ${path.split("/").at(-1)}`));
  await putBack(prepared(folder, [databaseItem("x.db", bytes, { notes: 50 })], { calls }));
  assert.equal(Deno.statSync(live).ino, ino);
  const { count, schema } = rowsOf(live);
  assert.deepEqual([count, schema.some((sql) => /amber_restore/.test(sql))], [50, false]);
  const order = [
    "markImage 0",
    "putImage 0",
    "remove 0",
    "file.syncSync restore",
    "dropMarker x.db",
    "remove plan.json",
  ];
  const at = order.map((step) => steps.lastIndexOf(step));
  assert.ok(at.every((one) => one >= 0), steps.join());
  const early = [...at];
  early[3] = steps.indexOf("file.syncSync restore", at[2]);
  assert.deepEqual(early, [...early].sort((a, b) => a - b), steps.join());
});

Deno.test("putBack() into a database that a server has open: renaming only with --replace, and never after the marker", async () => {
  for (const pageSize of [4096, 8192]) {
    await using folder = await tempFolder();
    const bytes = stagedDatabase(folder, 0, { pageSize: 4096 });
    const live = folder.path("outside.db");
    makeDatabase(live, { rows: 3, pageSize });
    const item = databaseItem("x.db", bytes, { notes: 50 }, { place: "/database.db" });
    const options = prepared(folder, [item]);
    if (pageSize !== 4096) {
      await assert.rejects(putBack(options), { code: "RESTORE_BLOCKED", hint: /--replace/ });
      assert.equal(rowsOf(live).count, 3);
      await putBack({ ...options, replace: true });
    } else await putBack(options);
    assert.equal(rowsOf(live).count, 50);
  }
});

Deno.test("putBack() stops between two steps when it is told to, and goes on afterwards", async () => {
  await using folder = await tempFolder({
    "scratch/restore/0": "a",
    "scratch/restore/1": "b",
    "scratch/restore/2": "c",
  });
  const controller = new AbortController();
  const calls: RestoreCalls = steppedCalls(({ call, path }) => {
    if (call === "rename" && path.endsWith("/1")) controller.abort(new Error("stopped"));
  });
  const items = ["a", "b", "c"].map((path) => fileItem(path, text(path)));
  const options = prepared(folder, items, { calls, stop: controller.signal });
  await assert.rejects(putBack(options), /stopped/);
  assert.deepEqual((await folder.list()).filter((path) => path.startsWith("data/")), ["data/a", "data/b"]);
  await putBack({ ...options, calls: restoreCalls, stop: new AbortController().signal });
  assert.deepEqual((await folder.list()).filter((path) => path.startsWith("data/")), ["data/a", "data/b", "data/c"]);
});

Deno.test("putBack() waits for a server's transaction, and tells when it lasts too long; it can be gone on with", async () => {
  await using folder = await tempFolder();
  const bytes = stagedDatabase(folder, 0);
  const live = folder.path("outside.db");
  makeDatabase(live, { rows: 3 });
  const item = databaseItem("x.db", bytes, { notes: 50 }, { place: "/database.db" });
  const server = new DatabaseSync(live);
  server.exec("begin immediate");
  const options = prepared(folder, [item]);
  const busy = { code: "DATABASE_BUSY", hint: /goes on where it was/ };
  await assert.rejects(putBack({ ...options, waitMs: 100 }), busy);
  server.exec("commit");
  assert.ok(readDecision(options.folder, restoreCalls));
  await putBack(options);
  assert.equal(server.prepare("select count(*) as count from notes").get()!.count, 50);
  server.close();
});
