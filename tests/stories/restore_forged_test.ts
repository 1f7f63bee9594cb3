import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import { unfinishedRestore } from "../../lib/stories/unfinished_restore.ts";
import { makeDatabase, treeOf } from "../support/data_tree.ts";
import { forge, type Json, poison } from "../support/forged.ts";
import { random, runSeed } from "../support/random.ts";
import { type App, appIn, placesOf, putBack } from "../support/restoring.ts";
import { isLong } from "../support/skip.ts";
import { makeTemplate } from "../support/spoiled_app.ts";
import { removeFolder, type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { command } from "../support/command.ts";
import { discardRestore } from "../../lib/stories/unfinished_restore.ts";

/** What lies around the app's folders and must never change. */
async function sandbox(folder: TempFolder, name: string): Promise<App> {
  const root = folder.path(name);
  await Deno.mkdir(`${root}/around`, { recursive: true });
  await Deno.writeTextFile(`${root}/around/canary`, "mine");
  await Deno.writeTextFile(`${root}/canary`, "mine");
  const { code, stderr } = await command("cp", ["-a", folder.path("template"), `${root}/app`], { cwd: "/" });
  assert.equal(code, 0, stderr);
  return appIn(`${root}/app`);
}

function around(app: App): unknown {
  const root = app.root.slice(0, -"/app".length);
  return [
    treeOf(root, { except: ["app"] }),
    [...Deno.readDirSync(app.root)].map(({ name }) => name).filter((name) => name !== "to").sort(),
    exists("/etc/amber-was-here"),
  ];
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Restores what was forged, in place and elsewhere: it is refused in words of ours, or stays inside. */
async function restoreForged(app: App, wanted: string, story: string): Promise<"refused" | "restored"> {
  const before = around(app);
  let outcome: "refused" | "restored" = "restored";
  for (const to of [undefined, `${app.root}/to`]) {
    const error = await putBack(app, { wanted, to, noSafety: true, owners: true }).then(
      () => undefined,
      (error) => error,
    );
    if (error) outcome = "refused";
    assert.ok(error === undefined || error instanceof AmberError, `${story}\n${error?.stack}`);
    assert.ok(error?.code !== "UNEXPECTED", story);
    assert.deepEqual(around(app), before, `${story}: something outside has changed`);
    if (error && to === undefined) {
      // Refused before it was decided; a name that only the disk refuses can be dropped.
      if (unfinishedRestore(app.scratch)) await discardRestore(await placesOf(app));
    }
  }
  return outcome;
}

Deno.test("a forged repository, any field of tree or snapshot file hostile: refused, or restored inside the target", async (t) => {
  const dice = random(runSeed());
  await using folder = await tempFolder();
  await makeTemplate(folder.path("template"));
  const runs = isLong ? 1000 : 25;
  const outcomes = { refused: 0, restored: 0 };
  for (let run = 0; run < runs; run++) {
    const app = await sandbox(folder, `run-${run}`);
    let what = "";
    let id = "";
    const time = new Date();
    if (dice.chance(0.6)) {
      id = await forge(app.repository, time, {
        lines: (lines) => {
          for (let i = 0; i < dice.int(1, 3); i++) what += `${poison(dice.pick(lines), dice)}; `;
          if (dice.chance(0.5)) lines.sort((a, b) => (a.p < b.p ? -1 : a.p > b.p ? 1 : 0));
        },
      });
    } else id = await forge(app.repository, time, { file: (value) => what = poison(value, dice) });
    outcomes[await restoreForged(app, id, `seed ${dice.seed}, run ${run}: ${what}`)]++;
    await removeFolder(app.root.slice(0, -"/app".length));
  }
  const { rss } = Deno.memoryUsage();
  assert.ok(rss < 1 << 30, `${rss} bytes of memory`);
  console.log(`${t.name}: ${runs} runs, seed ${dice.seed}: ${JSON.stringify(outcomes)}, ${Math.round(rss / 1e6)} MB`);
});

const file = (p: string, more: Json = {}) => ({
  p,
  m: 0o644,
  u: 0,
  g: 0,
  t: 1,
  k: "f",
  s: 0,
  h: emptyHash,
  i: 0,
  r: [],
  ...more,
});
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const link = (p: string, to: string) => ({ p, m: 0o777, u: 0, g: 0, t: 1, k: "l", to });

const attacks: { name: string; lines: Json[]; code?: string }[] = [
  { name: "a path that leads out", lines: [file("../escaped")], code: "OBJECT_DAMAGED" },
  { name: "an absolute path", lines: [file("/etc/amber-was-here")], code: "OBJECT_DAMAGED" },
  { name: "a file through a link", lines: [link("a", ".."), file("a/escaped")], code: "OBJECT_DAMAGED" },
  { name: "a link out, and a file beside it", lines: [link("a", "/etc"), file("b")] },
  { name: "a file in a folder that the tree does not have", lines: [file("a/b/c")] },
  {
    name: "a hard link to something outside",
    lines: [{ ...link("b", "../../canary"), k: "h" }],
    code: "OBJECT_DAMAGED",
  },
  {
    name: "a hard link to a link",
    lines: [link("a", "/etc/passwd"), { ...link("b", "a"), k: "h" }],
    code: "OBJECT_DAMAGED",
  },
  {
    name: "a content that is not what the tree says",
    lines: [file("a", { h: "0".repeat(64) })],
    code: "OBJECT_DAMAGED",
  },
  {
    name: "a hole of more bytes than a disk can hold",
    lines: [file("a", { s: 1e15, r: [Math.ceil(1e15 / (1 << 20)), 0, 0] })],
    code: "FILE_UNWRITABLE",
  },
  { name: "a name that is too long", lines: [file("n".repeat(256))], code: "FILE_UNWRITABLE" },
  { name: "something where scratch lies", lines: [file(".amber"), file(".amber/restore/plan.json")].slice(1) },
  { name: "a set-id program", lines: [file("su", { m: 0o4755 })] },
];

for (const { name, lines, code } of attacks) {
  Deno.test(`a forged tree with ${name}: ${code ?? "restored inside the target"}`, async () => {
    await using folder = await tempFolder();
    await makeTemplate(folder.path("template"));
    const app = await sandbox(folder, "run");
    const wanted = await forge(app.repository, new Date(), {
      lines: (all) => all.splice(0, all.length, ...lines),
      file: (value) => value.facts.databases = [],
    });
    const before = around(app);
    const data = treeOf(app.data);
    for (const to of [undefined, `${app.root}/to`]) {
      const restored = putBack(app, { wanted, to, noSafety: true });
      if (code) await assert.rejects(restored, { code });
      else await restored;
      assert.deepEqual(around(app), before);
    }
    if (code) assert.deepEqual(treeOf(app.data), data);
    else if (exists(`${app.data}/su`)) assert.equal(Deno.statSync(`${app.data}/su`).mode! & 0o7777, 0o755);
  });
}

Deno.test("a snapshot's database facts that do not fit its database stop the restore", async () => {
  await using folder = await tempFolder();
  await makeTemplate(folder.path("template"));
  for (const forgery of [{ notes: 99 }, { notes: 100, other: 0 }, JSON.parse('{"__proto__": 1, "notes": 100}')]) {
    const app = await sandbox(folder, `run-${JSON.stringify(forgery).length}`);
    makeDatabase(`${app.data}/x.db`);
    const before = treeOf(app.data);
    await forge(app.repository, new Date(), {
      file: (value) => value.facts.databases[0].rows = forgery,
    });
    await assert.rejects(putBack(app, { noSafety: true }), { code: "OBJECT_DAMAGED" });
    assert.deepEqual(treeOf(app.data), before);
  }
});
