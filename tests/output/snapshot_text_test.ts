import assert from "node:assert/strict";
import { restorePlanLines } from "../../lib/output/restore_text.ts";
import { differenceText, entryText, modeText } from "../../lib/output/snapshot_text.ts";
import type { Side } from "../../lib/stories/diff.ts";

Deno.test("modeText() is what ls -l shows", () => {
  const cases: [mode: number, kind: Parameters<typeof modeText>[1], text: string][] = [
    [0o644, "file", "-rw-r--r--"],
    [0o755, "folder", "drwxr-xr-x"],
    [0o777, "link", "lrwxrwxrwx"],
    [0o4755, "file", "-rwsr-xr-x"],
    [0o4644, "file", "-rwSr--r--"],
    [0o2755, "folder", "drwxr-sr-x"],
    [0o1777, "folder", "drwxrwxrwt"],
    [0o1776, "folder", "drwxrwxrwT"],
    [0, "hardlink", "----------"],
  ];
  for (const [mode, kind, text] of cases) assert.equal(modeText(mode, kind), text);
});

Deno.test("entryText() is one line for a file, whatever its name holds, and more for a database", () => {
  const common = { kind: "file", mode: 0o600, uid: 0, gid: 0, mtime: "2026-11-24T11:48:12.345Z" } as const;
  assert.equal(
    entryText({ ...common, path: "a\u001b[2J\nb", size: 12 }),
    "-rw-------            12  2026-11-24 11:48  a\\u{1b}[2J\\nb",
  );
  const database = {
    configured: true,
    rows: { posts: 1, "long\nname": 12_345 },
    migrations: { count: 3, last: "0003_x" },
  };
  assert.deepEqual(entryText({ ...common, path: "app.db", size: 4096, database }).split("\n"), [
    "-rw-------          4096  2026-11-24 11:48  app.db  (the database, migration 0003_x)",
    "                                              posts       1 row",
    "                                              long\\nname  12,345 rows",
  ]);
});

Deno.test("differenceText() shows what changed of a path", () => {
  const side = (more: Partial<Side> = {}): Side => ({ kind: "file", mode: 0o644, mtime: "", size: 2_000, ...more });
  const cases: [Parameters<typeof differenceText>[0], string][] = [
    [{ path: "a", change: "new", after: side() }, "+ a  2 kB"],
    [{ path: "a", change: "new", after: side({ kind: "folder", size: undefined }) }, "+ a/"],
    [{ path: "a", change: "gone", before: side() }, "- a  2 kB"],
    [{ path: "a", change: "changed", before: side(), after: side({ size: 3_000 }) }, "M a  2 kB → 3 kB"],
    [{ path: "a", change: "changed", before: side(), after: side() }, "M a"],
    [
      { path: "a", change: "changed", before: side(), after: side({ kind: "folder", size: undefined }) },
      "M a/  file → folder",
    ],
    [{ path: "a", change: "attributes", before: side(), after: side({ mode: 0o600 }) }, "m a  -rw-r--r-- → -rw-------"],
    [
      {
        path: "a",
        change: "changed",
        before: side(),
        after: side(),
        tables: [{ table: "t", before: 1_500, after: 1_400 }],
      },
      "M a\n      t  1,500 → 1,400 rows (−100)",
    ],
  ];
  for (const [difference, text] of cases) assert.equal(differenceText(difference), text);
});

Deno.test("restorePlanLines() shows what comes, what is replaced and what goes, of many only some", () => {
  const item = (path: string, how: "new" | "replaced" | "same") => ({
    path,
    place: path,
    type: "file" as const,
    size: 5,
    how,
  });
  const lines = restorePlanLines({
    items: [item("new.txt", "new"), item("old.txt", "replaced"), item("same.txt", "same")],
    databases: [{
      ...item("prod.db", "replaced"),
      ...{ place: "/database.db", size: 8_192, configured: true, way: "live", pageSize: 4096, rows: 1_000 },
      migrations: { count: 2, last: "0002_b" },
    }],
    goes: Array.from({ length: 30 }, (_, i) => `gone/${i}`),
    goesCount: 1_030,
    notes: [],
    bytes: 8_207,
    neededBytes: 20_000,
    freeBytes: 5_000_000,
    overwrites: true,
  });
  assert.deepEqual([...lines.slice(0, 7), ...lines.slice(25)], [
    "Plan:",
    "  comes    1 file",
    "    + new.txt",
    "  replaced 1 file",
    "    M old.txt",
    "  goes     1,030 paths",
    "    - gone/0",
    "    - gone/19",
    "    … and 10 more",
    "  same     1 file",
    "  database prod.db  (the configured database, goes to where it is configured, 8.2 kB, 1,000 rows, migration 0002_b, written through SQLite, also while a server runs)",
    "  8.2 kB in all; 5 MB are free",
  ]);
});
