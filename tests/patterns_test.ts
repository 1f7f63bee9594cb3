import assert from "node:assert/strict";
import { AmberError } from "../lib/errors.ts";
import { checkDatabaseIsKept, compilePatterns } from "../lib/patterns.ts";

/** A path that ends in "/" is a folder, as in tempFolder(). */
function isOut(pattern: string, path: string): boolean {
  const isFolder = path.endsWith("/");
  const found = compilePatterns([pattern]).match(isFolder ? path.slice(0, -1) : path, isFolder);
  assert.ok(found === undefined || found === pattern);
  return found !== undefined;
}

const cases: [pattern: string, out: string[], kept: string[]][] = [
  // a name at any depth
  ["cache", ["cache", "cache/", "a/cache", "a/b/cache/", "cache/x", "a/cache/b/c"], ["caches", "my-cache", "Cache"]],
  ["*.tmp", ["a.tmp", "x/y/a.tmp", ".tmp", "a.tmp/", "a.tmp/inside"], ["a.tmp2", "tmp", "a.TMP", "a.tmp.gz"]],
  ["a?c", ["abc", "x/a🔑c", "a\nc"], ["ac", "abbc", "a/c"]],
  ["*", ["a", ".hidden", "a/b"], []],
  // anchored
  ["/cache", ["cache", "cache/", "cache/x"], ["a/cache", "caches"]],
  ["/*.tmp", ["a.tmp"], ["x/a.tmp"]],
  ["a/b", ["a/b", "a/b/", "a/b/c"], ["x/a/b", "a/bc", "a", "a/"]],
  ["/a/b", ["a/b"], ["x/a/b"]],
  ["a/*", ["a/b", "a/b/", "a/b/c", "a/.b"], ["a", "a/", "ab/c"]],
  ["a/*/c", ["a/b/c", "a/b/c/"], ["a/c", "a/b/b/c", "a/b/"]],
  // only folders
  ["cache/", ["cache/", "a/cache/", "cache/x", "a/cache/b/c"], ["cache", "a/cache"]],
  ["/cache/", ["cache/", "cache/x"], ["cache", "a/cache/", "a/cache/x"]],
  ["a/b/", ["a/b/", "a/b/c"], ["a/b", "x/a/b/"]],
  ["a/*/", ["a/b/", "a/b/c"], ["a/b", "a/"]],
  // across components
  ["**/b", ["b", "a/b", "a/a/b", "b/c"], ["ab", "a/bc"]],
  ["a/**", ["a/b", "a/b/", "a/b/c"], ["a", "a/", "b/a/c"]],
  ["a/**/", ["a/b/", "a/b/c"], ["a/b", "a/", "a"]],
  ["a/**/d", ["a/d", "a/b/d", "a/b/c/d", "a/b/c/d/e"], ["d", "a", "a/bd", "x/a/d"]],
  ["a/**/*.log", ["a/x.log", "a/b/c/x.log"], ["x.log", "b/x.log"]],
  ["/a**z", ["az", "a/b/z", "a/bz", "abz/x"], ["b/az", "a"]],
  ["**", ["a", "a/b", "a/"], []],
  // brackets
  ["[a-c]x", ["ax", "bx", "d/cx"], ["dx", "x", "Ax"]],
  ["[!a-c]x", ["dx", "-x", "é🔑/dx"], ["ax", "a/x", "x"]],
  ["[^a]x", ["bx"], ["ax", "b/x/y"]],
  ["[]]x", ["]x"], ["x", "[]x"]],
  ["[!]]x", ["ax"], ["]x"]],
  ["[a-]x", ["-x", "ax"], ["bx"]],
  ["[\\]\\-^]x", ["]x", "-x", "^x"], ["\\x"]],
  ["[*?]x", ["*x", "?x"], ["ax"]],
  ["a[+-9]b", ["a.b", "a1b"], ["a/b"]], // the range holds "/"
  ["[ä-ü🔑]x", ["öx", "🔑x"], ["ax"]],
  ["x]", ["x]"], ["x"]],
  // alternatives
  ["*.{jpg,png}", ["a.jpg", "x/a.png"], ["a.gif", "a.jpg,png"]],
  ["/up/{a,b/c}/", ["up/a/", "up/b/c/", "up/a/x"], ["up/b/", "up/c/", "x/up/a/"]],
  ["{cache,/tmp/}", ["a/cache", "tmp/", "tmp/x"], ["tmp", "a/tmp/"]],
  ["a{,.bak}", ["a", "a.bak"], ["a."]],
  ["a{b,c{d,e}}f", ["abf", "acdf", "acef"], ["acf", "abcf"]],
  ["{[{,]a,b}", ["{a", ",a", "b"], ["a"]],
  ["a,b}", ["a,b}"], ["a"]],
  // what means nothing by itself
  ["\\*.tmp", ["*.tmp"], ["a.tmp"]],
  ["\\{a,b\\}", ["{a,b}"], ["a"]],
  ["\\[a]", ["[a]"], ["a"]],
  ["\\!a", ["!a"], ["a"]],
  ["#recycle", ["#recycle/", "a/#recycle/b"], ["recycle"]],
  ["a.b+(c)$|^d", ["a.b+(c)$|^d"], ["aXb+(c)$|^d", "d"]],
  ["a\\\\b", ["a\\b"], ["ab"]],
  ["...", ["..."], ["abc"]],
];

for (const [pattern, out, kept] of cases) {
  Deno.test(`the pattern ${JSON.stringify(pattern)} leaves out what it names, and nothing else`, () => {
    assert.deepEqual(out.filter((path) => !isOut(pattern, path)), [], "kept, but should be left out");
    assert.deepEqual(kept.filter((path) => isOut(pattern, path)), [], "left out, but should be kept");
  });
}

Deno.test("match() tells the first of several patterns, and each is kept once", () => {
  const { match, patterns } = compilePatterns(["*.tmp", "/cache/", "*.tmp", "a*"]);
  assert.deepEqual(patterns, ["*.tmp", "/cache/", "a*"]);
  assert.equal(match("a.tmp", false), "*.tmp");
  assert.equal(match("cache/a.html", false), "/cache/");
  assert.equal(match("x/abc", true), "a*");
  assert.equal(match("x/y", false), undefined);
  assert.equal(compilePatterns([]).match("a", false), undefined);
});

Deno.test("compilePatterns() refuses what cannot be meant, and names the pattern", () => {
  for (
    const [pattern, reason] of [
      ["", /it is empty/],
      ["  ", /it is empty/],
      ["/", /a component.* is empty|components is empty/],
      ["//", /components is empty/],
      ["a//b", /components is empty/],
      ["a//", /components is empty/],
      ["{,a}", /components is empty/],
      ["..", /a component "\.\."/],
      ["../x", /a component "\.\."/],
      ["a/../b", /a component "\.\."/],
      ["a/..", /a component "\.\."/],
      ["./a", /a component "\."/],
      ["{a,..}/b", /a component "\.\."/],
      ["[abc", /bracket \[ is never closed/],
      ["a[", /bracket \[ is never closed/],
      ["[]", /bracket \[\] holds nothing|never closed/],
      ["[!]", /bracket \[!\] holds nothing|never closed/],
      ["[z-a]", /range z-a is the wrong way round/],
      ["[[:alpha:]]", /a named class/],
      ["{a,b", /brace \{ is never closed/],
      ["{a,{b,c}", /brace \{ is never closed/],
      ["{a}", /braces hold no comma/],
      ["a\\", /nothing follows its backslash/],
      ["!keep", /nothing can be taken back in/],
      ["a\0b", /NUL/],
      ["{a,b}".repeat(40), /more than 256 patterns/],
      ["/srv/data/cache", /relative to the data folder "\/srv\/data"/],
      ["/srv/data", /relative to the data folder/],
    ] as const
  ) {
    const origin = { where: "AMBER_EXCLUDE (environment)", data: "/srv/data/" };
    assert.throws(() => compilePatterns(["*.tmp", pattern], origin), (error) => {
      assert.ok(error instanceof AmberError, String(error));
      assert.deepEqual([error.code, error.exitStatus, error.where], ["CONFIG_VALUE", 2, origin.where]);
      assert.ok(error.message.startsWith(`Cannot use the exclude pattern "${pattern}": `), error.message);
      assert.match(error.message, reason);
      assert.ok(error.hint);
      return true;
    }, pattern);
  }
  assert.doesNotThrow(() => compilePatterns(["/srv/data2", "/srv/database"], { data: "/srv/data" }));
  assert.doesNotThrow(() => compilePatterns(["/data/x"], { data: "data" }));
});

Deno.test("checkDatabaseIsKept() refuses a pattern that leaves out the configured database", () => {
  const check = (pattern: string, path: string) =>
    checkDatabaseIsKept(compilePatterns(["x", pattern]), path, { where: "--exclude" });
  for (const [pattern, path] of [["*.db", "prod.db"], ["/db/", "db/prod.db"], ["**", "prod.db"]] as const) {
    assert.throws(() => check(pattern, path), {
      code: "CONFIG_VALUE",
      exitStatus: 2,
      where: "--exclude",
      message: `Cannot use the exclude pattern "${pattern}": it leaves out the configured database "${path}"`,
    });
  }
  for (const [pattern, path] of [["*.db-wal", "prod.db"], ["/*.db", "db/prod.db"], ["prod.db/", "prod.db"]] as const) {
    assert.doesNotThrow(() => check(pattern, path), pattern);
  }
});

Deno.test("match() is cheap: 100,000 paths against 12 patterns within 2 s", () => {
  const patterns = ["*.tmp", "cache/", "/logs/**", "a/**/b/*.bak", "[._]*.sw?", "*~", "*.{jpg,png}.part", "thumbs/"];
  const { match } = compilePatterns([...patterns, "node_modules", "/x/y/z", "**/old/*", "*.py[co]"]);
  const started = performance.now();
  let out = 0;
  for (let i = 0; i < 100_000; i++) if (match(`uploads/2026/${i % 97}/file number ${i}.jpeg`, false)) out++;
  assert.equal(out, 0);
  assert.ok(performance.now() - started < 2_000, `${performance.now() - started} ms`);
});
