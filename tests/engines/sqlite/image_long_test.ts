/** Databases over 1 GiB: there is a page that SQLite never writes, since it takes its locks on it. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type Image, inspectPinned, openCopy, openImage } from "../../../lib/engines/sqlite/image.ts";
import { Pins } from "../../../lib/engines/sqlite/pin.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const lockByte = 2 ** 30;

for (const pageSize of [65_536, 4_096]) {
  Deno.test(`a database that grows over 1 GiB in its log equals backup()'s copy, pages of ${pageSize}`, async () => {
    await using folder = await tempFolder();
    const path = folder.path("some.db");
    const writer = new DatabaseSync(path);
    writer.exec(`pragma page_size = ${pageSize}; pragma journal_mode = off; pragma synchronous = off;
      create table t (id integer primary key, body blob)`);
    const pages = () => Number(writer.prepare("pragma page_count").get()!.page_count);
    while ((pages() + 30) * pageSize < lockByte) {
      const size = Math.min(2 ** 26, lockByte - (pages() + 20) * pageSize);
      writer.exec(`insert into t (body) values (zeroblob(${size}))`);
    }
    writer.exec(
      "update t set body = randomblob(1000) where id = 1; pragma journal_mode = wal; pragma wal_autocheckpoint = 0",
    );
    const mainBytes = Deno.statSync(path).size;
    assert.ok(mainBytes < lockByte, `${mainBytes}`);
    for (let row = 0; pages() * pageSize < lockByte + 40 * pageSize; row++) {
      writer.exec(`insert into t (body) values (randomblob(${8 * pageSize}))`);
    }
    for (
      const change of ["select 1", "pragma wal_checkpoint(passive)", "insert into t (body) values (randomblob(1000))"]
    ) {
      writer.prepare(change).all();
      await using pins = await Pins.open([path]);
      const pinned = (await pins.pin()).get(path)!;
      const source = inspectPinned(pinned, { isHeld: true })!;
      assert.equal(source.wal === undefined, change.startsWith("pragma"));
      using image = openImage(source);
      assert.ok(image.size > lockByte);
      await pins.copy(path, folder.path("copy.db"));
      {
        using copy = openCopy(folder.path("copy.db"), pinned);
        assertSame(image, copy, change);
      }
      await Deno.remove(folder.path("copy.db"));
    }
    writer.close();
  });
}

function assertSame(image: Image, copy: Image, what: string): void {
  assert.equal(image.pages, copy.pages);
  const step = (4 << 20) / image.pageSize;
  for (let page = 0; page < image.pages; page += step) {
    const [one, other] = [image, copy].map((each) => each.read(page, Math.min(step, each.pages - page))) as [
      Uint8Array,
      Uint8Array,
    ];
    if (page === 0) {
      // What backup() writes by itself: see image_test.ts.
      for (const bytes of [one, other]) {
        for (const [from, to] of [[24, 28], [40, 44], [92, 100]]) bytes.fill(0, from, to);
      }
    }
    if (one.every((byte, index) => byte === other[index])) continue;
    assert.fail(`${what}: pages from ${page} on differ`);
  }
}
