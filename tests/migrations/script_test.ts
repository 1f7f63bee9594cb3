import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import type { Dialect } from "../../lib/migrations/lexer.ts";
import { prepare } from "../../lib/migrations/prepare.ts";
import { checksums, makeScript, prefixHash, type Script, sectionText } from "../../lib/migrations/script.ts";
import { parseSqlFile } from "../../lib/migrations/sql_file.ts";
import { file, row } from "./made.ts";

function script(text: string, dialect: Dialect): Script {
  return makeScript(parseSqlFile({ name: "m/1_a.sql", text, dialect }).up, { path: "m/1_a.sql", text, dialect });
}

/** Units as text: "[a | b]" is one transaction, "!a" stands outside of any, "?a" is a CALL or DO outside. */
function shape({ units }: Script): string {
  return units.map(({ run, outside }) => {
    const texts = run.map(({ text }) => text.replace(/\s+/g, " ")).join(" | ");
    return outside?.kind === "call" ? `?${texts}` : outside ? `!${texts}` : `[${texts}]`;
  }).join(" ");
}

const shapes: { name: string; dialect: Dialect; text: string; is: string; atomic: boolean }[] = [
  {
    name: "one transaction",
    dialect: "postgres",
    text: "create table a (x int); select 1;",
    is: "[create table a (x int) | select 1]",
    atomic: true,
  },
  { name: "nothing", dialect: "postgres", text: "-- migrate:up\n", is: "[]", atomic: true },
  {
    name: "own BEGIN and COMMIT are taken out",
    dialect: "postgres",
    text: "begin; select 1; commit;",
    is: "[select 1]",
    atomic: true,
  },
  {
    name: "the long forms too",
    dialect: "postgres",
    text: "start transaction isolation level serializable; select 1; end work;",
    is: "[select 1]",
    atomic: true,
  },
  {
    name: "own BEGIN and COMMIT on SQLite",
    dialect: "sqlite",
    text: "BEGIN IMMEDIATE TRANSACTION; select 1; END;",
    is: "[select 1]",
    atomic: true,
  },
  {
    name: "two transactions in one file become one",
    dialect: "sqlite",
    text: "begin; select 1; commit; begin; select 2; commit;",
    is: "[select 1 | select 2]",
    atomic: true,
  },
  {
    name: "a concurrent index makes every statement stand alone",
    dialect: "postgres",
    text: "create table a (x int); create index concurrently i on a (x); select 1; select 2",
    is: "[create table a (x int)] !create index concurrently i on a (x) [select 1] [select 2]",
    atomic: false,
  },
  {
    name: "what stands between the file's own BEGIN and COMMIT stays together",
    dialect: "postgres",
    text: "vacuum; begin; select 1; select 2; commit; select 3; vacuum;",
    is: "!vacuum [select 1 | select 2] [select 3] !vacuum",
    atomic: false,
  },
  {
    name: "transaction:false",
    dialect: "postgres",
    text: "-- migrate:up transaction:false\nselect 1; select 2;",
    is: "[select 1] [select 2]",
    atomic: false,
  },
  {
    name: "transaction:false on SQLite",
    dialect: "sqlite",
    text: "-- migrate:up transaction:false\nselect 1; begin; select 2; select 3; commit;",
    is: "[select 1] [select 2 | select 3]",
    atomic: false,
  },
  {
    name: "CALL and DO outside a transaction",
    dialect: "postgres",
    text: "-- migrate:up transaction:false\ncall p(); do $$ begin end $$; begin; call q(); commit;",
    is: "?call p() ?do $$ begin end $$ [call q()]",
    atomic: false,
  },
  { name: "CALL inside a transaction", dialect: "postgres", text: "call p();", is: "[call p()]", atomic: true },
  {
    name: "VACUUM on SQLite",
    dialect: "sqlite",
    text: "create table a (x); vacuum;",
    is: "[create table a (x)] !vacuum",
    atomic: false,
  },
  {
    name: "the journal mode on SQLite",
    dialect: "sqlite",
    text: "pragma journal_mode = wal; create table a (x);",
    is: "!pragma journal_mode = wal [create table a (x)]",
    atomic: false,
  },
  {
    name: "foreign key pragmas on SQLite are skipped",
    dialect: "sqlite",
    text: "pragma foreign_keys = off; begin; select 1; commit; pragma foreign_keys = on;",
    is: "[select 1]",
    atomic: true,
  },
  {
    name: "REINDEX inside is an ordinary statement",
    dialect: "postgres",
    text: "reindex table a;",
    is: "[reindex table a]",
    atomic: true,
  },
  {
    name: "ALTER SYSTEM, CREATE DATABASE",
    dialect: "postgres",
    text: "alter system set work_mem = '8MB'; create database b;",
    is: "!alter system set work_mem = '8MB' !create database b",
    atomic: false,
  },
];

for (const { name, dialect, text, is, atomic } of shapes) {
  Deno.test(`makeScript(): ${name}`, () => {
    const made = script(text, dialect);
    assert.equal(shape(made), is);
    assert.equal(made.atomic, atomic);
    let next = 0;
    for (const unit of made.units) {
      assert.equal(unit.from, next, "units cover every statement once, in order");
      next = unit.from + unit.count;
      for (const { index, text } of unit.run) assert.equal(made.statements[index]!.text, text);
    }
    assert.equal(next, made.statements.length);
  });
}

const waits: [string, string][] = [
  ["alter table a add column x int", "short"],
  ["drop table a", "short"],
  ["create index i on a (x)", "short"],
  ["create index concurrently i on a (x)", "none"],
  ["alter table a validate constraint c", "none"],
  ["update a set x = 1", "none"],
  ["set lock_timeout = '9s'; alter table a add column x int", "own own"],
  ["set local lock_timeout = '9s'; update a set x = 1; drop table a", "own own own"],
];

for (const [text, expected] of waits) {
  Deno.test(`how long it may wait for a lock: ${text}`, () => {
    const found = script(text, "postgres").units.flatMap((unit) => unit.run.map((one) => one.lockWait));
    assert.equal(found.join(" "), expected);
  });
}

const facts: { text: string; dialect: Dialect; has: Partial<Script> }[] = [
  { text: "pragma foreign_keys = on; select 1;", dialect: "sqlite", has: { foreignKeys: true } },
  { text: "PRAGMA foreign_keys(1); select 1;", dialect: "sqlite", has: { foreignKeys: true } },
  { text: "pragma foreign_keys = off; select 1;", dialect: "sqlite", has: { foreignKeys: false } },
  { text: "select 1; pragma foreign_keys = on;", dialect: "sqlite", has: { foreignKeys: false } },
  { text: "create table a (x); insert into a values (1);", dialect: "sqlite", has: { additive: true } },
  { text: "delete from a;", dialect: "sqlite", has: { additive: false } },
  { text: "create table a (x int); alter table b drop column x;", dialect: "postgres", has: { additive: false } },
  { text: "create table a (x int); update a set x = 1;", dialect: "postgres", has: { additive: true } },
  { text: '-- migrate:up rows:a,"b c"\ndelete from a;', dialect: "sqlite", has: { rows: ["a", "b c"] } },
  {
    text: "set search_path = app; create table a (x int); select set_config('x.y', '1', false); reset all;",
    dialect: "postgres",
    has: { settings: [0, 2, 3] },
  },
  { text: "attach 'x.db' as x;", dialect: "sqlite", has: { reopen: true } },
  { text: "create temp table x (y);", dialect: "sqlite", has: { reopen: true } },
  { text: "create table x (y);", dialect: "sqlite", has: { reopen: false } },
];

for (const { text, dialect, has } of facts) {
  Deno.test(`makeScript() on ${dialect} knows of ${JSON.stringify(text)}: ${JSON.stringify(has)}`, () => {
    const made = script(text, dialect);
    for (const [name, value] of Object.entries(has)) assert.deepEqual(made[name as keyof Script], value);
  });
}

const refused: [Dialect, string, RegExp][] = [
  ["postgres", "select 1;\n  rollback;", /ROLLBACK.*m\/1_a\.sql:2:3/s],
  ["sqlite", "begin;\nselect 1;\nrollback;", /ROLLBACK.*m\/1_a\.sql:3:1/s],
  ["postgres", "prepare transaction 'x';", /PREPARE TRANSACTION.*m\/1_a\.sql:1:1/s],
  ["postgres", "set standard_conforming_strings = off; select 1;", /standard_conforming_strings/],
];

for (const [dialect, text, says] of refused) {
  Deno.test(`makeScript() refuses ${JSON.stringify(text)}`, () => {
    assert.throws(() => script(text, dialect), (error) => {
      assert.ok(error instanceof AmberError, String(error));
      assert.equal(error.code, "MIGRATION_MALFORMED");
      assert.match(`${error.message}\n${error.where}\n${error.hint}`, says);
      return true;
    });
  });
}

Deno.test("a savepoint's ROLLBACK TO is an ordinary statement", () => {
  for (const dialect of ["postgres", "sqlite"] as const) {
    const text = "savepoint s; select 1; rollback to savepoint s; release s;";
    assert.equal(script(text, dialect).units[0]!.run.length, 4);
  }
});

Deno.test("checksums() has one short hash a statement, prefixHash() counts the first ones", async () => {
  const { statements } = script("select 1; select 2; select 1", "sqlite");
  const { checksum, hashes } = await checksums(statements);
  const [a, b, c] = hashes.split(" ");
  assert.match(hashes, /^[0-9a-f]{8}( [0-9a-f]{8}){2}$/);
  assert.equal(a, c);
  assert.notEqual(a, b);
  assert.equal(await prefixHash(statements, 3), checksum);
  assert.notEqual(await prefixHash(statements, 2), checksum);
  assert.equal(await prefixHash(statements, 1), await prefixHash(script("select 1", "sqlite").statements, 1));
  assert.equal((await checksums([])).hashes, "");
});

/** Down sections that are kept in the history and read again by a binary without the file. */
const downs: { dialect: Dialect; down: string }[] = [
  { dialect: "sqlite", down: "drop table a;" },
  {
    dialect: "sqlite",
    down: "drop trigger t;\ncreate trigger t after insert on a begin\n  select 1; select 2;\nend;\n",
  },
  { dialect: "sqlite", down: "insert into a values ('x;y', \"--no\", '/* no */'); -- the end" },
  {
    dialect: "postgres",
    down:
      "create function f() returns int language plpgsql as $f$\nbegin\n  return 1; -- migrate:up\nend $f$;\ndrop table a;",
  },
  { dialect: "postgres", down: "copy a (x, y) from stdin;\n1\tä;\n2\t\\N\n\\.\nselect 1;\n" },
  { dialect: "postgres", down: "drop index concurrently i;\nselect 1" },
  { dialect: "postgres", down: "insert into a values (E'it\\'s; -- migrate:down')" },
];

for (const { dialect, down } of downs) {
  for (const options of ["", " transaction:false", ' rows:a,"b c"']) {
    Deno.test(`sectionText() can be read again on ${dialect}: down${options} ${JSON.stringify(down.slice(0, 40))}`, async () => {
      const text = `-- migrate:up\nselect 1;\n-- migrate:down${options}\n${down}`;
      const section = parseSqlFile({ name: "x", text, dialect }).down!;
      const again = parseSqlFile({ name: "x", text: `-- migrate:up\n${sectionText(section)}`, dialect }).down!;
      assert.deepEqual(
        again.statements.map(({ text, data }) => [text, data]),
        section.statements.map(({ text, data }) => [text, data]),
      );
      assert.deepEqual([again.transaction, again.rows], [section.transaction, section.rows]);

      const known = row("1_a", { down: sectionText(section) });
      const [step] = await prepare([{ name: "1_a", direction: "down", row: known }], dialect);
      assert.equal(step!.downSql, known.down);
      assert.equal(step!.risky, true);
      assert.deepEqual(step!.script!.statements.map((one) => one.text), section.statements.map((one) => one.text));
    });
  }
}

const ways: { name: string; text: string; kept: RegExp | null; refused?: RegExp }[] = [
  {
    name: "a down section",
    text: "-- migrate:up\nselect 1;\n-- migrate:down\nselect 2;",
    kept: /^-- migrate:down\nselect 2;\n$/,
  },
  { name: "no marker", text: "select 1;", kept: null, refused: /"1_a": it has no down section/ },
  {
    name: "an empty down section",
    text: "-- migrate:up\nselect 1;\n-- migrate:down\n",
    kept: null,
    refused: /its down section has no statement/,
  },
  {
    name: "a reason",
    text: "-- migrate:irreversible the addresses are gone\n-- migrate:up\nselect 1;",
    kept: null,
    refused: /: the addresses are gone$/,
  },
  { name: "a merge", text: "-- migrate:up\n-- migrate:down\n", kept: /^-- migrate:down\n$/ },
  { name: "a merge without a way down", text: "-- migrate:up\n", kept: /^-- migrate:down\n$/ },
];

for (const { name, text, kept, refused } of ways) {
  Deno.test(`the way back of a migration with ${name}`, async () => {
    const migration = { ...file("1_a", text), parents: [] };
    const [up] = await prepare([{ name: "1_a", direction: "up", migration }], "sqlite");
    if (kept === null) assert.equal(up!.downSql, null);
    else assert.match(up!.downSql!, kept);
    const back = prepare([{ name: "1_a", direction: "down", migration, row: row("1_a") }], "sqlite");
    if (!refused) assert.equal((await back).length, 1);
    else await assert.rejects(back, { code: "MIGRATION_IRREVERSIBLE", message: refused, where: "m/1_a.sql" });
    const fromRow = prepare([{ name: "1_a", direction: "down", row: row("1_a", { down: up!.downSql }) }], "sqlite");
    if (kept === null) await assert.rejects(fromRow, { code: "MIGRATION_IRREVERSIBLE" });
    else assert.equal((await fromRow).length, 1);
  });
}
