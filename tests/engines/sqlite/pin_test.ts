import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { inspectPinned, openCopy, openImage } from "../../../lib/engines/sqlite/image.ts";
import { Pins } from "../../../lib/engines/sqlite/pin.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { Locker } from "./talking.ts";

Deno.test("a pinned database stays as it was, in facts and in copies, until it is pinned anew", async () => {
  for (const journal of ["wal", "delete"]) {
    await using folder = await tempFolder();
    const path = folder.path("some.db");
    using database = create(path, journal, "create table t (a); insert into t values (1), (2)");
    await using pins = await Pins.open([path]);
    const pinned = (await pins.pin()).get(path)!;
    assert.deepEqual(
      [pinned.pageSize, pinned.pages, pinned.journal, pinned.encoding, pinned.access, pinned.file],
      [4_096, 2, journal, "UTF-8", "write", path],
    );
    assert.deepEqual([...(await pins.pin()).keys()], [], "it was pinned before");
    if (journal === "wal") database.exec("insert into t values (3)");
    else assert.throws(() => database.exec("insert into t values (3)"), /locked/);
    assert.deepEqual(await pins.facts(path), { rows: { t: 2 } });
    const copy = folder.path("copy.db");
    await pins.copy(path, copy);
    assert.equal(Deno.statSync(copy).mode! & 0o777, 0o600);
    assert.deepEqual((await folder.list()).filter((name) => name.startsWith("copy")), ["copy.db"]);
    assert.equal(rowsIn(copy), 2);
    await pins.unpin(path);
    if (journal === "delete") database.exec("insert into t values (3)");
    assert.deepEqual([...(await pins.pin()).keys()], [path]);
    assert.deepEqual((await pins.facts(path)).rows, { t: 3 });
  }
});

Deno.test("in rollback mode writers wait until the database is let go", async () => {
  await using folder = await tempFolder();
  const path = folder.path("some.db");
  create(path, "delete", "create table c (n); insert into c values (0)").close();
  await using mover = new Locker(path);
  await using pins = await Pins.open([path]);
  await pins.pin();
  const copied = folder.path("copy.db");
  await mover.move();
  await pins.copy(path, copied);
  await pins.unpin(path);
  assert.ok((await mover.still()).length > 0);
  using copy = openCopy(copied, { ...(await pins.pin()).get(path)!, pages: 2 });
  assert.equal(copy.pages, 2);
});

Deno.test("rows are counted where they can be: what only the app can read is left out", async () => {
  await using folder = await tempFolder();
  const path = folder.path("some.db");
  using database = create(
    path,
    "wal",
    `create table "odd ""name" (a); insert into "odd ""name" values (1);
     create table keyed (a primary key, b) without rowid; insert into keyed values (1, 2), (2, 3);
     create table counted (id integer primary key autoincrement); insert into counted values (7);
     create virtual table search using fts5(body); insert into search values ('word');
     create view looked as select * from keyed;
     create table slugs (name); insert into slugs values ('A b');
     create table "empty" (a)`,
  );
  database.function("slug", { deterministic: true }, (text) => String(text).toLowerCase());
  database.exec("create index slugs_slug on slugs (slug(name))");
  database.close();
  // A module that only the app has loaded.
  using unsafe = new DatabaseSync(path, { defensive: false } as object) as DatabaseSync & Disposable;
  unsafe.exec(`pragma writable_schema = on;
    insert into sqlite_schema values ('table', 'near', 'near', 0, 'create virtual table near using vec0(a float[3])')`);
  unsafe.close();
  await using pins = await Pins.open([path]);
  await pins.pin();
  assert.deepEqual(await pins.facts(path), {
    rows: { counted: 1, empty: 0, keyed: 2, 'odd "name': 1, slugs: 1 },
  });
});

const history = "create table amber_migrations (name text primary key, state text not null, applied_at text not null)";

for (
  const [what, sql, expected] of [
    ["no row", history, { count: 0, last: "" }],
    [
      "numbers, as numbers",
      `${history}; insert into amber_migrations values ('0009_a', 'applied', '2026-01-03'), ('0010_b', 'applied', '2026-01-01'),
       ('9_c', 'applied', '2026-01-02'), ('0011_d', 'running', '2026-01-04')`,
      { count: 3, last: "0010_b" },
    ],
    [
      "equal numbers, by time",
      `${history}; insert into amber_migrations values ('0002_a', 'applied', '2026-01-03'), ('0002_b', 'applied', '2026-01-02'),
       ('0001_z', 'applied', '2026-01-04')`,
      { count: 3, last: "0002_a" },
    ],
    ["another tool's table", "create table amber_migrations (version integer)", undefined],
  ] as const
) {
  Deno.test(`which migration a pinned database stands at: ${what}`, async () => {
    await using folder = await tempFolder();
    const path = folder.path("some.db");
    create(path, "delete", sql).close();
    await using pins = await Pins.open([path]);
    await pins.pin();
    assert.deepEqual((await pins.facts(path)).migrations, expected);
  });
}

Deno.test("what does not open is named, and the others are pinned", async () => {
  await using folder = await tempFolder({ "text.db": "no database".repeat(100) });
  const good = folder.path("good.db");
  create(good, "wal", "create table t (a)").close();
  await using pins = await Pins.open([folder.path("missing.db"), good, folder.path("text.db")]);
  assert.deepEqual([...pins.failed.keys()], [folder.path("missing.db"), folder.path("text.db")]);
  assert.match(pins.failed.get(folder.path("text.db"))!, /^file is not a database$/);
  assert.deepEqual([...(await pins.pin()).keys()], [good]);
  assert.deepEqual(await folder.list(), ["good.db", "good.db-shm", "good.db-wal", "text.db"]);
});

Deno.test("what somebody else keeps locked is busy, and not something that does not open", async () => {
  await using folder = await tempFolder();
  const path = folder.path("some.db");
  using database = create(path, "delete", "create table t (a)");
  database.exec("begin exclusive");
  await assert.rejects(Pins.open([path]), { code: "DATABASE_BUSY", where: path });
  database.exec("rollback");
  await using pins = await Pins.open([path]);
  assert.deepEqual([...pins.failed], []);
});

Deno.test("a copy goes only where nothing is, and leaves nothing when it fails", async () => {
  await using folder = await tempFolder({ "there.db": "something" });
  const path = folder.path("some.db");
  create(path, "delete", "create table t (a)").close();
  await using pins = await Pins.open([path]);
  await pins.pin();
  await assert.rejects(pins.copy(path, folder.path("there.db")), { code: "FILE_UNWRITABLE" });
  assert.equal(await folder.read("there.db"), "something");
  await assert.rejects(pins.copy(path, folder.path("no/folder.db")), {
    code: "FILE_UNWRITABLE",
    message: /^Cannot copy the database ".*some\.db" to ".*folder\.db"/,
  });
  assert.deepEqual(await folder.list(), ["some.db", "there.db"]);
});

Deno.test("a link to a database is read as what it leads to", async () => {
  await using folder = await tempFolder({ "elsewhere/": "" });
  const path = folder.path("elsewhere/some.db");
  const link = folder.path("link.db");
  using database = create(path, "wal", "create table t (a)");
  database.exec("insert into t values (1)");
  Deno.symlinkSync(path, link);
  await using pins = await Pins.open([link]);
  const pinned = (await pins.pin()).get(link)!;
  assert.deepEqual([pinned.path, pinned.file], [link, path]);
  const source = inspectPinned(pinned, { isHeld: true })!;
  assert.ok(source.wal);
  using image = openImage(source);
  Deno.writeFileSync(folder.path("image.db"), image.read(0, image.pages));
  assert.equal(rowsIn(folder.path("image.db")), 1);
});

Deno.test("closing may be done twice, in the middle of something, and lets the database go", async () => {
  await using folder = await tempFolder();
  const path = folder.path("some.db");
  create(path, "wal", "create table t (a); insert into t select value from json_each('[1,2,3]')").close();
  const pins = await Pins.open([path]);
  await pins.pin();
  const facts = pins.facts(path);
  await Promise.all([pins.close(), pins.close()]);
  assert.deepEqual((await facts).rows, { t: 3 });
  await pins.close();
  await assert.rejects(pins.pin(), /closed/);
  assert.deepEqual(await folder.list(), ["some.db"]);
});

function create(path: string, journal: string, sql: string): DatabaseSync & Disposable {
  const database = new DatabaseSync(path);
  database.exec(`pragma journal_mode = ${journal}; ${sql}`);
  return Object.assign(database, {
    [Symbol.dispose]: () => {
      if (database.isOpen) database.close();
    },
  });
}

function rowsIn(path: string): unknown {
  const database = new DatabaseSync(`file://${path}?immutable=1`, { readOnly: true });
  const { rows } = database.prepare("select count(*) as rows from t").get()!;
  database.close();
  return rows;
}
