/** Clocks that are wrong, or jump, while snapshots are taken: design, fault 8. (What retention makes of it: retention_test.ts.) */
import assert from "node:assert/strict";
import { removeUnused } from "../../lib/repository/prune.ts";
import { makeDatabase } from "../support/data_tree.ts";
import { MemoryStore } from "../support/memory_store.ts";
import { appIn } from "../support/restoring.ts";
import { contentsOf, takeSnapshot } from "../support/taking.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { ReadBack } from "./read_back.ts";
import { hourMs } from "./snapshot_races.ts";

const dayMs = 24 * hourMs;
const tenYearsMs = 3_652 * dayMs;

/** How wrong the machine's clock is at its n-th being asked, ms. */
const clocks: Record<string, (asked: number) => number> = {
  "a day back from the second snapshot on": (asked) => asked > 1 ? -dayMs : 0,
  "ten years ahead for the first snapshot": (asked) => asked <= 1 ? tenYearsMs : 0,
  "ten years ahead from the second snapshot on": (asked) => asked > 1 ? tenYearsMs : 0,
  "a day back and ten years ahead by turns": (asked) => asked % 2 ? -dayMs : tenYearsMs,
  "at its beginning": () => -Date.now(),
};

Deno.test("whatever the clocks say, each snapshot is what was there, what stays costs nothing, and no pack is lost", async (t) => {
  let count = 0;
  for (const [clock, wrong] of Object.entries(clocks)) {
    for (const storeMs of [0, hourMs, -hourMs]) {
      await using at = await tempFolder({ "data/stays.bin": crypto.getRandomValues(new Uint8Array(60_000)) });
      const app = appIn(at.root);
      makeDatabase(app.database);
      const store = new MemoryStore({ nowMs: Date.now() + storeMs });
      const back = new ReadBack();
      let asked = 0;
      const now = () => new Date(Date.now() + wrong(++asked));
      for (let round = 0; round < 3; round++) {
        const story = `${clock}, the store ${storeMs / hourMs} h off, snapshot ${round}`;
        await at.write({ "data/changes.txt": `round ${round}`, [`data/new-${round}.txt`]: "new" }); // as long as before
        const { snapshot, incomplete, remarks } = await takeSnapshot(app, { store, now });
        count++;
        assert.deepEqual([incomplete, remarks], [false, {}], story);
        const contents = await contentsOf(store, snapshot);
        assert.equal(contents.get("changes.txt")?.text, `round ${round}`, story);
        assert.deepEqual(
          [...contents.keys()],
          ["changes.txt", ...Array.from({ length: round + 1 }, (_, i) => `new-${i}.txt`), "prod.db", "stays.bin"],
          story,
        );
        if (round > 0) assert.ok(snapshot.facts.stored < 10_000, `${story}: ${snapshot.facts.stored} bytes`);
        store.nowMs += 26 * hourMs;
        await removeUnused(store);
        assert.equal(await back.check(store), round + 1, story);
      }
    }
  }
  console.log(`  ${t.name}: ${count} snapshots with ${Object.keys(clocks).length} wrong clocks`);
  assert.ok(count >= 25);
});
