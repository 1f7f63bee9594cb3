import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { AmberError, migrate, type RebuildOptions } from "../../mod.ts";
import { tempFolder } from "../support/temp_folder.ts";

interface Case {
  given: string;
  options: RebuildOptions;
  /** Queries and the value that each gives afterwards. */
  gives?: Record<string, unknown>;
  refused?: RegExp;
}

const cases: Record<string, Case> = {
  "keeps children that cascade, rows, indexes and triggers": {
    given: `create table p (id integer primary key, name text); create table log (x);
      create table c (id integer primary key, p_id int references p (id) on delete cascade);
      create index p_name on p (name) where name <> ''; create index p_lower on p (lower(name));
      create trigger p_log after delete on p begin insert into log values (old.id); end;
      insert into p values (1, 'Ann'), (2, null); insert into c values (1, 1), (2, 2);`,
    options: {
      table: "P",
      columns: "id integer primary key, name text not null, email text",
      values: { name: "coalesce(name, '')" },
    },
    gives: {
      "select count(*) from c": 2,
      "select group_concat(name, '|') from p": "Ann|",
      "select count(*) from log": 0,
      "select count(*) from sqlite_schema where name in ('p_name', 'p_lower', 'p_log')": 3,
      "select count(*) from pragma_foreign_key_check": 0,
      "select sql from sqlite_schema where name = 'c'":
        "CREATE TABLE c (id integer primary key, p_id int references p (id) on delete cascade)",
    },
  },
  "leaves views alone, and views of views": {
    given: `create table p (id integer primary key, name text); insert into p values (1, 'Ann');
      create view v as select id, name from p; create view w as select name from v;`,
    options: { table: "p", columns: "id integer primary key, name text, email text" },
    gives: {
      "select name from w": "Ann",
      "select sql from sqlite_schema where name = 'v'": "CREATE VIEW v as select id, name from p",
    },
  },
  "keeps a self-reference": {
    given: `create table n (id integer primary key, up int references n (id)); insert into n values (1, 2), (2, null);`,
    options: { table: "n", columns: "id integer primary key, up int references n (id) on delete set null" },
    gives: {
      "select count(*) from n": 2,
      "select \"table\" from pragma_foreign_key_list('n')": "n",
      "select count(*) from pragma_foreign_key_check": 0,
    },
  },
  "keeps the AUTOINCREMENT counter, also of an empty table": {
    given: `create table b (id integer primary key autoincrement, x int); insert into b values (41, 1); delete from b;`,
    options: { table: "b", columns: "id integer primary key autoincrement, x int not null" },
    gives: { "select seq from sqlite_sequence where name = 'b'": 41, "select count(*) from sqlite_sequence": 1 },
  },
  "keeps a counter beyond 2^53": {
    given: `create table b (id integer primary key autoincrement, x int); insert into b values (9007199254740995, 1);`,
    options: { table: "b", columns: "id integer primary key autoincrement, x int not null" },
    gives: { "select cast(seq as text) from sqlite_sequence where name = 'b'": "9007199254740995" },
  },
  "lets AUTOINCREMENT go": {
    given: `create table b (id integer primary key autoincrement, x int); insert into b values (41, 1);`,
    options: { table: "b", columns: "id integer primary key, x int" },
    gives: { "select count(*) from sqlite_sequence": 0, "select id from b": 41 },
  },
  "takes generated columns over, both ways": {
    given:
      `create table g (a int, b int as (a * 2) stored, c int as (a * 3), d int); insert into g (a, d) values (1, 9);`,
    options: { table: "g", columns: "a int, b int, c int as (a * 4), d int as (a * 5) stored" },
    gives: { "select a || ' ' || b || ' ' || c || ' ' || d from g": "1 2 4 5" },
  },
  "keeps row numbers, by which a full-text index may go": {
    given: `create table notes (body text, rowid text);
      insert into notes (_rowid_, body) values (5, 'red fox'), (9, 'blue fox');
      create virtual table found using fts5(body, content='notes'); insert into found (rowid, body) select _rowid_, body from notes;`,
    options: { table: "notes", columns: "body text not null, rowid text, at text" },
    gives: { "select group_concat(_rowid_) from notes": "5,9" },
  },
  "makes STRICT and WITHOUT ROWID of it": {
    given: `create table k (code text, n int); insert into k values ('b', 1), ('a', 2);`,
    options: { table: "k", columns: "code text primary key, n integer", options: "strict, without rowid" },
    gives: { "select group_concat(code) from k": "a,b", "select wr + strict from pragma_table_list('k')": 2 },
  },
  "knows odd names": {
    given:
      `create table "order ""x"" é" ("select" int, "constructor" text); insert into "order ""x"" é" values (1, 'c');`,
    options: { table: 'ORDER "x" é', columns: '"select" int not null, "constructor" text, "toString" text' },
    gives: { 'select "constructor" from "order ""x"" é"': "c" },
  },
  "renames a column by its value": {
    given: `create table t (a int); insert into t values (1);`,
    options: { table: "t", columns: "b int", values: { B: "a + 1" } },
    gives: { "select b from t": 2 },
  },
  "refuses a value for a column that is not there": {
    given: `create table t (a int); insert into t values (1);`,
    options: { table: "t", columns: "a int", values: { b: "1" } },
    refused: /no column "b"/,
  },
  "refuses a table that is not there": {
    given: "create view t as select 1;",
    options: { table: "t", columns: "a" },
    refused: /no such table/,
  },
  "refuses a virtual table": {
    given: "create virtual table t using fts5(a);",
    options: { table: "t", columns: "a" },
    refused: /virtual/,
  },
  "refuses rows that do not fit": {
    given: "create table t (a); insert into t values (1), (null);",
    options: { table: "t", columns: "a not null" },
    refused: /NOT NULL constraint failed/,
  },
  "refuses an index whose column is gone": {
    given: "create table t (a, b); insert into t values (1, 2); create index t_b on t (b);",
    options: { table: "t", columns: "a" },
    refused: /no such column: b/,
  },
  "refuses to leave rows out": {
    given: "create table t (a); insert into t values ('x'), ('X');",
    options: { table: "t", columns: "a text collate nocase unique on conflict ignore" },
    refused: /"t" would lose 1 of its 2 rows/,
  },
};

for (const [name, one] of Object.entries(cases)) {
  Deno.test(`rebuild ${name}`, async () => {
    await using folder = await tempFolder({
      "migrations/0001_rebuild.ts": `export async function up(db) { await db.rebuild(${
        JSON.stringify(one.options)
      }); }`,
    });
    using db = new DatabaseSync(folder.path("app.db"), { enableForeignKeyConstraints: false });
    db.exec(one.given);
    const before = schema(db);
    const work = () => migrate({ database: `sqlite:${folder.path("app.db")}`, migrations: folder.path("migrations") });
    if (one.refused) {
      await assert.rejects(work, (error) => error instanceof AmberError && one.refused!.test(error.message));
      assert.deepEqual(schema(db), before);
      return;
    }
    await work();
    for (const [query, expected] of Object.entries(one.gives ?? {})) {
      assert.equal(Object.values(db.prepare(query).get() ?? {})[0], expected, query);
    }
    assert.equal(
      db.prepare("select count(*) as n from sqlite_schema where name like 'amber\\_new%' escape '\\'").get()!.n,
      0,
    );
  });
}

Deno.test("a rebuild that fails leaves the table as it was, when the code goes on", async () => {
  await using folder = await tempFolder({
    "migrations/0001_try.ts": `export async function up(db) {
      try { await db.rebuild({ table: "t", columns: "a" }); } catch { await db.exec("insert into t values (3, 4)"); }
    }`,
    "migrations/0002_try_apart.ts": `export const atomic = false;
    export async function up(db) {
      try { await db.rebuild({ table: "t", columns: "a" }); } catch { await db.exec("insert into t values (5, 6)"); }
    }`,
  });
  using db = new DatabaseSync(folder.path("app.db"));
  db.exec("create table t (a, b); insert into t values (1, 2); create index t_b on t (b);");
  const before = schema(db);
  await migrate({ database: `sqlite:${folder.path("app.db")}`, migrations: folder.path("migrations") });
  assert.equal(db.prepare("select group_concat(a || b) as x from t").get()!.x, "12,34,56");
  assert.deepEqual(schema(db), before);
});

function schema(db: DatabaseSync): string[] {
  return db.prepare(
    "select name || ': ' || sql as line from sqlite_schema where tbl_name <> 'amber_migrations' order by 1",
  )
    .all().map(({ line }) => String(line));
}
