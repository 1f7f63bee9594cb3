import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { sharedPostgres } from "./postgres.ts";
import { schemaFingerprint } from "./schema.ts";
import { testWith } from "./skip.ts";
import { tempFolder } from "./temp_folder.ts";

const sqlite = `
  create table note (id integer primary key autoincrement, body text not null);
  create index note_body on note (body);
  create virtual table search using fts5 (body);
  create table amber_migrations (name text unique);
  insert into note (body) values ('two'), ('one');
`;

Deno.test("a SQLite fingerprint has the schema without the history, and rows when asked", async () => {
  await using folder = await tempFolder();
  const path = folder.path("a.db");
  using db = new DatabaseSync(path);
  db.exec(sqlite);
  const plain = await schemaFingerprint(path);
  assert.match(plain, /^index note_body on note: create index note_body on note \(body\)$/im);
  assert.doesNotMatch(plain, /amber_migrations|sqlite_sequence|rows/);
  const content = await schemaFingerprint(path, { rows: "content" });
  assert.match(content, /^row note \(1, 'two'\)\nrow note \(2, 'one'\)\nrows note 2\nrows search 0$/m);

  db.exec("delete from note where id = 1");
  assert.equal(await schemaFingerprint(path), plain);
  assert.match(await schemaFingerprint(path, { rows: "count" }), /^rows note 1$/m);
  db.exec("drop index note_body");
  assert.notEqual(await schemaFingerprint(path), plain);
});

const pg = `
  create type mood as enum ('good', 'bad');
  create table note (id bigint generated always as identity primary key, body text not null default 'x', mood mood);
  create index note_body on note (body);
  create view notes as select body from note;
  create function one() returns int language sql as 'select 1';
  create table amber_migrations (id serial primary key, name text unique);
  insert into note (body) values ('two'), ('one');
`;

testWith("postgres", "a Postgres fingerprint has the schema without the history, and rows when asked", async () => {
  await using database = await (await sharedPostgres()).database();
  await database.sql(pg);
  const plain = await schemaFingerprint(database.url);
  for (const line of [/^type public.mood e good,bad$/m, /^index CREATE INDEX note_body /m, /^function .*one\(\)/m]) {
    assert.match(plain, line);
  }
  assert.doesNotMatch(plain, /amber_migrations|rows/);
  const content = await schemaFingerprint(database.url, { rows: "content" });
  assert.match(content, /^row public.note \(1,two,\)\nrow public.note \(2,one,\)\nrows public.note 2$/m);

  await database.sql("delete from note where id = 1");
  assert.equal(await schemaFingerprint(database.url), plain);
  await database.sql("alter table note alter column body drop default");
  assert.notEqual(await schemaFingerprint(database.url), plain);
});
