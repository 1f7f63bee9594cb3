import assert from "node:assert/strict";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { command } from "../support/command.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { assertBytes, sample, storeContract } from "./contract.ts";
import { faultyCalls } from "./faulty_calls.ts";
import { leftovers, temporaryName } from "./leftovers.ts";

storeContract("a directory", async () => {
  const folder = await tempFolder();
  return {
    store: new DirectoryStore(folder.path("data", "backups")),
    dispose: () => folder[Symbol.asyncDispose](),
  };
});

storeContract("a directory whose reads and writes are short", async () => {
  const folder = await tempFolder();
  return {
    store: new DirectoryStore(folder.path("backups"), { files: faultyCalls({ fault: "short" }) }),
    dispose: () => folder[Symbol.asyncDispose](),
  };
});

const bytes = (text: string) => new TextEncoder().encode(text);
const modeOf = (path: string) => (Deno.lstatSync(path).mode! & 0o777).toString(8);

Deno.test("folders are 0700 and files 0600, whatever the umask", async () => {
  for (const umask of [0o000, 0o022, 0o077, 0o277, 0o777]) {
    await using folder = await tempFolder();
    const store = new DirectoryStore(folder.path("data", "backups"));
    const before = Deno.umask(umask);
    try {
      await store.put("packs/aa/one", bytes("x"));
      await store.time();
    } finally {
      Deno.umask(before);
    }
    for (const made of ["data", "data/backups", "data/backups/tmp", "data/backups/packs", "data/backups/packs/aa"]) {
      assert.equal(modeOf(folder.path(made)), "700", `${made}, umask ${umask.toString(8)}`);
    }
    assert.equal(modeOf(folder.path("data/backups/packs/aa/one")), "600", `umask ${umask.toString(8)}`);
    assert.deepEqual(leftovers(folder.path("data/backups")), []);
  }
});

Deno.test("a folder that was there keeps its mode", async () => {
  await using folder = await tempFolder({ "backups/packs/": "" });
  Deno.chmodSync(folder.path("backups"), 0o755);
  Deno.chmodSync(folder.path("backups/packs"), 0o750);
  await new DirectoryStore(folder.path("backups")).put("packs/one", bytes("x"));
  assert.deepEqual([modeOf(folder.path("backups")), modeOf(folder.path("backups/packs"))], ["755", "750"]);
});

Deno.test("the folder may be named with a slash at its end, be relative, or be a link itself", async () => {
  await using folder = await tempFolder({ "real/": "" });
  Deno.symlinkSync("real", folder.path("link"));
  await new DirectoryStore(`${folder.path("link")}//`).put("one", bytes("1"));
  const before = Deno.cwd();
  Deno.chdir(folder.root);
  try {
    assertBytes(await new DirectoryStore("real").get("one"), bytes("1"));
    await new DirectoryStore("new/backups").put("two", bytes("2"));
    assert.deepEqual((await new DirectoryStore("./new/backups/").list("")).map(({ name }) => name), ["two"]);
  } finally {
    Deno.chdir(before);
  }
  assert.deepEqual(await folder.list(), ["link", "new/backups/two", "real/one"]);
});

Deno.test("what is no regular file is no object: links, pipes, folders", async () => {
  await using folder = await tempFolder({ "secret": "s3cret", "outside/aa/one": "outside", "backups/real/one": "1" });
  const root = folder.path("backups");
  Deno.symlinkSync(folder.path("secret"), `${root}/link`);
  Deno.symlinkSync(folder.path("outside"), `${root}/packs`);
  Deno.symlinkSync("nowhere", `${root}/broken`);
  assert.equal((await command("mkfifo", [`${root}/pipe`], { cwd: folder.root })).code, 0);
  const store = new DirectoryStore(root);
  assert.deepEqual((await store.list("")).map(({ name }) => name), ["real/one"]);
  assert.deepEqual(await store.list("packs/"), []);
  for (const name of ["link", "broken", "pipe", "real", "packs/aa/one"]) {
    assert.equal(await store.get(name), undefined, name);
    await store.remove(name);
  }
  await assert.rejects(store.put("packs/aa/two", bytes("x")), {
    code: "STORE_FORBIDDEN",
    message: `Cannot write into "${root}/packs": it is a link, not a folder`,
  });
  await assert.rejects(store.put("real/one/two", bytes("x")), { code: "STORE_FORBIDDEN" });
  await assert.rejects(store.put("real", bytes("x")), { code: "STORE_FAILED" });
  // A link where an object belongs is replaced; what it led to is not written into.
  await store.put("link", bytes("mine"));
  assertBytes(await store.get("link"), bytes("mine"));
  assert.equal(await folder.read("secret"), "s3cret");
  assert.deepEqual(await folder.list(), [
    ...["backups/broken", "backups/link", "backups/packs", "backups/pipe", "backups/real/one"],
    ...["outside/aa/one", "secret"],
  ]);
});

Deno.test("list() leaves out tmp/ and names that are none of amber's", async () => {
  await using folder = await tempFolder({
    "tmp/amber-00000000000000000000000000000000": "half",
    "lost+found/": "",
    "packs/aa/one": "1",
    "packs/a b": "no",
    "packs/ü/x": "no",
    "packs/tmp/two": "2",
  });
  const store = new DirectoryStore(folder.root);
  assert.deepEqual((await store.list("")).map(({ name }) => name), ["packs/aa/one", "packs/tmp/two"]);
  assert.deepEqual(await store.list("tmp/"), []);
  for (const name of ["tmp", "tmp/x"]) await assert.rejects(store.put(name, bytes("x")), { code: "STORE_FAILED" });
});

Deno.test("tidy() removes what is amber's in tmp/ and locked by nobody, and follows no link", async () => {
  const files = { [temporaryName(1)]: "a", [temporaryName(2)]: "b", "tmp/upload.txt": "not amber's", "elsewhere/": "" };
  await using folder = await tempFolder(files);
  const store = new DirectoryStore(folder.root);
  using held = Deno.openSync(folder.path(temporaryName(2)), { read: true });
  held.lockSync(true);
  Deno.symlinkSync(folder.path("elsewhere"), folder.path(temporaryName(3)));
  Deno.mkdirSync(folder.path(temporaryName(4)));
  await store.tidy();
  assert.deepEqual(leftovers(folder.root), [
    ...[2, 3, 4].map((number) => temporaryName(number).slice(4)),
    "upload.txt",
  ]);

  // Not even when all of tmp/ is a link.
  await using other = await tempFolder({ [temporaryName(5)]: "theirs", "backups/": "" });
  Deno.symlinkSync(other.path("tmp"), other.path("backups/tmp"));
  await new DirectoryStore(other.path("backups")).tidy();
  assert.deepEqual(await other.list(), ["backups/tmp", temporaryName(5)]);
});

Deno.test("put() begins anew when a tidy() comes between the creation of its file and its lock", async () => {
  await using folder = await tempFolder();
  let tidied = 0;
  const files = faultyCalls({
    after: (_, what, path) => {
      if (what !== "open" || !/amber-[0-9a-f]{32}$/.test(path) || tidied === 3) return;
      // What another process's tidy() does; the third time it holds the lock a while longer.
      const file = Deno.openSync(path, { read: true, write: true });
      assert.ok(file.tryLockSync(true));
      Deno.removeSync(path);
      if (++tidied < 3) file.close();
      else held = file;
    },
  });
  let held: Deno.FsFile | undefined;
  await new DirectoryStore(folder.root, { files }).put("object", sample(10_000));
  held!.close();
  assert.equal(tidied, 3);
  assertBytes(await new DirectoryStore(folder.root).get("object"), sample(10_000));
  assert.deepEqual(leftovers(folder.root), []);
});

Deno.test("put() gives up when its file vanishes each time", async () => {
  await using folder = await tempFolder();
  const files = faultyCalls({
    before: (_, what, path) => {
      if (what === "rename") Deno.removeSync(path);
    },
  });
  const store = new DirectoryStore(folder.root, { files });
  await assert.rejects(store.put("object", bytes("x")), {
    code: "STORE_FAILED",
    message: /^Cannot store "object" .*No such/,
  });
});

Deno.test("put() and time() make folders again that were removed meanwhile", async () => {
  await using folder = await tempFolder();
  const root = folder.path("backups");
  const store = new DirectoryStore(root);
  await store.put("packs/aa/one", bytes("1"));
  Deno.removeSync(root, { recursive: true });
  await store.put("packs/aa/one", bytes("1"));
  Deno.removeSync(root, { recursive: true });
  assert.ok(Math.abs(await store.time() - Date.now()) < 60_000);
});

Deno.test("put() flushes the file, then renames it, then flushes its folder; new folders before", async () => {
  await using folder = await tempFolder();
  const files = faultyCalls();
  const root = folder.path("backups");
  const store = new DirectoryStore(root, { files });
  const steps = () =>
    files.log.splice(0)
      .filter(({ what }) => ["mkdir", "write", "sync", "rename"].includes(what))
      .map(({ what, path }) => `${what} ${path.slice(folder.root.length).replace(/amber-\w+/, "*")}`);
  await store.put("packs/aa/one", bytes("1"));
  const write = ["write /backups/tmp/*", "sync /backups/tmp/*", "rename /backups/tmp/*", "sync /backups/packs/aa"];
  assert.deepEqual(steps(), [
    ...["mkdir /backups", "sync ", "mkdir /backups/packs", "sync /backups", "mkdir /backups/packs/aa"],
    ...["sync /backups/packs", "mkdir /backups/tmp", "sync /backups", ...write],
  ]);
  await store.put("packs/aa/two", bytes("2"));
  assert.deepEqual(steps(), write);
  // Another process cannot know whether the one that made them was killed before it flushed them.
  await new DirectoryStore(root, { files }).put("packs/aa/two", bytes("2"));
  assert.deepEqual(steps(), ["sync ", "sync /backups", "sync /backups/packs", "sync /backups", ...write]);
});

Deno.test("get() of a range reads no more than that", async () => {
  await using folder = await tempFolder();
  await new DirectoryStore(folder.root).put("object", sample(5_000_000));
  let read = 0;
  const files = faultyCalls();
  const open = files.open;
  files.open = (path, options) => {
    const file = open(path, options);
    return {
      ...file,
      readSync: (into) => {
        const count = file.readSync(into);
        read += count ?? 0;
        return count;
      },
    };
  };
  const part = await new DirectoryStore(folder.root, { files }).get("object", { from: 3_000_000, size: 1_000 });
  assertBytes(part, sample(5_000_000).slice(3_000_000, 3_001_000));
  assert.equal(read, 1_000);
});

Deno.test("get() allocates nothing for an object that is larger than any", async () => {
  await using folder = await tempFolder({ "amber.json": "{}" });
  Deno.truncateSync(folder.path("amber.json"), 2 ** 43);
  const store = new DirectoryStore(folder.root);
  await assert.rejects(store.get("amber.json"), {
    code: "OBJECT_DAMAGED",
    exitStatus: 7,
    message: /8796093022208 bytes/,
  });
  assertBytes(await store.get("amber.json", { from: 2 ** 42, size: 5 }), new Uint8Array(5));
});

Deno.test("10,000 objects are listed", async () => {
  await using folder = await tempFolder();
  for (let i = 0; i < 256; i++) {
    Deno.mkdirSync(folder.path("packs", i.toString(16).padStart(2, "0")), { recursive: true });
  }
  for (let i = 0; i < 10_000; i++) {
    const name = `${(i % 256).toString(16).padStart(2, "0")}/${i.toString(16).padStart(64, "0")}`;
    Deno.writeTextFileSync(folder.path("packs", name), "x".repeat(i % 7));
  }
  const files = faultyCalls();
  const store = new DirectoryStore(folder.root, { files });
  const started = performance.now();
  const all = await store.list("packs/");
  console.log(`10,000 objects in 256 folders listed in ${(performance.now() - started).toFixed(0)} ms`);
  assert.equal(all.length, 10_000);
  assert.ok(all.every(({ name }, i) => i === 0 || all[i - 1]!.name < name));
  // One lstat for each, one for packs/ itself.
  assert.equal(files.log.filter(({ what }) => what === "lstat").length, 10_001);
  assert.equal(files.log.length, 10_001 + 257);
});
