/** A database is emptied through SQLite: whatever is in it, while others have it open, and wholly or not at all. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type EmptyOptions, giveBackSpace, HeldToEmpty, lookAtContents } from "../../../lib/engines/sqlite/empty.ts";
import { join } from "node:path";
import { command, otherUser } from "../../support/command.ts";
import { testWith } from "../../support/skip.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const id = "0123456789abcdef0123456789abcdef";
const options = (changes: Partial<EmptyOptions> = {}): EmptyOptions => ({
  waitMs: 200,
  stop: new AbortController().signal,
  report: () => {},
  ...changes,
});

/** One of everything that a schema can have, and a module and a function that only the app knows. */
const everything = `
  create table notes (id integer primary key autoincrement, body text unique, at text default (datetime('now')));
  create index notes_body on notes (lower(body)) where body > '';
  create table tags (note integer references notes (id) on delete restrict, g as (note + 1) stored);
  create table "we""ird [name]" (x); create table keys (k primary key) without rowid; create table exact (a any) strict;
  create view busy as select body from notes;
  create trigger noted after delete on notes begin select raise(abort, 'never'); end;
  create virtual table words using fts5(body); create virtual table boxes using rtree(id, a, b);
  insert into words values ('hello world'); insert into boxes values (1, 2, 3);
  create table amber_migrations (name text primary key);
  with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
    insert into notes (body) select 'secret text number ' || i from n;
  insert into tags select id from notes;
  analyze; pragma user_version = 7; pragma application_id = 9;
`;

const settings = { enableForeignKeyConstraints: false, defensive: false };

function make(path: string, first = ""): void {
  using database = new DatabaseSync(path, settings);
  database.exec(`${first};${everything}`);
  database.exec("pragma writable_schema = on");
  database.exec(`insert into sqlite_schema values
    ('table', 'places', 'places', 0, 'CREATE VIRTUAL TABLE places USING the_apps_own(a, b)'),
    ('view', 'odd', 'odd', 0, 'CREATE VIEW odd AS SELECT the_apps_own(body) FROM notes')`);
}

async function empty(path: string): Promise<boolean> {
  {
    using held = await HeldToEmpty.hold(path, options());
    await held.empty(id, options());
  }
  return await giveBackSpace(path, id, options());
}

function checkEmpty(path: string): void {
  using database = new DatabaseSync(path);
  assert.equal(database.prepare("select count(*) as count from sqlite_schema").get()!.count, 0);
  assert.equal(database.prepare("pragma integrity_check").get()!.integrity_check, "ok");
  assert.equal(database.prepare("pragma user_version").get()!.user_version, 0);
  assert.equal(database.prepare("pragma application_id").get()!.application_id, 0);
  assert.ok(Number(database.prepare("pragma page_count").get()!.page_count) <= 4);
}

const kinds = {
  "WAL": "pragma journal_mode = wal",
  "rollback": "pragma journal_mode = delete",
  "512-byte pages": "pragma page_size = 512",
  "incremental auto_vacuum": "pragma auto_vacuum = incremental",
  "full auto_vacuum, UTF-16": "pragma auto_vacuum = full; pragma encoding = 'UTF-16le'",
};

for (const [kind, first] of Object.entries(kinds)) {
  Deno.test(`everything is dropped, ${kind}: no text of it stays in the file, and its kind is the same`, async () => {
    await using folder = await tempFolder();
    const path = folder.path("app.db");
    make(path, first);
    const before = await lookAtContents(path, options());
    assert.ok(before!.tables.includes("notes") && before!.tables.includes("amber_migrations"));
    assert.deepEqual([before!.isEmpty, before!.hasRests], [false, false]);
    assert.ok(before!.size > 50_000);
    const wasWal = kind === "WAL";
    assert.equal(await empty(path), true);
    checkEmpty(path);
    const after = await lookAtContents(path, options());
    assert.deepEqual([after!.tables, after!.isEmpty, after!.hasRests, after!.marker], [[], true, false, undefined]);
    using database = new DatabaseSync(path);
    assert.equal(database.prepare("pragma journal_mode").get()!.journal_mode, wasWal ? "wal" : "delete");
    for (const name of await folder.list()) {
      const text = new TextDecoder("latin1").decode(Deno.readFileSync(folder.path(name))).replaceAll("\0", "");
      assert.doesNotMatch(text, /secret text|create table/i, name);
    }
  });
}

for (const mode of ["wal", "delete"]) {
  Deno.test(`a server that has it open goes on in an empty database, and loses nothing that it commits then, ${mode}`, async () => {
    await using folder = await tempFolder();
    const path = folder.path("app.db");
    make(path, `pragma journal_mode = ${mode}`);
    using server = new DatabaseSync(path, { timeout: 0 });
    const count = server.prepare("select count(*) as count from notes");
    assert.equal(count.get()!.count, 2000);
    assert.equal(await empty(path), true);
    assert.throws(() => count.get(), /no such table/);
    server.exec("create table notes (body); insert into notes values ('new')");
    using other = new DatabaseSync(path);
    assert.equal(other.prepare("select body from notes").get()!.body, "new");
    assert.equal(other.prepare("pragma integrity_check").get()!.integrity_check, "ok");
  });

  Deno.test(`while it is held nobody commits, others read, and letting go changes nothing, ${mode}`, async () => {
    await using folder = await tempFolder();
    const path = folder.path("app.db");
    make(path, `pragma journal_mode = ${mode}`);
    using other = new DatabaseSync(path, { timeout: 0 });
    {
      using _held = await HeldToEmpty.hold(path, options());
      assert.throws(() => other.exec("insert into exact values (1)"), /locked/);
      assert.equal(other.prepare("select count(*) as count from notes").get()!.count, 2000);
      await assert.rejects(HeldToEmpty.hold(path, options()), { code: "DATABASE_BUSY", where: path });
    }
    other.exec("insert into exact values (1)");
    assert.equal(other.prepare("pragma user_version").get()!.user_version, 7);
  });
}

Deno.test("a reader in rollback mode holds up the commit: then nothing has changed", async () => {
  await using folder = await tempFolder();
  const path = folder.path("app.db");
  make(path);
  using reader = new DatabaseSync(path);
  reader.exec("begin");
  reader.prepare("select count(*) from notes").get();
  {
    using held = await HeldToEmpty.hold(path, options());
    await assert.rejects(held.empty(id, options()), { code: "DATABASE_BUSY" });
  }
  reader.exec("commit");
  assert.equal(reader.prepare("select count(*) as count from notes").get()!.count, 2000);
  assert.equal(await empty(path), true);
});

Deno.test("a reader in WAL mode keeps what it reads; what was dropped goes when it has ended", async () => {
  await using folder = await tempFolder();
  const path = folder.path("app.db");
  make(path, kinds.WAL);
  const reader = new DatabaseSync(path);
  reader.exec("begin");
  const count = () => reader.prepare("select count(*) as count from notes").get()!.count;
  assert.equal(count(), 2000);
  assert.equal(await empty(path), false);
  assert.equal(count(), 2000);
  reader.exec("commit");
  reader.close();
  assert.equal(await giveBackSpace(path, id, options()), true);
  checkEmpty(path);
});

Deno.test("between the commit and the end the marker says by whom it was emptied", async () => {
  await using folder = await tempFolder();
  const path = folder.path("app.db");
  make(path);
  {
    using held = await HeldToEmpty.hold(path, options());
    await held.empty(id, options());
  }
  const seen = await lookAtContents(path, options());
  assert.deepEqual([seen!.marker, seen!.isEmpty, seen!.hasRests], [id, true, true]);
  assert.equal(await giveBackSpace(path, "another", options()), true);
  assert.equal((await lookAtContents(path, options()))!.marker, id, "it is not another wipe's to take out");
  await giveBackSpace(path, id, options());
  checkEmpty(path);
});

Deno.test("a database whose pages are damaged is emptied all the same", async () => {
  await using folder = await tempFolder();
  const path = folder.path("app.db");
  make(path);
  {
    using file = Deno.openSync(path, { write: true });
    for (let page = 20; page < 40; page++) {
      file.seekSync(page * 4096, Deno.SeekMode.Start);
      file.writeSync(new Uint8Array(4096).fill(0x5a));
    }
  }
  assert.equal(await empty(path), true);
  checkEmpty(path);
});

Deno.test("what is no database is refused and left as it is, and what is none yet is nothing", async () => {
  await using folder = await tempFolder({ "text.db": "x".repeat(5000), "none.db": "" });
  const path = folder.path("text.db");
  await assert.rejects(lookAtContents(path, options()), { code: "DATABASE_FORMAT" });
  await assert.rejects(HeldToEmpty.hold(path, options()), { code: "DATABASE_FORMAT", message: /^Cannot wipe/ });
  assert.equal(await folder.read("text.db"), "x".repeat(5000));
  assert.equal(await lookAtContents(folder.path("none.db"), options()), undefined);
  assert.equal(await lookAtContents(folder.path("gone.db"), options()), undefined);
  assert.deepEqual(await folder.list(), ["none.db", "text.db"]);
});

testWith("root", "where this user may not write that is said, and nothing is done", async () => {
  await using folder = await tempFolder();
  const path = folder.path("app.db");
  make(path);
  await using user = await otherUser();
  const script = `import { HeldToEmpty } from ${JSON.stringify(join(user.project!, "lib/engines/sqlite/empty.ts"))};
    await HeldToEmpty.hold(Deno.args[0], { waitMs: 0, stop: new AbortController().signal, report() {} })
      .catch((error) => console.log(error.code, error.message));`;
  await folder.write({ "hold.ts": script });
  Deno.chmodSync(folder.root, 0o755);
  Deno.chmodSync(path, 0o644);
  const { stdout, stderr } = await command(user.deno!, ["run", "-A", "--quiet", folder.path("hold.ts"), path], {
    cwd: folder.root,
    as: user,
  });
  assert.match(stdout, /^DATABASE_PATH Cannot write to the database/, stderr);
});

Deno.test("a signal ends the wait for a lock", async () => {
  await using folder = await tempFolder();
  const path = folder.path("app.db");
  make(path);
  using writer = new DatabaseSync(path);
  writer.exec("begin immediate");
  const reason = new Error("enough");
  const stop = new AbortController();
  const waiting = HeldToEmpty.hold(path, options({ waitMs: 60_000, stop: stop.signal }));
  stop.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
});
