/** A statement that the database refuses: where it stands, what the database says, what is left, what to do. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { amber } from "../support/command.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { has } from "./refusal.ts";

interface Case {
  title: string;
  sql: string; // of 0002_bad.sql
  at: string; // line and column
  excerpt?: string; // lines with the caret, as they are printed
  says: string | RegExp; // in the detail
  hint?: string | RegExp;
  code?: string;
}

const long = (count: number, name: string) =>
  `insert into a values (concat(${Array(count).fill("'äbc'").join(", ")}, ${name}, ${
    Array(count).fill("'x'").join(", ")
  }));`;

const both: Case[] = [
  {
    title: "a misspelt word between two good statements",
    sql: "create table a (x integer);\ncreate tabel b (x integer);\ncreate table c (x integer);\n",
    at: "2:8",
    excerpt: "    2 | create tabel b (x integer);\n      |        ^",
    says: /database: .*"?tabel"?/,
    hint: "Mend the file and run the same command again",
  },
  {
    title: "a column that is not there, behind umlauts and an emoji",
    sql: "create table a (x text);\ninsert into a values ('äöü😀', nope);\n",
    at: "2:31",
    excerpt: "    2 | insert into a values ('äöü😀', nope);\n      |                                ^",
    says: "nope",
  },
  {
    title: "behind characters that are two columns wide",
    sql: "create table a (x text);\ninsert into a values ('漢字テスト', nope);\n",
    at: "2:32",
    excerpt: "    2 | insert into a values ('漢字テスト', nope);\n      |                                     ^",
    says: "nope",
  },
  {
    title: "behind tabs",
    sql: "create table a (x text);\n\tinsert\tinto a\n\t\tvalues\t(nope);\n",
    at: "3:11",
    excerpt: "    2 |  insert into a\n    3 |   values (nope);\n      |           ^",
    says: "nope",
  },
  {
    title: "in a file with CRLF and a byte-order mark",
    sql: "\ufeffcreate table a (x integer);\r\n\r\ninsert into a\r\n values (nope);\r\n",
    at: "4:10",
    excerpt: "    3 | insert into a\n    4 |  values (nope);\n      |          ^",
    says: "nope",
  },
  {
    title: "in the first line behind a byte-order mark",
    sql: "\ufeffselct 1;\n",
    at: "1:1",
    excerpt: "    1 | selct 1;\n      | ^",
    says: "selct",
  },
  {
    title: "in the middle of a line of 1,500 characters",
    sql: `create table a (x text);\n${long(60, "nope")}\n`,
    at: "2:450",
    excerpt: "      |                                                                                         ^",
    says: "nope",
  },
  {
    title: "a row that is there twice",
    sql: "create table a (x integer unique);\n\n-- two of them\ninsert into a\nvalues (1), (1);\n",
    at: "4:1",
    excerpt: "    4 | insert into a\n      | ^\n    5 | values (1), (1);",
    says: /database: .*unique/i,
  },
  {
    title: "control characters and text that runs backwards are shown as dots",
    sql: "create table a (x text);\ninsert into a values ('\u001b[31m\u202e', nope);\n",
    at: "2:33",
    excerpt: "    2 | insert into a values ('·[31m·', nope);\n      |                                 ^",
    says: "nope",
  },
];

const onPostgres: Case[] = [
  {
    title: "in the body of a function in PL/pgSQL",
    sql: "create function f() returns int language plpgsql as $$\nbegin\n  retrun 1;\nend $$;\n",
    at: "3:3",
    excerpt: "    2 | begin\n    3 |   retrun 1;\n      |   ^\n    4 | end $$;",
    says: 'syntax error at or near "retrun" (42601)',
  },
  {
    title: "when a function is called",
    sql:
      "create function f() returns int language plpgsql as $$\nbegin\n  perform 1/0;\n  return 1;\nend $$;\n\nselect f();\n",
    at: "7:1",
    says: 'context: SQL statement "SELECT 1/0"\nPL/pgSQL function f() line 3 at PERFORM',
  },
  {
    title: "in a DO block: the line in it",
    sql: "select 1;\ndo $$\nbegin\n  perform 1;\n  insert into nowhere values (1);\nend $$;\n",
    at: "5:3",
    excerpt: "    5 |   insert into nowhere values (1);\n      |   ^",
    says: 'relation "nowhere" does not exist (42P01)',
  },
  {
    title: "in the body of a function in SQL",
    sql: "create function f() returns int language sql as $$\n  select x from nowhere\n$$;\n",
    at: "2:17",
    excerpt: "    2 |   select x from nowhere\n      |                 ^",
    says: "nowhere",
  },
  {
    title: "in the rows of a COPY: the row",
    sql:
      "create table a (x integer, y text);\ncopy a (x, y) from stdin;\n1\tone\nzwei\ttwo\n3\tthree\n\\.\nselect 1;\n",
    at: "4:1",
    excerpt: "    2 | copy a (x, y) from stdin;\n    3 | 1 one\n    4 | zwei two\n      | ^",
    says: 'context: COPY a, line 2, column x: "zwei"',
  },
  {
    title: "a column that a concurrent index needs, without a position from the server",
    sql: "create table a (x integer);\ncreate index concurrently i on a (nope);\n",
    at: "2:35",
    excerpt: "    2 | create index concurrently i on a (nope);\n      |                                   ^",
    says: 'column "nope" does not exist',
    hint: "The first statement of this migration is done and stays",
  },
  {
    title: "an extension that is not installed",
    sql: "create extension nope;\n",
    at: "1:18",
    says: "its hint: The extension must first be installed",
  },
  {
    title: "what a trigger or block raises, with its detail and hint",
    sql: "do $$ begin raise exception 'stop' using detail = 'too many', hint = 'fewer'; end $$;\n",
    at: "1:1",
    says:
      /database: stop \(P0001\)\ndetail: too many\nits hint: fewer\ncontext: PL\/pgSQL function inline_code_block line 1/,
  },
];

const onSqlite: Case[] = [
  {
    title: "a column that is there already",
    sql: "create table a (x integer);\nalter table a add column x text;\n",
    at: "2:26",
    says: "duplicate column name: x",
  },
  {
    title: "a column that cannot be dropped because it is not there",
    sql: "create table a (x integer);\nalter table a drop column y;\n",
    at: "2:27",
    says: 'no such column: "y"',
  },
  {
    title: "a function that is not there",
    sql: "select\n  nofunction(1);\n",
    at: "2:3",
    says: "no such function: nofunction",
  },
  {
    title: "what a trigger raises",
    sql:
      "create table a (x);\ncreate trigger t before insert on a begin\n  select raise(abort, 'not so');\nend;\ninsert into a values (1);\n",
    at: "5:1",
    says: "database: not so",
  },
];

const good = { "migrations/0001_ok.sql": "create table ok (x integer);\n" };

async function check({ at, sql, excerpt, says, hint = "Mend the file" }: Case, env: Record<string, string>) {
  await using folder = await tempFolder({
    ...good,
    "migrations/0002_bad.sql": sql,
    "migrations/0003_never.sql": "create table never (x integer);",
  });
  const { code, json, stdout, stderr } = await amber(["migrate", "--json"], { cwd: folder.root, env: env });
  const error = json.at(-1) as Record<string, string>;
  assert.deepEqual([code, error.type, error.code], [1, "error", "STATEMENT_FAILED"], stdout + stderr);
  assert.equal(error.where, `migrations/0002_bad.sql:${at}`, error.detail);
  assert.match(error.message!, /^Cannot apply "0002_bad": /);
  has(error.detail, says, stdout);
  has(error.hint, hint, stdout);
  if (excerpt) has(`\n${error.detail}\n`, excerpt, error.detail!);
  assert.deepEqual(json.filter((line) => line.type === "applied").map((line) => line.name), ["0001_ok"]);
  // For people it is the same text.
  const human = await amber(["migrate"], { cwd: folder.root, env: env });
  assert.equal(human.code, 1);
  for (const line of error.detail!.split("\n").filter(Boolean)) has(human.stderr, line.trimEnd(), human.stderr);
  return folder.path("local.db");
}

for (const one of [...both, ...onSqlite]) {
  Deno.test(`statement, SQLite: ${one.title}`, async () => {
    await check(one, {});
  });
}

for (const one of [...both, ...onPostgres]) {
  testWith("postgres", `statement, Postgres: ${one.title}`, async () => {
    await using database = await (await sharedPostgres()).database();
    await check(one, { DATABASE_URL: database.url });
    const [left] = await database.sql(
      `select (select string_agg(name, ',') from amber_migrations where state = 'applied') as applied,
         to_regclass('ok') is not null as ok, to_regclass('never') is not null as never`,
    );
    assert.deepEqual(left, { applied: "0001_ok", ok: true, never: false });
    const tables = await database.sql(
      "select tablename from pg_tables where schemaname = 'public' and tablename = 'a'",
    );
    assert.equal(tables.length, one.sql.includes("concurrently") ? 1 : 0, "of what failed nothing stays");
  });
}

testWith("postgres", "statement, Postgres: a constraint that is checked at COMMIT", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder({
    ...good,
    "migrations/0002_bad.sql":
      "create table a (id integer primary key, p integer references a deferrable initially deferred);\ninsert into a values (1, 2);\n",
  });
  const { code, stderr } = await amber(["migrate"], { cwd: folder.root, env: { DATABASE_URL: database.url } });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /error {2}STATEMENT_FAILED\n {2}Cannot apply "0002_bad": insert or update on table "a" violates/,
  );
  assert.match(stderr, /at {4}migrations\/0002_bad\.sql\n/);
  assert.match(stderr, /detail: Key \(p\)=\(2\) is not present/);
  assert.match(stderr, /when: at COMMIT/);
  assert.doesNotMatch(stderr, /warning/);
  assert.deepEqual(await database.sql("select name from amber_migrations"), [{ name: "0001_ok" }]);
  assert.deepEqual(await database.sql("select to_regclass('a') as a"), [{ a: null }]);
});

Deno.test("statement, SQLite: a constraint that is checked at COMMIT", async () => {
  await using folder = await tempFolder({
    ...good,
    "migrations/0002_bad.sql":
      "pragma foreign_keys = on;\ncreate table a (id integer primary key, p integer references a deferrable initially deferred);\ninsert into a values (1, 2);\n",
  });
  const { code, stderr } = await amber(["migrate"], { cwd: folder.root });
  assert.equal(code, 1, stderr);
  assert.match(stderr, /error {2}(STATEMENT_FAILED|FOREIGN_KEY_BROKEN)\n {2}Cannot apply "0002_bad"/);
  assert.match(stderr, /hint {2}\S/);
  assert.deepEqual(namesIn(folder.path("local.db")), ["0001_ok"]);
});

Deno.test("statement, SQLite: of what failed nothing stays, and the mended file goes on", async () => {
  await using folder = await tempFolder({
    ...good,
    "migrations/0002_bad.sql":
      "create table a (x);\ninsert into a values (1);\ninsert into b values (1);\ncreate table c (x);",
  });
  assert.equal((await amber(["migrate"], { cwd: folder.root })).code, 1);
  using database = new DatabaseSync(folder.path("local.db"), { readOnly: true });
  assert.deepEqual(
    database.prepare("select name from sqlite_schema where type = 'table' order by name").all().map((row) => row.name),
    [
      "amber_migrations",
      "ok",
    ],
  );
  await folder.write({ "migrations/0002_bad.sql": "create table a (x);\ninsert into a values (1);" });
  assert.match((await amber(["migrate"], { cwd: folder.root })).stdout, /1 applied/);
});

function namesIn(path: string): unknown[] {
  using database = new DatabaseSync(path, { readOnly: true });
  return database.prepare("select name from amber_migrations order by name").all().map((row) => row.name);
}

const codeCases: [title: string, code: string, where: string, message: RegExp, detail?: RegExp][] = [
  [
    "it throws",
    'export async function up(db) {\n  await db.exec("create table a (x integer)");\n  throw new Error("not today");\n}\n',
    "3:9",
    /^Cannot apply "0002_bad": not today$/,
  ],
  [
    "it throws in a helper of its own",
    'export async function up(db) {\n  await db.exec("create table a (x integer)");\n  help();\n}\nfunction help() {\n  throw new TypeError("from the helper");\n}\n',
    "6:9",
    /from the helper/,
  ],
  [
    "it throws what is no error",
    'export async function up(db) {\n  await db.exec("create table a (x integer)");\n  throw "a text";\n}\n',
    "",
    /a text/,
  ],
  [
    "the database refuses its SQL",
    'export async function up(db) {\n  await db.exec("create table a (x integer)");\n  await db.exec("select 1;\\ninsert into nowhere\\n values (1)");\n}\n',
    "3:12",
    /nowhere/,
    /statement: insert into nowhere values \(1\)\ndatabase: .*nowhere/,
  ],
  [
    "it calls what is not there",
    'export async function up(db) {\n  await db.exec("create table a (x integer)");\n  await db.sql("select 1");\n}\n',
    "3:12",
    /db\.sql is not a function/,
  ],
];
for (const [title, text, at, message, detail] of codeCases) {
  const run = async (env: Record<string, string>) => {
    await using folder = await tempFolder({ ...good, "migrations/0002_bad.ts": text });
    const { code, json, stdout, stderr } = await amber(["migrate", "--json"], { cwd: folder.root, env });
    const error = json.at(-1) as Record<string, string>;
    assert.deepEqual([code, error.code], [1, "CODE_FAILED"], stdout + stderr);
    assert.match(error.message!, message);
    if (detail) has(error.detail, detail, stdout);
    assert.match(error.hint!, /rolled back; earlier ones stay\. Mend the file/);
    assert.equal(error.where, `migrations/0002_bad.ts${at && ":"}${at}`, stdout);
    return env.DATABASE_URL ? [] : namesIn(folder.path("local.db"));
  };
  Deno.test(`statement, SQLite: code, and ${title}`, async () => {
    assert.deepEqual(await run({}), ["0001_ok"]);
  });
  testWith("postgres", `statement, Postgres: code, and ${title}`, async () => {
    await using database = await (await sharedPostgres()).database();
    await run({ DATABASE_URL: database.url });
    assert.deepEqual(await database.sql("select name from amber_migrations"), [{ name: "0001_ok" }]);
    assert.deepEqual(await database.sql("select to_regclass('a') as a"), [{ a: null }]);
  });
}
