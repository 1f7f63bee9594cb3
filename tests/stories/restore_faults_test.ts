import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import { guardAgainstRestore, unfinishedRestore } from "../../lib/stories/unfinished_restore.ts";
import { type Step, steppedCalls, systemFailure } from "../support/faulty_restore.ts";
import { random, runSeed } from "../support/random.ts";
import { type App, placesOf, putBack } from "../support/restoring.ts";
import { isLong } from "../support/skip.ts";
import {
  databasesOf,
  exists,
  filesOf,
  fresh,
  makeTemplate,
  spoilAll,
  spoilRows,
  textsOf,
} from "../support/spoiled_app.ts";
import { removeFolder, tempFolder } from "../support/temp_folder.ts";

interface Fault {
  name: string;
  code: string;
  spoil: (app: App) => void;
  /** Which steps can fail like this. */
  fits: (step: Step) => boolean;
  /** What the error's code may be. */
  codes: string[];
}

const writing =
  /^(mkdir|rename|symlink|link|file\.write(Sync)?|file\.truncateSync|open|markImage|putImage|file\.syncSync|file\.syncData)$/;

const faults: Fault[] = [
  {
    name: "no space left",
    code: "ENOSPC",
    spoil: spoilRows,
    fits: ({ call }) => writing.test(call),
    codes: ["DISK_FULL"],
  },
  { name: "I/O error", code: "EIO", spoil: spoilRows, fits: () => true, codes: ["FILE_UNWRITABLE"] },
  {
    name: "permission denied",
    code: "EACCES",
    spoil: spoilAll,
    fits: ({ call }) => !call.startsWith("file."),
    codes: ["FILE_UNWRITABLE"],
  },
];

for (const { name, code, spoil, fits, codes } of faults) {
  Deno.test(`${name} at each step of a restore: told, never "restored", and the next command leaves all old or all new`, async (t) => {
    const dice = random(runSeed());
    await using folder = await tempFolder();
    await makeTemplate(folder.path("template"));
    const steps: Step[] = [];
    const clean = await fresh(folder.path("template"), folder.path("clean"), spoil);
    await putBack(clean.app, { noSafety: true, calls: steppedCalls((step) => steps.push(step)) });
    assert.deepEqual(filesOf(clean.app), clean.old);
    const fitting = steps.filter(fits).map(({ number }) => number);
    const chosen = isLong ? fitting : dice.shuffle(fitting).slice(0, 9).sort((a, b) => a - b);
    const outcomes = { untouched: 0, decided: 0, tolerated: 0 };
    for (const number of chosen) {
      const story = `seed ${dice.seed}, ${code} at ${JSON.stringify(steps[number - 1])}`;
      const root = folder.path(`run-${number}`);
      const { app, old, spoiled, oldTexts } = await fresh(folder.path("template"), root, spoil);
      const calls = steppedCalls((step) => {
        if (step.number === number) throw systemFailure(code, step);
      });
      const error = await putBack(app, { noSafety: true, calls }).then(() => undefined, (error) => error);
      if (error === undefined) {
        // A file in place that cannot be read is written anew: that is all that is tolerated.
        assert.match(steps[number - 1]!.call, /^(openRegular|file\.read)$/, story);
        outcomes.tolerated++;
      } else {
        assert.ok(error instanceof AmberError, `${story}\n${error?.stack}`);
        assert.ok(codes.includes(error.code), `${story}: ${error.code} ${error.message}`);
        assert.ok(error.hint, story);
        outcomes[unfinishedRestore(app.scratch) ? "decided" : "untouched"]++;
      }
      const isDecided = error === undefined || unfinishedRestore(app.scratch) !== undefined ||
        isSame(filesOf(app), old);
      if (!isDecided) assert.deepEqual(filesOf(app), spoiled, story);
      const places = async () => await placesOf(app);
      (await guardAgainstRestore(app.scratch, { ...await places(), waitMs: 5_000 }, places))[Symbol.dispose]();
      assert.deepEqual(filesOf(app), isDecided ? old : spoiled, story);
      if (isDecided) assert.deepEqual(databasesOf(app).map(textsOf), oldTexts, story);
      assert.ok(!exists(`${app.scratch}/restore`), `${story}: something is left`);
      await removeFolder(root);
    }
    console.log(
      `${t.name}: ${chosen.length} of ${fitting.length} steps, seed ${dice.seed}: ${JSON.stringify(outcomes)}`,
    );
  });
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** What an app, or its user, may do to the data folder while a restore runs. */
const meddling: ((path: string) => void)[] = [
  (path) => Deno.removeSync(path, { recursive: true }),
  (path) => Deno.writeTextFileSync(path, "written meanwhile, and longer than before"),
  (path) => {
    Deno.removeSync(path, { recursive: true });
    Deno.mkdirSync(`${path}/folder`, { recursive: true });
  },
  (path) => {
    Deno.removeSync(path, { recursive: true });
    Deno.symlinkSync("/etc", path);
  },
  (path) => {
    Deno.removeSync(path, { recursive: true });
    const { success } = new Deno.Command("mkfifo", { args: [path] }).outputSync();
    assert.ok(success);
  },
];

Deno.test("files that vanish, grow, become folders, links or FIFOs while a restore runs do not stop it", async (t) => {
  const dice = random(runSeed());
  await using folder = await tempFolder();
  await makeTemplate(folder.path("template"));
  const runs = isLong ? 200 : 25;
  let meddled = 0;
  for (let run = 0; run < runs; run++) {
    const root = folder.path(`run-${run}`);
    const { app, old } = await fresh(folder.path("template"), root, spoilRows);
    const at = dice.int(1, 55);
    const path = `${app.data}/uploads/${dice.pick(["0", "1", "3", "deep", "link", "new"])}`;
    const meddle = dice.pick(meddling);
    const story = `seed ${dice.seed}, run ${run}: ${meddle} ${path} at step ${at}`;
    const calls = steppedCalls((step) => {
      if (step.number !== at) return;
      try {
        meddle(path);
        meddled++;
      } catch (error) {
        // It was not there, or was of another kind: nothing to meddle with.
        if (!(error instanceof Deno.errors.NotFound) && !(error instanceof Deno.errors.IsADirectory)) throw error;
      }
    });
    let isPlaced = false;
    const report = ({ type }: { type: string }) => {
      if (type === "decided") isPlaced = true;
    };
    const result = await putBack(app, { noSafety: true, calls, report }).catch((error) => {
      throw new Error(story, { cause: error });
    });
    assert.equal(result.state, "restored", story);
    assert.ok(isPlaced);
    // What was meddled with after it was put into place stays so; all else is as in the snapshot.
    const files = filesOf(app);
    const name = path.slice(app.data.length + 1);
    for (const key of new Set([...Object.keys(files), ...Object.keys(old)])) {
      if (key === name || key.startsWith(`${name}/`) || key === "uploads/0" || key === "uploads/deep/same") continue;
      assert.deepEqual(files[key], old[key], `${story}: ${key}`);
    }
    await removeFolder(root);
  }
  assert.ok(meddled > runs / 3);
  console.log(`${t.name}: ${meddled} of ${runs} runs were meddled with, seed ${dice.seed}`);
});
