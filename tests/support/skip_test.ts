import assert from "node:assert/strict";
import { join } from "node:path";
import { command, projectFolder } from "./command.ts";
import { tempFolder } from "./temp_folder.ts";

const file = `
  import { testWith } from ${JSON.stringify(import.meta.resolve("./skip.ts"))};
  testWith("postgres", "asks the server", () => {});
`;

Deno.test("a test whose need is missing is skipped with the reason, and fails with CI set", async () => {
  await using folder = await tempFolder({ "a_test.ts": file });
  const run = (env: Record<string, string>) =>
    command(Deno.execPath(), ["test", "-A", "--no-check", "--config", join(projectFolder, "deno.json"), "a_test.ts"], {
      cwd: folder.root,
      env: { NO_COLOR: "1", ...env },
    });
  const skipped = await run({ AMBER_TEST_PG: "missing: none was found" });
  assert.match(skipped.stdout, /asks the server \(skipped: none was found\) \.\.\. ignored/);
  assert.equal(skipped.code, 0);
  const failed = await run({ AMBER_TEST_PG: "missing: none was found", CI: "true" });
  assert.match(failed.stdout, /Cannot be skipped when CI is set: none was found/);
  assert.equal(failed.code, 1);
  const passed = await run({ AMBER_TEST_PG: "{}" });
  assert.match(passed.stdout, /ok \| 1 passed \| 0 failed/);
});
