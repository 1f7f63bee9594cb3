import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { migrate } from "../../mod.ts";
import { split } from "../../lib/migrations/splitter.ts";
import { isLong } from "../support/skip.ts";
import { type Random, random, runSeed } from "../support/random.ts";
import { tempFolder } from "../support/temp_folder.ts";

// Each script is run twice: statement by statement through amber, and as a whole by SQLite itself. Rows and schema must
// be the same, down to comments inside the stored SQL.
const scripts: Record<string, string> = {
  "triggers with CASE, END and semicolons": `
    create table a (id integer primary key, v text, n int default 0);
    create trigger a_after after insert on a begin
      update a set n = case when new.v = 'end;' then 1 else case new.id when 2 then 22 else 0 end end where id = new.id;
      insert into a (v) select 'from trigger; -- no comment' where new.v = 'again';
    end;
    create trigger if not exists a_update after update of v on a for each row when new.v <> old.v begin
      select case when new.v is null then raise(abort, 'no; null') end;
      delete from a where v = 'gone' /* ; */ ; -- ; end;
    end ;
    insert into a (v) values ('end;'), ('x'), ('again'); update a set v = 'gone' where id = 1;`,
  "names that are keywords and quotes of all four kinds": `
    create table "begin" ("end" int, [case; x] text, \`select\`\`;\` text, 'it''s' int);
    insert into "begin" values (1, 'a;b', 'c''; --', 4);
    create trigger "end" after update on "begin" begin update "begin" set "end" = new."end" + 1 where [case; x] = 'no'; end;
    create index "a;b" on "begin" ("end"); update [begin] set "it's" = 5;`,
  "comments in every place": `
    -- one; two
    create /* ; */ table a ( -- the id; of it
      id integer /* primary ; */ primary key, -- '
      b text default ';--' /* " */
    ) /* end; */ ; /* between; */ insert into a values (1, '/* no comment */'), (2, '-- none'); -- last
    ;; ; /* an empty one */ ;
    insert into a (b) values ('x') -- and the end`,
  "common table expressions": `
    create table n (i int);
    with recursive c(x) as (values (1) union all select x + 1 from c where x < 10) insert into n select x from c;
    with big as materialized (select i from n where i > 5) delete from n where i in big;
    with a as (select max(i) as m from n), b as not materialized (select m from a) update n set i = i + (select m from b);
    create view v as with c as (select i from n) select i, row_number() over (order by i desc) as r from c;
    create table copied as select * from v;`,
  "upserts and returning": `
    create table kv (k text primary key, v int) without rowid;
    insert into kv values ('a', 1), ('b', 2) on conflict (k) do update set v = excluded.v;
    insert into kv values ('a', 5) on conflict do update set v = v + excluded.v where v < 100 returning k, v;
    insert or ignore into kv values ('a', 9); replace into kv values ('b', 7) returning *;
    insert into kv select 'c', 3 where true on conflict do nothing;
    update kv set v = v * 2 where k <> 'a' returning v; delete from kv where k = 'c' returning k;`,
  "views with INSTEAD OF triggers": `
    create table a (id integer primary key, v text); create view b as select id, v || ';' as v from a;
    create trigger b_in instead of insert on b begin insert into a values (new.id, rtrim(new.v, ';')); end;
    insert into b values (1, 'x;'), (2, 'y;'); create temp view c as select * from b; insert into a select id + 10, v from c;`,
  "full-text search with external content": `
    create table notes (id integer primary key, body text);
    create virtual table notes_fts using fts5(body, content='notes', content_rowid='id', tokenize="unicode61 remove_diacritics 2");
    create trigger notes_ai after insert on notes begin insert into notes_fts(rowid, body) values (new.id, new.body); end;
    create trigger notes_ad after delete on notes begin insert into notes_fts(notes_fts, rowid, body) values ('delete', old.id, old.body); end;
    insert into notes (body) values ('red; fox'), ('blue hen'); delete from notes where id = 2; insert into notes (body) values ('fox again');
    insert into notes_fts(notes_fts) values ('rebuild'); insert into notes_fts(notes_fts) values ('integrity-check');
    create table hits as select rowid as id from notes_fts where notes_fts match 'fox';`,
  "generated columns, checks, collations, partial and expression indexes": `
    create table g (a int check (a > 0 and 'x;y' <> ''), b text collate nocase default (lower('X;')), c int generated always as (a * 2) stored, d as (b || ';'));
    create unique index g_b on g (b) where a > 1; create index g_l on g (lower(b), a desc); insert into g (a) values (1), (2); insert into g (a, b) values (3, 'q');
    alter table g add column e text default 'semi;colon'; alter table g rename column b to "b;b"; alter table g rename to h; drop index g_l;`,
  "strings with all sorts of things": `
    create table s (x);
    insert into s values (''''), ('a''b;c'), ('
      begin; commit; -- two lines
    '), (x'3b3b'), (1e3), (.5), (-1), (0x1F), (null), ("double; quoted"), ('é ü 漢字 🦕;'), ('\\'';');
    insert into s select x || ';' from s where typeof(x) = 'text' and x like '%;%';`,
  "its own transaction and savepoints": `
    begin immediate transaction; create table t (a); insert into t values (1); savepoint "one;two"; insert into t values (2);
    rollback to "one;two"; insert into t values (3); release "one;two"; end transaction; begin; insert into t values (4); commit;`,
  "the history of sqlite_sequence and pragmas": `
    pragma foreign_keys = off; pragma user_version = 7; pragma application_id = 99;
    create table t (id integer primary key autoincrement, x); insert into t (x) values (1), (2), (3); delete from t where id = 3;
    update sqlite_sequence set seq = 40 where name = 't'; insert into t (x) values (4); create table pragmas as select user_version from pragma_user_version;`,
  "temporary tables and an attached database": `
    create temp table scratch (x); insert into scratch values (1), (2); create table kept as select x * 10 as x from scratch; drop table scratch;
    attach ':memory:' as "other;db"; create table "other;db".t (x); insert into "other;db".t values (9); insert into kept select x from "other;db".t; detach "other;db";`,
  "line ends of three kinds, a byte-order mark and no last semicolon":
    "\uFEFFcreate table a (x); -- one\r\ninsert into a values ('two\r\nlines');\r-- three\rinsert into a values (2) ;\n\tinsert into a values (3)",
  "space and comments before the semicolon, which SQLite keeps": `
    create table t (a) /* 1 */ ; create view v as select 1 -- 2
    ; create index i on t (a) /* 3; */ ; create index j on t (a) where a > 1 -- 4 '
    ;create trigger tr after insert on t begin select 1; end /* 5 */ ; alter table t add column b text /* 6 */
    ; create view w as select 2 /* 7 */`,
  "explain, analyze and reindex": `
    create table a (x); create index a_x on a (x); insert into a values (1), (2), (3); explain query plan select * from a where x = 1;
    explain delete from a; analyze; reindex a_x; values (1), (2); select x from a;`,
};

for (const [name, script] of Object.entries(scripts)) {
  Deno.test(`statement by statement is the same as at once: ${name}`, () => check(script));
}

Deno.test("statement by statement is the same as at once, for random scripts", async () => {
  const seed = runSeed();
  const rounds = isLong ? 1_000 : 40;
  for (let round = 0; round < rounds; round++) {
    const script = randomScript(random(seed + round));
    try {
      await check(script);
    } catch (error) {
      throw new Error(`AMBER_TEST_SEED=${seed + round}\n${script}`, { cause: error });
    }
  }
});

async function check(script: string): Promise<void> {
  const text = script.replace(/^\uFEFF/, "");
  await using folder = await tempFolder({ "migrations/0001_script.sql": script });
  const [ours, plain] = [folder.path("ours.db"), folder.path("plain.db")];
  await migrate({ database: `sqlite:${ours}`, migrations: folder.path("migrations") });
  const db = new DatabaseSync(plain, { enableForeignKeyConstraints: false, enableDoubleQuotedStringLiterals: true });
  db.exec(text);
  db.close();
  assert.deepEqual(dump(ours), dump(plain));

  const { statements } = split(text, "sqlite");
  for (const { text: one, offset } of statements) assert.equal(text.slice(offset, offset + one.length), one);
}

/** All objects with their SQL, all rows with their row numbers' order, and what the header keeps. */
function dump(path: string): string[] {
  using db = new DatabaseSync(path, { readOnly: true });
  const objects = db.prepare(
    "select type, name, tbl_name as tbl, sql from sqlite_schema where tbl_name <> 'amber_migrations' order by type, name",
  ).all() as { type: string; name: string; sql: string | null }[];
  const tables = objects.filter(({ type, name }) => type === "table" && !name.startsWith("sqlite_stat"));
  return [
    ...["user_version", "application_id"].map((name) => JSON.stringify(db.prepare(`pragma ${name}`).get())),
    ...objects.map((object) => JSON.stringify(object)),
    ...tables.flatMap(({ name }) => {
      const quoted = `"${name.replaceAll('"', '""')}"`;
      const columns = db.prepare("select name from pragma_table_xinfo(?) where hidden <> 1").all(name);
      const values = columns.map((column) => `quote("${String(column.name).replaceAll('"', '""')}")`).join(
        " || ', ' || ",
      );
      return db.prepare(`select ${values} as row from ${quoted}`).all().map(({ row }) => `${name}: ${row}`);
    }),
  ];
}

function randomScript(r: Random): string {
  const names = ["a", "Order", "begin", "x;y", "it's", 'q"q', "tabelle ä", "end", "trigger", "-- no", "/* c */"];
  const tables: string[] = [];
  const quoted = (name: string) =>
    r.pick([
      () => `"${name.replaceAll('"', '""')}"`,
      () => `[${name}]`,
      () => `\`${name.replaceAll("`", "``")}\``,
    ])();
  const space = () => r.pick([" ", "\n", "\t", "\r\n", " /* ; ' */ ", ' -- ; "\n', "  "]);
  const text = () => `'${r.text(r.int(0, 8), "ab;'\"-/*\n[]`").replaceAll("'", "''")}'`;
  const value = () => r.pick([text, text, () => String(r.int(-5, 99)), () => "null", () => "x'3b'", () => "1e2"])();
  const words = (...parts: string[]) => parts.join(space());
  const statement = (): string => {
    const table = tables.length > 0 && !r.chance(0.2) ? r.pick(tables) : undefined;
    if (table === undefined) {
      const name = `${r.pick(names)}${tables.length}`;
      tables.push(name);
      return words(
        "create",
        "table",
        quoted(name),
        `(id integer primary key,${space()}v text default ${text()}, n int)`,
      );
    }
    const t = () => quoted(table);
    const when = () => r.chance(0.5) ? "" : `when${space()}new.v <> ${text()}`;
    return r.pick([
      () => words("insert", "into", t(), `(v, n)${space()}values${space()}(${value()}, ${value()}),(${value()}, 1)`),
      () => words("update", t(), "set", `v =${space()}${value()}`, "where", `id = ${r.int(1, 4)}`),
      () => words("delete", "from", t(), "where", `v = ${text()}`),
      () => words("insert", "or", "replace", "into", t(), `(id, v, n) values (${r.int(1, 3)}, ${value()}, 0)`),
      () => words("with", `c(x) as (values (${value()}))`, "insert", "into", t(), "(v)", "select", "x", "from", "c"),
      () => words("create", "index", quoted(`i${r.int(0, 1e9)}`), "on", t(), "(v)", "where", `v <> ${text()}`),
      () => words("create", "view", quoted(`v${r.int(0, 1e9)}`), "as", "select", "v", "from", t()),
      () =>
        words(
          r.pick(["create trigger", "create\ntrigger if not exists"]),
          quoted(`t${r.int(0, 1e9)}`),
          "after insert on",
          t(),
          when(),
          "begin",
          `update ${t()} set n = case when new.n > 3 then 0 else${space()}n end where id = new.id;`,
          r.chance(0.5) ? `insert into ${t()} (v) select ${text()} where 0;` : "",
          "end",
        ),
      () => words("alter", "table", t(), "add", "column", quoted(`c${r.int(0, 1e9)}`), "default", `${text()};`),
      () => words("select", text(), "from", t()),
      () => words("savepoint", "s;release s".replace(";", `;${space()}`)),
    ])();
  };
  const count = r.int(3, 14);
  return Array.from({ length: count }, () => `${statement()}${space()};${r.chance(0.1) ? ";" : ""}${space()}`).join("");
}
