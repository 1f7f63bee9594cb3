/** The disk fails under a directory store: each of its file calls once. */
import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { assertBytes, sample } from "./contract.ts";
import { faultyCalls } from "./faulty_calls.ts";
import { leftovers, temporaryName } from "./leftovers.ts";

/** A repository with something in it, below a folder that the test may count on. */
async function filled(folder: TempFolder): Promise<string> {
  await folder.write({
    "backups/amber.json": sample(300, 5),
    "backups/packs/aa/one": sample(70_000, 6),
    "backups/packs/ab/two": sample(10, 7),
    "backups/tmp/": "",
  });
  return folder.path("backups");
}

Deno.test("each file call fails once, with EIO and with ENOSPC: never a wrong answer, and nothing is left behind", async () => {
  const content = sample(50_000, 8);
  const all = ["amber.json", "packs/aa/one", "packs/ab/two"];
  const operations: {
    name: string;
    isFresh?: boolean; // in a repository that does not exist yet
    run: (store: DirectoryStore) => Promise<unknown>;
    /** What it gave, when it did not fail. */
    check?: (result: unknown) => void;
  }[] = [
    { name: "put, the first", isFresh: true, run: (store) => store.put("packs/aa/new", content) },
    { name: "put", run: (store) => store.put("packs/ac/new", content) },
    { name: "put over another", run: (store) => store.put("packs/aa/one", content) },
    {
      name: "get",
      run: (store) => store.get("packs/aa/one"),
      check: (result) => assertBytes(result as Uint8Array, sample(70_000, 6)),
    },
    {
      name: "get of a range",
      run: (store) => store.get("packs/aa/one", { from: 1_000, size: 30_000 }),
      check: (result) => assertBytes(result as Uint8Array, sample(70_000, 6).slice(1_000, 31_000)),
    },
    {
      name: "get of nothing",
      run: (store) => store.get("packs/aa/none"),
      check: (result) => assert.equal(result, undefined),
    },
    {
      name: "list",
      run: (store) => store.list(""),
      check: (result) => assert.deepEqual((result as { name: string }[]).map(({ name }) => name), all),
    },
    { name: "remove", run: (store) => store.remove("packs/ab/two") },
    {
      name: "time",
      run: (store) => store.time(),
      check: (result) => assert.ok(Math.abs(result as number - Date.now()) < 60_000),
    },
    { name: "tidy", run: (store) => store.tidy() },
  ];
  let [runs, refused] = [0, 0];
  for (const { name, isFresh, run, check } of operations) {
    for (const fault of ["EIO", "ENOSPC", "end"] as const) {
      for (let failAt = 1;; failAt++) {
        await using folder = await tempFolder();
        const root = isFresh ? folder.path("backups") : await filled(folder);
        if (name === "tidy") await folder.write({ [`backups/${temporaryName(1)}`]: "left by a killed writer" });
        const files = faultyCalls({ fault, failAt });
        const story = () => `${name}, ${fault} at call ${failAt}: ${JSON.stringify(files.log[failAt - 1])}`;
        let error: unknown;
        try {
          const result = await run(new DirectoryStore(root, { files }));
          check?.(result);
        } catch (thrown) {
          error = thrown;
        }
        const called = files.log[failAt - 1];
        const isFault = called !== undefined && (fault !== "end" || called.what === "read");
        // Its temporary file cannot be removed, yet the moment is known: the next tidy() does it.
        const isForgiven = name === "time" && called?.what === "remove";
        if (isFault) {
          runs++;
          if (!isForgiven) assertRefused(error, { fault, root, story });
        } else assert.equal(error, undefined, story());
        if (error) refused++;

        if (name.startsWith("put")) assert.deepEqual(leftovers(root), [], `${story()}: put() removes its own`);
        const store = new DirectoryStore(root);
        await store.tidy();
        assert.deepEqual(leftovers(root), [], story());
        for (const { name: object, size } of await store.list("")) {
          const there = (await store.get(object))!;
          assert.equal(there.length, size, story());
          const known = [content, sample(300, 5), sample(70_000, 6), sample(10, 7)].find((one) => one.length === size);
          assertBytes(there, known!, story());
        }
        if (!isFresh && name !== "remove") {
          assert.deepEqual(
            (await store.list("")).map((one) => one.name).filter((one) => all.includes(one)),
            all,
            story(),
          );
        }
        await run(store); // and now it works
        if (!called) break;
      }
    }
  }
  console.log(`${runs} file calls failed, ${refused} times the answer was an error`);
  assert.ok(runs > 150, `only ${runs}`);
});

Deno.test("a disk that dies while an object is put: an error, and the next tidy() removes what could not be removed", async () => {
  let [runs, removed] = [0, 0];
  for (let failAt = 1;; failAt++) {
    await using folder = await tempFolder();
    const root = await filled(folder);
    const files = faultyCalls({ fault: "EIO", failAt, isDead: true });
    const putting = new DirectoryStore(root, { files }).put("packs/aa/one", sample(50_000, 8));
    const error = await putting.then(() => undefined, (thrown) => thrown);
    if (files.log.length < failAt) {
      assert.equal(error, undefined);
      break;
    }
    runs++;
    assertRefused(error, { fault: "EIO", root, story: () => `dead from call ${failAt} on` });
    removed += leftovers(root).length;
    const store = new DirectoryStore(root);
    await store.tidy();
    assert.deepEqual(leftovers(root), []);
    const there = (await store.get("packs/aa/one"))!;
    assertBytes(there, there.length === 70_000 ? sample(70_000, 6) : sample(50_000, 8));
  }
  console.log(`a disk that died at ${runs} moments left ${removed} temporary files, which the next tidy() removed`);
  assert.ok(runs > 10 && removed > 0);
});

function assertRefused(
  error: unknown,
  { fault, root, story }: { fault: string; root: string; story: () => string },
): void {
  assert.ok(error instanceof AmberError, `${story()}: ${error ?? "success"}`);
  assert.equal(error.code, fault === "ENOSPC" ? "STORE_FULL" : "STORE_FAILED", story());
  assert.ok(error.message.startsWith("Cannot ") && error.message.includes(root), error.message);
  assert.ok(error.where?.startsWith(root) && error.hint, story());
}
