/** `--metrics FILE`: how a command went, for the textfile collector of Prometheus' node_exporter. */
import assert from "node:assert/strict";
import { command, otherUser, projectFolder, spawnAmber } from "../support/command.ts";
import { testWith } from "../support/skip.ts";
import { chownAll } from "../support/temp_folder.ts";
import { type DataApp, dataApp } from "./data_app.ts";

interface Family {
  name: string;
  help: string;
  type: string;
  metrics: { value: string; labels: { command: string } }[];
}

/** As a parser of Prometheus' format reads it: `name command` → value. */
async function read(app: DataApp, file = "amber.prom"): Promise<Record<string, number>> {
  const program = `${projectFolder}/tests/support/parse_files.ts`;
  const args = ["run", "-A", "--quiet", "--no-config", "--no-lock", program, app.folder.path(file)];
  const { code, stdout, stderr } = await command(Deno.execPath(), args, { cwd: projectFolder });
  assert.equal(code, 0, stderr);
  const families = JSON.parse(stdout) as Family[];
  for (const { name, help, type } of families) assert.ok(name.startsWith("amber_") && help && type === "GAUGE", name);
  return Object.fromEntries(
    families.flatMap(({ name, metrics }) =>
      metrics.map(({ value, labels }) => [`${name.replace(/^amber_last_/, "")} ${labels.command}`, Number(value)])
    ),
  );
}

const soon = (seconds: number | undefined) => Math.abs(seconds! - Date.now() / 1000) < 60;

Deno.test("all commands that do work write into one file, and none loses another's lines", async () => {
  await using app = await dataApp({ "data/a.txt": "a", "migrations/0001_x.sql": "create table x (id integer);" });
  const metrics = ["--metrics", "amber.prom"];
  await app.ends(0, ["migrate", ...metrics]);
  const taken = await app.result("snapshot", ...metrics);
  const verified = await app.result("verify", ...metrics);
  const drilled = await app.result("drill", ...metrics);
  await app.ends(0, ["prune", "--keep", "1 last", ...metrics]);
  await app.ends(0, ["wipe", "--files", "--yes", ...metrics]);
  const restored = await app.result("restore", "latest", "--yes", ...metrics);
  const found = await read(app);
  for (const name of ["migrate", "snapshot", "verify", "drill", "prune", "wipe", "restore"]) {
    assert.equal(found[`run_exit_status ${name}`], 0, name);
    assert.ok(soon(found[`success_timestamp_seconds ${name}`]), name);
    assert.ok(soon(found[`run_timestamp_seconds ${name}`]), name);
    assert.ok(found[`run_duration_seconds ${name}`]! >= 0 && found[`run_duration_seconds ${name}`]! < 60, name);
  }
  assert.equal(found["run_data_bytes snapshot"], taken.bytes);
  assert.equal(found["run_stored_bytes snapshot"], taken.stored);
  assert.equal(found["run_read_bytes verify"], verified.bytes);
  assert.equal(found["run_restored_bytes drill"], drilled.bytes);
  assert.equal(found["run_restored_bytes restore"], restored.bytes);
  assert.equal(found["run_freed_bytes prune"], 0);
  assert.equal(Deno.statSync(app.folder.path("amber.prom")).mode! & 0o777, 0o644);
  assert.deepEqual([...Deno.readDirSync(app.folder.root)].filter(({ name }) => /amber\.prom./.test(name)), []);
});

Deno.test("a failure is written too, whatever it is, and keeps when it last went well", async () => {
  await using app = await dataApp({ "data/a.txt": "a" });
  await app.ends(0, ["snapshot", "--metrics", "amber.prom"]);
  const before = await read(app);
  await app.ends(2, ["snapshot", "--metrics", "amber.prom"], { env: { AMBER_KEEP: "nonsense" } });
  const after = await read(app);
  assert.equal(after["run_exit_status snapshot"], 2);
  assert.equal(after["success_timestamp_seconds snapshot"], before["success_timestamp_seconds snapshot"]);
  assert.ok(after["run_timestamp_seconds snapshot"]! > before["run_timestamp_seconds snapshot"]!);
  assert.equal(after["run_stored_bytes snapshot"], undefined);
  await app.ends(2, ["migrate", "--metrics", "amber.prom"]); // there is no folder of migrations
  const { "run_exit_status migrate": exit, "success_timestamp_seconds migrate": never } = await read(app);
  assert.deepEqual([exit, never], [2, 0]);
});

Deno.test("SIGTERM leaves its exit status in the file", async () => {
  const slow = "with recursive n(i) as (select 1 union all select i + 1 from n) insert into x select i from n;";
  await using app = await dataApp({ "migrations/0001_x.sql": `create table x (id integer);\n${slow}` });
  await using migrating = spawnAmber(["migrate", "--json", "--metrics", "amber.prom"], {
    cwd: app.folder.root,
    env: { DB_PATH: "data/app.db", AMBER_SNAPSHOT_BEFORE_MIGRATE: "never" },
  });
  await migrating.until('"type":"begin"');
  migrating.kill("SIGTERM");
  assert.equal((await migrating.result).code, 143);
  assert.equal((await read(app))["run_exit_status migrate"], 143);
});

Deno.test("a plan is no run, and writes nothing", async () => {
  await using app = await dataApp({ "migrations/0001_x.sql": "create table x (id integer);" });
  for (const args of [["snapshot", "--plan"], ["migrate", "--dry-run"]]) {
    await app.ends(0, [...args, "--metrics", "amber.prom"]);
  }
  await app.ends(3, ["migrate", "--check", "--metrics", "amber.prom"]);
  assert.ok(!(await app.folder.list()).includes("amber.prom"));
});

Deno.test("a file that cannot be written is a note, and nothing that is there is lost", async () => {
  await using app = await dataApp({ "mine.txt": "mine\n", "folder/": "" });
  const cases = { "nowhere/amber.prom": "no such folder", "mine.txt": "something else", "folder": "something else" };
  for (const [file, why] of Object.entries(cases)) {
    const { stderr, stdout } = await app.ends(0, ["snapshot", "--metrics", file]);
    assert.match(stderr, new RegExp(`^note {2}the metrics .*"${file}": .*${why}`, "m"));
    assert.match(stdout, /^Snapshot /);
  }
  const { json } = await app.ends(0, ["snapshot", "--json", "--metrics", "mine.txt"]);
  assert.equal(json.at(-1)!.type, "result");
  assert.ok(json.some(({ type, message }) => type === "note" && /metrics/.test(String(message))));
  await app.ends(2, ["migrate", "--metrics", "mine.txt"]);
  assert.equal(await app.folder.read("mine.txt"), "mine\n");
});

testWith("root", "a user who may not write there gets a note and its snapshot", async () => {
  await using user = await otherUser();
  await using app = await dataApp({ "data/a.txt": "a", "repository/": "" });
  chownAll(app.folder.root, user.user!);
  const { stderr } = await app.ends(0, ["snapshot", "--metrics", "/etc/amber.prom"], { as: user });
  assert.match(stderr, /^note {2}the metrics .*"\/etc\/amber\.prom": this user may not write there$/m);
});

Deno.test("run writes how its migration and its snapshots went", async () => {
  await using app = await dataApp({ "data/a.txt": "a", "migrations/0001_x.sql": "create table x (id integer);" });
  const args = ["run", "--metrics", "amber.prom", "--snapshot-every", "1s", "--", "sh", "-c"];
  await app.ends(7, [...args, "until grep -q snapshot amber.prom; do sleep 0.1; done; exit 7"]);
  const found = await read(app);
  assert.deepEqual([found["run_exit_status migrate"], found["run_exit_status snapshot"]], [0, 0]);
  assert.equal(found["run_exit_status run"], undefined);
});

Deno.test("writers at once leave a whole file", async () => {
  await using app = await dataApp({ "data/a.txt": "a" });
  await app.take();
  const all = [1, 2, 3].flatMap(() => ["verify", "drill"]);
  await Promise.all(all.map((name) => app.ends(0, [name, "--metrics", "amber.prom"])));
  const found = await read(app);
  assert.ok(found["run_exit_status verify"] === 0 || found["run_exit_status drill"] === 0);
  assert.deepEqual([...Deno.readDirSync(app.folder.root)].filter(({ name }) => name.startsWith(".amber.prom")), []);
});
