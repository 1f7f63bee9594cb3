/** Migrations that are code: TypeScript and JavaScript from a folder. */
import assert from "node:assert/strict";
import { onBoth, project } from "./project.ts";

const notes = "create table notes (id integer primary key, title text, slug text);";

onBoth("a TypeScript migration goes up and down in one transaction with its history row", {
  "migrations/0001_notes.sql": notes,
  "migrations/0002_fill.ts": `
    interface Note extends Record<string, unknown> { id: number; title: string }
    export const depends = ["0001_notes"] as const satisfies readonly string[];
    export async function up(db: any): Promise<void> {
      await db.exec("insert into notes (id, title) values (1, 'one'); insert into notes (id, title) values (2, 'it''s; two')");
      await db.exec("insert into notes (id, title) values ($2, $1)", ["three", 3]);
      const rows: Note[] = await db.query("select id, title from notes where id >= $1 and title <> $2 order by id", [2, "x"]);
      if (rows.map((row) => row.title).join() !== "it's; two,three") throw new Error("query: " + JSON.stringify(rows));
      await db.exec("create table engine (name text); ");
      await db.exec("insert into engine values ($1)", [db.engine]);
    }
    export async function down(db: any) {
      await db.exec("drop table engine");
      await db.exec("delete from notes where id = $1", [3]);
    }
  `,
}, async (at) => {
  await at.ends(0, ["migrate"]);
  assert.deepEqual(await at.sql("select name from engine"), [{ name: at.engine }]);
  assert.deepEqual((await at.sql("select title from notes order by id")).map((row) => row.title), [
    "one",
    "it's; two",
    "three",
  ]);
  const plan = await at.ends(0, ["migrate", "1", "--plan"]);
  assert.match(plan.stdout, /^Plan:\n {2}undo {3}0002_fill {2}code; risky: may change or remove data\n/);
  await at.ends(0, ["migrate", "1"]);
  assert.equal((await at.sql("select id from notes")).length, 2);
  await at.error("migrate", "0002"); // ids 1 and 2 are there
  assert.equal((await at.sql("select id from notes")).length, 2);
  assert.equal(await at.history(), "0001_notes");
});

onBoth("code that throws half-way leaves nothing, and the line is named", {
  "migrations/0001_notes.sql": notes,
  "migrations/0002_bad.ts": `export async function up(db: any) {
  await db.exec("insert into notes (id) values (1)");
  const gone: any = undefined;
  gone.away();
}
`,
}, async (at) => {
  const { code, where, message } = await at.error("migrate");
  assert.equal(code, "CODE_FAILED");
  assert.match(where, /^migrations\/0002_bad\.ts:4:8$/);
  assert.match(message, /^Cannot apply "0002_bad": .*undefined/);
  assert.deepEqual(await at.sql("select id from notes"), []);
  await at.folder.write({
    "migrations/0002_bad.ts": `export const up = (db: any) => db.exec("insert into notes (id) values (1)\\n, (x)");`,
  });
  const sql = await at.error("migrate");
  assert.equal(sql.code, "CODE_FAILED");
  assert.match(sql.detail, /^database: /m);
  await at.folder.write({
    "migrations/0002_bad.ts":
      `export const up = (db: any) => db.exec("begin; insert into notes (id) values (1); commit");`,
  });
  assert.match((await at.error("migrate")).message, /it says BEGIN/);
  await at.folder.write({
    "migrations/0002_bad.ts": `export const up = (db: any) => db.exec("insert into notes (id) values (1)");`,
  });
  await at.ends(0, ["migrate"]);
});

onBoth("code that swallows a refused statement is not recorded as applied on half of its work", {
  "migrations/0001_notes.sql": notes,
  "migrations/0002_swallows.ts": `export async function up(db: any) {
    await db.exec("insert into notes (id) values (1)");
    try { await db.exec("insert into notes (id) values (1)"); } catch { /* "it is there already" */ }
    await db.exec("insert into notes (id) values (2)");
  }`,
}, async (at) => {
  const { code } = await at.run(["migrate"]);
  const rows = await at.sql("select id from notes order by id");
  // SQLite goes on behind a refused statement; Postgres ends the transaction: then the migration must fail as a whole.
  if (code === 0) assert.deepEqual(rows, [{ id: 1 }, { id: 2 }]);
  else assert.deepEqual([rows, await at.history()], [[], "0001_notes"]);
  assert.equal(code, at.engine === "sqlite" ? 0 : 1);
});

onBoth("what a migration prints goes to stderr, and --json stays readable", {
  "migrations/0001_talks.ts": `
    console.log("at the top");
    export async function up() { console.log("from up", { a: 1 }); console.info("info"); console.error("error"); }`,
}, async (at) => {
  const { json, stderr, code } = await at.run(["migrate", "--json"]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(json.map((line) => line.type), ["start", "plan", "begin", "applied", "result"]);
  for (const text of ["at the top", "from up { a: 1 }", "info", "error"]) assert.ok(stderr.includes(text), stderr);
});

onBoth("a migration may import what lies beside it, node: modules and data", {
  "migrations/0001_imports.ts": `
    import { createHash } from "node:crypto";
    import { readFileSync } from "node:fs";
    import { table, type Table } from "./_helpers/table.ts";
    import rows from "./rows.json" with { type: "json" };
    export async function up(db: any) {
      const name: Table = table;
      await db.exec(\`create table \${name} (hash text, text text)\`);
      const text = readFileSync(new URL("./rows.txt", import.meta.url), "utf8").trim();
      for (const row of rows) await db.exec("insert into made values ($1, $2)", [createHash("sha256").update(row).digest("hex").slice(0, 8), text]);
    }`,
  "migrations/_helpers/table.ts": `export type Table = string; export const table: Table = "made";`,
  "migrations/rows.json": `["a", "b"]`,
  "migrations/rows.txt": "from a file\n",
  "migrations/0002_js.js": "export const up = async (db) => { await db.exec('create table js (x integer)'); };",
  "migrations/0003_mjs.mjs": "export async function up(db) { await db.exec('drop table js'); }",
}, async (at) => {
  await at.ends(0, ["migrate"]);
  assert.deepEqual(await at.sql("select * from made order by hash"), [
    { hash: "3e23e816", text: "from a file" },
    { hash: "ca978112", text: "from a file" },
  ]);
});

const backfill = (atomic: boolean, crash = "") => `
  ${atomic ? "" : "export const atomic = false;"}
  export async function up(db: any) {
    let seen = 0;
    await db.batch({ from: "notes", select: "id, title", where: "slug is null", size: 100 }, async (rows: any[]) => {
      for (const row of rows) await db.exec("update notes set slug = $1 where id = $2", ["s-" + row.title, Number(row.id)]);
      seen += rows.length;
      await db.exec("insert into rounds (n) values ($1)", [rows.length]);
      ${crash}
    });
    await db.batch({ from: "(select distinct title from notes) ", key: "title", size: 7, where: "title > '9'" }, (rows: any[]) => {
      if (rows.length > 7) throw new Error("too many");
    });
  }`;
const rows =
  "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1050) insert into notes (id, title) select i, cast(i as text) from n;";

for (const atomic of [true, false]) {
  onBoth(`batch() walks over all rows${atomic ? "" : ", and goes on where a failed run stood"}`, {
    "migrations/0001_notes.sql": `${notes} create table rounds (n integer); ${rows}`,
    "migrations/0002_fill.ts": backfill(atomic, 'if (seen > 500) throw new Error("killed here");'),
  }, async (at) => {
    await at.ends(0, ["migrate", "1"]);
    assert.equal((await at.error("migrate")).code, "CODE_FAILED");
    const count = async () => Number((await at.sql("select count(*) as n from notes where slug is not null"))[0]!.n);
    assert.equal(await count(), atomic ? 0 : 500);
    assert.equal(await at.history(), atomic ? "0001_notes" : "0001_notes 0002_fill~");
    if (!atomic) {
      assert.match((await at.ends(0, ["showmigrations"])).stdout, /\[~\] 0002_fill/);
      assert.equal((await at.error("migrate", "zero")).code, "MIGRATION_IRREVERSIBLE");
    }
    await at.folder.write({ "migrations/0002_fill.ts": backfill(atomic) });
    await at.ends(0, ["migrate"]);
    assert.equal(await count(), 1050);
    assert.equal((await at.sql("select n from rounds")).length, 11);
    assert.equal(await at.history(), "0001_notes 0002_fill");
  });
}

onBoth("outside a transaction, what follows a refused statement of one exec() does not run", {
  "migrations/0001_notes.sql": notes,
  "migrations/0002_many.ts":
    `export const atomic = false;\nexport const up = (db: any) => db.exec("insert into notes (id) values (1); insert into notes (id) values (1); insert into notes (id) values (2)");`,
}, async (at) => {
  assert.equal((await at.error("migrate")).code, "CODE_FAILED");
  assert.deepEqual(await at.sql("select id from notes"), [{ id: 1 }]);
});

Deno.test("sqlite: rebuild() gives a table another definition and keeps what belongs to it", async () => {
  await using at = await project("sqlite", {
    "migrations/0001_a.sql": `
      create table p (id integer primary key autoincrement, name text, old text);
      create table c (id integer primary key, p integer references p (id) on delete cascade);
      create index p_name on p (name);
      create trigger p_in after insert on p begin update p set old = 'seen' where id = new.id; end;
      create view names as select name from p;
      insert into p (name) values ('a'), (null), ('gone');
      delete from p where name = 'gone';
      insert into c (p) values (1), (2);`,
    "migrations/0002_rebuild.ts": `export async function up(db: any) {
      await db.rebuild({
        table: "p",
        columns: "id integer primary key autoincrement, name text not null default '', old text, size integer not null",
        values: { name: "coalesce(name, '')", size: "length(coalesce(name, ''))" },
      });
    }`,
  });
  await at.ends(0, ["migrate"]);
  assert.deepEqual(await at.sql("select id, name, old, size from p"), [
    { id: 1, name: "a", old: "seen", size: 1 },
    { id: 2, name: "", old: "seen", size: 0 },
  ]);
  assert.deepEqual(await at.sql("select p from c"), [{ p: 1 }, { p: 2 }]);
  assert.match(await at.fingerprint(), /^index p_name on p: .*\n(?:.*\n)*trigger p_in on p/m);
  await at.sql("insert into p (name, size) values ('new', 3)");
  assert.deepEqual(await at.sql("select max(id) as id from p"), [{ id: 4 }], "no id is used twice");
  assert.deepEqual(await at.sql("select name from names where name = 'new'"), [{ name: "new" }]);
});

onBoth("an applied TypeScript migration that was edited is drift, unless only its line ends changed", {
  "migrations/0001_a.ts": "export function up() {\n}\n",
}, async (at) => {
  await at.ends(0, ["migrate"]);
  await at.folder.write({ "migrations/0001_a.ts": "export function up() {\r\n}\r\n" });
  await at.ends(0, ["migrate"]);
  await at.folder.write({ "migrations/0001_a.ts": "export function up() {\n  // more\n}\n" });
  const { code, message } = await at.error("migrate");
  assert.equal(code, "MIGRATION_DRIFT");
  assert.match(message, /its code has changed/);
  await at.ends(0, ["migrate", "--accept", "1"]);
  await at.ends(0, ["check"]);
});
