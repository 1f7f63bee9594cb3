/**
 * A process that writes into a directory store, for tests that kill it or watch it. Its arguments: the folder, and
 * `kill K`: it kills itself before its K-th file call (when there is none, it says how many there were);
 * `gate FILE`: it says "writing" when its file is whole but not yet renamed, and goes on when it gets a lock on FILE;
 * `forever`: it says "put N" after each object, until it is killed.
 */
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { sample } from "./contract.ts";
import { faultyCalls } from "./faulty_calls.ts";

const [root = "", what = "", argument = ""] = Deno.args;

if (what === "kill") {
  const files = faultyCalls({
    before: (number) => {
      if (number === Number(argument)) Deno.kill(Deno.pid, "SIGKILL");
    },
  });
  const store = new DirectoryStore(root, { files });
  await store.put("packs/aa/new", sample(100_000, 1));
  await store.put("snapshots/old", sample(100_000, 2));
  console.log(JSON.stringify({ calls: files.log.length }));
} else if (what === "gate") {
  const files = faultyCalls({
    before: (_, call) => {
      if (call !== "rename") return;
      console.log("writing");
      Deno.openSync(argument, { read: true, write: true }).lockSync(true);
    },
  });
  await new DirectoryStore(root, { files }).put("object", sample(100_000, 3));
  console.log("stored");
} else {
  const store = new DirectoryStore(root);
  for (let i = 1;; i++) {
    await store.put(`packs/aa/${i}`, sample(4_000_000, i));
    console.log(`put ${i}`);
  }
}
