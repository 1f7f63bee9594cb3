/** FORMAT.md is true, and recover.sh restores a snapshot with stock tools alone. */
import assert from "node:assert/strict";
import { join } from "node:path";
import golden from "../golden/repository-1.json" with { type: "json" };
import { parseDatabaseUrl } from "../../lib/database_url.ts";
import { decodeToc, encodeToc } from "../../lib/repository/pack.ts";
import { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import { decodeSnapshot } from "../../lib/repository/snapshot_file.ts";
import { hash } from "node:crypto";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { snapshot } from "../../lib/stories/snapshot.ts";
import { command, projectFolder } from "../support/command.ts";
import { makeEverything, treeOf } from "../support/data_tree.ts";
import { forgeTree, linesOf } from "../support/forge.ts";
import { MemoryStore } from "../support/memory_store.ts";
import { sharedPostgres } from "../support/postgres.ts";
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

testWith(
  ["zstd", "python3", "postgres"],
  "recover.sh writes down a Postgres database, and finds what is damaged",
  async () => {
    await using folder = await tempFolder({ "data/a.txt": "a" });
    await using database = await (await sharedPostgres()).database();
    await database.sql(
      `create table notes (id int primary key, text text); create schema "o.ther"; create table "o.ther"."Ünï" (id int);
    insert into notes select i, 'note ' || i from generate_series(1, 20000) i; insert into "o.ther"."Ünï" values (7)`,
    );
    const store = new DirectoryStore(folder.path("repository"));
    const { id } = await snapshot({
      ...{ store, data: folder.path("data"), scratch: folder.path("scratch"), exclude: [] },
      database: parseDatabaseUrl(database.url, "a test"),
      ...{ by: "test", amber: "test", now: () => new Date(), report: () => {}, stop: new AbortController().signal },
    });
    const recover = async (target: string, hash = id!) =>
      await command("sh", [script, folder.path("repository"), hash, folder.path(target)], { cwd: folder.root });
    const { code, stdout, stderr } = await recover("out");
    assert.equal(code, 0, stdout + stderr);
    const rows = Array.from({ length: 20_000 }, (_, i) => `${i + 1}\tnote ${i + 1}\n`).join("");
    assert.equal(await folder.read("out/postgres/tables/public/notes"), rows);
    assert.equal(await folder.read("out/postgres/tables/o%2Ether/%C3%9Cn%C3%AF"), "7\n");
    assert.match(await folder.read("out/postgres/schema.sql"), /CREATE TABLE public\.notes/i);
    assert.equal(Deno.statSync(folder.path("out/postgres")).mode! & 0o777, 0o700);

    // Blocks of the rows in another order: each is sound, and their hash tells.
    const file = (await folder.list()).find((path) => path.startsWith("repository/snapshots/"))!;
    const taken = decodeSnapshot(file.replace(/^.*\/|\.json$/g, ""), Deno.readFileSync(folder.path(file)));
    const memory = new MemoryStore();
    for (const { name } of await store.list("")) {
      memory.objects.set(name, {
        bytes: (await store.get(name))!,
        timeMs: 0,
      });
    }
    using pool = new BlockPool();
    const entries = await Array.fromAsync(new SnapshotReader(memory, taken, pool).entries());
    for (const entry of entries) {
      if (!entry.path.endsWith("/notes") || entry.type !== "file") continue;
      entry.runs = [...entry.runs].flatMap(({ count, pack, index }) =>
        Array.from({ length: count }, (_, i) => ({ count: 1, pack, index: index + i }))
      ).reverse();
    }
    const forged = forgeTree(memory, taken, [linesOf(entries)]);
    for (const [name, { bytes }] of memory.objects) {
      if (await store.get(name) === undefined) {
        await store.put(name, bytes);
      }
    }
    assert.match((await recover("bad", forged.hash)).stderr, /recover: \/postgres\/tables\/public\/notes is damaged/);
  },
);

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
