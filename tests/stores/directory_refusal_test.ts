/** What the operating system does not let a directory store do. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { AmberError } from "../../lib/errors.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { explainRefusal } from "../../lib/stores/refusal.ts";
import { command, otherUser, projectFolder } from "../support/command.ts";
import { tempFolder } from "../support/temp_folder.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("a file where the folder should be: every call says so, with exit status 2", async () => {
  await using folder = await tempFolder({ "backups": "a file" });
  for (const root of [folder.path("backups"), folder.path("backups/inside"), folder.path("backups/deep/inside")]) {
    const store = new DirectoryStore(root);
    const refusal = { code: "STORE_FORBIDDEN", exitStatus: 2, hint: /Set AMBER_REPOSITORY to a folder/ };
    await assert.rejects(store.get("amber.json"), refusal);
    await assert.rejects(store.put("amber.json", bytes("x")), refusal);
    await assert.rejects(store.list(""), refusal);
    await assert.rejects(store.list("packs/"), refusal);
    await assert.rejects(store.remove("amber.json"), refusal);
    await assert.rejects(store.time(), refusal);
    await assert.rejects(store.tidy(), refusal);
  }
  assert.equal(await folder.read("backups"), "a file");
});

Deno.test("what the operating system refuses has a code, the folder and a hint; what is no refusal stays as it is", () => {
  const cases = {
    ENOSPC: "STORE_FULL",
    EDQUOT: "STORE_FULL",
    EACCES: "STORE_FORBIDDEN",
    EPERM: "STORE_FORBIDDEN",
    EROFS: "STORE_FORBIDDEN",
    ENOTDIR: "STORE_FORBIDDEN",
    EIO: "STORE_FAILED",
    ENAMETOOLONG: "STORE_FAILED",
    ESTALE: "STORE_FAILED",
  };
  const attempt = { action: 'store "packs/aa/one"', root: "backups", path: "backups/packs/aa/one" };
  for (const [code, wanted] of Object.entries(cases)) {
    const cause = Object.assign(new Error(`what the system says (${code})`), { code });
    const error = explainRefusal(cause, attempt) as AmberError;
    assert.ok(error instanceof AmberError, code);
    assert.equal(error.code, wanted, code);
    assert.equal(
      error.message,
      `Cannot store "packs/aa/one" in the repository "backups": what the system says (${code})`,
    );
    assert.equal(error.where, "backups/packs/aa/one");
    assert.equal(error.cause, cause);
    assert.match(error.hint!, /\w{3}/);
  }
  const fault = new TypeError("amber's own");
  assert.equal(explainRefusal(fault, attempt), fault);
});

Deno.test("permission denied, not as root: named, with exit status 2", async () => {
  await using folder = await tempFolder({ "unread/backups/": "" });
  const make = async (name: string) => {
    await new DirectoryStore(folder.path(name)).put("packs/aa/one", bytes("1"));
    return folder.path(name);
  };
  // What is closed, what is done there, and what the message must name.
  const cases = [
    {
      closed: `${await make("a")}/packs/aa`,
      mode: 0o500,
      root: "a",
      action: "put",
      names: /rename .*a\/packs\/aa\/new/,
    },
    { closed: `${await make("b")}/packs/aa/one`, mode: 0, root: "b", action: "get", names: /open .*b\/packs\/aa\/one/ },
    { closed: `${await make("c")}/packs/aa`, mode: 0o300, root: "c", action: "list", names: /readdir .*c\/packs\/aa/ },
    {
      closed: `${await make("d")}/packs/aa`,
      mode: 0o500,
      root: "d",
      action: "remove",
      names: /remove .*d\/packs\/aa\/one/,
    },
    { closed: `${await make("e")}/tmp`, mode: 0o500, root: "e", action: "time", names: /open .*e\/tmp\// },
    { closed: await make("f"), mode: 0, root: "f", action: "get", names: /lstat .*f\/packs/ },
    { closed: await make("g"), mode: 0, root: "g/new", action: "put", names: /g\/new/ },
  ];
  await using user = await otherUser();
  if (user.user) await folder.giveTo(user.user);
  for (const { closed, mode } of cases) Deno.chmodSync(closed, mode);
  Deno.chmodSync(folder.path("unread"), 0o300);
  const args = cases.flatMap(({ root, action }) => [folder.path(root), action]);
  const result = await runHere("tests/stores/refused.ts", args, user);
  const lines = result.stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(lines.length, cases.length, result.stderr);
  for (const [i, { root, action, names }] of cases.entries()) {
    const line = lines[i];
    assert.equal(line.code, "STORE_FORBIDDEN", `${action} in ${root}: ${JSON.stringify(line)}`);
    assert.equal(line.exitStatus, 2);
    assert.match(line.message, /^Cannot .* Permission denied/);
    assert.match(line.message, names);
    assert.ok(line.where.startsWith(folder.path(root)), line.where);
    assert.match(line.hint, /Run amber as the user that owns the repository/);
  }
  assert.equal(result.code, 2);

  // Where the folder above may be used but not read, its new entry cannot be flushed: that does not stop a put.
  const unread = await runHere("tests/stores/refused.ts", [folder.path("unread/backups"), "put"], user);
  assert.deepEqual([unread.code, unread.stdout.trim()], [0, '{"action":"put","done":true}'], unread.stderr);
});

/** Runs a program of the tests as somebody else, who has only a copy of lib/. */
async function runHere(program: string, args: string[], user: Awaited<ReturnType<typeof otherUser>>) {
  const project = user.project ?? projectFolder;
  if (user.user && user.project) {
    Deno.mkdirSync(join(project, "tests", "stores"), { recursive: true });
    Deno.copyFileSync(join(projectFolder, program), join(project, program));
  }
  const run = ["run", "-A", "--quiet", "--no-prompt", "--config", join(project, "deno.json"), join(project, program)];
  return await command(user.deno ?? Deno.execPath(), [...run, ...args], { cwd: "/", as: user });
}
