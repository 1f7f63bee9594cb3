import assert from "node:assert/strict";
import { tempFolder } from "./temp_folder.ts";

Deno.test("a temporary folder has the files it was given, and is gone at the end", async () => {
  let root: string;
  {
    await using folder = await tempFolder({ "a.txt": "one", "empty/": "" });
    root = folder.root;
    await folder.write({ "b/c.bin": new Uint8Array([1, 2]), "a.txt": "two" });
    assert.deepEqual(await folder.list(), ["a.txt", "b/c.bin"]);
    assert.equal(await folder.read("a.txt"), "two");
    assert.equal(Deno.statSync(folder.path("empty")).isDirectory, true);
    await Deno.chmod(folder.path("b"), 0o500);
  }
  await assert.rejects(Deno.stat(root), Deno.errors.NotFound);
});
