/**
 * Random migrations over tables with references and triggers, against a judge that looks at the whole database: what
 * was accepted has no new broken reference and took no row from a table that it does not name; what was refused left
 * nothing behind; and the result is what SQLite makes of the same text.
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { AmberError, migrate } from "../../mod.ts";
import { isLong } from "../support/skip.ts";
import { type Random, random, runSeed } from "../support/random.ts";
import { tempFolder } from "../support/temp_folder.ts";

const tables = ["a", "b", "c", "d", "e"];

Deno.test("row safety: a judge of the whole database agrees with the guard", async () => {
  const seed = runSeed();
  for (let round = 0; round < (isLong ? 1_000 : 60); round++) {
    const r = random(seed + round);
    const given = randomTables(r);
    const file = Array.from({ length: r.int(1, 4) }, () => randomChange(r)).join("\n");
    try {
      await judge(given, file);
    } catch (error) {
      throw new Error(`AMBER_TEST_SEED=${seed + round}\n${given}\n-- the migration\n${file}`, { cause: error });
    }
  }
});

async function judge(given: string, file: string): Promise<void> {
  await using folder = await tempFolder({ "migrations/0001_it.sql": file });
  const [ours, plain] = [folder.path("ours.db"), folder.path("plain.db")];
  for (const path of [ours, plain]) execute(path, given);
  const before = look(ours);
  let refused: AmberError | undefined;
  try {
    await migrate({ database: `sqlite:${ours}`, migrations: folder.path("migrations") });
  } catch (error) {
    if (!(error instanceof AmberError)) throw error;
    refused = error;
  }
  const after = look(ours);
  if (refused) {
    assert.deepEqual(after, before, `refused, and something stayed: ${refused.message}`);
    const failed = refused.code === "STATEMENT_FAILED";
    assert.ok(failed || ["ROWS_LOST", "FOREIGN_KEY_BROKEN"].includes(refused.code), refused.message);
    if (failed) assert.throws(() => execute(plain, `begin; ${file} commit;`), refused.message);
    return;
  }
  execute(plain, file);
  assert.deepEqual(after, look(plain), "the same as plain SQLite");
  for (const [reference, rows] of after.broken) {
    assert.ok(rows <= (before.broken.get(reference) ?? 0), `newly broken and accepted: ${reference}`);
  }
  for (const [table, had] of before.counts) {
    const mayLose = new RegExp(`(delete from|drop table if exists|replace into|or replace) ${table}\\b`).test(file);
    const now = after.counts.get(table) ?? 0;
    assert.ok(mayLose || now >= had, `"${table}" had ${had} rows, has ${now}`);
    // A rebuild with a plain copy keeps all rows, unless rows are deleted by name.
    const isCopied = new RegExp(`into ${table}_new select \\* from ${table};`).test(file);
    const isDeleted = new RegExp(`(delete from|(?<!insert or )replace into|or replace|exists) ${table}\\b`).test(file);
    if (isCopied && !isDeleted) assert.ok(now >= had, `rebuilt "${table}" had ${had} rows, has ${now}`);
  }
}

function randomTables(r: Random): string {
  const lines = tables.map((table) => {
    const to = () => r.pick(tables);
    const deletes = () => r.pick(["", " on delete cascade", " on delete set null"]);
    const unique = r.pick(["", " unique", " unique on conflict replace"]);
    return `create table ${table} (id integer primary key, x int${
      r.chance(0.7) ? ` references ${to()} (id)${deletes()}` : ""
    }, y int${r.chance(0.4) ? ` references ${to()} (id)${deletes()}` : ""}, k text${unique});`;
  });
  // Whole: six rows everywhere, so that every reference from 1 to 6 leads somewhere.
  const isDamaged = r.chance(0.4);
  for (const table of tables) {
    for (let row = 1; row <= (isDamaged ? r.int(0, 6) : 6); row++) {
      const reference = () => r.chance(0.3) ? "null" : r.int(1, 6);
      const k = isDamaged ? r.text(1, "pqrstu") : r.chance(0.2) ? `p${row}` : `P${row}`;
      lines.push(`insert or ignore into ${table} values (${row}, ${reference()}, ${reference()}, '${k}');`);
    }
  }
  for (let i = r.int(0, 2); i > 0; i--) {
    const body = r.pick([
      () => `delete from ${r.pick(tables)} where id = old.id;`,
      () => `update ${r.pick(tables)} set k = k where id = old.id;`,
      () => `delete from ${r.pick(tables)} where x = old.id;`,
    ])();
    lines.push(`create trigger t${i} after ${r.pick(["delete", "update"])} on ${r.pick(tables)} begin ${body} end;`);
  }
  return lines.join("\n");
}

function randomChange(r: Random): string {
  const t = r.pick(tables);
  const id = () => r.int(1, 8);
  return r.pick([
    () => `delete from ${t} where id = ${id()};`,
    () => `delete from ${t};`,
    () => `update ${t} set x = ${id()} where id = ${id()};`,
    () => `update ${t} set id = id + 100 where id = ${id()};`,
    () => `update ${t} set k = ${r.pick(["'p'", "lower(k)", "substr(k, 1, 1) || (id / 2)"])};`,
    () => `update or replace ${t} set k = 'q' where id < 4;`,
    () => `insert into ${t} (id, x, k) values (${r.int(50, 60)}, ${id()}, 'new${id()}');`,
    () => `insert into ${t} (x, y) values (null, null);`,
    () => `insert or replace into ${t} (id, k) values (${id()}, 'p');`,
    () => `insert or ignore into ${t} (id, x) values (${id()}, ${id()});`,
    () => `drop table if exists ${t};`,
    () => `alter table ${t} rename to ${t}_moved;`,
    () =>
      `alter table ${t} add column z int default ${id()}${r.chance(0.5) ? ` references ${r.pick(tables)} (id)` : ""};`,
    () => rebuild(r, t),
    () => rebuild(r, t),
    () => rebuild(r, t),
  ])();
}

function rebuild(r: Random, t: string): string {
  const k = r.pick([
    "text",
    "text unique",
    "text not null",
    "text unique on conflict replace",
    "text unique collate nocase",
    "text check (k like 'P%')",
  ]);
  const x = r.pick(["int", `int references ${r.pick(tables)} (id)`]);
  const columns = `(id integer primary key, x ${x}, y int, k ${k})`;
  const verb = r.pick(["insert", "insert", "insert or ignore", "insert or replace", "replace"]);
  if (r.chance(0.7)) {
    return `create table ${t}_new ${columns};\n${verb} into ${t}_new select * from ${t};\ndrop table ${t};\nalter table ${t}_new rename to ${t};`;
  }
  return `alter table ${t} rename to ${t}_old;\ncreate table ${t} ${columns};\n${verb} into ${t} select * from ${t}_old;\ndrop table ${t}_old;`;
}

function execute(path: string, sql: string): void {
  using db = new DatabaseSync(path, { enableForeignKeyConstraints: false });
  db.exec(sql);
}

function look(path: string) {
  using db = new DatabaseSync(path, { readOnly: true });
  const objects = db.prepare(
    "select type, name, tbl_name as tbl, sql from sqlite_schema where name not in ('amber_migrations', 'sqlite_autoindex_amber_migrations_1') order by type, name",
  ).all() as { type: string; name: string; tbl: string; sql: string }[];
  const names = objects.filter(({ type }) => type === "table").map(({ name }) => name);
  const rows = new Map(
    names.map((name) => [name, db.prepare(`select * from "${name}"`).all().map((row) => ({ ...row }))]),
  );
  const broken = new Map<string, number>();
  for (const { table, rowid, fkid } of db.prepare("pragma foreign_key_check").all()) {
    const column = db.prepare(`select "from" as c from pragma_foreign_key_list(?) where id = ?`).get(table!, fkid!)!.c;
    const { value } = db.prepare(`select "${column}" as value from "${table}" where rowid = ?`).get(rowid!)!;
    const key = `${String(table).replace("_moved", "")}.${column} = ${value}`;
    broken.set(key, (broken.get(key) ?? 0) + 1);
  }
  const counts = new Map([...rows].map(([name, list]) => [name.replace("_moved", ""), list.length]));
  return { objects: objects.map((object) => ({ ...object })), rows, broken, counts };
}
