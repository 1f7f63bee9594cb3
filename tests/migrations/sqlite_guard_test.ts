import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { AmberError, migrate } from "../../mod.ts";
import { tempFolder } from "../support/temp_folder.ts";

interface Trap {
  name: string;
  /** What is there before. */
  given: string;
  /** The migration, markers and all; a text that begins with `export` is TypeScript. */
  file: string;
  /** Refused with this code, and with these words in the message, the detail or the hint. */
  refused?: [code: string, ...words: (string | RegExp)[]];
  /** Queries that must give these values after it was applied. */
  gives?: Record<string, unknown>;
  /** Words of the notes, in any order; as many as there are notes. */
  notes?: RegExp[];
  /** Whether plain SQLite makes the same schema and rows of the file. Default: SQL that is applied. */
  sameAsSqlite?: boolean;
}

const family = `
  create table authors (id integer primary key, name text not null);
  create table posts (id integer primary key, author_id integer not null references authors (id) on delete cascade, title text);
  create index posts_author on posts (author_id);
  insert into authors values (1, 'Ann'), (2, 'Ben'), (3, 'Cy');
  insert into posts values (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c');`;

const rebuild = `
  create table authors_new (id integer primary key, name text not null, email text);
  insert into authors_new (id, name) select id, name from authors;
  drop table authors;
  alter table authors_new rename to authors;`;

const renameFirst = `
  alter table authors rename to authors_old;
  create table authors (id integer primary key, name text not null, email text);
  insert into authors (id, name) select id, name from authors_old;
  drop table authors_old;`;

const whole = { "select count(*) from authors": 3, "select count(*) from posts": 3 };

const emails = `
  create table users (id integer primary key, email text);
  insert into users values (1, 'a@x'), (2, 'A@x'), (3, null), (4, 'b@x');`;

function emailsInto(columns: string, verb: string): string {
  return `create table users_new (${columns});
    ${verb} into users_new select id, email from users;
    drop table users;
    alter table users_new rename to users;`;
}

const traps: Trap[] = [
  // Rebuilds of a parent whose children cascade
  { name: "a rebuild without the pragma", given: family, file: rebuild, gives: whole },
  {
    name: "a rebuild with the pragma inside the file's own transaction",
    given: family,
    file: `begin; pragma foreign_keys=off; ${rebuild} pragma foreign_keys=on; commit;`,
    gives: whole,
  },
  {
    name: "a rebuild with the pragma around the file's own transaction",
    given: family,
    file: `PRAGMA foreign_keys=OFF; BEGIN TRANSACTION; ${rebuild} COMMIT; PRAGMA foreign_keys=ON;`,
    gives: whole,
  },
  {
    name: "a rebuild with transaction:false and its own transaction",
    given: family,
    file: `-- migrate:up transaction:false\npragma foreign_keys=off; begin; ${rebuild} commit; pragma foreign_keys=on;`,
    gives: whole,
  },
  {
    name: "a rebuild with transaction:false, each statement by itself",
    given: family,
    file: `-- migrate:up transaction:false\npragma foreign_keys=off; ${rebuild} pragma foreign_keys=on;`,
    gives: whole,
  },
  {
    name: "a lossy copy with transaction:false stops before the old table is dropped",
    given: emails,
    file: `-- migrate:up transaction:false\n${
      emailsInto("id integer primary key, email text unique collate nocase", "insert or ignore")
    }`,
    refused: ["ROWS_LOST", "users", "1 of its 4 rows"],
  },
  {
    name: "a rebuild with foreign keys on as the first statement",
    given: family,
    file: `PRAGMA foreign_keys=ON; ${rebuild}`,
    refused: ["ROWS_LOST", '"posts" would lose 3 of its 3 rows', "foreign_keys=ON", "rows:posts"],
  },
  {
    name: "foreign keys on and nothing lost",
    given: family,
    file: "PRAGMA foreign_keys=ON; insert into authors values (4, 'Di'); delete from authors where id = 3;",
    gives: { "select count(*) from authors": 3, "select count(*) from posts": 3 },
  },
  {
    name: "foreign keys on and a cascade that is allowed",
    given: family,
    file: "-- migrate:up rows:posts\nPRAGMA foreign_keys=ON;\ndelete from authors where id = 1;",
    gives: { "select count(*) from posts": 1 },
    sameAsSqlite: false,
  },
  {
    name: "foreign keys on and a cascade that nobody named",
    given: family,
    file: "PRAGMA foreign_keys=ON; delete from authors where id = 1;",
    refused: ["ROWS_LOST", '"posts" would lose 2 of its 3 rows'],
  },
  {
    name: "a chain of cascades with foreign keys on",
    given:
      `${family} create table likes (post_id references posts on delete cascade); insert into likes values (1), (3);`,
    file: "-- migrate:up rows:posts\nPRAGMA foreign_keys=ON;\ndelete from authors where id = 1;",
    refused: ["ROWS_LOST", '"likes" would lose 1 of its 2 rows'],
  },
  {
    name: "renaming the old table first takes the references along",
    given: family,
    file: renameFirst,
    refused: [
      "FOREIGN_KEY_BROKEN",
      '3 rows of "posts"',
      '"posts" (author_id) = 1 → "authors_old" (2 rows)',
      "RENAME TO",
    ],
  },
  {
    name: "renaming the old table first, with legacy_alter_table",
    given: family,
    file: `pragma legacy_alter_table=on; ${renameFirst}`,
    gives: whole,
  },
  {
    name: "renaming the old table first, with children without rows",
    given: `${family} delete from posts;`,
    file: renameFirst,
    gives: { "select count(*) from authors": 3 },
    notes: [/"posts" refers to "authors_old", which is dropped/],
  },
  {
    name: "renaming the old table first and keeping it",
    given: family,
    file: renameFirst.replace("drop table authors_old;", "update authors set email = name;"),
    gives: { ...whole, "select count(*) from authors_old": 3 },
  },

  // Copies that leave rows out
  {
    name: "OR IGNORE and a new UNIQUE",
    given: emails,
    file: emailsInto("id integer primary key, email text unique collate nocase", "insert or ignore"),
    refused: ["ROWS_LOST", 'rebuilding "users" would lose 1 of its 4 rows', "OR IGNORE", "rows:users"],
  },
  {
    name: "OR REPLACE and a new UNIQUE",
    given: emails,
    file: emailsInto("id integer primary key, email text unique collate nocase", "insert or replace"),
    refused: ["ROWS_LOST", "1 of its 4 rows"],
  },
  {
    name: "REPLACE INTO and a new UNIQUE, the old table renamed first",
    given: emails,
    file: `alter table users rename to users_old;
      create table users (id integer primary key, email text unique collate nocase);
      replace into users select * from users_old;
      drop table users_old;`,
    refused: ["ROWS_LOST", "1 of its 4 rows"],
  },
  {
    name: "OR IGNORE and a new NOT NULL",
    given: emails,
    file: emailsInto("id integer primary key, email text not null", "insert or ignore"),
    refused: ["ROWS_LOST", "1 of its 4 rows"],
  },
  {
    name: "OR IGNORE and a new CHECK",
    given: emails,
    file: emailsInto("id integer primary key, email text check (email <> 'b@x')", "insert or ignore"),
    refused: ["ROWS_LOST", "1 of its 4 rows"],
  },
  {
    name: "a new table that is declared ON CONFLICT REPLACE",
    given: emails,
    file: emailsInto("id integer primary key, email text collate nocase unique on conflict replace", "insert"),
    refused: ["ROWS_LOST", "1 of its 4 rows"],
  },
  {
    name: "ON CONFLICT DO NOTHING in the copy",
    given: emails,
    file: `create table users_new (id integer primary key, email text unique collate nocase);
      insert into users_new select id, email from users where true on conflict do nothing;
      drop table users; alter table users_new rename to users;`,
    refused: ["ROWS_LOST", "1 of its 4 rows"],
  },
  {
    name: "a copy through a temporary table",
    given: emails,
    file: `create temp table kept as select * from users;
      drop table users;
      create table users (id integer primary key, email text unique collate nocase);
      insert or ignore into users select * from kept;
      drop table kept;`,
    refused: ["ROWS_LOST", "1 of its 4 rows"],
  },
  {
    name: "a copy through a temporary table that keeps all rows",
    given: emails,
    file: `create temp table kept as select * from users; drop table users;
      create table users (id integer primary key, email text); insert into users select * from kept; drop table kept;`,
    gives: { "select count(*) from users": 4 },
  },
  {
    name: "a copy that ends under another name",
    given: emails,
    file: `create table people (id integer primary key, email text unique collate nocase);
      insert or ignore into people select * from users; drop table users;`,
    refused: ["ROWS_LOST", 'rebuilding "users"'],
  },
  {
    name: "a trigger on the new table that deletes while rows are copied",
    given: emails,
    file: `create table users_new (id integer primary key, email text);
      create trigger tidy after insert on users_new when new.email is null begin delete from users_new where id = new.id; end;
      insert into users_new select * from users; drop table users; alter table users_new rename to users;`,
    refused: ["ROWS_LOST", "1 of its 4 rows"],
  },
  {
    name: "a lossy copy that is allowed",
    given: emails,
    file: `-- migrate:up rows:users\n${
      emailsInto("id integer primary key, email text unique collate nocase", "insert or ignore")
    }`,
    gives: { "select count(*) from users": 3 },
  },
  ...["where email is not null", "limit 2", "group by lower(email)"].map((filter): Trap => ({
    name: `a copy with "${filter}" is the SQL's own will`,
    given: emails,
    file: emailsInto("id integer primary key, email text", "insert").replace("from users;", `from users ${filter};`),
  })),
  {
    name: "a copy with DISTINCT is the SQL's own will",
    given: "create table tags (name text); insert into tags values ('a'), ('a'), ('b');",
    file: `create table tags_new (name text primary key); insert into tags_new select distinct name from tags;
      drop table tags; alter table tags_new rename to tags;`,
    gives: { "select count(*) from tags": 2 },
  },
  {
    name: "rows that are deleted before the copy",
    given: emails,
    file: `delete from users where id = 2; ${
      emailsInto("id integer primary key, email text unique collate nocase", "insert")
    }`,
    gives: { "select count(*) from users": 3 },
  },
  {
    name: "rows that are deleted from the copy",
    given: emails,
    file: emailsInto("id integer primary key, email text", "insert") + "delete from users where email is null;",
    gives: { "select count(*) from users": 3 },
  },
  {
    name: "merging into a table that was there is no rebuild",
    given: `${emails} create table people (id integer primary key, email text); insert into people values (1, 'z');`,
    file: "insert or ignore into people select * from users; drop table users;",
    gives: { "select count(*) from people": 4 },
  },

  // Tables of every kind
  {
    name: "a self-reference, and children before their parents",
    given: `create table nodes (id integer primary key, parent_id integer references nodes (id) on delete cascade);
      insert into nodes values (1, 5), (5, null), (6, 1);`,
    file:
      `create table nodes_new (id integer primary key, parent_id integer references nodes (id) on delete cascade, name text);
      insert into nodes_new (id, parent_id) select id, parent_id from nodes;
      drop table nodes; alter table nodes_new rename to nodes;
      insert into nodes values (10, 11, 'child first'), (11, null, 'then its parent');`,
    gives: { "select count(*) from nodes": 5 },
  },
  {
    name: "a self-reference that a filter breaks",
    given: `create table nodes (id integer primary key, parent_id integer references nodes (id));
      insert into nodes values (1, 5), (5, null), (6, 1);`,
    file: `create table nodes_new (id integer primary key, parent_id integer references nodes (id));
      insert into nodes_new select * from nodes where id <> 5;
      drop table nodes; alter table nodes_new rename to nodes;`,
    refused: ["FOREIGN_KEY_BROKEN", '1 row of "nodes"', '"nodes" (parent_id) = 5 → "nodes"'],
  },
  {
    name: "a view on the table, which SQLite does not let go",
    given: `${family} create view names as select name from authors;`,
    file: rebuild,
    refused: ["STATEMENT_FAILED", "error in view names"],
  },
  {
    name: "a view on the table, with legacy_alter_table",
    given: `${family} create view names as select name from authors;`,
    file: `pragma legacy_alter_table=on; ${rebuild}`,
    gives: { ...whole, "select count(*) from names": 3 },
  },
  {
    name: "a view that is dropped and made again",
    given: `${family} create view names as select name from authors;`,
    file: `drop view names; ${rebuild} create view names as select name, email from authors;`,
    gives: { ...whole, "select count(*) from names": 3 },
  },
  {
    name: "a trigger and indexes that the rebuild drops",
    given: `${family} create table log (what);
      create trigger authors_log after update on authors begin insert into log values (new.name); end;
      create index authors_name on authors (name) where name <> '';
      create index authors_lower on authors (lower(name));`,
    file: rebuild,
    gives: whole,
    notes: [/dropped its indexes "authors_name", "authors_lower"/, /dropped its triggers "authors_log"/],
  },
  {
    name: "a trigger and indexes that are made again",
    given: `${family} create table log (what);
      create trigger authors_log after update on authors begin insert into log values (new.name); end;
      create index authors_name on authors (name) where name <> '';`,
    file: `${rebuild} create index authors_by_name on authors (name) where name <> '';
      create trigger authors_log after update on authors begin insert into log values (new.email); end;`,
    gives: whole,
    notes: [],
  },
  {
    name: "a trigger that deletes elsewhere when rows are deleted here",
    given: `${family} create table drafts (author_id); insert into drafts values (1), (3);
      create trigger authors_gone after delete on authors begin delete from drafts where author_id = old.id; end;`,
    file: "delete from authors where id = 3;",
    refused: ["ROWS_LOST", '"drafts" would lose 1 of its 2 rows', "trigger"],
  },
  {
    name: "a trigger that deletes elsewhere when rows are only added here",
    given: `create table logins (user_id); create table codes (user_id); insert into codes values (1), (2);
      create trigger used after insert on logins begin delete from codes where user_id = new.user_id; end;`,
    file: "insert into logins values (2);",
    refused: ["ROWS_LOST", '"codes" would lose 1 of its 2 rows', "rows:codes"],
  },
  {
    name: "triggers that set each other off",
    given:
      `create table a (x); create table b (x); create table c (x); insert into a values (1); insert into b values (1); insert into c values (1);
      create trigger a_gone after update on a begin update b set x = new.x; end;
      create trigger b_gone after update on b begin delete from c; end;`,
    file: "update a set x = 2;",
    refused: ["ROWS_LOST", '"c" would lose 1 of its 1 row'],
  },
  {
    name: "a trigger that the migration makes itself",
    given: "create table a (x); create table b (x); insert into b values (1);",
    file: "create trigger t after insert on a begin delete from b; end; insert into a values (1);",
    refused: ["ROWS_LOST", '"b" would lose 1 of its 1 row'],
  },
  {
    name: "an INSTEAD OF trigger of a view",
    given: `${family} create view v as select id from posts;
      create trigger v_delete instead of delete on v begin delete from posts where id = old.id; end;`,
    file: "delete from v where id = 1;",
    refused: ["ROWS_LOST", '"posts" would lose 1 of its 3 rows'],
  },
  {
    name: "an UPDATE on a column that is UNIQUE ON CONFLICT REPLACE",
    given: "create table users (email text unique on conflict replace); insert into users values ('a'), ('A'), ('b');",
    file: "update users set email = lower(email);",
    refused: ["ROWS_LOST", '"users" would lose 1 of its 3 rows', "ON CONFLICT REPLACE"],
  },
  {
    name: "generated columns",
    given: `create table sums (a int, b int, c int generated always as (a + b) virtual, d int as (a * b) stored);
      insert into sums (a, b) values (1, 2), (3, 4);`,
    file: `create table sums_new (a int, b int, c int as (a + b) stored, e int as (a - b));
      insert into sums_new (a, b) select a, b from sums; drop table sums; alter table sums_new rename to sums;`,
    gives: { "select sum(c) from sums": 10 },
  },
  {
    name: "WITHOUT ROWID, with a composite key that others refer to",
    given: `create table lines (doc int, n int, body text, primary key (doc, n)) without rowid;
      create table marks (id integer primary key, doc int, n int, foreign key (doc, n) references lines (doc, n) on delete cascade);
      insert into lines values (1, 1, 'a'), (1, 2, 'b'); insert into marks values (1, 1, 1), (2, 1, 2), (3, 7, null);`,
    file: `create table lines_new (doc int, n int, body text not null, primary key (doc, n)) without rowid;
      insert into lines_new select * from lines; drop table lines; alter table lines_new rename to lines;`,
    gives: { "select count(*) from lines": 2, "select count(*) from marks": 3 },
  },
  {
    name: "a composite reference that breaks",
    given: `create table lines (doc int, n int, primary key (doc, n));
      create table marks (id integer primary key, doc int, n int, foreign key (doc, n) references lines (doc, n));
      insert into lines values (1, 1), (1, 2); insert into marks values (1, 1, 1), (2, 1, 2);`,
    file: "delete from lines where n = 2;",
    refused: ["FOREIGN_KEY_BROKEN", '"marks" (doc, n) = 1, 2 → "lines"'],
  },
  {
    name: "a child WITHOUT ROWID whose reference breaks",
    given: `create table p (id integer primary key); insert into p values (1), (2);
      create table c (k text primary key, p_id int references p) without rowid; insert into c values ('x', 1), ('y', 2), ('z', 9);`,
    file: "delete from p where id = 2;",
    refused: ["FOREIGN_KEY_BROKEN", '1 row of "c"'],
  },
  {
    name: "STRICT, and a value that does not fit",
    given: "create table n (v); insert into n values (1), ('two');",
    file: `create table n_new (v integer) strict; insert into n_new select v from n;
      drop table n; alter table n_new rename to n;`,
    refused: ["STATEMENT_FAILED", "cannot store TEXT value"],
  },
  {
    name: "STRICT, and OR IGNORE for a value that does not fit",
    given: "create table n (v); insert into n values (1), (null);",
    file: `create table n_new (v integer not null) strict; insert or ignore into n_new select v from n;
      drop table n; alter table n_new rename to n;`,
    refused: ["ROWS_LOST", "1 of its 2 rows"],
  },
  {
    name: "the AUTOINCREMENT counter of a rebuilt table is kept",
    given: `create table bills (id integer primary key autoincrement, total int);
      insert into bills values (1, 5), (2, 6), (9, 7); delete from bills where id = 9;`,
    file: `create table bills_new (id integer primary key autoincrement, total int not null);
      insert into bills_new select * from bills; drop table bills; alter table bills_new rename to bills;`,
    gives: { "select seq from sqlite_sequence where name = 'bills'": 9, "select count(*) from sqlite_sequence": 1 },
    notes: [/kept the AUTOINCREMENT counter of "bills" at 9/],
  },
  {
    name: "the AUTOINCREMENT counter of an empty table, renamed first",
    given: `create table Bills (id integer primary key autoincrement, total int);
      insert into bills values (41, 5); delete from bills;`,
    file:
      `alter table bills rename to old_bills; create table Bills (id integer primary key autoincrement, total int not null);
      insert into bills select * from old_bills; drop table old_bills;`,
    gives: { "select seq from sqlite_sequence where name = 'Bills'": 41 },
    notes: [/counter of "bills" at 41/],
  },
  {
    name: "an AUTOINCREMENT counter that the file sets itself",
    given: `create table bills (id integer primary key autoincrement, total int);
      insert into bills values (9, 7); delete from bills; insert into bills (total) values (3);`,
    file: `create table bills_new (id integer primary key autoincrement, total int);
      insert into bills_new select 1, total from bills; drop table bills; alter table bills_new rename to bills;
      update sqlite_sequence set seq = 1 where name = 'bills';`,
    gives: { "select seq from sqlite_sequence where name = 'bills'": 1 },
    notes: [],
  },
  {
    name: "AUTOINCREMENT that goes away",
    given:
      "create table bills (id integer primary key autoincrement); insert into bills values (9); delete from bills;",
    file: `create table bills_new (id integer primary key); insert into bills_new select * from bills;
      drop table bills; alter table bills_new rename to bills;`,
    gives: { "select count(*) from sqlite_sequence": 0 },
    notes: [],
  },
  {
    name: "a full-text index over an external table, with triggers",
    given: `create table notes (id integer primary key, body text);
      create virtual table notes_fts using fts5(body, content='notes', content_rowid='id');
      create trigger notes_ai after insert on notes begin insert into notes_fts(rowid, body) values (new.id, new.body); end;
      create trigger notes_ad after delete on notes begin insert into notes_fts(notes_fts, rowid, body) values ('delete', old.id, old.body); end;
      create trigger notes_au after update on notes begin insert into notes_fts(notes_fts, rowid, body) values ('delete', old.id, old.body);
        insert into notes_fts(rowid, body) values (new.id, new.body); end;
      insert into notes (body) values ('red fox'), ('blue fox'), ('green hen');`,
    file: `update notes set body = replace(body, 'fox', 'cat'); delete from notes where id = 3;
      insert into notes (body) values ('new'); insert into notes_fts(notes_fts) values ('optimize');`,
    gives: { "select count(*) from notes": 3, "select count(*) from notes_fts where notes_fts match 'cat'": 2 },
    notes: [],
  },

  // References
  {
    name: "INSERT OR REPLACE into a parent",
    given: family,
    file: "insert or replace into authors values (1, 'Anna'); replace into authors (id, name) values (2, 'Benno');",
    gives: whole,
  },
  {
    name: "INSERT OR REPLACE into a parent, with foreign keys on",
    given: family,
    file: "pragma foreign_keys = on; insert or replace into authors values (1, 'Anna');",
    refused: ["ROWS_LOST", '"posts" would lose 2 of its 3 rows'],
  },
  {
    name: "REPLACE that takes a parent away",
    given: `create table p (id integer primary key, code text unique); create table c (p_id references p (id));
      insert into p values (1, 'x'), (2, 'y'); insert into c values (1);`,
    file: "replace into p values (3, 'x');",
    refused: ["FOREIGN_KEY_BROKEN", '"c" (p_id) = 1 → "p"'],
  },
  {
    name: "children that are inserted before their parents",
    given: family,
    file: "insert into posts values (4, 9, 'early'); insert into authors values (9, 'late');",
    gives: { "select count(*) from posts": 4 },
  },
  {
    name: "children whose parents never come",
    given: family,
    file: "insert into posts values (4, 9, 'early'), (5, 9, 'too');",
    refused: ["FOREIGN_KEY_BROKEN", '2 rows of "posts"', '"posts" (author_id) = 9 → "authors" (2 rows)'],
  },
  {
    name: "new tables whose rows refer to nothing",
    given: "select 1;",
    file: `create table p (id integer primary key); create table c (p_id references p); insert into c values (1);`,
    refused: ["FOREIGN_KEY_BROKEN", '"c" (p_id) = 1 → "p"'],
  },
  {
    name: "a new column with a default that refers to nothing",
    given: family,
    file: "alter table posts add column editor_id integer default 7 references authors (id);",
    refused: ["FOREIGN_KEY_BROKEN", '3 rows of "posts"', "(editor_id) = 7"],
  },
  {
    name: "a deferred reference",
    given: `create table p (id integer primary key); create table c (p_id references p deferrable initially deferred);`,
    file: "insert into c values (1); insert into p values (1); insert into c values (2);",
    refused: ["FOREIGN_KEY_BROKEN", '"c" (p_id) = 2 → "p"'],
  },
  {
    name: "a deferred reference with foreign keys on",
    given: `create table p (id integer primary key); create table c (p_id references p deferrable initially deferred);`,
    file: "pragma foreign_keys=on; insert into c values (1); insert into p values (1);",
    gives: { "select count(*) from c": 1 },
  },
  {
    name: "a parent without a unique key",
    given:
      "create table p (code); create table c (p_code references p (code)); insert into p values ('a'); insert into c values ('b');",
    file: "insert into c values ('c'); update p set code = 'z';",
    gives: { "select count(*) from c": 2 },
    notes: [],
  },
  {
    name: "a rebuild that loses the parent's unique key",
    given:
      "create table p (code unique); create table c (p_code references p (code)); insert into p values ('a'); insert into c values ('a');",
    file: "create table p_new (code); insert into p_new select * from p; drop table p; alter table p_new rename to p;",
    gives: { "select count(*) from c": 1 },
    notes: [/references of "c" cannot be checked.*foreign key mismatch/],
  },
  {
    name: "damage that was there before is no fault of the migration",
    given: `${family} insert into posts values (8, 77, 'orphan'), (9, 77, 'orphan');`,
    file: `insert into posts values (10, 1, 'fine'); ${rebuild}`,
    gives: { "select count(*) from posts": 6 },
    notes: [
      /2 rows of "posts" referred to missing rows before "0001_it" already: "posts" \(author_id\) = 77 → "authors"/,
    ],
  },
  {
    name: "damage that was there before does not grow",
    given: `${family} insert into posts values (8, 77, 'orphan');`,
    file: "insert into posts values (9, 77, 'another');",
    refused: ["FOREIGN_KEY_BROKEN", '1 row of "posts"', "(author_id) = 77"],
  },
  {
    name: "damage does not change places",
    given: `${family} insert into posts values (8, 77, 'orphan');`,
    file: "update posts set author_id = 78 where id = 8;",
    refused: ["FOREIGN_KEY_BROKEN", "(author_id) = 78"],
  },
  {
    name: "damage is followed through the renaming of both tables",
    given: `${family} insert into posts values (8, 77, 'orphan');`,
    file:
      "alter table authors rename to people; alter table posts rename to articles; update articles set title = 'x';",
    gives: { "select count(*) from articles": 4 },
    notes: [/"articles" \(author_id\) = 77 → "people"/],
  },
  {
    name: "damage that is mended",
    given: `${family} insert into posts values (8, 77, 'orphan');`,
    file: "delete from posts where author_id not in (select id from authors);",
    gives: { "select count(*) from posts": 3 },
    notes: [],
  },
  {
    name: "an UPDATE of a parent's key",
    given: family,
    file: "update authors set id = 20 where id = 2;",
    refused: ["FOREIGN_KEY_BROKEN", "(author_id) = 2", "in the same migration"],
  },
  {
    name: "an UPDATE of a reference",
    given: family,
    file: "update posts set author_id = 99 where id = 3;",
    refused: ["FOREIGN_KEY_BROKEN", "(author_id) = 99"],
  },
  {
    name: "a parent is dropped whose children still refer to it",
    given: family,
    file: "drop table authors;",
    refused: ["FOREIGN_KEY_BROKEN", '3 rows of "posts"', 'Before "authors" goes'],
  },
  { name: "both are dropped, the parent first", given: family, file: "drop table authors; drop table posts;" },
  {
    name: "a new reference that old rows do not keep",
    given: "create table p (id integer primary key); create table c (p_id int); insert into c values (5);",
    file: `create table c_new (p_id int references p); insert into c_new select * from c;
      drop table c; alter table c_new rename to c;`,
    refused: ["FOREIGN_KEY_BROKEN", '"c" (p_id) = 5 → "p"'],
  },

  // What SQL says is done
  { name: "DELETE with WHERE", given: emails, file: "delete from users where id > 1;" },
  { name: "DELETE of everything", given: emails, file: "delete from users;" },
  {
    name: "DROP TABLE IF EXISTS and CREATE",
    given: emails,
    file: "drop table if exists users; create table users (id integer primary key); drop table if exists nobody;",
  },
  {
    name: "UPDATE OR REPLACE",
    given: emails.replace("email text", "email text unique"),
    file: "update or replace users set email = lower(email);",
  },
  {
    name: "names with spaces, quotes, keywords and other scripts",
    given:
      `create table "order ""x""" (id integer primary key); create table [select] (id integer primary key, "größe" references "Order ""X"""(id));
      insert into "order ""x""" values (1); insert into "select" values (1, 1);`,
    file: `create table 'été' (id integer primary key, n int); insert into [été] (id) select id from "ORDER ""x""";
      drop table \`order "x"\`; alter table "été" rename to "order ""x""";`,
    gives: { 'select count(*) from "select"': 1 },
  },
  {
    name: "a lossy copy of a table with an odd name",
    given: `create table "Höhe ü.NN" (v text); insert into "Höhe ü.NN" values ('a'), ('A');`,
    file: `create table [new] (v text unique collate nocase); insert or ignore into [new] select * from "HöHE ü.nn";
      drop table 'Höhe ü.NN'; alter table new rename to "Höhe ü.NN";`,
    refused: ["ROWS_LOST", '"höhe ü.nn"', "1 of its 2 rows", 'rows:"höhe ü.nn"'],
  },
  {
    name: "temporary tables of the same name",
    given: emails,
    file:
      "create temp table users (x); insert into users values (1); delete from users; drop table users; insert into users values (9, 'z');",
    gives: { "select count(*) from users": 5 },
  },
  {
    name: "a file's savepoints",
    given: emails,
    file: "savepoint a; delete from users; rollback to a; release a; update users set email = 'x' where id = 1;",
    gives: { "select count(*) from users": 4 },
  },

  // Code
  {
    name: "code that deletes by name",
    given: family,
    file:
      "export async function up(db) { await db.exec('delete from posts where id = $1', [3]); await db.exec('delete from authors where id = 2'); }",
    gives: { "select count(*) from posts": 2 },
  },
  {
    name: "code that deletes through a trigger",
    given: `${family} create trigger t after update on authors begin delete from posts where author_id = old.id; end;`,
    file:
      `export async function up(db) { for (const id of [1, 2]) await db.query("update authors set name = '' where id = $1", [id]); }`,
    refused: ["ROWS_LOST", '"posts" would lose 3 of its 3 rows', 'export const rows = ["posts"]'],
  },
  {
    name: "code that may delete through a trigger",
    given: `${family} create trigger t after update on authors begin delete from posts where author_id = old.id; end;`,
    file:
      `export const rows = ["posts"]; export async function up(db) { await db.exec("update authors set name = ''"); }`,
    gives: { "select count(*) from posts": 0 },
  },
  {
    name: "code that copies with OR IGNORE",
    given: emails,
    file: `export async function up(db) { await db.exec(\`${
      emailsInto("id integer primary key, email text unique collate nocase", "insert or ignore")
    }\`); }`,
    refused: ["ROWS_LOST", 'rebuilding "users"'],
  },
  {
    name: "code that breaks a reference",
    given: family,
    file: "export async function up(db) { await db.exec('delete from authors'); }",
    refused: ["FOREIGN_KEY_BROKEN", '3 rows of "posts"'],
  },
];

for (const trap of traps) Deno.test(`row safety: ${trap.name}`, () => check(trap));

Deno.test("row safety: the schema table itself, rows of an attached database", async () => {
  await using folder = await tempFolder({
    "migrations/0001_it.sql":
      "attach ':memory:' as side; create table side.posts (x); insert into side.posts values (1); delete from side.posts; drop table side.posts;",
  });
  const path = folder.path("app.db");
  using before = open(path, family);
  before.close();
  await migrate({ database: `sqlite:${path}`, migrations: folder.path("migrations") });
  using db = new DatabaseSync(path);
  assert.equal(value(db, "select count(*) from posts"), 3);
});

Deno.test("row safety holds on the way back", async () => {
  await using folder = await tempFolder({
    "migrations/0001_it.sql": `-- migrate:up
${family}
      create trigger t after delete on authors begin delete from posts where author_id = old.id; end;
-- migrate:down
delete from authors where id = 1;`,
  });
  const options = { database: `sqlite:${folder.path("app.db")}`, migrations: folder.path("migrations") };
  await migrate(options);
  const before = dump(folder.path("app.db"));
  const error = await refusal(() => migrate({ ...options, target: "zero" }));
  assert.equal(error.code, "ROWS_LOST");
  assert.match(error.message, /"posts" would lose 2 of its 3 rows/);
  assert.deepEqual(dump(folder.path("app.db")), before);
});

Deno.test("row safety: with one transaction for all, a refused migration takes the others along", async () => {
  await using folder = await tempFolder({
    "migrations/0001_family.sql": family,
    "migrations/0002_more.sql": "insert into posts values (9, 3, 'fine');",
    "migrations/0003_drop.sql": "drop table authors;",
  });
  const options = { database: `sqlite:${folder.path("app.db")}`, migrations: folder.path("migrations") };
  const error = await refusal(() => migrate({ ...options, oneTransaction: true }));
  assert.equal(error.code, "FOREIGN_KEY_BROKEN");
  assert.match(error.message, /0003_drop/);
  assert.deepEqual(dump(folder.path("app.db")), []);
});

async function check({ given, file, refused, gives = {}, notes, ...trap }: Trap): Promise<void> {
  const isCode = file.startsWith("export");
  await using folder = await tempFolder({ [`migrations/0001_it.${isCode ? "ts" : "sql"}`]: file });
  const path = folder.path("app.db");
  open(path, given).close();
  const before = dump(path);
  const told: string[] = [];
  const run = () =>
    migrate({
      database: `sqlite:${path}`,
      migrations: folder.path("migrations"),
      report: (event) => event.type === "note" && told.push(event.message),
    });
  if (refused) {
    const error = await refusal(run);
    const text = `${error.message}\n${error.detail}\n${error.hint}`;
    assert.equal(error.code, refused[0], text);
    for (const word of refused.slice(1)) {
      assert.ok(word instanceof RegExp ? word.test(text) : text.includes(word), `${word} in:\n${text}`);
    }
    assert.match(error.where ?? "", /0001_it/);
    const after = dump(path);
    // A script that is committed piece by piece keeps what was done before.
    const kept = file.includes("transaction:false") ? after.filter((line) => before.includes(line)) : after;
    assert.deepEqual(kept, before, "everything is as it was");
    return;
  }
  assert.deepEqual((await run()).applied, ["0001_it"]);
  if (trap.sameAsSqlite ?? !isCode) {
    open(folder.path("plain.db"), `${given};${file.replace(/pragma foreign_keys\s*=\s*on;/gi, "")}`).close();
    assert.deepEqual(dump(path), dump(folder.path("plain.db")), "the same as plain SQLite with foreign keys off");
  }
  using db = new DatabaseSync(path);
  for (const [query, expected] of Object.entries(gives)) assert.equal(value(db, query), expected, query);
  if (notes) {
    assert.equal(told.length, notes.length, told.join("\n"));
    for (const note of notes) assert.ok(told.some((text) => note.test(text)), `${note} in:\n${told.join("\n")}`);
  }
}

function open(path: string, sql: string): DatabaseSync {
  const db = new DatabaseSync(path, { enableForeignKeyConstraints: false, enableDoubleQuotedStringLiterals: true });
  db.exec(sql);
  return db;
}

/** Every object and every row, without amber's own. */
function dump(path: string): string[] {
  using db = new DatabaseSync(path, { readOnly: true });
  const objects = db.prepare(
    "select type, name, tbl_name as tbl, sql from sqlite_schema where tbl_name <> 'amber_migrations' order by type, name",
  ).all() as { type: string; name: string; tbl: string; sql: string | null }[];
  const tables = objects.filter(({ type, name, sql }) =>
    type === "table" && !/^sqlite_|_fts_/.test(name) && !/^create virtual/i.test(sql ?? "")
  );
  return [
    ...objects.map((object) => JSON.stringify(object)),
    ...tables.flatMap(({ name }) =>
      db.prepare(`select * from "${name.replaceAll('"', '""')}"`).all().map((row) => `${name} ${JSON.stringify(row)}`)
    ),
  ];
}

function value(db: DatabaseSync, query: string): unknown {
  return Object.values(db.prepare(query).get() ?? {})[0];
}

async function refusal(work: () => Promise<unknown>): Promise<AmberError> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof AmberError, String(error));
    return error;
  }
  assert.fail("nothing was refused");
}
