import assert from "node:assert/strict";
import { type RestoreCalls, restoreCalls } from "../../lib/capture/restore_calls.ts";
import type { Item } from "../../lib/capture/restore_items.ts";
import { type Contents, stage, type StageOptions } from "../../lib/capture/stage.ts";
import { makeDatabase, patterned } from "../support/data_tree.ts";
import { steppedCalls, systemFailure } from "../support/faulty_restore.ts";
import { blockSize, databaseItem, fileItem, memoryContents } from "../support/memory_contents.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

const text = (content: string) => new TextEncoder().encode(content);

function stageIn(folder: TempFolder, items: Item[], contents: Contents, more: Partial<StageOptions> = {}) {
  return stage({
    ...{ calls: restoreCalls, contents, items, folder: folder.path("staged"), owners: false, progress: () => {} },
    ...{ same: new Set<string>(), live: new Set<string>(), full: (place: string) => folder.path(place) },
    ...{ stop: new AbortController().signal, ...more },
  });
}

Deno.test("stage() writes files under numbers, with mode and time, and nothing where they are to go", async () => {
  await using folder = await tempFolder();
  const files = { "a/b": text("one"), c: text("") };
  const items = [fileItem("a/b", files["a/b"], { mode: 0o4640 }), fileItem("c", files.c)];
  const link: Item = { ...fileItem("l", text("")), type: "link", target: "/etc/passwd" };
  const { names } = await stageIn(folder, [...items, link], memoryContents(files));
  assert.deepEqual(names, ["a/b", "c", "l"]);
  assert.deepEqual(await folder.list(), ["staged/0", "staged/1", "staged/2"]);
  const { mode, mtime } = Deno.statSync(folder.path("staged/0"));
  assert.deepEqual([mode! & 0o7777, mtime!.getTime()], [0o640, 1_700_000_000_123]);
  assert.equal(Deno.readLinkSync(folder.path("staged/2")), "/etc/passwd");
  assert.equal(Deno.lstatSync(folder.path("staged/2")).mtime!.getTime(), 1_700_000_000_123);
  assert.equal(Deno.statSync(folder.path("staged")).mode! & 0o777, 0o700);
});

Deno.test("stage() keeps holes as holes, at the beginning, in the middle and at the end", async () => {
  await using folder = await tempFolder();
  const bytes = new Uint8Array(6 * blockSize + 10);
  bytes.set(patterned(blockSize), 2 * blockSize);
  const { names } = await stageIn(folder, [fileItem("sparse", bytes)], memoryContents({ sparse: bytes }));
  assert.equal(names.length, 1);
  assert.deepEqual(Deno.readFileSync(folder.path("staged/0")), bytes);
  assert.ok(Deno.statSync(folder.path("staged/0")).blocks! * 512 <= 2 * blockSize);
});

Deno.test("stage() refuses what is not as the snapshot says: content, size, parts that do not join", async () => {
  await using folder = await tempFolder();
  const bytes = patterned(3 * blockSize);
  const whole = memoryContents({ a: bytes });
  const damaged = { code: "OBJECT_DAMAGED" };
  await assert.rejects(stageIn(folder, [fileItem("a", bytes, { contentHash: "0".repeat(64) })], whole), damaged);
  await assert.rejects(stageIn(folder, [fileItem("a", bytes, { size: bytes.length + 1 })], whole), damaged);
  await assert.rejects(stageIn(folder, [fileItem("a", bytes, { size: 5 })], whole), damaged);
  await assert.rejects(stageIn(folder, [fileItem("b", bytes)], whole), damaged);
  const torn = (order: number[]): Contents => ({
    ...whole,
    async *parts(entry) {
      const parts = await Array.fromAsync(whole.parts(entry));
      for (const index of order) yield parts[index]!;
    },
  });
  for (const order of [[0, 2], [0, 0, 2], [1, 1, 1], [0, 1, 2, 2], []]) {
    await assert.rejects(stageIn(folder, [fileItem("a", bytes)], torn(order)), damaged, `${order}`);
  }
  await stageIn(folder, [fileItem("a", bytes)], torn([2, 0, 1])); // in whatever order they come
  assert.deepEqual(Deno.readFileSync(folder.path("staged/0")), bytes);
});

Deno.test("stage() links hard links, to the first of their names", async () => {
  await using folder = await tempFolder();
  const files = { a: text("shared") };
  const first = fileItem("a", files.a, { isShared: true });
  const second: Item = { ...fileItem("b", files.a), type: "hardlink", target: "a" };
  await stageIn(folder, [first, second], memoryContents(files));
  const [one, two] = [Deno.statSync(folder.path("staged/0")), Deno.statSync(folder.path("staged/1"))];
  assert.deepEqual([one.ino, one.nlink], [two.ino, 2]);
});

Deno.test("stage() leaves alone what is in place already, by its content and not by its looks", async () => {
  await using folder = await tempFolder({ same: "same content", other: "other conten!" });
  const files = { same: text("same content"), other: text("other content"), late: text("late") };
  await Deno.writeTextFile(folder.path("late"), "late");
  const items = Object.entries(files).map(([path, bytes]) => fileItem(path, bytes));
  // Somebody writes to one of them while the rest is staged.
  const calls = steppedCalls(({ call, path }) => {
    if (call === "file.syncData" && path.endsWith("/0")) Deno.writeTextFileSync(folder.path("late"), "gone");
  });
  const same = new Set(Object.keys(files));
  const { names, unchanged } = await stageIn(folder, items, memoryContents(files), { same, calls });
  assert.deepEqual([names, unchanged], [["other", "late"], ["same"]]);
});

Deno.test("stage() never opens a file in place that this process has open: that would drop its locks", async () => {
  await using folder = await tempFolder({ a: "content" });
  using _open = await Deno.open(folder.path("a"));
  const files = { a: text("content") };
  const { names } = await stageIn(folder, [fileItem("a", files.a)], memoryContents(files), { same: new Set(["a"]) });
  assert.deepEqual(names, ["a"]);
});

Deno.test("stage() checks databases: other rows than recorded stop it, and an image leaves nothing beside it", async () => {
  await using folder = await tempFolder();
  makeDatabase(folder.path("made.db"), { rows: 12 });
  const bytes = Deno.readFileSync(folder.path("made.db"));
  const contents = memoryContents({ "x.db": bytes });
  await assert.rejects(stageIn(folder, [databaseItem("x.db", bytes, { notes: 13 })], contents), {
    code: "OBJECT_DAMAGED",
    message: /table "notes" had 13 rows, and has 12 rows now/,
  });
  await assert.rejects(stageIn(folder, [databaseItem("x.db", bytes, { gone: 0 })], contents), {
    message: /no such table/,
  });
  const live = new Set(["x.db"]);
  const { notes } = await stageIn(folder, [databaseItem("x.db", bytes, { notes: 12 })], contents, { live });
  assert.deepEqual(notes, []);
  assert.equal(Deno.statSync(folder.path("staged/0")).mode! & 0o777, 0o600);
  assert.deepEqual((await folder.list()).filter((path) => path.startsWith("staged/")), ["staged/0"]);
});

Deno.test("stage() tells a failure that comes while others are written and flushed", async () => {
  await using folder = await tempFolder();
  const files = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`f${index}`, text(`file ${index}`)]));
  const items = Object.entries(files).map(([path, bytes]) => fileItem(path, bytes));
  for (const call of ["file.syncData", "file.writeSync", "open", "setTime"]) {
    let count = 0;
    const calls = steppedCalls((step) => {
      if (step.call === call && ++count === 17) throw systemFailure("ENOSPC", step);
    });
    await assert.rejects(stageIn(folder, items, memoryContents(files), { calls }), { code: "ENOSPC" });
  }
});

Deno.test("stage() flushes many files together where the system can, else one by one, and tells when that fails", async () => {
  await using folder = await tempFolder();
  const files = Object.fromEntries(Array.from({ length: 80 }, (_, index) => [`f${index}`, text(`file ${index}`)]));
  const items = Object.entries(files).map(([path, bytes]) => fileItem(path, bytes));
  const flushed = async (calls: RestoreCalls) => {
    const counts = { single: 0, together: 0 };
    const counting = steppedCalls(({ call }) => {
      if (call === "file.syncData") counts.single++;
      if (call === "sync") counts.together++;
    });
    const { openFileSystemSync } = calls;
    const unlike = openFileSystemSync === restoreCalls.openFileSystemSync ? {} : { openFileSystemSync };
    await stageIn(folder, items, memoryContents(files), { calls: { ...counting, ...unlike } });
    return counts;
  };
  assert.deepEqual(await flushed({ ...restoreCalls, openFileSystemSync: () => undefined }), {
    single: 80,
    together: 0,
  });
  const { single, together } = await flushed(restoreCalls);
  assert.ok(together === 1 ? single === 0 : single === 80, JSON.stringify({ single, together }));
  if (together === 0) return;
  const failing = steppedCalls((step) => {
    if (step.call === "sync") throw systemFailure("EIO", step);
  });
  await assert.rejects(stageIn(folder, items, memoryContents(files), { calls: failing }), { code: "EIO" });
});
