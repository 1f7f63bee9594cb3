import assert from "node:assert/strict";
import type { Entry, FileEntry, FolderEntry } from "../../lib/repository/tree.ts";
import { changeOf, pairs, tablesOf } from "../../lib/stories/diff.ts";

const common = { path: "a", mode: 0o644, uid: 1, gid: 1, mtimeMs: 5 };
const file = (more: Partial<FileEntry> = {}): FileEntry => ({
  ...{
    ...common,
    type: "file",
    size: 1,
    contentHash: "a".repeat(64),
    inode: 7,
    blockSize: 1 << 20,
    database: false,
    runs: [],
  },
  ...more,
});
const folder = (more: Partial<FolderEntry> = {}): FolderEntry => ({ ...common, type: "folder", ...more });
const link = (target: string): Entry => ({ ...common, type: "link", target });

Deno.test("changeOf() tells content from attributes", () => {
  const cases: [before: Entry | undefined, after: Entry | undefined, change: ReturnType<typeof changeOf>][] = [
    [undefined, file(), "new"],
    [file(), undefined, "gone"],
    [file(), file(), undefined],
    [file(), file({ inode: 8 }), undefined],
    [file(), file({ size: 2 }), "changed"],
    [file(), file({ contentHash: "b".repeat(64) }), "changed"],
    [file(), file({ mtimeMs: 6 }), "attributes"],
    [file(), file({ mode: 0o600 }), "attributes"],
    [file(), file({ uid: 2 }), "attributes"],
    [file(), folder(), "changed"],
    [folder(), folder({ mtimeMs: 6 }), undefined],
    [folder(), folder({ mode: 0o700 }), "attributes"],
    [link("x"), link("x"), undefined],
    [link("x"), link("y"), "changed"],
    [file(), link("x"), "changed"],
  ];
  for (const [i, [before, after, change]] of cases.entries()) {
    assert.equal(changeOf(before, after), change, `case ${i}`);
  }
});

Deno.test("pairs() puts two sorted lists side by side", async () => {
  async function* entries(paths: string): AsyncGenerator<Entry> {
    for (const path of paths) yield folder({ path });
  }
  const side = async (a: string, b: string) => {
    const found: string[] = [];
    for await (const [left, right] of pairs(entries(a), entries(b))) {
      found.push(`${left?.path ?? "."}${right?.path ?? "."}`);
    }
    return found.join(" ");
  };
  assert.equal(await side("abd", "bcd"), "a. bb .c dd");
  assert.equal(await side("", "ab"), ".a .b");
  assert.equal(await side("ab", ""), "a. b.");
  assert.equal(await side("", ""), "");
});

Deno.test("tablesOf() names the tables whose number of rows differs", () => {
  const rows = (all: Record<string, number>) => ({ rows: all });
  assert.deepEqual(tablesOf(rows({ a: 1, b: 2, c: 0 }), rows({ c: 0, b: 3, d: 4 })), [
    { table: "a", before: 1 },
    { table: "b", before: 2, after: 3 },
    { table: "d", after: 4 },
  ]);
  assert.deepEqual(tablesOf(rows({ a: 1 }), rows({ a: 1 })), []);
  assert.deepEqual(tablesOf(rows({}), rows({ constructor: 2 })), [{ table: "constructor", after: 2 }]);
  assert.deepEqual(tablesOf(undefined, rows({ a: 1 })), [{ table: "a", after: 1 }]);
  assert.equal(tablesOf(undefined, undefined), undefined);
});
