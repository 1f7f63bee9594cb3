/** A program that was killed while SQLite wrote into the file: the pages there are not what was committed. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { amber } from "../support/command.ts";
import { tempFolder } from "../support/temp_folder.ts";

const files = {
  "migrations/0001_big.sql": "create table big (id integer primary key, line text);\n" +
    "insert into big with recursive g (i) as (select 1 union all select i + 1 from g where i < 5000) select i, hex(zeroblob(100)) from g;",
  "migrations/0002_more.sql": "create table more (a integer);",
};

Deno.test("a half-written file: migrate goes by what was committed, and finishes", async () => {
  await using folder = await tempFolder(files);
  const run = (args: string[], database: string) =>
    amber(["migrate", "--json", ...args], { cwd: folder.root, env: { DATABASE_URL: `sqlite:${database}` } });
  assert.equal((await run([], "ahead.sqlite")).code, 0);
  assert.equal((await run(["0001"], "writing.sqlite")).code, 0);

  // In the file 0002 looks applied, digest and all. In truth that was never committed.
  using database = new DatabaseSync(folder.path("writing.sqlite"));
  database.exec("pragma cache_size = 5; pragma cache_spill = 5");
  database.exec(`attach '${folder.path("ahead.sqlite")}' as ahead`);
  database.exec(
    "begin; delete from amber_migrations; insert into amber_migrations select * from ahead.amber_migrations",
  );
  database.exec("update big set line = line || 'x'");
  for (const ending of ["", "-journal"]) {
    await Deno.copyFile(folder.path(`writing.sqlite${ending}`), folder.path(`killed.sqlite${ending}`));
  }
  database.exec("rollback");
  assert.deepEqual(looksLike(folder.path("killed.sqlite")), ["0001_big", "0002_more"]);

  const check = await amber(["check", "--json"], { cwd: folder.root, env: { DATABASE_URL: "sqlite:killed.sqlite" } });
  assert.equal(check.code, 5, check.stdout);
  assert.equal(check.json.at(-1)?.code, "DATABASE_UNREADABLE");
  assert.equal((await Deno.stat(folder.path("killed.sqlite-journal"))).isFile, true);

  const result = await run([], "killed.sqlite");
  assert.equal(result.code, 0, result.stdout);
  assert.deepEqual(result.json.at(-1)?.applied, ["0002_more"]);
  using after = new DatabaseSync(folder.path("killed.sqlite"));
  assert.deepEqual({ ...after.prepare("select count(*) as rows, max(length(line)) as longest from big").get() }, {
    rows: 5000,
    longest: 200,
  });
  assert.equal(after.prepare("pragma integrity_check").get()?.integrity_check, "ok");
});

/** What one sees who takes the pages in the file for the truth. */
function looksLike(path: string): unknown[] {
  using database = new DatabaseSync(`file:${path}?immutable=1`, { readOnly: true });
  return database.prepare("select name from amber_migrations order by name").all().map((row) => row.name);
}
