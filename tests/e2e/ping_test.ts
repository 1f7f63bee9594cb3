/** A health check is told when a snapshot begins and how it ended. */
import assert from "node:assert/strict";
import { spawnAmber } from "../support/command.ts";
import { healthCheck } from "../support/health_check.ts";
import { dataApp } from "./data_app.ts";

Deno.test("a ping at the start and one at the end, with what was stored", async () => {
  await using check = healthCheck();
  await using app = await dataApp({}, { AMBER_PING_URL: check.url });
  const { stdout, stderr } = await app.ends(0, ["snapshot"]);
  assert.deepEqual(check.told.map(({ what }) => what), ["/start", "success"]);
  assert.match(check.told[1]!.text, /^Snapshot [0-9a-f]{10}: 1 file/);
  assert.doesNotMatch(stdout + stderr, /s3cret/);
  await app.ends(0, ["snapshot", "--plan"]);
  assert.equal(check.told.length, 2, "a plan is no run");
});

Deno.test("a ping tells a failure, without secrets", async () => {
  await using check = healthCheck();
  await using app = await dataApp({}, { AMBER_PING_URL: check.url, DB_PATH: "data/none.db", AMBER_DATA: "nowhere" });
  const env = { AMBER_REPOSITORY: "repository" };
  await app.ends(2, ["snapshot"], { env });
  assert.deepEqual(check.told.map(({ what }) => what), ["/start", "/fail"]);
  assert.match(check.told[1]!.text, /DATA_MISSING\n.*"nowhere" does not exist/);
  assert.doesNotMatch(check.told[1]!.text, /s3cret/);
});

Deno.test("a ping says fail for a snapshot that is not of everything, and for pruning that fails", async () => {
  await using check = healthCheck();
  await using app = await dataApp({}, { AMBER_PING_URL: check.url });
  const id = await app.take();
  const file = (await app.folder.list()).find((path) => path.includes(`-${id}`))!;
  await Deno.truncate(app.folder.path(file), 10);
  await app.ends(0, ["snapshot"], { env: { AMBER_KEEP: "1 last" } });
  assert.equal(check.told.at(-1)!.what, "/fail");
  assert.match(check.told.at(-1)!.text, /^The snapshot is done, but old ones could not be pruned: .*\nSnapshot /);
  await new Deno.Command("sh", { args: ["-c", `touch "$(printf 'data/bad\\377name')"`], cwd: app.folder.root })
    .output();
  await app.ends(6, ["snapshot"]);
  assert.equal(check.told.at(-1)!.what, "/fail");
  assert.match(check.told.at(-1)!.text, /^Incomplete: 1 file/);
});

Deno.test("a ping that does not arrive is a note, and the snapshot is as good", async () => {
  await using check = healthCheck(() => new Response("gone", { status: 404 }));
  await using app = await dataApp({}, { AMBER_PING_URL: check.url });
  const { stderr } = await app.ends(0, ["snapshot"]);
  assert.match(
    stderr,
    /^note {2}the health check \(AMBER_PING_URL\) was not told "start": the answer was status 404$/m,
  );
  assert.match(stderr, /was not told "success"/);
  const { json, stderr: quiet } = await app.ends(0, ["snapshot", "--json"]);
  assert.equal(quiet, "");
  assert.equal(json.at(-1)!.type, "result");
});

Deno.test("after a signal the failure is still told", async () => {
  const asked = Promise.withResolvers<void>();
  const held = Promise.withResolvers<Response>();
  await using check = healthCheck(({ what }) => {
    if (what !== "/start") return new Response("OK");
    asked.resolve();
    return held.promise; // amber waits for this answer when the signal comes
  });
  await using app = await dataApp({}, { AMBER_PING_URL: check.url });
  await using running = spawnAmber(["snapshot"], {
    cwd: app.folder.root,
    env: { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository", AMBER_PING_URL: check.url },
  });
  await asked.promise;
  running.kill("SIGTERM");
  const { code, stderr } = await running.result;
  held.resolve(new Response("OK"));
  assert.equal(code, 143, stderr);
  assert.deepEqual(check.told.map(({ what }) => what), ["/start", "/fail"]);
  assert.match(check.told[1]!.text, /TERMINATED/);
});
