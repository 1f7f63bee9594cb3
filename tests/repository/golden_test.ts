/** Repositories of released formats stay here, and any later version reads them. */
import assert from "node:assert/strict";
import { join } from "node:path";
import golden from "../golden/repository-1.json" with { type: "json" };
import postgres from "../golden/postgres-1.json" with { type: "json" };
import { StoredPostgres } from "../../lib/capture/postgres/stored.ts";
import { fingerprint } from "../../lib/engines/postgres/schema/fingerprint.ts";
import { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import { Repository } from "../../lib/repository/repository.ts";
import { verify } from "../../lib/stories/verify.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { contentsOf } from "../golden/contents.ts";

const never = new AbortController().signal;
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

Deno.test("the golden repository with a Postgres database reads as it was written, and its schema is understood", async () => {
  const folder = join(import.meta.dirname!, "..", "golden", "postgres-1");
  assert.deepEqual(await contentsOf(folder), postgres);
  const store = new DirectoryStore(folder);
  const { findings } = await verify({ store, now: () => new Date(), stop: never, report: () => {} });
  assert.deepEqual(findings, []);
  using pool = new BlockPool();
  const repository = await Repository.open(store);
  const reader = new SnapshotReader(store, await repository.find("latest"), pool);
  const stored = (await StoredPostgres.open(reader))!;
  assert.deepEqual(stored.schema.tables.map(({ quoted }) => quoted).sort(), [`public."Odd.Name"`, "public.notes"]);
  assert.deepEqual(stored.sequences, [{ name: "public.notes_id_seq", value: "3000", isCalled: true }]);
  const { structure, rights } = fingerprint(stored.schema.objects);
  const facts = reader.snapshot.facts.postgres!;
  assert.deepEqual({ structure, rights }, { structure: facts.structure, rights: facts.rights });
  assert.deepEqual(facts.rows, { "public.notes": 2_999, 'public."Odd.Name"': 1 });
});
