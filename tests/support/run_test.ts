import assert from "node:assert/strict";
import { join } from "node:path";
import { closingLine, driveLine, findTests, readOptions, readSummary } from "../run.ts";
import { command, projectFolder } from "./command.ts";
import { tempFolder } from "./temp_folder.ts";

Deno.test("the summary of `deno test` is read, whatever the tests printed before", () => {
  const cases: [string, string][] = [
    ["ok | 12 passed | 0 failed (3s)", "12 passed, 0 failed"],
    ["FAILED | 12 passed (30 steps) | 1 failed (2 steps) | 2 ignored (1 step) (4s)", "12 passed, 1 failed, 2 skipped"],
    [
      "\x1b[0m\x1b[32mok\x1b[0m | 5 passed | 0 failed | 1 ignored \x1b[0m\x1b[38;5;245m(1s)\x1b[0m",
      "5 passed, 0 failed, 1 skipped",
    ],
    ["ok | 0 passed | 0 failed | 7 filtered out (5ms)", "0 passed, 0 failed"],
    ["ok | 1 passed | 0 failed\nnoise\nFAILED | 2 passed | 3 failed (1s)\n\nerror: Test failed", "2 passed, 3 failed"],
  ];
  for (const [output, line] of cases) assert.equal(closingLine(readSummary(output)!), line);
  assert.equal(readSummary("error: Type checking failed."), undefined);
});

Deno.test("which amber the end-to-end tests drive is said, and why it is the source", () => {
  assert.equal(driveLine("dist/amber", undefined), "End-to-end tests drive dist/amber");
  assert.match(driveLine("dist/amber", "`deno task compile` failed: no runtime"), /drive the source.*: .*no runtime$/);
});

Deno.test("long tests are left out unless asked for, benchmarks always", async () => {
  await using folder = await tempFolder({
    "tests/a_test.ts": "",
    "tests/a_long_test.ts": "",
    "tests/support/help.ts": "",
    "tests/bench/b_test.ts": "",
    "tests/deep/c_test.ts": "",
  });
  const find = (args: string[]) => findTests(folder.root, readOptions(args));
  assert.deepEqual(find([]), ["tests/a_test.ts", "tests/deep/c_test.ts"]);
  assert.deepEqual(find(["--long"]), ["tests/a_long_test.ts", "tests/a_test.ts", "tests/deep/c_test.ts"]);
  assert.deepEqual(find(["tests/deep"]), ["tests/deep/c_test.ts"]);
  assert.deepEqual(find(["tests/a_long_test.ts", "--filter", "x"]), ["tests/a_long_test.ts"]);
  assert.throws(() => find(["--lnog"]), /--lnog/);
});

Deno.test("the last line has the counts, and the exit status says whether something failed", async () => {
  await using folder = await tempFolder({
    "good_test.ts": `
      Deno.test("steps", async (t) => { await t.step("one", () => {}); await t.step("two", () => {}); });
      Deno.test({ name: "left out", ignore: true, fn() {} });`,
    "bad_test.ts": `Deno.test("fails", () => { throw new Error("on purpose"); });`,
    "broken_test.ts": `const text = ;`,
  });
  const cases: { args: string[]; line: string; code: number }[] = [
    { args: ["good_test.ts"], line: "1 passed, 0 failed, 1 skipped", code: 0 },
    { args: ["good_test.ts", "bad_test.ts"], line: "1 passed, 1 failed, 1 skipped", code: 1 },
    { args: ["broken_test.ts"], line: "0 passed, 1 failed", code: 1 },
    { args: ["good_test.ts", "--filter", "nothing"], line: "0 passed, 0 failed", code: 1 },
  ];
  for (const { args, line, code } of cases) {
    const paths = args.map((arg) => arg.endsWith(".ts") ? folder.path(arg) : arg);
    const runner = join(projectFolder, "tests", "run.ts");
    const config = join(projectFolder, "deno.json");
    // A folder without PostgreSQL: the runner goes on without it.
    const env = { AMBER_TEST_POSTGRES: folder.root };
    const result = await command(Deno.execPath(), ["run", "-A", "--quiet", "--config", config, runner, ...paths], {
      cwd: projectFolder,
      env,
    });
    assert.equal(result.stdout.trimEnd().split("\n").at(-1), line, result.stderr);
    assert.equal(result.code, code);
  }
});
