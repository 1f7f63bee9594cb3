/** Fault 13: names that break other tools, and links that lead out. All come back, and nothing is written outside. */
import assert from "node:assert/strict";
import { random, runSeed } from "../support/random.ts";
import { appIn, putBack, take } from "../support/restoring.ts";
import { isLong } from "../support/skip.ts";
import { treeOf } from "../support/data_tree.ts";
import { tempFolder } from "../support/temp_folder.ts";

const oddities = [
  "new\nline",
  "\n",
  "tab\there",
  "\u0001\u001b[31m",
  "\u007f",
  " leading",
  "trailing ",
  "...",
  "..a",
  ". ",
  "-rf",
  "--to",
  "a\\b",
  "C:\\x",
  "'",
  '"',
  "$(touch x)",
  "`x`",
  "*",
  "?[a]",
  "%2e%2e",
  "&;|",
  "n".repeat(255),
  "ü".repeat(127),
  "漢".repeat(85),
  "😀".repeat(63),
  "e\u0301",
  "\u00e9",
  "\u202egnp.exe",
  "\ufeffbom",
  "Readme",
  "README",
  "readme",
  "con",
  "aux.txt",
  "amber.json",
  "plan.json",
  "database.db",
  "postgres",
  "__proto__",
  "constructor",
  "{",
  '{"p":"x"}',
  ",m:",
];

Deno.test("names that are odd in every way, and links that lead out of the tree, come back as they were", async (t) => {
  const dice = random(runSeed());
  await using folder = await tempFolder({ "data/": "", "outside/victim": "untouched" });
  const app = appIn(folder.root);
  const alphabet = "ab.-_ \n\t\\\"'$%&*{}[]():,;äß漢\u0301\u200d";
  const names = new Set(oddities);
  const wanted = isLong ? 2_000 : 200;
  while (names.size < wanted) {
    const name = dice.text(dice.int(1, 60), alphabet);
    if (name !== "." && name !== ".." && name.isWellFormed()) names.add(name);
  }
  let index = 0;
  for (const name of names) {
    const path = `${app.data}/${name}`;
    // Links out of the tree: relative, absolute, to a file that is there, to one that is not, to themselves.
    const targets = [
      "../outside/victim",
      folder.path("outside/victim"),
      "../../../../../etc/passwd",
      name,
      "/nowhere/\n",
    ];
    const kind = index++ % 4;
    if (kind === 0) Deno.writeTextFileSync(path, `content of ${name}`);
    else if (kind === 1) {
      Deno.mkdirSync(path);
      Deno.writeTextFileSync(`${path}/${dice.pick(oddities)}`, name);
    } else if (kind === 2) Deno.symlinkSync(dice.pick(targets), path);
    else Deno.writeFileSync(path, new Uint8Array(0));
  }
  const linksOf = (root: string) =>
    [...Deno.readDirSync(root)].filter(({ isSymlink }) => isSymlink).map(({ name }) => [
      name,
      Deno.readLinkSync(`${root}/${name}`),
    ]).sort();
  const before = treeOf(app.data);
  const links = linksOf(app.data);
  const id = await take(app);
  await putBack(app, { wanted: id, to: folder.path("back") });
  assert.deepEqual(treeOf(folder.path("back")), before, `seed ${dice.seed}`);
  assert.deepEqual(linksOf(folder.path("back")), links);
  // In place, over names that lead elsewhere now: what was a file is a link out, and the other way round.
  for (const { name, isFile, isSymlink } of [...Deno.readDirSync(app.data)]) {
    if (name === ".amber" || !dice.chance(0.5) || !(isFile || isSymlink)) continue;
    Deno.removeSync(`${app.data}/${name}`);
    if (isFile) Deno.symlinkSync("../outside/victim", `${app.data}/${name}`);
    else Deno.writeTextFileSync(`${app.data}/${name}`, "a file where a link was");
  }
  await putBack(app, { wanted: id });
  assert.deepEqual(treeOf(app.data), before, `seed ${dice.seed}`);
  assert.deepEqual(linksOf(app.data), links);
  assert.equal(Deno.readTextFileSync(folder.path("outside/victim")), "untouched");
  assert.deepEqual([...Deno.readDirSync(folder.path("outside"))].map(({ name }) => name), ["victim"]);
  console.log(`  ${t.name}: ${names.size} names, ${links.length} links, seed ${dice.seed}`);
});
