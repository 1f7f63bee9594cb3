import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { guardAgainstRestore } from "../../lib/stories/unfinished_restore.ts";
import { command, type CommandResult, projectFolder } from "../support/command.ts";
import { makeDatabase } from "../support/data_tree.ts";
import { random, runSeed } from "../support/random.ts";
import type { ChildTask } from "../support/restore_child.ts";
import { type App, appIn, placesOf, take } from "../support/restoring.ts";
import {
  databasesOf,
  exists,
  filesOf,
  type Fresh,
  fresh,
  makeOld,
  makeTemplate,
  spoilAll,
  spoilPages,
  spoilRows,
  textsOf,
} from "../support/spoiled_app.ts";
import { isLong } from "../support/skip.ts";
import { removeFolder, tempFolder } from "../support/temp_folder.ts";

/** How a restore is killed. */
interface Variation {
  name: string;
  /** What the data folder is like when the restore begins; it was snapshotted as makeOld() leaves it. */
  spoil: (app: App) => void;
  options: ChildTask["options"];
  /** Servers have the databases open all the time, and commit between the kill and the next command. */
  server: boolean;
}

const options = { wanted: "latest", noSafety: true };

const variations: Variation[] = [
  { name: "over live databases", spoil: spoilRows, options, server: false },
  { name: "over live databases, with a server that commits on", spoil: spoilRows, options, server: true },
  { name: "where no database stands", spoil: spoilAll, options, server: false },
  {
    name: "with --replace, over another page size",
    spoil: spoilPages,
    options: { ...options, replace: true },
    server: false,
  },
];

/** A restore in a process of its own. */
function restoreIn(task: ChildTask): Promise<CommandResult> {
  const script = `${projectFolder}/tests/support/restore_child.ts`;
  return command(Deno.execPath(), ["run", "-A", "--quiet", "--no-check", script, JSON.stringify(task)], {
    cwd: task.app.root,
    timeoutMs: 120_000,
  });
}

/** Kills once, lets a server commit, finishes with the next command that writes; and looks at everything. */
async function killAndFinish(
  variation: Variation,
  { app, old, spoiled, oldTexts }: Fresh,
  kill: Pick<ChildTask, "killAt" | "killWhilePuttingMs">,
): Promise<"untouched" | "restored" | "survived"> {
  const story = `${variation.name}, ${JSON.stringify(kill)}`;
  const servers = variation.server ? databasesOf(app).map((path) => new DatabaseSync(path, { timeout: 5_000 })) : [];
  try {
    for (const server of servers) server.prepare("select count(*) from notes").get();
    const result = await restoreIn({ app, options: variation.options, ...kill });
    if (result.signal === null) {
      assert.equal(result.code, 0, `${story}\n${result.stdout}\n${result.stderr}`);
      assert.deepEqual(filesOf(app), old, story);
      return "survived";
    }
    const isDecided = exists(`${app.scratch}/restore/plan.json`);
    const isSeenNow = databasesOf(app).map((path) => exists(path) ? textsOf(path) : undefined);
    const acknowledged = servers.map((server, index) => {
      server.prepare("insert into notes (text) values (?)").run(`acknowledged ${index}`);
      return `acknowledged ${index}`;
    });
    // The next command that writes.
    (await guardAgainstRestore(
      app.scratch,
      { stop: new AbortController().signal, report: () => {}, waitMs: 10_000 },
      async () => ({ ...await placesOf(app), replace: variation.options.replace ?? false }),
    ))[Symbol.dispose]();

    const files = filesOf(app);
    const isNew = isDecided || isEqual(files, old);
    assert.deepEqual(files, isNew ? old : spoiled, `${story}: neither wholly old nor wholly new`);
    assert.ok(!exists(`${app.scratch}/restore`), `${story}: something is left staged`);
    databasesOf(app).forEach((path, index) => {
      const after = exists(path) ? textsOf(path) : undefined;
      const restored = oldTexts[index]!;
      if (!isNew) {
        const kept = isSeenNow[index];
        return assert.deepEqual(after, servers.length > 0 ? [...kept!, acknowledged[index]] : kept, story);
      }
      // What was restored before the commit keeps it; what was not is restored now.
      const wasRestored = isEqual(isSeenNow[index], restored);
      const hasMore = servers.length > 0 && wasRestored;
      assert.deepEqual(after, hasMore ? [...restored, acknowledged[index]] : restored, `${story}: ${path}`);
      const check = new DatabaseSync(path);
      assert.equal(check.prepare("pragma integrity_check").get()!.integrity_check, "ok", story);
      assert.equal(check.prepare("select 1 from sqlite_schema where name = 'amber_restore'").get(), undefined, story);
      check.close();
    });
    return isNew ? "restored" : "untouched";
  } finally {
    for (const server of servers) server.close();
  }
}

function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

for (const variation of variations) {
  Deno.test(`a restore killed at each step, ${variation.name}: the next command leaves all old or all new`, async (t) => {
    const dice = random(runSeed());
    await using folder = await tempFolder();
    await makeTemplate(folder.path("template"));
    const clean = await fresh(folder.path("template"), folder.path("clean"), variation.spoil);
    const { stdout, stderr } = await restoreIn({ app: clean.app, options: variation.options });
    const count = Number(/steps (\d+)/.exec(stdout)?.[1]);
    assert.ok(count > 30, `only ${count} steps: ${stdout}${stderr}`);
    assert.deepEqual(filesOf(clean.app), clean.old);
    const all = Array.from({ length: count }, (_, index) => index + 1);
    const chosen = isLong ? all : dice.shuffle(all).slice(0, 8).sort((a, b) => a - b);
    const outcomes = { untouched: 0, restored: 0, survived: 0 };
    for (const killAt of chosen) {
      const root = folder.path(`run-${killAt}`);
      outcomes[
        await killAndFinish(variation, await fresh(folder.path("template"), root, variation.spoil), { killAt })
      ]++;
      await removeFolder(root);
    }
    assert.equal(outcomes.survived, 0);
    console.log(`${t.name}: ${chosen.length} of ${count} steps, seed ${dice.seed}: ${JSON.stringify(outcomes)}`);
  });
}

Deno.test("a restore killed while SQLite writes a live database: it is wholly old or wholly new at once", async (t) => {
  const dice = random(runSeed());
  const variation = variations[1]!;
  await using folder = await tempFolder();
  const template = appIn(folder.path("template"));
  makeOld(template);
  Deno.removeSync(template.database);
  makeDatabase(template.database, { rows: 60_000, text: "old and many ".repeat(4) });
  await take(template);
  const outcomes = { untouched: 0, restored: 0, survived: 0 };
  const kills = isLong ? 60 : 4;
  for (let i = 0; i < kills; i++) {
    const root = folder.path(`run-${i}`);
    const made = await fresh(template.root, root, variation.spoil);
    outcomes[await killAndFinish(variation, made, { killWhilePuttingMs: dice.int(0, 60) })]++;
    await removeFolder(root);
  }
  console.log(`${t.name}: ${kills} kills, seed ${dice.seed}: ${JSON.stringify(outcomes)}`);
});
