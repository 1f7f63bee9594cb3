import assert from "node:assert/strict";
import { cleanPath, isBehind, isWithin, nearestPath } from "../../lib/stories/snapshot_paths.ts";

Deno.test("cleanPath() takes a path as people write it, inside the data folder only", () => {
  const cases: [written: string, clean: string | undefined][] = [
    ["uploads/a.png", "uploads/a.png"],
    ["./uploads//a.png/", "uploads/a.png"],
    [".", ""],
    ["/database.db", "/database.db"],
    ["/postgres", "/postgres"],
    ["/postgres/", "/postgres"],
    ["/postgres/tables//public/x/", "/postgres/tables/public/x"],
    ["/postgres/../x", undefined],
    ["/postgresql/x", undefined],
    ["a\nb", "a\nb"],
    ["..a/..b", "..a/..b"],
    ["", undefined],
    ["..", undefined],
    ["uploads/../../etc", undefined],
    ["/etc/passwd", undefined],
    ["a\0b", undefined],
    ["/", undefined],
  ];
  for (const [written, clean] of cases) {
    if (clean === undefined) assert.throws(() => cleanPath(written), { code: "USAGE" }, written);
    else assert.equal(cleanPath(written), clean);
  }
});

Deno.test("isWithin() and isBehind() cut a sorted list at a folder's ends", () => {
  const sorted = ["a", "a-b", "a/b", "a/c", "a0", "b"].sort();
  const read: string[] = [];
  for (const path of sorted) {
    if (isBehind(path, "a")) break;
    if (isWithin(path, "a")) read.push(path);
  }
  assert.deepEqual(read, ["a", "a/b", "a/c"]);
  assert.ok(sorted.every((path) => isWithin(path, "") && !isBehind(path, "")));
});

Deno.test("nearestPath() finds what was probably meant, and nothing when nothing is near", () => {
  const paths = ["app.db", "uploads", "uploads/cat.png", "uploads/dog.png", "letters/2026/cat.png"];
  const cases: [wanted: string, near: string | undefined][] = [
    ["data/uploads", "uploads"],
    ["data/app.db", "app.db"],
    ["upload", "uploads"],
    ["uploads/cat.jpg", "uploads/cat.png"],
    ["uploads/Cat.png", "uploads/cat.png"],
    ["cat.png", "uploads/cat.png"],
    ["2026/cat.png", "letters/2026/cat.png"],
    ["quite/another/thing.pdf", undefined],
    ["x", undefined],
  ];
  for (const [wanted, near] of cases) assert.equal(nearestPath(wanted, paths, "/srv/data"), near, wanted);
});

Deno.test("nearestPath() is quick among many long paths", () => {
  const paths = Array.from({ length: 100_000 }, (_, i) => `uploads/${i % 100}/${"photo-of-a-cat".repeat(3)}-${i}.jpeg`);
  const started = performance.now();
  assert.equal(nearestPath(paths[77_777]!.replace("jpeg", "jpg"), paths, "data"), paths[77_777]);
  assert.ok(performance.now() - started < 3_000);
});
