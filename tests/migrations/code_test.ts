import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import type { Engine } from "../../lib/engines/engine.ts";
import { loadCode, type MigrationDatabase, migrationDatabase } from "../../lib/migrations/code.ts";
import type { MigrationFile } from "../../lib/migrations/migration.ts";
import { open } from "../engines/contract.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

async function written(folder: TempFolder, text: string): Promise<MigrationFile> {
  await folder.write({ "1_a.ts": text });
  const path = folder.path("1_a.ts");
  return { name: "1_a", number: 1n, kind: "code", path, bytes: Deno.readFileSync(path) };
}

Deno.test("loadCode() reads what a module exports, and its defaults", async () => {
  await using folder = await tempFolder();
  const plain = await loadCode(await written(folder, "export function up() {}"));
  assert.deepEqual([plain.atomic, plain.rows, plain.down], [true, [], undefined]);
  const full = await loadCode(
    await written(
      folder,
      `export const depends = ["0_x"];
       export const atomic: boolean = false; export const rows = ["a"];
       export const up = async () => {}; export const down = async () => {};`,
    ),
  );
  assert.deepEqual([full.atomic, full.rows, typeof full.down], [false, ["a"], "function"]);
});

Deno.test("loadCode() gives an edited file's new module", async () => {
  await using folder = await tempFolder();
  const first = await loadCode(await written(folder, "export const rows = ['one']; export const up = () => {};"));
  const second = await loadCode(await written(folder, "export const rows = ['two']; export const up = () => {};"));
  assert.deepEqual([first.rows, second.rows], [["one"], ["two"]]);
});

const broken: [string, string, RegExp][] = [
  ["no up", "export const down = () => {};", /exports no function `up`/],
  ["up that is no function", "export const up = 1;", /exports no function `up`/],
  ["down that is no function", "export const up = () => {}; export const down = 'x';", /`down` is not a function/],
  ["a syntax error", "export const up = (;", /1_a\.ts/],
  ["an error at its top", "throw new Error('at the top');", /at the top/],
  ["an import of what is not there", "import './gone.ts'; export const up = () => {};", /gone\.ts/],
  [
    "depends that is computed",
    "const a = 'x'; export const depends = [a]; export const up = () => {};",
    /not a plain list of names/,
  ],
  ["rows that is no list", "export const rows = 'a'; export const up = () => {};", /`rows` is not a list/],
];

for (const [name, text, says] of broken) {
  Deno.test(`loadCode() refuses ${name}`, async () => {
    await using folder = await tempFolder();
    const file = await written(folder, text);
    await assert.rejects(loadCode(file), (error) => {
      assert.ok(error instanceof AmberError, String(error));
      assert.equal(error.code, "MIGRATION_MALFORMED");
      assert.match(error.message, says);
      assert.ok(error.where!.startsWith(file.path), error.where);
      assert.doesNotMatch(`${error.message}${error.where}`, /\?[0-9a-f]{16}/);
      return true;
    });
  });
}

function onBoth(name: string, body: (db: MigrationDatabase, engine: Engine) => Promise<void>): void {
  const file: MigrationFile = { name: "1_a", number: 1n, kind: "code", path: "m/1_a.ts", bytes: new Uint8Array() };
  const work = async (engine: Engine) => {
    await engine.lock({ journaled: false });
    await engine.begin();
    await body(migrationDatabase(engine, file, { executed: new Map() }), engine);
  };
  Deno.test(`SQLite: ${name}`, async () => {
    await using folder = await tempFolder();
    await using engine = await open(`sqlite:${folder.path("a.db")}`, { create: true });
    await work(engine);
  });
  testWith("postgres", `Postgres: ${name}`, async () => {
    await using database = await (await sharedPostgres()).database();
    await using engine = await open(database.url);
    await work(engine);
  });
}

onBoth("exec() and query() take $1 and $2, wherever they stand and in any order", async (db) => {
  await db.exec("create table t (a integer, b text); -- one\ninsert into t values (1, 'x;y $1');");
  await db.exec("insert into t (b, a) values ($2, $1)", [2, "two"]);
  await db.exec("update t set b = $1 || '$2' where a = $2 and b <> '$1'", ["new ", 2]);
  const rows = await db.query("select a, b from t where a in ($2, $1) /* $3 */ order by a -- $4", [2, 1]);
  assert.deepEqual(rows.map((row) => ({ ...row })), [{ a: 1, b: "x;y $1" }, { a: 2, b: "new $2" }]);
  const [ten] = await db.query(
    `select ${
      Array.from({ length: 10 }, (_, i) => `cast($${i + 1} as integer)`).join(" + ")
    } as sum, cast($10 as integer) as tenth`,
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 100],
  );
  assert.deepEqual([Number(ten!.sum), Number(ten!.tenth)], [145, 100]);
});

onBoth("exec() refuses to begin or commit by itself", async (db) => {
  for (const sql of ["begin", "commit", "select 1; rollback"]) {
    await assert.rejects(db.exec(sql), { code: "CODE_FAILED", message: /amber begins and commits by itself/ });
  }
});

onBoth("batch() hands over every row once, in order of the key", async (db) => {
  await db.exec("create table t (id integer primary key, name text)");
  for (let i = 1; i <= 25; i++) {
    await db.exec("insert into t values ($1, $2)", [i * 3, `n${String(i).padStart(2, "0")}`]);
  }
  const walk = async (options: Parameters<MigrationDatabase["batch"]>[0]) => {
    const rounds: unknown[][] = [];
    await db.batch(options, (rows) => {
      rounds.push(rows.map((row) => row[options.key ?? "id"]));
    });
    return rounds;
  };
  assert.deepEqual((await walk({ from: "t", size: 10 })).map((round) => round.length), [10, 10, 5]);
  assert.deepEqual((await walk({ from: "t", size: 5 })).flat(), Array.from({ length: 25 }, (_, i) => (i + 1) * 3));
  assert.deepEqual((await walk({ from: "t" })).length, 1);
  assert.deepEqual(await walk({ from: "t", key: "name", select: "name", where: "id > 60 or id < 6", size: 3 }), [[
    "n01",
    "n21",
    "n22",
  ], ["n23", "n24", "n25"]]);
  assert.deepEqual(await walk({ from: "(select id * 10 as big from t)", key: "big", size: 20, where: "big < 100" }), [[
    30,
    60,
    90,
  ]]);
  assert.deepEqual(await walk({ from: "t", where: "id < 0" }), []);
  const nameless = db.batch({ from: "t", select: "name" }, (rows) => {
    assert.deepEqual(Object.keys(rows[0]!), ["name"]);
  });
  if (db.engine === "postgres") await nameless;
  else await assert.rejects(nameless, { code: "CODE_FAILED", message: /its rows have no "id"/ });
  // Rows that the work itself takes out of the condition are not handed over again, and none is left out.
  let seen = 0;
  await db.batch({ from: "t", where: "name is not null", size: 4 }, async (rows) => {
    seen += rows.length;
    for (const row of rows) await db.exec("update t set name = null where id = $1", [Number(row.id)]);
  });
  assert.equal(seen, 25);
});
