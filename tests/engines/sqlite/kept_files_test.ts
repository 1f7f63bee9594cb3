import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Barrier } from "../../../lib/engines/sqlite/barrier.ts";
import { inspectPinned, openImage } from "../../../lib/engines/sqlite/image.ts";
import { isDatabaseHeader, superJournalOf } from "../../../lib/engines/sqlite/inspect_file.ts";
import { closeUnlinked, keptCount, keptFile, readFully } from "../../../lib/engines/sqlite/kept_files.ts";
import { Pins } from "../../../lib/engines/sqlite/pin.ts";
import { isLong } from "../../support/skip.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { Locker } from "./talking.ts";

const options = { stop: new AbortController().signal, report: () => {} };

Deno.test("keptFile() opens a file once, whatever it is called", async () => {
  await using folder = await tempFolder({ "a": "0123456789" });
  closeUnlinked();
  Deno.symlinkSync(folder.path("a"), folder.path("link"));
  Deno.linkSync(folder.path("a"), folder.path("second"));
  const before = keptCount();
  const file = keptFile(folder.path("a"));
  assert.equal(keptFile(folder.path("link")), file);
  assert.equal(keptFile(folder.path("second")), file);
  assert.equal(keptCount(), before + 1);
  const into = new Uint8Array(4);
  assert.equal(file.read(3, into), 4);
  assert.equal(new TextDecoder().decode(into), "3456");
  assert.equal(file.read(8, into), 2);
  assert.equal(file.read(10, into), 0);
  assert.equal(file.size(), 10);
});

Deno.test("a kept file is closed only when it has no name any more, and another one at its path is another one", async () => {
  closeUnlinked(); // those of the tests before
  await using folder = await tempFolder({ "a": "old", "b": "new" });
  const before = keptCount();
  const old = keptFile(folder.path("a"));
  closeUnlinked();
  assert.equal(keptCount(), before + 1);
  await Deno.rename(folder.path("b"), folder.path("a"));
  const fresh = keptFile(folder.path("a"));
  assert.notEqual(fresh, old);
  assert.equal(keptCount(), before + 2);
  closeUnlinked();
  assert.equal(keptCount(), before + 1);
  const into = new Uint8Array(3);
  fresh.read(0, into);
  assert.equal(new TextDecoder().decode(into), "new");
  await Deno.remove(folder.path("a"));
  closeUnlinked();
  assert.equal(keptCount(), before);
});

Deno.test("readFully() goes on after short reads", () => {
  const bytes = new TextEncoder().encode("abcdefghij");
  let at = 0;
  const file = {
    seekSync: (to: number | bigint) => at = Number(to),
    readSync(into: Uint8Array) {
      const some = bytes.subarray(at, at + Math.min(3, into.length));
      into.set(some);
      at += some.length;
      return some.length === 0 ? null : some.length;
    },
  };
  const into = new Uint8Array(8);
  assert.equal(readFully(file, 1, into), 8);
  assert.equal(new TextDecoder().decode(into), "bcdefghi");
  assert.equal(readFully(file, 5, into), 5);
});

for (const journal of ["wal", "delete"]) {
  const locked = journal === "wal" ? "some.db-shm" : "some.db";

  Deno.test(`while a transaction is held, a snapshot of the same database lets nobody else write (${journal})`, async () => {
    await using folder = await tempFolder();
    const path = folder.path("some.db");
    using writer = createDatabase(path, journal);
    await using other = new Locker(path);
    assert.equal(await other.gets(), true);
    writer.exec("begin immediate; insert into t values (2)");
    await other.hammer();
    for (let round = 0; round < (isLong ? 300 : 15); round++) {
      using barrier = await Barrier.open([path], { ...options, held: new Set([path]) });
      await barrier.hold();
      await using pins = await Pins.open([path]);
      const pinned = (await pins.pin()).get(path)!;
      const source = inspectPinned(pinned, { isHeld: barrier.isHeld(path) })!;
      const header = new Uint8Array(16);
      keptFile(path).read(0, header);
      assert.ok(isDatabaseHeader(header));
      assert.equal(superJournalOf(path), undefined);
      using image = openImage(source);
      assert.deepEqual(rowsIn(image.read(0, image.pages), folder.path("image.db")), [1]);
      assert.deepEqual((await pins.facts(path)).rows, { t: 1 });
      await pins.copy(path, folder.path("copy.db"));
      await Deno.remove(folder.path("copy.db"));
      image.close();
      await pins.close();
      barrier[Symbol.dispose]();
    }
    const { got, longestMs } = await other.calm();
    assert.equal(got, 0, "somebody else wrote inside our transaction");
    assert.ok(longestMs > 0);
    assert.equal(await other.gets(), false);
    writer.exec("commit");
    assert.equal(await other.gets(), true);
  });

  Deno.test(`control: opening and closing ${locked} does lose the lock (${journal})`, async () => {
    await using folder = await tempFolder();
    const path = folder.path("some.db");
    using writer = createDatabase(path, journal);
    await using other = new Locker(path);
    writer.exec("begin immediate; insert into t values (2)");
    assert.equal(await other.gets(), false);
    Deno.openSync(folder.path(locked), { read: true }).close();
    assert.equal(await other.gets(), true, "this system keeps POSIX locks: the tests above show nothing");
  });
}

function createDatabase(path: string, journal: string): DatabaseSync & Disposable {
  const database = new DatabaseSync(path);
  database.exec(`pragma journal_mode = ${journal}; create table t (a); insert into t values (1)`);
  return Object.assign(database, { [Symbol.dispose]: () => database.close() });
}

function rowsIn(image: Uint8Array, path: string): unknown[] {
  Deno.writeFileSync(path, image);
  const database = new DatabaseSync(`file://${path}?immutable=1`, { readOnly: true });
  const rows = database.prepare("select a from t").all().map(({ a }) => a);
  database.close();
  Deno.removeSync(path);
  return rows;
}
