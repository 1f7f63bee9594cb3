import assert from "node:assert/strict";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { openStore, repositoryFolder } from "../../lib/stores/open.ts";
import { tempFolder } from "../support/temp_folder.ts";

Deno.test("a path is a folder's; opening it makes nothing", async () => {
  await using folder = await tempFolder();
  for (const path of ["data/backups", "./x", "../x", "/srv/backups", "s3", "a:b", "mit leer zeichen", "C:\\backups"]) {
    assert.ok(openStore(path) instanceof DirectoryStore, path);
    assert.equal(openStore(path).where, path);
    assert.equal(repositoryFolder(path), path);
  }
  const path = folder.path("backups");
  assert.deepEqual(await openStore(path).list(""), []);
  assert.deepEqual(await folder.list(), []);
  await openStore(path).put("amber.json", new Uint8Array(1));
  assert.deepEqual(await folder.list(), ["backups/amber.json"]);
});

Deno.test("what is no folder's path is refused, and no key is shown", () => {
  const cases: [string, RegExp][] = [
    ["s3://key:s3cret@bucket/prefix", /is a URL \("s3:\/\/"\), and this version keeps repositories in folders only$/],
    [" S3://bucket/s3cret", /is a URL \("S3:\/\/"\)/],
    ["https://host/s3cret", /is a URL \("https:\/\/"\)/],
    ["file:///srv/s3cret", /is a URL \("file:\/\/"\)/],
    ["data/s3cret,s3://bucket", /several addresses \(commas\), and this version keeps one, in a folder only$/],
    ["one,s3cret", /several addresses/],
    ["", /is empty$/],
    ["  ", /is empty$/],
    ["a\0s3cret", /NUL byte$/],
  ];
  for (const [address, reason] of cases) {
    assert.throws(() => openStore(address), (error: Error & { code?: string; hint?: string }) => {
      assert.equal(error.code, "CONFIG_VALUE", address);
      assert.match(error.message, /^Cannot open the repository: /);
      assert.match(error.message, reason);
      assert.doesNotMatch(error.message + error.hint, /s3cret/);
      return true;
    });
    assert.equal(repositoryFolder(address), undefined, address);
  }
});
