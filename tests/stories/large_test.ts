import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { makeDatabase, patterned } from "../support/data_tree.ts";
import { measureAmber } from "../support/measured.ts";
import { Repository } from "../../lib/repository/repository.ts";
import { appIn, putBack } from "../support/restoring.ts";
import { isLong, testWith } from "../support/skip.ts";
import { contentsOf } from "../support/taking.ts";
import { tempFolder } from "../support/temp_folder.ts";

const mostMB = 200;
const env = { DB_PATH: "data/prod.db", AMBER_REPOSITORY: "repository" };

const sparseGB = isLong ? 50 : 5;
testWith("python3", `a sparse file of ${sparseGB} GB: its holes cost time, and nothing else`, async () => {
  await using folder = await tempFolder({ "data/": "" });
  const app = appIn(folder.root);
  makeDatabase(app.database);
  const size = sparseGB * 1_000_000_000 + 777;
  const places = [0, 1_234_567, size >> 1, 3_000_000_001, size - 100_000];
  const part = patterned(50_000);
  {
    using file = Deno.openSync(folder.path("data/sparse"), { write: true, createNew: true });
    for (const at of places) {
      file.seekSync(at, Deno.SeekMode.Start);
      file.writeSync(part);
    }
    file.truncateSync(size);
  }
  const { result, seconds, peakMB } = await measureAmber(["snapshot", "--json"], {
    cwd: folder.root,
    env,
    timeoutMs: 900_000,
  });
  assert.equal(result.code, 0, result.stderr);
  console.log(`${sparseGB} GB of holes: ${seconds} s, peak ${peakMB} MB`);
  assert.ok(peakMB < mostMB, `${peakMB} MB`);
  assert.ok(result.json.at(-1)!.stored as number < 1_000_000);

  await putBack(app, { to: folder.path("back") });
  using back = Deno.openSync(folder.path("back/sparse"), { read: true });
  const info = back.statSync();
  assert.equal(info.size, size);
  assert.ok(info.blocks! * 512 < 20_000_000, "it was filled with zeros");
  for (const at of places) {
    back.seekSync(at - (at > 0 ? 10 : 0), Deno.SeekMode.Start);
    const bytes = new Uint8Array(part.length + (at > 0 ? 10 : 0));
    for (let filled = 0; filled < bytes.length;) filled += back.readSync(bytes.subarray(filled))!;
    assert.ok(Buffer.from(bytes.subarray(-part.length)).equals(part), `at ${at}`);
    assert.deepEqual(bytes.subarray(0, bytes.length - part.length), new Uint8Array(bytes.length - part.length));
  }
});

testWith("python3", "100,000 small files: time and memory, first and when nothing has changed", async () => {
  await using folder = await tempFolder({ "data/": "" });
  const app = appIn(folder.root);
  makeDatabase(app.database);
  const old = new Date(Date.now() - 3_600_000);
  for (let i = 0; i < 100_000; i++) {
    if (i % 1_000 === 0) Deno.mkdirSync(folder.path(`data/${i / 1_000}`));
    const path = folder.path(`data/${Math.floor(i / 1_000)}/file-${i}.json`);
    Deno.writeTextFileSync(path, `{"id":${i},"text":"${"x".repeat(i % 300)}"}`);
    Deno.utimeSync(path, old, old);
  }
  const take = async (what: string) => {
    const measured = await measureAmber(["snapshot", "--json"], { cwd: folder.root, env, timeoutMs: 300_000 });
    assert.equal(measured.result.code, 0, measured.result.stderr);
    const stored = measured.result.json.at(-1)!.stored as number;
    console.log(`100,000 files, ${what}: ${measured.seconds} s, peak ${measured.peakMB} MB, ${stored} bytes stored`);
    assert.ok(measured.peakMB < mostMB, `${measured.peakMB} MB`);
    return stored;
  };
  await take("first");
  assert.ok(await take("nothing changed") < 50_000);
  Deno.renameSync(folder.path("data/7"), folder.path("data/moved"));
  assert.ok(await take("1,000 files moved") < 100_000);

  const repository = await Repository.open(new DirectoryStore(app.repository));
  const contents = await contentsOf(repository.store, await repository.find("latest"), { textSize: 0 });
  assert.equal(contents.size, 100_000 + 100 + 1);
});
