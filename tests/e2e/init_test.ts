/** What one's own app begins with: `amber init`, and the way from there. */
import assert from "node:assert/strict";
import { readConfig } from "../../lib/config.ts";
import { parseDotenv } from "../../lib/dotenv.ts";
import { envExample } from "../../lib/stories/init_files.ts";
import { amber, command } from "../support/command.ts";
import { compiledAmber } from "../support/compiled.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { onBoth } from "./project.ts";

const made = ["migrations/0001_initial.sql", ".env.example", "Dockerfile"];

Deno.test("init writes three files and says what to do next; --plan only says so", async () => {
  await using folder = await tempFolder();
  const at = { cwd: folder.root };
  const plan = await amber(["init", "--plan"], at);
  assert.deepEqual([plan.code, plan.stdout], [0, made.map((path) => `Would write ${path}\n`).join("")], plan.stderr);
  assert.deepEqual(await folder.list(), []);

  const first = await amber(["init"], at);
  assert.equal(first.code, 0, first.stderr);
  for (const path of made) assert.match(first.stdout, new RegExp(`^Wrote ${path}$`, "m"));
  assert.match(first.stdout, /^Next:\n.*amber migrate/m);
  assert.deepEqual(await folder.list(), made.toSorted());
});

Deno.test("init overwrites nothing, adds what is missing, and ends with 0 when nothing is", async () => {
  await using folder = await tempFolder({ "db/0007_mine.sql": "create table mine (x integer);", "Dockerfile": "mine" });
  const at = { cwd: folder.root, env: { AMBER_MIGRATIONS: "db" } };
  const first = await amber(["init", "--json"], at);
  assert.equal(first.code, 0, first.stderr);
  assert.deepEqual(first.json.at(-1), {
    type: "result",
    written: [".env.example"],
    existing: ["db/0007_mine.sql", "Dockerfile"],
  });
  const again = await amber(["init"], at);
  assert.equal(again.code, 0, again.stderr);
  for (const path of ["db/0007_mine.sql", ".env.example", "Dockerfile"]) {
    assert.match(again.stdout, new RegExp(`^There already, left as it is: ${path}$`, "m"));
  }
  assert.deepEqual(await folder.list(), [".env.example", "Dockerfile", "db/0007_mine.sql"]);
  assert.equal(await Deno.readTextFile(folder.path("Dockerfile")), "mine");
});

Deno.test("init says where it cannot write", async () => {
  await using folder = await tempFolder({ "migrations": "a file" });
  const { code, stderr } = await amber(["init"], { cwd: folder.root });
  assert.equal(code, 1);
  assert.match(stderr, /^error {2}FILE_UNWRITABLE\n.*"migrations\/0001_initial\.sql"/m);
});

Deno.test("every variable of .env.example is one that amber knows, and is fine out of its comment", () => {
  assert.equal(parseDotenv(envExample, ".env.example").size, 0);
  const lines = [...envExample.matchAll(/^# ([A-Z_]+=.*)$/gm)].map(([, line]) => line!);
  assert.ok(lines.length > 10, `${lines}`);
  const inParts = lines.filter((line) => line.startsWith("DB_") && !line.startsWith("DB_PATH"));
  for (const chosen of [inParts, ...lines.filter((line) => !inParts.includes(line)).map((line) => [line])]) {
    const dotenv = parseDotenv(chosen.join("\n"), ".env");
    const config = readConfig({ env: {}, dotenv, dotenvFile: ".env", flags: {} });
    const plain = readConfig({ env: {}, flags: {} });
    assert.notDeepEqual(config, plain, chosen.join("\n"));
  }
});

onBoth("what init writes is applied, taken back, and applied again", {}, async ({ ends, history }) => {
  await ends(0, ["init"]);
  await ends(0, ["migrate"]);
  assert.equal(await history(), "0001_initial");
  await ends(0, ["migrate", "zero", "--snapshot", "never"]);
  await ends(0, ["migrate"]);
  await ends(0, ["check"]);
});

testWith("binary", "in an empty folder: init, migrate, snapshot, and restore into a new data/", async () => {
  await using folder = await tempFolder();
  const run = async (...args: string[]) => {
    // `env -i`: also what the test support would add.
    const line = ["-i", "PATH=/usr/bin:/bin", "DB_PATH=data/app.db", "AMBER_REPOSITORY=backups", compiledAmber()];
    const { code, stdout, stderr } = await command("/usr/bin/env", [...line, ...args], { cwd: folder.root });
    assert.equal(code, 0, `amber ${args.join(" ")}\n${stdout}${stderr}`);
    return stdout;
  };
  await run("init");
  await folder.write({ "data/uploads/cat.txt": "a cat" });
  assert.match(await run("migrate"), /^Done: 1 applied\.$/m);
  assert.match(await run("snapshot"), /^Snapshot [0-9a-f]{10}: 2 files/m);

  await Deno.remove(folder.path("data"), { recursive: true });
  await run("restore", "latest", "--if-empty");
  assert.equal(await Deno.readTextFile(folder.path("data/uploads/cat.txt")), "a cat");
  assert.match(await run("showmigrations"), /^ \[X\] 0001_initial/m);
  assert.equal(await run("migrate"), "Nothing to do.\n");
});

testWith("binary", "in an empty folder, without any configuration: the four commands one after another", async () => {
  await using folder = await tempFolder();
  for (const args of [["init"], ["migrate"], ["snapshot"], ["restore", "latest", "--if-empty"]]) {
    const line = ["-i", "PATH=/usr/bin:/bin", compiledAmber(), ...args];
    const { code, stdout, stderr } = await command("/usr/bin/env", line, { cwd: folder.root });
    assert.equal(code, 0, `amber ${args.join(" ")}\n${stdout}${stderr}`);
  }
  await Deno.remove(folder.path("local.db"));
  const restored = await command(compiledAmber(), ["restore", "latest", "--if-empty"], { cwd: folder.root });
  assert.equal(restored.code, 0, restored.stderr);
  assert.ok((await folder.list()).includes("local.db"));
});
