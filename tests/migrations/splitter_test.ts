import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type Dialect, lex } from "../../lib/migrations/lexer.ts";
import { normalized, positionOf, split, SplitError } from "../../lib/migrations/splitter.ts";

function texts(text: string, dialect: Dialect): string[] {
  return split(text, dialect).statements.map((statement) => statement.text);
}

function check(dialect: Dialect, cases: [text: string, ...expected: string[]][]): void {
  for (const [text, ...expected] of cases) assert.deepEqual(texts(text, dialect), expected, text);
}

function checkRefused(dialect: Dialect, cases: [text: string, place: string, message: RegExp][]): void {
  for (const [text, place, message] of cases) {
    assert.throws(() => split(text, dialect), (error) => {
      assert.ok(error instanceof SplitError, text);
      assert.match(error.message, message);
      const { line, column } = positionOf(text, error.offset);
      assert.equal(`${line}:${column}`, place, text);
      return true;
    });
  }
}

Deno.test("split() cuts at ; and leaves out what stands around statements", () => {
  for (const dialect of ["postgres", "sqlite"] as const) {
    check(dialect, [
      [""],
      [" -- only a comment\n/* and another */"],
      [";; ;\n;"],
      ["select 1", "select 1"],
      ["select 1; select 2 ;\nselect 3", "select 1", "select 2", "select 3"],
      ["-- a\nselect 1 -- b;\n , 2 /* ; */ ; -- c\n", "select 1 -- b;\n , 2"],
      ["\uFEFFselect 1;", "select 1"],
      ["\uFEFF-- migrate:up\nselect 1", "select 1"],
      ["select ';', \"a;b\"", "select ';', \"a;b\""],
      ["select 1;\r\nselect 2;\r\n", "select 1", "select 2"],
      ["begin; select case when 1 then 2 end; end; commit", "begin", "select case when 1 then 2 end", "end", "commit"],
    ]);
  }
});

Deno.test("split() knows where a statement goes on in PostgreSQL", () => {
  const trigger =
    "create function f() returns trigger as $f$ begin new.a := ';'; return new; end; $f$ language plpgsql";
  const rule = "create rule r as on insert to a do also (insert into b values (1); delete from c; )";
  const atomic =
    "create or replace function f(a int) returns int begin atomic select 1; select case when a > 1 then 2 end; end";
  const procedure =
    "CREATE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (1); SELECT t.end AS case, begin FROM t; END";
  check("postgres", [
    [`${trigger}; select 1`, trigger, "select 1"],
    [`${rule}; select 1`, rule, "select 1"],
    [`${atomic}; select 1`, atomic, "select 1"],
    [`${procedure}; select 1`, procedure, "select 1"],
    [
      "create function begin() returns int return 1; end; select 1",
      "create function begin() returns int return 1",
      "end",
      "select 1",
    ],
    ["do $$ begin; end $$; select 1", "do $$ begin; end $$", "select 1"],
    ["select E'a\\';'; select 2", "select E'a\\';'", "select 2"],
    ["select E'a'\n'\\';'; select 2", "select E'a'\n'\\';'", "select 2"],
    ["select 'a\\'; select 2", "select 'a\\'", "select 2"],
    ["select foo$1$; select $1", "select foo$1$", "select $1"],
    ["select 1 /* /* ; */ ; */; select 2", "select 1", "select 2"],
    ["select a[1:2]) ; select 2", "select a[1:2])", "select 2"],
    [
      "create trigger t after insert on a execute function f(); select 2",
      "create trigger t after insert on a execute function f()",
      "select 2",
    ],
  ]);
});

Deno.test("split() knows where a trigger ends in SQLite", () => {
  const bodies = [
    "create trigger t after insert on a begin select 1; end",
    "CREATE TEMP TRIGGER IF NOT EXISTS t AFTER INSERT ON a BEGIN SELECT 1; UPDATE a SET b = 1; END",
    "create temporary trigger t after insert on a begin select case when 1 then 2 end; select 3; end",
    "create /* c */ trigger t after update of x on a when new.x = ';' begin delete from a; -- done;\n end",
    "explain create trigger t after insert on a begin select 1; end",
    "explain query plan create trigger t after insert on a begin select 1; end",
    "create trigger [end;] after insert on a begin insert into a values (';end;'); end",
  ];
  for (const body of bodies) {
    check("sqlite", [[`${body}; select 1`, body, "select 1"], [body, body], [
      `${body}\n-- migrate:down\nselect 1`,
      body,
      "select 1",
    ]]);
  }
  check("sqlite", [
    ["create table t(x); create trigger_a; end;", "create table t(x)", "create trigger_a", "end"],
    ["select 1; /* never closed ;", "select 1"],
    ["insert into t values (:a, $b, [;], `;`); select 1", "insert into t values (:a, $b, [;], `;`)", "select 1"],
  ]);
});

Deno.test("split() ends a statement at a marker and nowhere else where one could be read", () => {
  for (const dialect of ["postgres", "sqlite"] as const) {
    const { statements, markers } = split(
      "--migrate:up\nselect 1\n  -- Migrate:down x:y \r\nselect 2 -- migrate:z",
      dialect,
    );
    assert.deepEqual(statements.map(({ text, offset }) => [text, offset]), [["select 1", 13], ["select 2", 46]]);
    assert.deepEqual(markers.map(({ text, offset, isAlone }) => [text, offset, isAlone]), [
      ["--migrate:up", 0, true],
      ["-- Migrate:down x:y", 24, true],
      ["-- migrate:z", 55, false],
    ]);
    for (
      const text of [
        "select '\n-- migrate:down\n'",
        'select "\n-- migrate:down\n"',
        "/*\n-- migrate:down\n*/",
        "-- to migrate: first\n",
      ]
    ) {
      assert.deepEqual(split(text, dialect).markers, [], text);
    }
  }
  assert.deepEqual(
    split("do $$\n-- migrate:down\n$$; copy t from stdin;\n-- migrate:down\n\\.\n", "postgres").markers,
    [],
  );
});

Deno.test("split() hands out the other comments that are not inside of anything", () => {
  const text = "-- one\nselect 1 -- two\n;\ncreate table t (\n -- three\n a int);# --- !Downs";
  const comments = split(text, "postgres").comments.map(({ text, isAlone }) => [text, isAlone]);
  assert.deepEqual(comments, [["-- one", true], ["-- two", false], ["--- !Downs", false]]);
});

Deno.test("split() takes the rows of COPY … FROM stdin out of the text", () => {
  const rows = (text: string) =>
    split(text, "postgres").statements.map(({ text, data }) => data === undefined ? text : [text, data]);
  // deno-fmt-ignore
  const cases: [text: string, ...expected: unknown[]][] = [
    ["copy t from stdin;\n1\t'\n2\t;\n\\.\nselect 1", ["copy t from stdin", "1\t'\n2\t;\n"], "select 1"],
    ["COPY public.t (a, \"from\") FROM STDIN WITH (FORMAT csv) ; -- rows\r\n1\r\n\\.\r\n", ["COPY public.t (a, \"from\") FROM STDIN WITH (FORMAT csv)", "1\r\n"]],
    ["copy t from stdin;\n\\.", ["copy t from stdin", ""]],
    ["copy t from stdin;\n\\.x\nx\\.\n \\.\n\\.\n", ["copy t from stdin", "\\.x\nx\\.\n \\.\n"]],
    ["copy t from stdin;\n1\u2028\\.\n\\.\n", ["copy t from stdin", "1\u2028\\.\n"]],
    ["copy t from stdin;\n1\n\\.\n;\ncopy u from stdin;\n\\.\n", ["copy t from stdin", "1\n"], ["copy u from stdin", ""]],
    ["copy t from '/a'; select 1", "copy t from '/a'", "select 1"],
    ["copy t from program 'stdin'; select 1", "copy t from program 'stdin'", "select 1"],
    ["copy (select * from stdin) to stdout; select 1", "copy (select * from stdin) to stdout", "select 1"],
    ["select copy from stdin; select 1", "select copy from stdin", "select 1"],
  ];
  for (const [text, ...expected] of cases) assert.deepEqual(rows(text), expected, text);
  check("sqlite", [["copy t from stdin; select 1", "copy t from stdin", "select 1"]]);
});

Deno.test("split() skips what pg_dump writes around its output", () => {
  check("postgres", [["\\restrict abc'def\nselect 1;\n\\unrestrict abc'def\n", "select 1"]]);
});

Deno.test("split() refuses what is not SQL or is not all there", () => {
  checkRefused("postgres", [
    ["select 1;\n\\d t", "2:1", /^"\\d" is a command of psql$/],
    ["\\connect it's", "1:1", /"\\connect"/],
    ["select 1 \\gexec", "1:10", /"\\gexec"/],
    ["select 1 \\restrict a", "1:10", /"\\restrict"/],
    ["select 1;\n  select 'a;\n", "2:10", /the string that begins with ' is never closed/],
    ["select E'a\\'", "1:8", /the string that begins with E' /],
    ["select U&'a", "1:8", /the string that begins with U&' /],
    ['select u&"a', "1:8", /the quoted name that begins with u&" /],
    ["select $é$ $$", "1:8", /the dollar quote that begins with \$é\$ /],
    ["do $$ begin end $", "1:4", /the dollar quote that begins with \$\$ /],
    ["select 1 /* /* */", "1:10", /the comment that begins with \/\* /],
    ["create table t (\n a int;\nselect 1;", "1:16", /^"\(" is never closed/],
    ["create table t (\n-- migrate:down\n)", "1:16", /"\(" is not closed before the marker on line 2/],
    ["create function f() returns int begin atomic select 1; end_", "1:33", /^"BEGIN ATOMIC" is never closed/],
    ["create function f() returns int begin atomic select 1;\n-- migrate:down\nend", "1:33", /marker on line 2/],
    ["copy t from stdin;\n1\n", "2:1", /rows of COPY … FROM stdin are never closed/],
    ["copy t from stdin; select 1;\n\\.\n", "1:19", /something stands between/],
    ["copy t from stdin", "1:1", /not followed/],
    ["copy t from stdin\n-- migrate:down", "1:1", /not followed/],
  ]);
  checkRefused("sqlite", [
    [".tables", "1:1", /^"\.tables" is a command of the sqlite3 shell$/],
    ["select 1;\n.mode box\n", "2:1", /"\.mode"/],
    ["\uFEFFselect [a;\n", "1:8", /the quoted name that begins with \[ /],
    ["select 'ä😀', `a;\n", "1:14", /the quoted name that begins with ` /],
    ['select "a', "1:8", /the quoted name that begins with " /],
    ["select x'a", "1:8", /the string that begins with x' /],
    ["create table t (a; select 1", "1:16", /"\(" is never closed/],
    [
      "select 1;\ncreate trigger t after insert on a begin select 1; end\nselect 2;",
      "2:1",
      /the trigger's "BEGIN" is never closed/,
    ],
    [
      "create trigger t after insert on a begin select 1;\n-- migrate:down\nend;",
      "1:1",
      /trigger's "BEGIN" is not closed before .* line 2/,
    ],
  ]);
});

Deno.test("normalized() is the same for files that differ only in what does not count", () => {
  const all = (text: string) => split(text, "postgres").statements.map(normalized);
  const copy = "copy t from stdin;\n1\n2\n\\.\n";
  const sql = `create table t (\n  a int, -- one\n  b text default 'x\ny'\n);\n\nselect $$\n  a\n$$;\n${copy}`;
  const expected = [
    "create table t ( a int, b text default 'x\ny' )",
    "select $$\n  a\n$$",
    "copy t from stdin\n1\n2\n",
  ];
  assert.deepEqual(all(sql), expected);
  // deno-fmt-ignore
  const same = [
    sql.replaceAll("\n", "\r\n"), `\uFEFF${sql}`, `-- new\n${sql}`, sql.replaceAll("\n  b", "\n\n\t/* two */ b"), sql.replace("-- one", ""),
  ];
  for (const text of same) assert.deepEqual(all(text), expected, text);
  for (const text of [sql.replace("'x\ny'", "'x y'"), sql.replace("  a\n", " a\n"), sql.replace("1\n2", "2\n1")]) {
    assert.notDeepEqual(all(text), expected, text);
  }
});

Deno.test("positionOf() counts as editors do", () => {
  const cases: [text: string, offset: number, expected: string][] = [
    ["abc", 0, "1:1"],
    ["abc", 2, "1:3"],
    ["a\nb", 2, "2:1"],
    ["a\r\nb", 3, "2:1"],
    ["a\rb\r\rc", 5, "4:1"],
    ["😀x", 2, "1:2"],
    ["\uFEFFx", 1, "1:1"],
    ["a\n", 2, "2:1"],
  ];
  for (const [text, offset, expected] of cases) {
    const { line, column } = positionOf(text, offset);
    assert.equal(`${line}:${column}`, expected, JSON.stringify(text));
  }
});

Deno.test("split() loses nothing but space, comments and ;, whatever the text", () => {
  // deno-fmt-ignore
  const fragments = ["'a;'", "E'\\';'", "\"a;\"", "`a;`", "[a]", "$$;$$", "$a$ ' $a$", "-- ;'\n", "/* ; */", "-- migrate:x\n", "(", ")", ";", ";", ";\n", "\r\n",
    "create trigger t", "begin", "end", "; end;", "create function f()", "begin atomic", "case", "explain", "select 1", "a", "é", "$1", "\t", "1.5"];
  let state = 7;
  const random = (below: number) => Math.floor((state = (state * 48271) % 0x7fffffff) / 0x7fffffff * below);
  let count = 0;
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: random(12) }, () => fragments[random(fragments.length)]).join(" ");
    for (const dialect of ["postgres", "sqlite"] as const) {
      let script;
      try {
        script = split(text, dialect);
      } catch (error) {
        if (error instanceof SplitError) continue;
        throw error;
      }
      count++;
      let end = 0;
      const gaps: string[] = [];
      for (const statement of script.statements) {
        gaps.push(text.slice(end, statement.offset));
        end = statement.offset + statement.text.length;
        assert.equal(text.slice(statement.offset, end), statement.text);
        const significant = [...lex(statement.text, dialect)].filter(({ kind }) =>
          kind !== "space" && kind !== "comment"
        );
        assert.deepEqual(statement.tokens, significant, JSON.stringify(text));
      }
      for (const gap of [...gaps, text.slice(end)]) {
        const rest = [...lex(gap, dialect)].filter(({ kind }) => kind !== "space" && kind !== "comment");
        assert.ok(rest.every(({ start }) => gap[start] === ";"), `${dialect} ${JSON.stringify(text)}`);
      }
    }
  }
  assert.ok(count > 5_000, `${count} texts were split`);
});

Deno.test("SQLite makes the same schema of the statements one by one as of the whole text", () => {
  const scripts = [
    "create table a(x); create index i on a(x); create view v as select * from a where x <> ';';",
    "create table a(x, y text default ';''' /* ; */); -- ;\ninsert into a(x) values (';--'); create table b as select * from a;",
    "create table a(x);create trigger t after insert on a begin select 1; update a set x = case when x then 1 else 2 end; end;create table b(y)",
    "create table a(x); create temp trigger t after insert on a begin insert into a values (1); /* ; end; */ end; create table b(y);",
    "create table [a;b](`x;` text, \"y;\" int check (\"y;\" <> ';')); create trigger if not exists [t;end;] after delete on [a;b] begin select ';end;'; end; create view v as select 1 as end_;",
    "begin; create table a(x); commit; begin; create table b(y); end; create table c(z);",
    'create table größe(naïve text); create table "a\nb"(x)\r\n;\r\n\r\ncreate table c(y) -- the end',
    "create table a(x generated always as (iif(1, ';', 2)) virtual, y);\n\n;;create unique index i on a(y) where y > 1.5e3; create table b(z); /* open",
    "create virtual table f using fts5(a, b); create table j(d text check (d ->> '$.a' = ';'));",
    "create table a(x); explain create trigger t after insert on a begin select 1; end; create table b(y);",
    "create table a(x); create view v as select * from a;\ncreate trigger t instead of insert on v begin select raise(abort, 'no; end;'); end;",
  ];
  for (const script of scripts) {
    assert.deepEqual(
      schema((database) => texts(script, "sqlite").forEach((text) => database.prepare(text).run())),
      schema((database) => database.exec(script)),
      script,
    );
  }
});

function schema(fill: (database: DatabaseSync) => void): unknown[] {
  using database = new DatabaseSync(":memory:");
  fill(database);
  return database.prepare(
    "select type, name, tbl_name, sql from sqlite_schema union all select type, name, tbl_name, sql from sqlite_temp_schema",
  ).all();
}
