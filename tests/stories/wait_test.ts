import assert from "node:assert/strict";
import { spawnAmber } from "../support/command.ts";
import { startPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { onBoth } from "../e2e/project.ts";

const one = { "migrations/0001_a.sql": "create table a (x integer);" };

onBoth("wait is over at once when the database answers", one, async (at) => {
  const { stdout } = await at.ends(0, ["wait"]);
  assert.match(stdout, /^The database answers \(after /);
  assert.equal(await at.history(), "");
});

onBoth("wait --until current waits until somebody has migrated", one, async (at) => {
  await using waiting = spawnAmber(["wait", "--until", "current", "--wait", "60s"], {
    cwd: at.folder.root,
    env: at.env,
  });
  await waiting.until(/waiting: /, 10_000);
  await at.ends(0, ["migrate"]);
  const { code, stdout, stderr } = await waiting.result;
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^The database is current \(after /);
});

onBoth("wait --until current gives up when its time is over, and at once when waiting cannot help", one, async (at) => {
  const late = await at.error("wait", "--until", "current", "--wait", "1s");
  assert.deepEqual([late.code, late.exit], ["DATABASE_SILENT", 5]);
  assert.match(late.message, /nobody has migrated the database: 1 migration is pending: 0001_a|there is no such file/);
  await at.ends(0, ["migrate"]);
  await at.folder.write({ "migrations/0001_a.sql": "create table b (x integer);" });
  const started = performance.now();
  assert.equal((await at.error("wait", "--until", "current", "--wait", "60s")).code, "MIGRATION_DRIFT");
  assert.ok(performance.now() - started < 20_000);
  assert.equal((await at.error("wait", "--until", "tomorrow")).code, "USAGE");
});

testWith("postgres", "wait goes on until a server that was down is back", async () => {
  await using server = await startPostgres();
  await using folder = await tempFolder();
  await server.stop("fast");
  const env = { DATABASE_URL: server.url("postgres") };
  const given = await spawnAmber(["wait", "--wait", "1s", "--json"], { cwd: folder.root, env }).result;
  assert.deepEqual([given.code, given.json.at(-1)?.code], [5, "DATABASE_SILENT"]);
  await using waiting = spawnAmber(["wait"], { cwd: folder.root, env });
  await waiting.until(/waiting for the database.*s left/);
  await server.start();
  const { code, stdout, stderr } = await waiting.result;
  assert.equal(code, 0, stderr);
  assert.match(stdout, /The database answers/);
});
