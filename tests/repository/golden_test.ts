/** Repositories of released formats stay here, and any later version reads them. */
import assert from "node:assert/strict";
import { join } from "node:path";
import golden from "../golden/repository-1.json" with { type: "json" };
import { verify } from "../../lib/stories/verify.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { contentsOf } from "../golden/contents.ts";

const folder = join(import.meta.dirname!, "..", "golden", "repository-1");

Deno.test("the golden repository of format 1 reads as it was written, every byte", async () => {
  assert.deepEqual(await contentsOf(folder), golden);
  for (const { entries } of golden.snapshots) {
    for (const entry of entries) if ("contentHash" in entry) assert.equal(entry.read, entry.contentHash, entry.path);
  }
  assert.deepEqual(golden.snapshots.map(({ kind }) => kind), ["ordinary", "safety", "ordinary"]);
});

Deno.test("verify finds nothing wrong in the golden repository", async () => {
  const { findings, snapshots } = await verify({
    store: new DirectoryStore(folder),
    now: () => new Date(),
    stop: new AbortController().signal,
    report: () => {},
  });
  assert.deepEqual([findings, snapshots], [[], 3]);
});
