/** Which snapshots stay, from the command line. */
import assert from "node:assert/strict";
import { type DataApp, dataApp } from "./data_app.ts";
import { has } from "./refusal.ts";

async function idsOf(app: DataApp): Promise<string[]> {
  return ((await app.result("snapshots")).snapshots as { id: string }[]).map(({ id }) => id);
}

/** A place that everybody leaves alone while nothing is written. */
async function stored(app: DataApp): Promise<string[]> {
  return (await app.folder.list()).filter((path) =>
    path.startsWith("repository/") && !path.startsWith("repository/tmp/")
  );
}

Deno.test("prune --plan gives the reason for each snapshot and changes nothing", async () => {
  await using app = await dataApp();
  const ids = [await app.take(), await app.take("--tag", "release"), await app.take()];
  const before = await stored(app);
  const args = ["prune", "--keep", "1 last", "--keep-tag", "release"];
  for (const flag of ["--plan", "--dry-run"]) {
    const { stdout } = await app.ends(0, [...args, flag]);
    const lines = stdout.split("\n");
    assert.match(lines[1]!, new RegExp(`^ {2}forget {2}${ids[0]} {2}\\S+ \\S+ {2}ordinary {2}older than the last 1$`));
    assert.match(lines[2]!, new RegExp(`^ {2}keep {4}${ids[1]} .* tag release; tags: release$`));
    assert.match(lines[3]!, new RegExp(`^ {2}keep {4}${ids[2]} .* newest; last 1 of 1$`));
    assert.match(lines[4]!, /^Would forget 1 snapshot, remove 0 packs \(0 B\)\.$/);
  }
  const { snapshots, forgotten, policy, plan } = await app.result(...args, "--plan") as unknown as {
    snapshots: { id: string; keep: boolean; reasons: string[] }[];
  } & Record<string, unknown>;
  assert.deepEqual(snapshots.map(({ id, keep }) => [id, keep]), [[ids[0], false], [ids[1], true], [ids[2], true]]);
  assert.ok(snapshots.every(({ reasons }) => reasons.length > 0));
  assert.deepEqual([forgotten, policy, plan], [[ids[0]], "1 last", true]);
  assert.deepEqual(await stored(app), before);
});

Deno.test("prune forgets what the policy does not keep, and --undo brings it back", async () => {
  await using app = await dataApp();
  const ids = [await app.take(), await app.take(), await app.take()];
  const { stdout } = await app.ends(0, ["prune", "--keep", "2 last"]);
  assert.match(stdout, new RegExp(`^Forgot 1 snapshot, .*brought back: amber prune --undo ${ids[0]}\n$`, "s"));
  assert.deepEqual(await idsOf(app), ids.slice(1));
  const planned = await app.ends(0, ["prune", "--undo", ids[0]!, "--plan"]);
  assert.match(planned.stdout, /would be brought back/);
  assert.deepEqual(await idsOf(app), ids.slice(1));
  assert.match(
    (await app.ends(0, ["prune", "--undo", ids[0]!])).stdout,
    new RegExp(`^Snapshot ${ids[0]} of .* is back\\.$`, "m"),
  );
  assert.deepEqual(await idsOf(app), ids);
  assert.match((await app.ends(0, ["prune", "--undo", ids[0]!])).stdout, /^Nothing to do/);
  await app.ends(0, ["ls", ids[0]!]);
});

Deno.test("prune without a policy forgets nothing and says so", async () => {
  await using app = await dataApp();
  const ids = [await app.take(), await app.take()];
  const { stdout } = await app.ends(0, ["prune"]);
  assert.match(stdout, /^No policy \(AMBER_KEEP, --keep\): no snapshot is forgotten\.\nForgot 0 snapshots/);
  assert.deepEqual(await idsOf(app), ids);
});

Deno.test("prune --remove asks: without a terminal it needs --yes", async () => {
  await using app = await dataApp({}, { AMBER_KEEP: "1 last" });
  // AMBER_KEEP is for the other snapshots: it is not asked when one is named.
  const ids = [await app.take("--tag", "a")];
  const before = await stored(app);
  const error = (await app.ends(2, ["prune", "--remove", ids[0]!, "--json"])).json.at(-1)!;
  assert.equal(error.code, "CONFIRMATION_NEEDED");
  has(String(error.hint), "--yes", "");
  assert.deepEqual(await stored(app), before);
  assert.match(
    (await app.ends(0, ["prune", "--remove", ids[0]!, "--plan"])).stdout,
    new RegExp(`forget {2}${ids[0]} .* asked for`),
  );
  assert.deepEqual(await stored(app), before);
  const { forgotten } = await app.result("prune", "--remove", ids[0]!.slice(0, 8), "--yes");
  assert.deepEqual(forgotten, ids);
  assert.deepEqual(await idsOf(app), []);
});

Deno.test("a snapshot with AMBER_KEEP prunes afterwards", async () => {
  await using app = await dataApp({}, { AMBER_KEEP: "1 last" });
  const first = await app.take();
  const { stdout } = await app.ends(0, ["snapshot"]);
  assert.match(stdout, new RegExp(`^Snapshot .*\nForgot 1 snapshot, .*--undo ${first}$`, "ms"));
  const line = await app.result("snapshot");
  assert.deepEqual((line.prune as { forgotten: string[] }).forgotten.length, 1);
  assert.deepEqual(await idsOf(app), [line.id]);
});

Deno.test("a prune that fails after a snapshot is told, and the snapshot is done", async () => {
  await using app = await dataApp();
  const lost = await app.take();
  const file = (await stored(app)).find((path) => path.includes(`-${lost}`))!;
  await Deno.truncate(app.folder.path(file), 10);
  const env = { AMBER_KEEP: "1 last" };
  const { json } = await app.ends(0, ["snapshot", "--json"], { env });
  const line = json.at(-1)! as unknown as { type: string; prune: { error: { code: string; hint: string } } };
  assert.deepEqual([line.type, line.prune.error.code], ["result", "OBJECT_DAMAGED"]);
  const { stderr } = await app.ends(0, ["snapshot"], { env });
  assert.match(stderr, /^note {2}The snapshot is done, but old ones could not be pruned: Cannot prune: cannot read/m);
  // What the hint says helps.
  const error = (await app.ends(7, ["prune", "--json"])).json.at(-1)!;
  assert.match(String(error.hint), new RegExp(`amber prune --remove ${lost}`));
  await app.ends(0, ["prune", "--remove", lost, "--yes"]);
  await app.ends(0, ["prune"]);
  assert.equal((await idsOf(app)).length, 2);
});
