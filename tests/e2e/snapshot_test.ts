/** Snapshots from the command line: take, list, look inside, compare. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { amber, spawnCommand } from "../support/command.ts";
import { amberProgram } from "../support/driven.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { dataApp } from "./data_app.ts";

const uploads = { "data/uploads/cat.txt": "meow", "data/uploads/dog.txt": "wuff", "data/cache/": "" };

Deno.test("snapshot tells people what it stored, and where it cannot last", async () => {
  await using app = await dataApp(uploads, { AMBER_REPOSITORY: "data/backups" });
  const first = await app.ends(0, ["snapshot"]);
  assert.match(first.stdout, /^Snapshot [0-9a-f]{10}: 3 files, 8\.2 kB; \d+(\.\d)? k?B stored, in \d+/);
  assert.match(first.stdout, /^ {2}app\.db {2}1 table, 3 rows$/m);
  assert.match(first.stderr, /^amber: snapshot of data into data\/backups, the first one$/m);
  assert.match(first.stderr, /"data\/backups" lies inside "data": it lives as long as that folder does and no longer/);
  const second = await app.ends(0, ["snapshot"]);
  assert.doesNotMatch(second.stderr, /lies inside/);
  assert.match(second.stderr, /data\/backups, after [0-9a-f]{10}$/m);
  assert.deepEqual((await app.folder.list()).filter((path) => /\.amber-|-journal$|copy-/.test(path)), []);
});

Deno.test("snapshot --json ends with all that is known of it", async () => {
  await using app = await dataApp(uploads);
  const { json, stderr } = await app.ends(0, [
    "snapshot",
    "--json",
    "--tag",
    "before",
    "--tag",
    "v2",
    "--exclude",
    "*.tmp",
  ]);
  assert.equal(stderr, "");
  assert.equal(json[0]!.type, "snapshot begins");
  const { id, hash, time, durationMs, stored, by, amber, bytes, ...rest } = json.at(-1)!;
  assert.match(String(hash), new RegExp(`^${id}[0-9a-f]{54}$`));
  assert.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 60_000);
  for (const count of [durationMs, stored, bytes]) assert.ok(Number.isInteger(count) && Number(count) > 0);
  assert.ok(by && amber);
  assert.deepEqual(rest, {
    type: "result",
    kind: "ordinary",
    tags: ["before", "v2"],
    files: 3,
    folders: 2,
    incomplete: false,
    databases: [{ path: "app.db", configured: true, rows: { posts: 3 } }],
    repository: "repository",
    remarks: [],
    excluded: {},
    coversDatabase: true,
  });
});

Deno.test("snapshot --plan says what it would store, and makes nothing", async () => {
  await using app = await dataApp({ ...uploads, "data/a.tmp": "x", "data/b.tmp": "x" }, { AMBER_EXCLUDE: "*.tmp" });
  const before = await app.folder.list();
  for (const flag of ["--plan", "--dry-run"]) {
    const { stdout } = await app.ends(0, ["snapshot", flag]);
    assert.match(
      stdout,
      /^Plan:\n {2}3 files and 2 folders, .*\n {2}database {2}app\.db\n {2}left out {2}\*\.tmp \(2 paths\)\n/,
    );
    assert.match(stdout, /all of it would be read and stored/);
  }
  assert.deepEqual(await app.folder.list(), before);
  const id = await app.take();
  await app.folder.write({ "data/uploads/new.txt": "12345678" });
  const { planned } = await app.result("snapshot", "--plan") as unknown as { planned: Record<string, unknown> };
  assert.deepEqual([planned.parent, planned.files, planned.excluded], [id, 4, { "*.tmp": 2 }]);
  assert.equal(((await app.result("snapshots")).snapshots as unknown[]).length, 1);
});

Deno.test("snapshots lists them, the newest one last, with kind, size, migration and tags", async () => {
  await using app = await dataApp({ "migrations/0001_posts.sql": "create table if not exists posts (id integer);" });
  await app.ends(0, ["migrate"]);
  const ids = [await app.take(), await app.take("--tag", "v2", "--tag", "release")];
  const { stdout } = await app.ends(0, ["snapshots"]);
  const lines = stdout.trimEnd().split("\n");
  assert.match(lines[0]!, /^id +time \(UTC\) +age +kind +files +bytes +stored +migration +drilled +tags$/);
  assert.match(
    lines[1]!,
    new RegExp(`^${ids[0]} +\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d +\\S+ m?s +ordinary +1 +\\S+ kB +\\S+ k?B +0001_posts$`),
  );
  assert.match(lines[2]!, new RegExp(`^${ids[1]} .* 0001_posts +v2, release$`));
  const { snapshots, damaged } = await app.result("snapshots") as unknown as {
    snapshots: { id: string; tags: string[]; databases: { migrations: unknown }[] }[];
    damaged: unknown[];
  };
  assert.deepEqual(snapshots.map(({ id, tags }) => [id, tags]), [[ids[0], []], [ids[1], ["v2", "release"]]]);
  assert.deepEqual(snapshots[0]!.databases[0]!.migrations, { count: 1, last: "0001_posts" });
  assert.deepEqual(damaged, []);
});

Deno.test("snapshots names a damaged one and hides no other", async () => {
  await using app = await dataApp(uploads);
  const ids = [await app.take(), await app.take(), await app.take()];
  const file = (await app.folder.list()).find((path) => path.includes(`-${ids[1]}`))!;
  const bytes = await Deno.readFile(app.folder.path(file));
  bytes[40]! ^= 1;
  await Deno.writeFile(app.folder.path(file), bytes);
  const { stdout, stderr } = await app.ends(0, ["snapshots"]);
  assert.match(stdout, new RegExp(`^${ids[0]} .*ordinary.*\n${ids[1]} .*damaged\n${ids[2]} .*ordinary`, "m"));
  assert.match(stderr, /Cannot read the snapshot file .* does not have the hash that its name says/);
  const { damaged } = await app.result("snapshots") as unknown as { damaged: { id: string; code: string }[] };
  assert.deepEqual(damaged.map(({ id, code }) => [id, code]), [[ids[1], "OBJECT_DAMAGED"]]);
});

Deno.test("ls lists files like ls -l, and databases with their tables and rows", async () => {
  await using app = await dataApp({ "data/uploads/cat.txt": "meow", "data/a\nb": "" });
  const { root } = app.folder;
  await Deno.chmod(`${root}/data/uploads/cat.txt`, 0o640);
  await Deno.chmod(`${root}/data/uploads`, 0o2755);
  await Deno.utime(`${root}/data/uploads/cat.txt`, new Date(), new Date("2026-02-03T04:05:06.789Z"));
  await Deno.symlink("uploads/cat.txt", `${root}/data/link`);
  await Deno.link(`${root}/data/uploads/cat.txt`, `${root}/data/uploads/same`);
  const id = await app.take();
  const { stdout } = await app.ends(0, ["ls", id.slice(0, 6)]);
  assert.match(stdout, /^-rw-r--r-- +0 {2}\S+ \S+ {2}a\\nb$/m);
  assert.match(stdout, /^-\S+ +\d+ {2}\S+ \S+ {2}app\.db {2}\(the database\)\n {40,}posts {2}3 rows$/m);
  assert.match(stdout, /^l\S+ +\S+ \S+ {2}link -> uploads\/cat\.txt$/m);
  assert.match(stdout, /^drwxr-sr-x +\S+ \S+ {2}uploads\/$/m);
  assert.match(stdout, /^-rw-r----- +4 {2}2026-02-03 04:05 {2}uploads\/cat\.txt$/m);
  assert.match(stdout, /uploads\/same {2}\(the same file as uploads\/cat\.txt\)\n6 paths, /);

  for (const path of ["uploads", "./uploads/"]) {
    const { json } = await app.ends(0, ["ls", "latest", path, "--json"]);
    assert.deepEqual(json.map((line) => line.path), ["uploads", "uploads/cat.txt", "uploads/same", undefined]);
    const { type, kind, mode, mtime, size, sha256 } = json[1]!;
    assert.deepEqual([type, kind, mode, mtime, size], ["entry", "file", 0o640, "2026-02-03T04:05:06.789Z", 4]);
    assert.equal(sha256, "404cdd7bc109c432f8cc2443b45bcfe95980f5107215c645236e577929ac3e52");
    assert.deepEqual([json.at(-1)!.entries, json.at(-1)!.bytes], [3, 4]);
  }
});

Deno.test("cat writes a file's bytes and nothing else, a database's image too", async () => {
  const photo = crypto.getRandomValues(new Uint8Array(60_000));
  await using app = await dataApp({ "data/photo.jpg": photo, "data/empty": "", "data/uploads/a.txt": "ä\n" });
  await Deno.truncate(app.folder.path("data/photo.jpg"), 3 << 20); // a hole at the end
  await Deno.link(app.folder.path("data/photo.jpg"), app.folder.path("data/second.jpg"));
  await app.take();
  app.sql("delete from posts");
  const cat = async (path: string) => {
    const { code, stdout, stderr } = await new Deno.Command("sh", {
      args: ["-c", 'exec "$@" > out', "sh", ...amberProgram(), "cat", "latest", path],
      cwd: app.folder.root,
      env: { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository" },
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.deepEqual([stdout.length, stderr.length], [0, 0]);
    return await Deno.readFile(app.folder.path("out"));
  };
  for (const path of ["photo.jpg", "second.jpg", "empty", "uploads/a.txt"]) {
    assert.deepEqual(await cat(path), await Deno.readFile(app.folder.path("data", path)), path);
  }
  await cat("app.db");
  using database = new DatabaseSync(app.folder.path("out"), { readOnly: true });
  assert.equal(database.prepare("select count(*) as count from posts").get()!.count, 3);
});

Deno.test("cat stops when nobody reads any more", async () => {
  await using app = await dataApp({ "data/large": crypto.getRandomValues(new Uint8Array(65_536)) });
  await Deno.truncate(app.folder.path("data/large"), 64 << 20);
  await app.take();
  await using shell = spawnCommand("sh", [
    "-c",
    '("$@"; echo "exit $?" >&2) | head -c 10 | wc -c',
    "sh",
    ...amberProgram(),
    "cat",
    "latest",
    "large",
  ], {
    cwd: app.folder.root,
    env: { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository" },
  });
  const { stdout, stderr } = await shell.result;
  assert.equal(stdout.trim(), "10");
  assert.equal(stderr.trim(), "exit 0");
});

Deno.test("diff names changed files, and of databases the tables with their rows", async () => {
  await using app = await dataApp({ ...uploads, "data/keep": "same", "data/mode": "same" });
  app.sql("create table gone (x); insert into gone values (1), (2)");
  const first = await app.take();
  await Deno.remove(app.folder.path("data/uploads/dog.txt"));
  await app.folder.write({ "data/uploads/cat.txt": "meow!", "data/uploads/new.txt": "1" });
  await Deno.chmod(app.folder.path("data/mode"), 0o600);
  app.sql("insert into posts (text) values ('d'); drop table gone; create table tags (x); insert into tags values (1)");
  const second = await app.take();
  const { stdout } = await app.ends(0, ["diff", first]);
  const expected = [
    "M app.db  8.2 kB → 8.2 kB",
    "      gone  gone, it had 2 rows",
    "      posts  3 → 4 rows (+1)",
    "      tags  new, 1 row",
    "m mode  -rw-r--r-- → -rw-------",
    "M uploads/cat.txt  4 B → 5 B",
    "- uploads/dog.txt  4 B",
    "+ uploads/new.txt  1 B",
  ];
  const lines = stdout.trimEnd().split("\n");
  assert.deepEqual(lines.slice(0, -1).map((line) => line.replace(/^M app\.db.*/, expected[0]!)), expected);
  assert.match(
    lines.at(-1)!,
    new RegExp(
      `^${first} \\(.*\\) → ${second} \\(.*\\): 1 new, 1 gone, 2 changed, 1 with other attributes only \\(m\\)$`,
    ),
  );

  const { json } = await app.ends(0, ["diff", second, first, "--json"]);
  assert.deepEqual(json.map(({ type, path, change }) => `${type} ${change ?? ""} ${path ?? ""}`), [
    "difference changed app.db",
    "difference attributes mode",
    "difference changed uploads/cat.txt",
    "difference new uploads/dog.txt",
    "difference gone uploads/new.txt",
    "result  ",
  ]);
  assert.deepEqual(json[0]!.tables, [{ table: "gone", after: 2 }, { table: "posts", before: 4, after: 3 }, {
    table: "tags",
    before: 1,
  }]);
  assert.deepEqual(json.at(-1)!.counts, { new: 1, gone: 1, changed: 2, attributes: 1 });
  assert.match((await app.ends(0, ["diff", "latest"])).stdout, /^One and the same snapshot/);
});

Deno.test("a snapshot that is not of everything is done, says what is missing, and exits 6", async () => {
  await using app = await dataApp(uploads);
  const made = await new Deno.Command("sh", {
    args: ["-c", `touch "$(printf 'data/bad\\377name')"`],
    cwd: app.folder.root,
  }).output();
  assert.ok(made.success);
  const { json } = await app.ends(6, ["snapshot", "--json"]);
  const line = json.at(-1)!;
  assert.deepEqual([line.type, line.code, line.exit, line.incomplete], ["result", "SNAPSHOT_INCOMPLETE", 6, true]);
  assert.deepEqual((line.remarks as { what: string }[]).map(({ what }) => what), ["name"]);
  const { stdout, stderr } = await app.ends(6, ["snapshot"]);
  assert.match(stdout, /^Incomplete: 1 file changed while being read or could not be read/m);
  assert.match(stderr, /^note .*UTF-8/m);
  assert.match((await app.ends(0, ["snapshots"])).stdout, /ordinary, incomplete/);
});

Deno.test("with a Postgres that does not answer there is no snapshot: it would not be of one instant", async () => {
  await using app = await dataApp(uploads);
  const env = { DATABASE_URL: "postgres://ada:s3cret@127.0.0.1:1/app" };
  const started = performance.now();
  const { stdout, stderr } = await app.ends(5, ["snapshot"], { env });
  assert.match(stderr, /DATABASE_SILENT/);
  assert.doesNotMatch(stdout + stderr, /s3cret/);
  assert.ok(performance.now() - started < 20_000, "it is tried once");
  assert.match((await app.ends(0, ["snapshots"])).stdout, /No snapshots yet/);
});

Deno.test("--help is one screen and says both halves", async () => {
  const { code, stdout } = await amber(["--help"], { cwd: "/" });
  assert.equal(code, 0);
  const lines = stdout.trimEnd().split("\n");
  assert.ok(lines.length <= 40 && lines.every((line) => line.length <= 100), stdout);
  for (const command of ["migrate", "snapshot", "restore", "drill", "verify", "prune", "export", "wipe", "status"]) {
    assert.match(stdout, new RegExp(`^ {2}${command} +[A-Z]`, "m"));
  }
});

Deno.test("every command of snapshots has help with an example", async () => {
  await using folder = await tempFolder();
  for (
    const command of [
      "snapshot",
      "snapshots",
      "ls",
      "diff",
      "cat",
      "verify",
      "drill",
      "restore",
      "prune",
      "export",
      "wipe",
    ]
  ) {
    const { code, stdout, stderr } = await amber([command, "--help"], { cwd: folder.root });
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`Example:\\n +amber ${command}`), stdout);
  }
});
