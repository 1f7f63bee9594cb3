/** A restore that was interrupted: who looks tells it, who writes finishes it first. */
import assert from "node:assert/strict";
import { restore } from "../../lib/stories/restore.ts";
import { steppedCalls } from "../support/faulty_restore.ts";
import { appIn, placesOf } from "../support/restoring.ts";
import { type DataApp, dataApp } from "./data_app.ts";

/** Stops a restore of the latest snapshot right after it was decided. */
async function interruptedRestore({ folder }: DataApp): Promise<void> {
  let isDecided = false;
  const places = await placesOf(appIn(folder.root, { database: folder.path("data/app.db") }));
  const calls = steppedCalls(({ call }) => {
    if (isDecided) throw new Error(`power failure before ${call}`);
  });
  await assert.rejects(
    restore({
      ...{ ...places, calls, wanted: "latest", noSafety: true, confirm: () => {} },
      takeSafety: () => Promise.reject(new Error("not asked for")),
      report: ({ type }) => isDecided ||= type === "decided",
    }),
    /power failure/,
  );
}

Deno.test("status and snapshots tell of an interrupted restore, snapshot and prune finish it", async () => {
  await using app = await dataApp({ "data/a.txt": "old", "migrations/0001_a.sql": "select 1;" });
  const id = await app.take();
  const told = new RegExp(`a restore of snapshot ${id} was interrupted`);
  for (const command of ["snapshot", "prune"]) {
    await app.folder.write({ "data/a.txt": "new" });
    app.sql("delete from posts");
    await interruptedRestore(app);
    assert.equal(await app.folder.read("data/a.txt"), "new");
    assert.match((await app.ends(0, ["status"])).stdout, told);
    for (const args of [["snapshots"], ["snapshot", "--plan"], ["prune", "--plan"]]) {
      assert.match((await app.ends(0, args)).stderr, told, args.join(" "));
    }
    assert.equal(await app.folder.read("data/a.txt"), "new", "looking finishes nothing");
    const { stderr } = await app.ends(0, [command]);
    assert.match(stderr, new RegExp(`^note {2}finishing the restore of snapshot ${id} that was interrupted$`, "m"));
    assert.equal(await app.folder.read("data/a.txt"), "old");
    assert.doesNotMatch((await app.ends(0, ["status"])).stdout, told);
    if (command === "snapshot") {
      assert.match((await app.ends(0, ["ls", "latest", "app.db"])).stdout, /posts {2}3 rows/);
      await app.ends(0, [
        "prune",
        "--remove",
        ((await app.result("snapshots")).snapshots as { id: string }[])[1]!.id,
        "--yes",
      ]);
    }
  }
});
