/** `amber verify` and `amber drill` as a cron line sees them. */
import assert from "node:assert/strict";
import { otherUser } from "../support/command.ts";
import { testWith } from "../support/skip.ts";
import { dataApp } from "./data_app.ts";

async function packsOf({ folder }: Awaited<ReturnType<typeof dataApp>>): Promise<string[]> {
  return (await folder.list()).filter((path) => path.startsWith("repository/packs/"));
}

Deno.test("verify says what it read; with damage what is touched, which snapshot is sound, and exit 7", async () => {
  await using app = await dataApp({ "data/uploads/a.txt": "the first ".repeat(2_000) });
  const { folder } = app;
  const first = await app.take();
  const before = await packsOf(app);
  await folder.write({ "data/uploads/b.txt": "the second ".repeat(2_000) });
  const second = await app.take();

  const good = await app.ends(0, ["verify"]);
  assert.match(good.stdout, /^Verified: 2 snapshots, 2 packs, [\d.]+ k?B read\n$/);
  const json = await app.result("verify");
  assert.deepEqual({ findings: json.findings, damaged: json.damaged, snapshots: json.snapshots }, {
    ...{ findings: [], damaged: [], snapshots: 2 },
  });
  const share = await app.ends(0, ["verify", "--share", "1/7"]);
  assert.match(share.stdout, /\(today's 1\/7\)$/m);
  assert.equal((await app.ends(2, ["verify", "--share", "8/7", "--json"])).json.at(-1)!.code, "USAGE");

  const [added] = (await packsOf(app)).filter((path) => !before.includes(path));
  const bytes = Deno.readFileSync(folder.path(added!));
  bytes[30]! ^= 0x10;
  Deno.writeFileSync(folder.path(added!), bytes);
  const bad = await app.ends(7, ["verify"]);
  const name = added!.replace("repository/", "");
  for (const text of [`damaged  ${name}`, `in snapshots  ${second}`, `Not complete any more: ${second}`]) {
    assert.ok(bad.stdout.includes(text), `"${text}" in\n${bad.stdout}`);
  }
  assert.match(bad.stdout, new RegExp(`The newest one without damage: ${first} \\(ordinary`));
  assert.match(bad.stdout, /^1 damaged object: 2 snapshots/m);
  const line = (await app.ends(7, ["verify", "--json"])).json.at(-1)!;
  assert.equal(line.type, "result");
  assert.deepEqual({ code: line.code, exit: line.exit, damaged: line.damaged }, {
    ...{ code: "OBJECT_DAMAGED", exit: 7, damaged: [second] },
  });

  Deno.removeSync(folder.path(added!));
  Deno.symlinkSync("/etc/hostname", folder.path(added!));
  assert.match((await app.ends(7, ["verify"])).stdout, /it is not there/);
  await app.ends(2, ["verify", "-r", "nowhere"]);
});

Deno.test("drill says that a snapshot can be restored, or exit 7 and why; snapshots shows both", async () => {
  await using app = await dataApp({ "data/a.txt": "a" });
  const { folder } = app;
  const id = await app.take();
  const good = await app.ends(0, ["drill"]);
  assert.match(good.stdout, new RegExp(`^Drilled: snapshot ${id} .* 2 files, .*, 1 database, 3 rows, in`));
  assert.match((await app.ends(0, ["snapshots"])).stdout, /good \d{4}-/);
  assert.deepEqual(
    [...Deno.readDirSync(folder.path("data/.amber"))].filter(({ name }) => name.startsWith("drill")),
    [],
  );

  for (const path of await packsOf(app)) Deno.removeSync(folder.path(path));
  const bad = await app.ends(7, ["drill"]);
  assert.match(bad.stdout, /^wrong {4}Cannot read the pack .*: it is not there/m);
  assert.match(bad.stdout, new RegExp(`^DRILL FAILED: snapshot ${id}`, "m"));
  const line = (await app.ends(7, ["drill", "--json"])).json.at(-1)!;
  assert.deepEqual({ type: line.type, code: line.code, exit: line.exit, ok: line.ok, id: line.id }, {
    ...{ type: "result", code: "DRILL_FAILED", exit: 7, ok: false, id },
  });
  assert.match((await app.ends(0, ["snapshots"])).stdout, /FAILED \d{4}-/);
});

testWith("root", "a repository that this user may not read is exit 2, and no finding", async () => {
  await using app = await dataApp();
  await using other = await otherUser();
  await app.take();
  const { folder } = app;
  Deno.chmodSync(folder.root, 0o755);
  await folder.giveTo(other.user!);
  for (const path of await packsOf(app)) Deno.chownSync(folder.path(path), 0, 0);
  for (const path of await packsOf(app)) Deno.chmodSync(folder.path(path), 0o600);
  const { json } = await app.ends(2, ["verify", "--json"], { as: other });
  assert.equal(json.at(-1)!.code, "STORE_FORBIDDEN");
});
