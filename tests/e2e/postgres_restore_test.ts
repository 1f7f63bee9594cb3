/** Parts of a Postgres database, and other databases: --table, --as, --to postgres://… */
import assert from "node:assert/strict";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { dataApp } from "./data_app.ts";

const schema = `
  create table author (id int primary key, name text);
  create table book (id int generated always as identity primary key, author int not null references author, title text);
  insert into author select i, 'author ' || i from generate_series(1, 10) i;
  insert into book (author, title) select 1 + i % 10, 'book ' || i from generate_series(1, 100) i;`;

testWith("postgres", "one table comes back in its place, with what refers to it, or beside it", async () => {
  const server = await sharedPostgres();
  await using database = await server.database();
  await database.sql(schema);
  await using app = await dataApp({}, { DATABASE_URL: database.url });
  const id = await app.take();
  await database.sql(
    "update author set name = 'spoiled'; delete from book where id > 50; insert into author values (11, 'new')",
  );
  const rows = async (sql: string) => (await database.sql(sql))[0]!.n;

  const planned = await app.ends(0, ["restore", id, "--table", "author", "--plan"]);
  assert.match(planned.stdout, /1 table, 10 rows/);
  const asked = await app.ends(2, ["restore", id, "--table", "author"]);
  assert.match(asked.stderr, /Add --yes/);
  await app.ends(0, ["restore", id, "--table", "author", "--yes"]);
  assert.equal(await rows("select count(*)::int as n from author where name like 'author %'"), 10);
  assert.equal(await rows("select count(*)::int as n from book"), 50, "another table is left alone");
  assert.equal(
    await rows("select count(*)::int as n from pg_constraint where contype = 'f'"),
    1,
    "the reference is there",
  );

  const json = await app.result("restore", id, "--table", "public.book", "--as", "book then");
  assert.equal(json.state, "restored");
  assert.equal(await rows(`select count(*)::int as n from "book then"`), 100);
  assert.equal(await rows("select count(*)::int as n from book"), 50);
  const taken = await app.ends(1, ["restore", id, "--table", "book", "--as", "book then"]);
  assert.match(taken.stderr, /already exists/);

  // Rows of other tables that would refer to nothing: nothing is changed.
  await database.sql("insert into author values (12, 'later'); insert into book (author, title) values (12, 'later')");
  const refused = await app.ends(1, ["restore", id, "--table", "author", "--yes"]);
  assert.match(refused.stderr, /violates foreign key constraint/);
  assert.equal(await rows("select count(*)::int as n from author"), 11);
  const unknown = await app.ends(2, ["restore", id, "--table", "authors", "--yes"]);
  assert.match(unknown.stderr, /has none of that name[^]*It has: public\.author, public\.book/);
  await database.sql("alter table author add column more int");
  const other = await app.ends(1, ["restore", id, "--table", "author", "--yes"]);
  assert.match(other.stderr, /it has other columns now[^]*--as author_restored/);
});

testWith(
  "postgres",
  "--to postgres:// restores into another database, and touches neither files nor the configured one",
  async () => {
    const server = await sharedPostgres();
    await using database = await server.database();
    await using other = await server.database();
    await database.sql(schema);
    await using app = await dataApp({ "data/a.txt": "as it is" }, { DATABASE_URL: database.url });
    const id = await app.take();
    await database.sql("delete from book");
    await app.folder.write({ "data/a.txt": "changed" });
    const blocked = await app.ends(1, ["restore", id, "--to", other.url]);
    assert.match(blocked.stderr, /RESTORE_BLOCKED[^]*--schema/);
    const { stdout } = await app.ends(0, ["restore", id, "--to", other.url, "--schema"]);
    assert.match(stdout, /Restored/);
    assert.deepEqual(await other.sql("select count(*)::int as n from book"), [{ n: 100 }]);
    assert.deepEqual(await database.sql("select count(*)::int as n from book"), [{ n: 0 }]);
    assert.equal(await Deno.readTextFile(app.folder.path("data/a.txt")), "changed");
    const again = await app.ends(2, ["restore", id, "--to", other.url]);
    assert.match(again.stderr, /Overwrite what is there\? Nobody can be asked here/);
    await app.ends(0, ["restore", id, "--to", other.url, "--yes"]);
    await app.ends(2, ["restore", id, "--to", other.url, "--files"]);
    const wrong = await app.ends(2, [
      "restore",
      id,
      "--to",
      "postgres://user:s3cret@127.0.0.1:1/none?sslmode=nonsense",
    ]);
    assert.doesNotMatch(wrong.stdout + wrong.stderr, /s3cret/);
  },
);
