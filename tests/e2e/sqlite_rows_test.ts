/** What a user sees when a migration would lose rows in SQLite, and how they get on. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { amber } from "../support/command.ts";
import { tempFolder } from "../support/temp_folder.ts";

const tables = `create table authors (id integer primary key autoincrement, name text);
create table posts (id integer primary key, author_id integer not null references authors (id) on delete cascade);
insert into authors values (1, 'Ann'), (2, 'Ben'), (7, 'Gus');
insert into posts values (1, 1), (2, 1), (3, 2);
delete from authors where id = 7;
`;
const rebuild = `create table authors_new (id integer primary key autoincrement, name text not null);
insert into authors_new select id, name from authors;
drop table authors;
alter table authors_new rename to authors;
`;

Deno.test("a rebuild that would empty the children says so, and works without the pragma", async () => {
  await using folder = await tempFolder({
    "migrations/0001_tables.sql": tables,
    "migrations/0002_rebuild.sql": `PRAGMA foreign_keys=ON;\n${rebuild}`,
  });
  const run = (...args: string[]) => amber(["migrate", "--url", "sqlite:app.db", ...args], { cwd: folder.root });
  const refused = await run();
  assert.equal(refused.code, 1);
  assert.equal(refused.stdout, refused.stdout.match(/^ {2}applied {3}0001_tables {2}\d+ ms\n/)?.[0]);
  assert.ok(
    refused.stderr.includes(`error  ROWS_LOST
  Cannot apply "0002_rebuild": "posts" would lose 3 of its 3 rows, and no statement deletes from it
  at    migrations/0002_rebuild.sql
  hint  Everything was rolled back.`),
    refused.stderr,
  );
  assert.match(refused.stderr, /take the pragma out\. If they shall go, say so: -- migrate:up rows:posts\n/);
  assert.deepEqual(counts(folder.path("app.db")), { authors: 2, posts: 3 });

  await folder.write({
    "migrations/0002_rebuild.sql": `PRAGMA foreign_keys=OFF;\n${rebuild}PRAGMA foreign_keys=ON;\n`,
  });
  const applied = await run("--json");
  assert.equal(applied.code, 0, applied.stderr);
  assert.deepEqual(counts(folder.path("app.db")), { authors: 2, posts: 3 });
  const notes = applied.json.filter(({ type }) => type === "note").map(({ message }) => String(message));
  assert.equal(notes.length, 2);
  assert.equal(notes[0], 'the data folder "data" does not exist', "the safety snapshot has the database alone");
  assert.match(notes[1]!, /kept the AUTOINCREMENT counter of "authors" at 7/);
});

Deno.test("a file's rows:NAME lets rows go, in the human output without a word", async () => {
  await using folder = await tempFolder({
    "migrations/0001_tables.sql": tables,
    "migrations/0002_drop.sql":
      "-- migrate:up rows:posts\nPRAGMA foreign_keys=ON;\ndelete from authors where id = 1;\n",
  });
  const { code, stderr } = await amber(["migrate", "--url", "sqlite:app.db"], { cwd: folder.root });
  assert.equal(code, 0, stderr);
  assert.deepEqual(counts(folder.path("app.db")), { authors: 1, posts: 1 });
});

Deno.test("broken references are listed with their values, and damage of old is only noted", async () => {
  await using folder = await tempFolder({
    "migrations/0001_tables.sql": tables,
    "migrations/0002_delete.sql": "delete from authors where id = 1;\n",
  });
  const run = () => amber(["migrate", "--url", "sqlite:app.db"], { cwd: folder.root });
  const refused = await run();
  assert.equal(refused.code, 1);
  assert.ok(
    refused.stderr.includes(`error  FOREIGN_KEY_BROKEN
  Cannot apply "0002_delete": 2 rows of "posts" would refer to rows that are not there
  at    migrations/0002_delete.sql

  "posts" (author_id) = 1 → "authors" (2 rows)
`),
    refused.stderr,
  );
  assert.deepEqual(counts(folder.path("app.db")), { authors: 2, posts: 3 });

  // Somebody does it by hand; the migration that comes then is not blamed.
  using db = new DatabaseSync(folder.path("app.db"), { enableForeignKeyConstraints: false });
  db.exec("delete from authors where id = 1");
  await folder.write({ "migrations/0002_delete.sql": "insert into posts values (4, 2);\n" });
  const applied = await run();
  assert.equal(applied.code, 0, applied.stderr);
  assert.match(
    applied.stderr + applied.stdout,
    /2 rows of "posts" referred to missing rows before "0002_delete" already: "posts" \(author_id\) = 1 → "authors" \(2 rows\)/,
  );
});

function counts(path: string): Record<string, number> {
  using db = new DatabaseSync(path, { readOnly: true });
  const count = (table: string) => Number(db.prepare(`select count(*) as n from ${table}`).get()!.n);
  return { authors: count("authors"), posts: count("posts") };
}
