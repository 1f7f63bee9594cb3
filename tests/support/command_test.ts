import assert from "node:assert/strict";
import { command, jsonLines, otherUser, spawnCommand } from "./command.ts";
import { testWith } from "./skip.ts";
import { tempFolder } from "./temp_folder.ts";

const shell = (script: string, options = {}) => command("sh", ["-c", script], { cwd: "/", ...options });

Deno.test("a command's output, status and signal are its result", async () => {
  assert.deepEqual(await shell("echo out; echo err >&2; exit 3"), {
    code: 3,
    signal: null,
    stdout: "out\n",
    stderr: "err\n",
    json: [],
  });
  const killed = await shell("kill -TERM $$");
  assert.deepEqual([killed.code, killed.signal], [143, "SIGTERM"]);
});

Deno.test("a command sees only the environment that it is given", async () => {
  Deno.env.set("PGHOST", "elsewhere");
  try {
    const { stdout } = await shell("env", { env: { DB_NAME: "notes" } });
    const names = stdout.split("\n").map((line) => line.split("=")[0]);
    assert.ok(names.includes("DB_NAME") && names.includes("PATH") && names.includes("DENO_DIR"));
    assert.ok(!names.includes("PGHOST") && !names.includes("CI"));
  } finally {
    Deno.env.delete("PGHOST");
  }
});

Deno.test("a command reads its input, or an empty one", async () => {
  assert.equal((await shell("cat", { stdin: "yes\n" })).stdout, "yes\n");
  assert.equal((await shell("cat")).stdout, "");
  assert.equal((await shell("exec true", { stdin: "x".repeat(1_000_000) })).code, 0);
});

Deno.test("a command that takes too long is killed, and the error shows what it said", async () => {
  await assert.rejects(shell("echo begun; exec sleep 60", { timeoutMs: 200 }), /longer than 200 ms[^]*begun/);
});

Deno.test("a running command can be watched and killed", async () => {
  await using running = spawnCommand("sh", ["-c", "echo one; sleep 0.1; echo two; exec sleep 60"], { cwd: "/" });
  await running.until(/^two$/m);
  assert.equal(running.stdout, "one\ntwo\n");
  running.kill();
  assert.equal((await running.result).signal, "SIGKILL");
  running.kill();
  await assert.rejects(running.until("three"), /never said three/);
});

Deno.test("what is not a line of JSON is named", () => {
  assert.deepEqual(jsonLines('{"type":"a"}\n{"type":"b"}\n'), [{ type: "a" }, { type: "b" }]);
  assert.throws(() => jsonLines('{"type":"a"}\noops\n'), /oops/);
});

testWith("root", "another user runs a Deno that they can reach, in a folder that is theirs or is not", async () => {
  await using nobody = await otherUser("nobody");
  await using folder = await tempFolder({ "ours.txt": "x" });
  await folder.giveTo(nobody.user!);
  const run = (script: string) => command("sh", ["-c", script], { cwd: folder.root, as: nobody });
  assert.equal((await run("id -un")).stdout, "nobody\n");
  assert.equal((await run("echo y >> ours.txt")).code, 0);
  await folder.write({ "roots.txt": "x" });
  assert.notEqual((await run("echo y >> roots.txt")).code, 0);
  const version = await command(nobody.deno!, ["--version"], { cwd: folder.root, as: nobody });
  assert.equal(version.code, 0, version.stderr);
});
