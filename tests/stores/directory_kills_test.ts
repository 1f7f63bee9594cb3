/** Writers that are killed, and one that lives. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { command, projectFolder, spawnCommand } from "../support/command.ts";
import { random, runSeed } from "../support/random.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { assertBytes, sample } from "./contract.ts";
import { leftovers } from "./leftovers.ts";

const writerArgs = (root: string, ...args: string[]) => {
  return ["run", "-A", "--quiet", "--no-prompt", join(projectFolder, "tests/stores/writer.ts"), root, ...args];
};

Deno.test("kill -9 of a writer before each of its file calls: objects are whole or old, and tidy() removes the rest", async () => {
  let kills = 0;
  let removed = 0;
  for (let number = 1;; number++) {
    await using folder = await tempFolder();
    const root = folder.path("backups");
    await new DirectoryStore(root).put("snapshots/old", sample(5_000, 9));
    const { signal, stdout, stderr } = await command(Deno.execPath(), writerArgs(root, "kill", String(number)), {
      cwd: folder.root,
    });
    const store = new DirectoryStore(root);
    if (signal === null) {
      assert.equal(JSON.parse(stdout).calls, number - 1, stderr);
      break;
    }
    kills++;
    removed += leftovers(root).length;
    const fresh = await store.get("packs/aa/new");
    if (fresh) assertBytes(fresh, sample(100_000, 1), `call ${number}`);
    const old = (await store.get("snapshots/old"))!;
    assertBytes(old, old.length === 5_000 ? sample(5_000, 9) : sample(100_000, 2), `call ${number}`);
    assert.equal((await store.list("")).length, fresh ? 2 : 1);
    await store.tidy();
    assert.deepEqual(leftovers(root), [], `call ${number}`);
    await store.put("packs/aa/new", sample(100, 4));
    assertBytes(await store.get("packs/aa/new"), sample(100, 4));
  }
  console.log(`${kills} kills, one before each file call of two puts; ${removed} temporary files were tidied up`);
  assert.ok(kills >= 25 && removed > 0, `${kills} kills, ${removed} files`);
});

Deno.test("kill -9 from outside of a writer at work", async () => {
  const dice = random(runSeed());
  let [rounds, removed, stored] = [0, 0, 0];
  for (; rounds < 5; rounds++) {
    await using folder = await tempFolder();
    await using writer = spawnCommand(Deno.execPath(), writerArgs(folder.root, "forever"), { cwd: folder.root });
    await writer.until(`put ${dice.int(1, 3)}`);
    // Where in the next object it falls is chance: nothing can be awaited there.
    await new Promise((resolve) => setTimeout(resolve, dice.int(0, 20)));
    writer.kill("SIGKILL");
    await writer.result;
    removed += leftovers(folder.root).length;
    const store = new DirectoryStore(folder.root);
    await store.tidy();
    assert.deepEqual(leftovers(folder.root), [], `seed ${dice.seed}`);
    for (const { name } of await store.list("")) {
      assertBytes(
        await store.get(name),
        sample(4_000_000, Number(name.split("/").at(-1))),
        `seed ${dice.seed}, ${name}`,
      );
      stored++;
    }
    const said = [...writer.stdout.matchAll(/^put (\d+)$/gm)].length;
    assert.ok((await store.list("")).length >= said, `seed ${dice.seed}: an object that was stored is gone`);
  }
  console.log(`${rounds} kills from outside: ${stored} objects whole, ${removed} temporary files tidied up`);
});

Deno.test("tidy() leaves alone what a living process is writing", async () => {
  await using folder = await tempFolder({ "gate": "", "backups/": "" });
  const root = folder.path("backups");
  const gate = Deno.openSync(folder.path("gate"), { read: true, write: true });
  gate.lockSync(true);
  await using writer = spawnCommand(Deno.execPath(), writerArgs(root, "gate", folder.path("gate")), {
    cwd: folder.root,
  });
  await writer.until("writing");
  const store = new DirectoryStore(root);
  const [name] = leftovers(root);
  assert.match(name!, /^amber-[0-9a-f]{32}$/);
  await store.tidy();
  assert.deepEqual(leftovers(root), [name]);
  assert.deepEqual(await store.list(""), []);
  gate.close();
  await writer.until("stored");
  await writer.result;
  assertBytes(await store.get("object"), sample(100_000, 3));
  assert.deepEqual(leftovers(root), []);
});
