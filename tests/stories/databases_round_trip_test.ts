import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { ContentHash } from "../../lib/repository/content_hash.ts";
import type { FileEntry } from "../../lib/repository/tree.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { startTalking } from "../engines/sqlite/talking.ts";
import { appIn, putBack } from "../support/restoring.ts";
import { isLong } from "../support/skip.ts";
import { contentsOf, takeSnapshot, writeOut } from "../support/taking.ts";
import { tempFolder } from "../support/temp_folder.ts";

const pageSizes = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];
const vacuums = ["none", "full", "incremental"];
const encodings = ["UTF-8", "UTF-16le", "UTF-16be"];

/** Some rows, overflowing ones and free pages among them. */
const fill = `create table t (id integer primary key, text text, body blob);
  with recursive n (i) as (select 1 union all select i + 1 from n where i < 400)
  insert into t (text, body) select 'Zeile ' || i || ' über 日本', randomblob(i * 7 % 3000) from n;
  create index t_text on t (text);
  delete from t where id between 100 and 250`;

Deno.test("databases of every page size, auto_vacuum and encoding: each image is the file that SQLite would write", async () => {
  await using folder = await tempFolder({ "data/": "" });
  const app = { ...appIn(folder.root), database: folder.path("data/prod.db") };
  using open = new DisposableStack();
  let index = 0;
  for (const pageSize of pageSizes) {
    for (const vacuum of vacuums) {
      const journal = ["wal", "delete", "truncate", "persist"][index % 4]!;
      const database = open.use(new DatabaseSync(`${app.data}/${pageSize}-${vacuum}-${journal}.db`));
      database.exec(`pragma encoding = '${encodings[index++ % 3]}'; pragma page_size = ${pageSize};
        pragma auto_vacuum = ${vacuum}; pragma journal_mode = ${journal}; pragma wal_autocheckpoint = 0; ${fill}`);
    }
  }
  open.use(new DatabaseSync(app.database)).exec("create table empty (id)");
  const { snapshot, remarks } = await takeSnapshot(app);
  assert.equal(snapshot.facts.databases.length, 25);
  assert.deepEqual(new Set(Object.values(remarks)), new Set(["rollback"])); // only what has no log has to be copied
  open.dispose(); // the last to close writes the log into the file
  const contents = await contentsOf(new DirectoryStore(app.repository), snapshot);
  let compared = 0;
  for (const [path, entry] of contents) {
    const { database, blockSize, contentHash } = entry as FileEntry;
    assert.equal(database, true, path);
    const whole = new ContentHash(entry as FileEntry);
    whole.update(Deno.readFileSync(`${app.data}/${path}`));
    assert.equal(contentHash, whole.digest(), path);
    if (path !== "prod.db") assert.equal(blockSize, Number(path.split("-")[0]));
    compared++;
  }
  assert.equal(compared, 25);
  await putBack(app, { to: folder.path("back") });
  for (const path of contents.keys()) assert.equal(integrityOf(folder.path("back", path)), "ok", path);
});

function integrityOf(path: string): unknown {
  using database = new DatabaseSync(path);
  return database.prepare("pragma integrity_check").get()!.integrity_check;
}

const rounds = isLong ? 200 : 8;
for (const journal of ["wal", "delete"]) {
  Deno.test(`${rounds} snapshots while a program vacuums the database (${journal})`, async () => {
    await using folder = await tempFolder({ "data/": "" });
    const app = { ...appIn(folder.root), database: folder.path("data/prod.db") };
    new DatabaseSync(app.database).exec(`pragma journal_mode = ${journal}`);
    const shapes = new Set<string>();
    await using program = startTalking("../../stories/vacuumer.ts", [app.database]);
    for (let round = 0; round < rounds; round++) {
      await program.ask(""); // the answer is that it has done another round
      const { snapshot } = await takeSnapshot(app, { waitMs: 30_000 });
      await writeOut(new DirectoryStore(app.repository), snapshot, folder.path("back"));
      using database = new DatabaseSync(folder.path("back/prod.db"), { readOnly: true });
      assert.equal(database.prepare("pragma integrity_check").get()!.integrity_check, "ok");
      const { sum, count, last } = database.prepare("select sum(n) as sum, count(*) as count, max(id) as last from t")
        .get()!;
      assert.equal(sum, 0);
      const [{ rows, pageSize }] = snapshot.facts.databases as [typeof snapshot.facts.databases[0]];
      assert.equal(rows.t, count);
      shapes.add(`${pageSize} ${last}`);
    }
    assert.ok(shapes.size > 1, "the program did nothing");
  });
}

Deno.test("a database of more than 1 GiB: the page that is never written is a hole", async () => {
  await using folder = await tempFolder({ "data/": "" });
  const app = { ...appIn(folder.root), database: folder.path("data/prod.db") };
  using database = new DatabaseSync(app.database);
  database.exec(
    `pragma page_size = 65536; pragma synchronous = off; create table t (id integer primary key, body blob);
      with recursive n (i) as (select 1 union all select i + 1 from n where i < 17000)
      insert into t (body) select zeroblob(60000) || i from n`,
  );
  const { snapshot } = await takeSnapshot(app);
  database.exec("pragma wal_checkpoint(truncate)");
  assert.ok(Deno.statSync(app.database).size > 2 ** 30 + 65_536);
  await writeOut(new DirectoryStore(app.repository), snapshot, folder.path("back"));
  const { code } = await new Deno.Command("cmp", { args: [app.database, folder.path("back/prod.db")] }).output();
  assert.equal(code, 0);
  assert.equal(integrityOf(folder.path("back/prod.db")), "ok");
});
