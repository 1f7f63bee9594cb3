import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import type { Dialect } from "../../lib/migrations/lexer.ts";
import { parseSqlFile, type Section } from "../../lib/migrations/sql_file.ts";

function parse(text: string, dialect: Dialect = "sqlite") {
  return parseSqlFile({ name: "1.sql", text, dialect });
}

/** What a file says, its statements as bare texts. */
function said(text: string, dialect: Dialect = "sqlite") {
  const section = ({ statements, ...options }: Section) => [statements.map(({ text }) => text), options];
  const { up, down, ...rest } = parse(text, dialect);
  return { up: section(up), ...down && { down: section(down) }, ...rest };
}

function checkRefused(
  cases: [text: string, place: string, message: RegExp][],
  dialects: Dialect[] = ["sqlite", "postgres"],
): void {
  for (const [text, place, message] of cases) {
    for (const dialect of dialects) {
      assert.throws(() => parse(text, dialect), (error) => {
        assert.ok(error instanceof AmberError, text);
        assert.equal(error.code, "MIGRATION_MALFORMED", text);
        assert.match(error.message, /^Cannot read "1\.sql": .*[^.]$/);
        assert.match(error.message, message);
        assert.equal(error.where, `1.sql:${place}`, text);
        return true;
      });
    }
  }
}

const rows: string[] = [];

Deno.test("parseSqlFile() takes a file without markers as up", () => {
  for (const dialect of ["postgres", "sqlite"] as const) {
    assert.deepEqual(said("select 1;\n-- a comment\nselect 2", dialect), { up: [["select 1", "select 2"], { rows }] });
  }
});

Deno.test("parseSqlFile() reads dbmate's files", () => {
  const both = { up: [["select 1"], { rows }], down: [["select 2"], { rows }] };
  const cases: [text: string, expected: unknown][] = [
    ["-- migrate:up\nselect 1;\n\n-- migrate:down\nselect 2;\n", both],
    ["-- migrate:up\r\nselect 1\r\n-- migrate:down\r\nselect 2", both],
    ["\uFEFF-- about\n\n--migrate:up\nselect 1;\n--\tmigrate:down\nselect 2;", both],
    ["-- Migrate:UP\nselect 1;\n  -- MIGRATE:Down\nselect 2;", both],
    ["-- migrate:up\nselect 1;\n-- migrate:down\n", { up: [["select 1"], { rows }], down: [[], { rows }] }],
    ["-- migrate:up\nselect 1;\n", { up: [["select 1"], { rows }] }],
    ["-- migrate:up", { up: [[], { rows }] }],
    ["-- migrate:up\n-- migrate:down", { up: [[], { rows }], down: [[], { rows }] }],
    [
      "-- migrate:up transaction:false\nselect 1;\n-- migrate:down transaction:true\nselect 2;",
      { up: [["select 1"], { rows, transaction: false }], down: [["select 2"], { rows, transaction: true }] },
    ],
    ["-- migrate:up  transaction:False \nselect 1;", { up: [["select 1"], { rows, transaction: false }] }],
  ];
  for (const [text, expected] of cases) assert.deepEqual(said(text), expected, text);
});

Deno.test("parseSqlFile() reads amber's own markers and options", () => {
  const up = [["select 1"], { rows }];
  const cases: [text: string, expected: unknown][] = [
    ["-- migrate:depends 0001_a 0002_b\n-- migrate:up\nselect 1", { depends: ["0001_a", "0002_b"], up }],
    ["-- migrate:depends 0001_a,0002_b, 0001_a\n-- about\nselect 1", { depends: ["0001_a", "0002_b"], up }],
    ["-- migrate:depends a\n-- migrate:depends b\n", { depends: ["a", "b"], up: [[], { rows }] }],
    ["-- migrate:irreversible\nselect 1", { irreversible: "", up }],
    ["-- migrate:up\nselect 1\n-- migrate:irreversible the names are gone", { irreversible: "the names are gone", up }],
    ["-- migrate:up\nselect 1;\n-- migrate:irreversible no\n-- migrate:down\n", { irreversible: "no", up }],
    ["-- migrate:up rows:a,b\nselect 1", { up: [["select 1"], { rows: ["a", "b"] }] }],
    [
      '-- migrate:up rows:"a b","c,""d""",main."e" transaction:false\nselect 1',
      { up: [["select 1"], { rows: ["a b", 'c,"d"', "main.e"], transaction: false }] },
    ],
  ];
  for (const [text, expected] of cases) assert.deepEqual(said(text), expected, text);
});

Deno.test("parseSqlFile() refuses markers that leave anything open", () => {
  checkRefused([
    [
      "-- migrate:up\nselect 1;\n-- migrate:down\n\n-- migrate:up\n",
      "5:1",
      /"-- migrate:up" on line 5 is the second one, the first is on line 1/,
    ],
    ["-- migrate:up\n-- migrate:down\n-- migrate:down\n", "3:1", /on line 3 is the second one, the first is on line 2/],
    ["-- migrate:irreversible a\nselect 1;\n-- migrate:irreversible b\n", "3:1", /second one/],
    ["-- migrate:down\nselect 1;\n-- migrate:up\nselect 2", "1:1", /stands before "-- migrate:up"/],
    ["select 1;\n-- migrate:down\nselect 2", "2:1", /stands before any "-- migrate:up"/],
    ["select 1;\n-- migrate:up\nselect 2", "1:1", /a statement stands before "-- migrate:up"/],
    ["-- migrate: up\nselect 1", "1:1", /"-- migrate: up" is not a marker/],
    ["-- migrate :up\nselect 1", "1:1", /not a marker/],
    ["--- migrate:up\nselect 1", "1:1", /not a marker/],
    ["-- migrate:up\nselect 1;\n-- migrate:dwon\nselect 2", "3:1", /"-- migrate:dwon" is not a marker/],
    ["-- migrate:up\nselect 1;\n  -- migrate:rollback\nselect 2", "3:3", /not a marker/],
    ["-- migrate:\nselect 1", "1:1", /not a marker/],
    ["-- migrate:up;\nselect 1", "1:1", /not a marker/],
    ["-- migrate:up:\nselect 1", "1:1", /not a marker/],
    ["-- migrate:update the rows\nselect 1", "1:1", /not a marker/],
    ["-- migrate:up\nselect 1; -- migrate:down\nselect 2", "2:11", /stands behind something else/],
    ["/* */ -- migrate:up\nselect 1", "1:7", /stands behind something else/],
    ["-- migrate:up transaction:maybe", "1:1", /gives "transaction" the value "maybe"/],
    ["-- migrate:up transaction: false", "1:1", /the value ""/],
    ["-- migrate:up transaction:true transaction:false", "1:1", /twice/],
    ["-- migrate:up transactions:false", "1:1", /does not know, "transactions:false"/],
    ["-- migrate:up -- go", "1:1", /does not know, "--"/],
    ["-- migrate:up\n-- migrate:down what it was", "2:1", /does not know, "what"/],
    ["-- migrate:up rows:", "1:1", /names no table in "rows:"/],
    ["-- migrate:up rows:a rows:b", "1:1", /twice/],
    ['-- migrate:up rows:""', "1:1", /names no table/],
    ['-- migrate:up rows:"a', "1:1", /does not know|names no table/],
    ["-- migrate:depends\nselect 1", "1:1", /names no migration/],
    ["-- migrate:up\n-- migrate:depends a\n", "2:1", /stands after "-- migrate:up"/],
    ["select 1;\n-- migrate:depends a\n", "2:1", /stands after a statement/],
    [
      "-- migrate:up\nselect 1;\n-- migrate:irreversible x\n-- migrate:down\nselect 2",
      "3:1",
      /irreversible and has a way down/,
    ],
    ["", "1:1", /contains no statement/],
    ["-- nothing\n;\n", "1:1", /contains no statement/],
    ["select 1;\nselect '\0'", "2:9", /NUL/],
    ["s\0e\0l\0", "1:2", /NUL/],
    ["select 1;\nselect 'open", "2:8", /the string that begins with ' is never closed/],
    ["create table t (\n-- migrate:up\n a int)", "1:16", /"\(" is not closed before the marker on line 2/],
  ]);
  checkRefused([["-- migrate:up\rselect 1;\r-- migrate:down\rselect 2;\r", "1:1", /CR alone/]], ["sqlite"]);
  const mac = said("-- migrate:up\rselect 1;\r-- migrate:down\rselect 2;\r", "postgres");
  assert.deepEqual(mac, { up: [["select 1"], { rows }], down: [["select 2"], { rows }] });
});

Deno.test("parseSqlFile() refuses other tools' files whose way down would run as up", () => {
  const downs = [
    "-- +goose Down",
    "-- +goose down ",
    "--+goose Down",
    "-- +migrate Down",
    "-- +migrate Down notransaction",
    "-- +micrate Down",
    "-- rambler down",
    "-- Down Migration",
    "-- down migration (undo)",
    "---- create above / drop below ----",
    "-- //@UNDO",
    "--//@UNDO ",
    "-- !Downs",
    "--- !Downs",
    "-- Down",
    "--down",
    "-- DOWN:",
    "-- ==== DOWN ====",
    "-- +++ DOWN +++",
    "-- --- DOWN Migration",
    "-- @down",
    "-- [down]",
    "-- migrate down",
    "-- migration: down",
    "-- Rollback",
    "-- Undo:",
  ];
  for (const down of downs) {
    checkRefused([
      [`select 1;\n${down}\nselect 2;\n`, "2:1", /looks like a marker of another tool/],
      [`select 1\n${down}\nselect 2`, "2:1", /looks like/],
      [`-- migrate:up\nselect 1;\n${down}\nselect 2;\n`, "3:1", /looks like/],
    ]);
    const up = [["select 1"], { rows }];
    assert.deepEqual(said(`select 1;\n${down}\n-- drop table t;\n`), { up }, down);
    const both = `-- migrate:up\nselect 1;\n${down}\n-- migrate:down\n${down}\nselect 2;`;
    assert.deepEqual(said(both), { up, down: [["select 2"], { rows }] }, down);
  }
  checkRefused([
    ["-- Up Migration for users\nselect 1;\n-- Down Migration for users\nselect 2;\n", "3:1", /looks like/],
    ["-- --------\n-- Up\n-- --------\nselect 1;\n-- --------\n-- Down\n-- --------\nselect 2;\n", "6:1", /looks like/],
  ]);
  checkRefused([["# --- !Ups\nselect 1;\n# --- !Downs\nselect 2;\n", "3:3", /looks like/]]);
});

Deno.test("parseSqlFile() lets other comments be comments", () => {
  const comments = [
    "--> statement-breakpoint",
    "-- CreateTable",
    "-- +goose Up",
    "-- +goose StatementBegin",
    "-- Up Migration",
    "-- down migration exists somewhere",
    "-- Migration: add users",
    "-- migrate the rows down to the last one",
    "-- migrate up to ten rows",
    "-- count down",
    "-- ROLLBACK;",
    "--rollback drop table t;",
    "-- downstream",
    "-- drop the index and let the server go down.",
    "/* Down */",
    "--",
  ];
  for (const comment of comments) {
    for (const dialect of ["postgres", "sqlite"] as const) {
      assert.deepEqual(
        said(`select 1;\n${comment}\nselect 2`, dialect).up,
        [["select 1", "select 2"], { rows }],
        comment,
      );
    }
  }
  const table = "create table arrows (\n -- up\n a int,\n -- down\n b int)";
  assert.deepEqual(said(`${table}; select 1`).up, [[table, "select 1"], { rows }]);
  assert.deepEqual(said("select 1; -- down\nselect 2").up, [["select 1", "select 2"], { rows }]);
});

Deno.test("parseSqlFile() says in its hints what to write", () => {
  const cases: [text: string, hint: RegExp][] = [
    ["", /-- migrate:up/],
    ["-- migrate:dwon", /"-- migrate:down"/],
    ["select 1;\n-- +goose Down\nselect 2;", /"-- migrate:up" and "-- migrate:down"/],
    ["-- migrate:up foo:bar", /transaction:false/],
    [".tables", /say it in SQL, or remove the line/],
  ];
  for (const [text, hint] of cases) assert.throws(() => parse(text), { hint });
});
