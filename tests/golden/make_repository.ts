/**
 * Makes `tests/golden/repository-1`, a small repository of format 1, once: any later amber must read it.
 *
 *     deno run -A tests/golden/make_repository.ts
 *
 * It is made again only before a format is released. What is in it is written down in `repository-1.json`.
 */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { snapshot } from "../../lib/stories/snapshot.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { contentsOf } from "./contents.ts";

const target = join(import.meta.dirname!, "repository-1");
await using folder = await tempFolder({
  "data/uploads/a.txt": "one file\n",
  "data/uploads/with space\nand newline.txt": "a name\n",
  "data/uploads/large.txt": "a line that is repeated\n".repeat(60_000),
  "data/empty/": "",
  "data/none": "",
});
const data = folder.path("data");
Deno.symlinkSync("../nowhere", `${data}/uploads/link`);
Deno.linkSync(`${data}/uploads/a.txt`, `${data}/uploads/b.txt`);
using sparse = Deno.openSync(`${data}/sparse`, { write: true, create: true });
sparse.truncateSync(5 << 20);
using database = new DatabaseSync(`${data}/prod.db`);
database.exec("pragma journal_mode = wal; create table notes (id integer primary key, body text)");
const insert = database.prepare("insert into notes (body) values (?)");
for (let i = 0; i < 300; i++) insert.run(`note ${i} ${"x".repeat(i % 80)}`);

Deno.removeSync(target, { recursive: true });
const take = async (kind: "ordinary" | "safety") =>
  await snapshot({
    store: new DirectoryStore(target),
    data,
    database: { engine: "sqlite", path: `${data}/prod.db` },
    scratch: folder.path("scratch"),
    exclude: [],
    kind,
    ...(kind === "safety" ? { before: "migrate" } : { tags: ["golden"] }),
    by: "golden@example",
    amber: "0.1.0",
    now: () => new Date(),
    report: () => {},
    stop: new AbortController().signal,
  });
await take("ordinary");
database.exec("update notes set body = 'changed' where id % 50 = 0");
Deno.writeTextFileSync(`${data}/uploads/a.txt`, "one file, changed\n");
await take("safety");
Deno.renameSync(`${data}/uploads/large.txt`, `${data}/moved.txt`);
await take("ordinary");
Deno.writeTextFileSync(`${target}.json`, `${JSON.stringify(await contentsOf(target), null, 2)}\n`);
