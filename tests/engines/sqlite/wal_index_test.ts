import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { FrameMap } from "../../../lib/engines/sqlite/frame_map.ts";
import { readWalIndex, type WalIndex, walIndexPart, walIndexSize } from "../../../lib/engines/sqlite/wal_index.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("readWalIndex() reads what SQLite wrote, for each page size", async () => {
  for (const pageSize of [512, 4_096, 32_768, 65_536]) {
    const { bytes, pages } = await realIndex(pageSize);
    const index = readWalIndex(bytes)!;
    assert.deepEqual([index.pageSize, index.pages, index.backfilled], [pageSize, pages, 0]);
    assert.ok(index.lastFrame >= pages);
  }
});

Deno.test("readWalIndex() refuses what is half written, not initialized, or of another version", async () => {
  const { bytes } = await realIndex(4_096);
  for (let at = 0; at < 96; at++) {
    const changed = bytes.slice();
    changed[at]! ^= 1;
    assert.equal(readWalIndex(changed), undefined, `byte ${at} of one copy`);
    changed[(at + 48) % 96]! ^= 1;
    assert.equal(readWalIndex(changed), undefined, `byte ${at % 48} of both copies`);
  }
  assert.equal(readWalIndex(bytes.subarray(0, walIndexSize - 1)), undefined);
  assert.equal(readWalIndex(new Uint8Array(walIndexSize)), undefined);
});

Deno.test("walIndexPart() knows where each frame's page number is", () => {
  for (
    const [frame, part, firstFrame, offset] of [
      [1, 0, 1, 136],
      [4_062, 0, 1, 136],
      [4_063, 1, 4_063, 32_768],
      [8_158, 1, 4_063, 32_768],
      [8_159, 2, 8_159, 65_536],
    ] as const
  ) {
    const found = walIndexPart(frame);
    assert.deepEqual([found.part, found.firstFrame, found.offset], [part, firstFrame, offset], `frame ${frame}`);
  }
});

Deno.test("FrameMap has each page's last frame, in order of pages, and none beyond the database's end", () => {
  //             frame 1  2  3  4  5  6
  const map = frames([9, 3, 7, 3, 8, 7], { pages: 8, backfilled: 0 });
  assert.deepEqual(map.within(0, 8), [{ page: 2, frame: 4 }, { page: 6, frame: 6 }, { page: 7, frame: 5 }]);
  assert.deepEqual(map.within(3, 4), [{ page: 6, frame: 6 }]);
  assert.deepEqual(map.within(3, 3), []);
  assert.equal(map.count, 3);
});

Deno.test("FrameMap leaves out what is in the main file already", () => {
  assert.deepEqual(frames([2, 3, 2, 5], { pages: 9, backfilled: 2 }).within(0, 9), [{ page: 1, frame: 3 }, {
    page: 4,
    frame: 4,
  }]);
});

Deno.test("FrameMap refuses a file that was cut, and frames of no page", () => {
  assert.throws(() => frames([1, 0], { pages: 3, backfilled: 0 }), { code: "DATABASE_UNREADABLE" });
  const shm = { read: () => 3 };
  const index: WalIndex = { lastFrame: 2, backfilled: 0, pages: 3, pageSize: 512, salts: new Uint8Array(8) };
  assert.throws(() => FrameMap.read(shm, index), { code: "DATABASE_UNREADABLE" });
});

/** The map of frames with these pages, which count from 1. */
function frames(pages: number[], index: { pages: number; backfilled: number }): FrameMap {
  const file = new Uint8Array(32_768);
  new Uint32Array(file.buffer, walIndexSize).set(pages);
  const read = (at: number, into: Uint8Array) => {
    into.set(file.subarray(at, at + into.length));
    return into.length;
  };
  return FrameMap.read({ read }, { ...index, lastFrame: pages.length, pageSize: 512, salts: new Uint8Array(8) });
}

/** The first bytes of a `-shm` that SQLite wrote. */
async function realIndex(pageSize: number): Promise<{ bytes: Uint8Array; pages: number }> {
  await using folder = await tempFolder();
  const database = new DatabaseSync(folder.path("some.db"));
  database.exec(`pragma page_size = ${pageSize}; pragma journal_mode = wal; create table t (a); create table u (a)`);
  const bytes = Deno.readFileSync(folder.path("some.db-shm")).subarray(0, walIndexSize); // its locks do not matter here
  const pages = Number(database.prepare("pragma page_count").get()!.page_count);
  database.close();
  return { bytes, pages };
}
