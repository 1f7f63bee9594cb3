/** FORMAT.md is true, and recover.sh restores a snapshot with stock tools alone. */
import assert from "node:assert/strict";
import { join } from "node:path";
import golden from "../golden/repository-1.json" with { type: "json" };
import { decodeToc, encodeToc } from "../../lib/repository/pack.ts";
import { hash } from "node:crypto";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { snapshot } from "../../lib/stories/snapshot.ts";
import { command, projectFolder } from "../support/command.ts";
import { makeEverything, treeOf } from "../support/data_tree.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";

const script = join(projectFolder, "lib", "repository", "recover.sh");

Deno.test("the table of contents in FORMAT.md is what the code writes and reads", () => {
  const page = Deno.readTextFileSync(join(projectFolder, "lib", "repository", "FORMAT.md"));
  const written = Uint8Array.fromHex(/^(5a2a4d18[0-9a-f\n]+)```/m.exec(page)![1]!.replaceAll("\n", ""));
  const hashes = Uint8Array.fromHex(hash("sha256", "abc", "hex").slice(0, 32));
  assert.deepEqual(encodeToc([{ stored: 5, sizes: [3], hashes }], new Uint8Array(16)), written);
  const toc = decodeToc(written, written.length + 5, "FORMAT.md");
  assert.deepEqual([toc.frames, [...toc.sizes], toc.hashes], [
    [{ from: 0, size: 5, rawSize: 3, firstBlock: 0, blocks: 1 }],
    [3],
    hashes,
  ]);
});

testWith(["zstd", "python3"], "recover.sh brings back everything, without amber", async () => {
  await using folder = await tempFolder();
  const data = folder.path("data");
  makeEverything(data);
  const take = async () =>
    await snapshot({
      ...{ store: new DirectoryStore(folder.path("repository")), data, scratch: folder.path("scratch"), exclude: [] },
      database: { engine: "sqlite", path: join(data, "notes.db") },
      ...{ by: "test", amber: "test", now: () => new Date(), report: () => {}, stop: new AbortController().signal },
    });
  await take();
  Deno.writeTextFileSync(`${data}/sizes/one`, "2");
  const { id } = await take();
  const target = folder.path("recovered");
  const { code, stdout, stderr } = await command("sh", [script, folder.path("repository"), id!, target], {
    cwd: folder.root,
  });
  assert.equal(code, 0, stdout + stderr);
  assert.deepEqual(treeOf(target), treeOf(data));
});

testWith(["zstd", "python3"], "recover.sh restores the golden repository, and refuses a damaged one", async () => {
  await using folder = await tempFolder();
  const repository = join(projectFolder, "tests", "golden", "repository-1");
  for (const { hash, entries } of golden.snapshots) {
    const target = folder.path(hash);
    const { code, stderr } = await command("sh", [script, repository, hash, target], { cwd: folder.root });
    assert.equal(code, 0, stderr);
    assert.equal(Object.keys(treeOf(target)).length, entries.length);
  }
  await command("cp", ["-r", repository, folder.path("copy")], { cwd: folder.root });
  const store = new DirectoryStore(folder.path("copy"));
  for (const { name } of await store.list("packs/")) {
    const path = folder.path("copy", name);
    const bytes = Deno.readFileSync(path);
    bytes[3]! ^= 1;
    Deno.writeFileSync(path, bytes);
  }
  const refused = await command("sh", [script, folder.path("copy"), golden.snapshots[0]!.hash, folder.path("none")], {
    cwd: folder.root,
  });
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /recover: pack [0-9a-f]{64} is damaged/);
});
