import assert from "node:assert/strict";
import { onBoth } from "../e2e/project.ts";
import { spawnAmber } from "../support/command.ts";
import { tempFolder } from "../support/temp_folder.ts";

onBoth("status shows configuration, database and migrations on one screen", {
  "migrations/0001_a.sql": "create table a (x integer);",
  "migrations/0002_b.sql": "create table b (x integer);",
}, async (at) => {
  await at.ends(0, ["migrate", "1"]);
  const { stdout } = await at.ends(0, ["status"]);
  assert.match(stdout, /^amber \d/);
  assert.match(stdout, new RegExp(`^database +${at.engine} `, "m"));
  assert.match(stdout, /^ +from DATABASE_URL \(environment\)$/m);
  assert.match(stdout, /^migrations +migrations \(default\)\n +1 applied, 1 pending, last: 0001_a$/m);
  assert.match(stdout, /^ {2}AMBER_DATA +data +\(default\)$/m);
  await at.folder.write({ "migrations/0001_a.sql": "create table c (x integer);" });
  assert.match((await at.ends(0, ["status"])).stdout, /^ +0001_a: changed$/m);
});

Deno.test("status shows everything else before it says that the database does not answer", async () => {
  await using folder = await tempFolder({ "migrations/0001_a.sql": "select 1;" });
  const env = { DB_HOST: "127.0.0.1", DB_PORT: "1", DB_NAME: "app", DB_USER: "ada", DB_PASSWORD: "sup3r-s3cret" };
  const { code, stdout, stderr } = await spawnAmber(["status"], { cwd: folder.root, env }).result;
  assert.equal(code, 5, stderr);
  assert.match(stdout, /^ {2}DB_HOST +127\.0\.0\.1 +\(environment\)$/m);
  assert.match(stdout, /^ {2}DB_PASSWORD +\*\*\* +\(environment\)$/m);
  assert.match(stderr, /^error {2}DATABASE_SILENT$/m);
  assert.doesNotMatch(stdout + stderr, /sup3r/);
  const machine = await spawnAmber(["status", "--json"], { cwd: folder.root, env }).result;
  assert.deepEqual(machine.json.map((line) => line.type), ["result", "error"]);
  assert.doesNotMatch(machine.stdout, /sup3r/);
});
