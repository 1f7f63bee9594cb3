/** What status says of snapshots, and the alarm for old ones. */
import assert from "node:assert/strict";
import { writeDrill } from "../../lib/repository/drills.ts";
import { openStore } from "../../lib/stores/open.ts";
import { type DataApp, dataApp } from "./data_app.ts";
import { contentOf, refuses } from "./refusal.ts";

const migration = { "migrations/0001_posts.sql": "create table if not exists posts (id integer);" };
const env = { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository" };

async function keepDrill(app: DataApp, snapshot: string, ok: boolean): Promise<void> {
  await writeDrill(openStore(app.folder.path("repository")), {
    ...{ snapshot, time: new Date().toISOString(), durationMs: 5, by: "ada@host", amber: "0.1.0", ok },
    ...{ problems: ok ? [] : ["posts has 2 rows instead of 3"], notes: [], files: 1, bytes: 10, databases: 1, rows: 3 },
  });
}

Deno.test("status works without a repository, and makes none", async () => {
  await using app = await dataApp(migration);
  const before = contentOf(app.folder.root);
  const { stdout } = await app.ends(0, ["status"]);
  assert.match(stdout, /^snapshots {3}repository \(environment\)\n +none yet: amber snapshot takes one$/m);
  assert.deepEqual(contentOf(app.folder.root), before);
  await refuses(["status", "--max-age", "26h"], { cwd: app.folder.root, env }, {
    code: "SNAPSHOT_TOO_OLD",
    message: "There is no good snapshot",
    hint: "amber snapshot",
  });
});

Deno.test("status shows the newest good snapshot, how many there are, and the last drill", async () => {
  await using app = await dataApp(migration, { AMBER_REPOSITORY: "data/backups" });
  await app.take();
  const id = await app.take();
  const { stdout } = await app.ends(0, ["status"]);
  assert.match(stdout, /^snapshots {3}data\/backups \(environment\)\n +2 snapshots$/m);
  assert.match(
    stdout,
    new RegExp(`^ +newest good one: ${id} of \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d UTC, \\S+ (ms|s) old, 8\\.2 kB$`, "m"),
  );
  assert.match(stdout, /^ +it lies inside the data folder, and lives as long as that does and no longer$/m);
  const { snapshots } = await app.result("status") as unknown as {
    snapshots: Record<string, unknown> & { newest: { hash: string } };
  };
  assert.deepEqual([snapshots.count, snapshots.isInsideData, (snapshots.newest as unknown as { id: string }).id], [
    2,
    true,
    id,
  ]);
  assert.ok(Number(snapshots.ageSeconds) < 60);
});

Deno.test("status --max-age: a snapshot that is old, incomplete, or found damaged by a drill is none", async () => {
  await using app = await dataApp(migration);
  const old = await app.result("snapshot");
  await app.ends(0, ["status", "--max-age", "1h"]);
  const { json } = await app.ends(3, ["status", "--max-age", "1ms", "--json"]);
  assert.deepEqual(json.map(({ type }) => type), ["result", "error"]);
  assert.equal(json[1]!.code, "SNAPSHOT_TOO_OLD");
  assert.match(
    String(json[1]!.message),
    new RegExp(`^The newest good snapshot, ${old.id}, is .* old, and 1 ms is the most$`),
  );

  await keepDrill(app, String(old.hash), true);
  assert.match((await app.ends(0, ["status", "--max-age", "1h"])).stdout, /^ +last drill: good, /m);
  assert.match((await app.ends(0, ["snapshots"])).stdout, /good \d{4}-\d\d-\d\d \d\d:\d\d$/m);
  const newer = await app.result("snapshot");
  await keepDrill(app, String(newer.hash), false);
  const { snapshots } = await app.result("status") as unknown as { snapshots: { newest: { id: string } } };
  assert.equal(snapshots.newest.id, old.id);
  assert.match((await app.ends(0, ["status"])).stdout, new RegExp(`^ +last drill: FAILED, ${newer.id}`, "m"));
  assert.match((await app.ends(0, ["snapshots"])).stdout, new RegExp(`^${newer.id} .* FAILED `, "m"));

  await app.ends(0, ["prune", "--remove", String(old.id), "--yes"]);
  await new Deno.Command("sh", { args: ["-c", `touch "$(printf 'data/bad\\377name')"`], cwd: app.folder.root })
    .output();
  await app.ends(6, ["snapshot"]);
  const { stdout } = await app.ends(3, ["status", "--max-age", "1h"]);
  assert.match(stdout, /^ +none of them is a good one/m);
});

Deno.test("status --max-age asks for snapshots alone: whatever the database does", async () => {
  await using app = await dataApp({}); // no migrations either
  await app.take();
  const { stdout } = await app.ends(0, ["status", "--max-age", "1h"]);
  assert.match(stdout, /Cannot read the migrations/);
  await app.ends(2, ["status"]);
  const silent = { DATABASE_URL: "postgres://ada@127.0.0.1:1/app", DB_PATH: "" };
  await app.ends(0, ["status", "--max-age", "1h"], { env: { ...env, DATABASE_URL: silent.DATABASE_URL } });
});

Deno.test("status names damaged snapshot files and finds the good one before them", async () => {
  await using app = await dataApp(migration);
  const good = await app.take();
  const bad = await app.take();
  const file = (await app.folder.list()).find((path) => path.includes(`-${bad}`))!;
  await Deno.truncate(app.folder.path(file), 10);
  const { stdout } = await app.ends(0, ["status", "--max-age", "1h"]);
  assert.match(stdout, new RegExp(`newest good one: ${good} `));
  assert.match(stdout, /Cannot read the snapshot file ".*": its content does not have the hash/);
});
