/** Snapshots: what cannot be meant, and repositories and data folders that are not what they should be. */
import assert from "node:assert/strict";
import { sealLine } from "../../lib/repository/small_file.ts";
import { amber } from "../support/command.ts";
import { type Files, tempFolder } from "../support/temp_folder.ts";
import { dataApp } from "./data_app.ts";
import { has, type Refusal, refuses } from "./refusal.ts";

type Case = [args: string[], code: Refusal["code"], message: string | RegExp, hint: string | RegExp];

const env = { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository" };

const usage: Case[] = [
  [["backup"], "COMMAND_UNKNOWN", '"backup"', "amber snapshot"],
  [["forget"], "COMMAND_UNKNOWN", '"forget"', "amber prune"],
  [["list"], "COMMAND_UNKNOWN", '"list"', /amber snapshots.*amber showmigrations/],
  [["dump"], "COMMAND_UNKNOWN", '"dump"', "amber export"],
  [["fsck"], "COMMAND_UNKNOWN", '"fsck"', "amber verify"],
  [["flush"], "COMMAND_UNKNOWN", '"flush"', "amber wipe --database"],
  [["snapshot", "--tag", ""], "USAGE", "it is empty", "--tag"],
  [["snapshot", "--tag", "a\tb"], "USAGE", "control character", "--tag"],
  [["snapshot", "--exclude", ""], "CONFIG_EMPTY", "--exclude", /./],
  [["snapshot", "--exclude", "a[b"], "CONFIG_VALUE", '"a[b"', "Write \\["],
  [["snapshot", "--exclude", "*.db"], "CONFIG_VALUE", 'it leaves out the configured database "app.db"', /./],
  [["snapshot", "-r", "data"], "CONFIG_VALUE", "is the data folder itself", "AMBER_REPOSITORY"],
  [["snapshot", "-r", "s3://bucket/prefix"], "CONFIG_VALUE", '"s3://"', "AMBER_REPOSITORY"],
  [["snapshot", "-r", "one,two"], "CONFIG_VALUE", "several addresses", "AMBER_REPOSITORY"],
  [["snapshot", "-r", ""], "CONFIG_EMPTY", "--repository", /./],
  [["snapshot", "extra"], "USAGE", /./, "amber snapshot --help"],
  [["snapshots", "-r", "nowhere"], "REPOSITORY_MISSING", '"nowhere": there is none yet', "AMBER_REPOSITORY"],
  [
    ["snapshots", "-r", "migrations"],
    "REPOSITORY_FOREIGN",
    "it holds 1 other objects and no amber.json",
    "AMBER_REPOSITORY",
  ],
  [["snapshot", "-r", "migrations"], "REPOSITORY_FOREIGN", "no amber.json", "AMBER_REPOSITORY"],
  [["ls"], "USAGE", "SNAPSHOT", "amber ls --help"],
  [["ls", "zzz"], "SNAPSHOT_UNKNOWN", 'Cannot find a snapshot "zzz"', "amber snapshots"],
  [["ls", ""], "SNAPSHOT_UNKNOWN", 'Cannot find a snapshot ""', "amber snapshots"],
  [["ls", "aa"], "SNAPSHOT_AMBIGUOUS", "2 ids begin like that", "aa00000000"],
  [["ls", "latest", "uploads/cat.jpg"], "SNAPSHOT_FILE_UNKNOWN", '"uploads/cat.jpg"', 'Did you mean "uploads/cat.png"'],
  [["ls", "latest", "data/uploads"], "SNAPSHOT_FILE_UNKNOWN", '"data/uploads"', 'Did you mean "uploads"'],
  [["ls", "latest", "data/app.db"], "SNAPSHOT_FILE_UNKNOWN", '"data/app.db"', 'Did you mean "app.db"'],
  [
    ["ls", "latest", "quite/another/thing.pdf"],
    "SNAPSHOT_FILE_UNKNOWN",
    '"quite/another/thing.pdf"',
    "relative to the data folder",
  ],
  [["ls", "latest", "../secret"], "USAGE", '"../secret"', "relative to the data folder"],
  [["ls", "latest", "/etc/passwd"], "USAGE", '"/etc/passwd"', "relative to the data folder"],
  [["cat", "latest"], "USAGE", "PATH", "amber cat --help"],
  [["diff", "zzz"], "SNAPSHOT_UNKNOWN", '"zzz"', "amber snapshots"],
  [["diff", "latest", "zzz"], "SNAPSHOT_UNKNOWN", '"zzz"', "amber snapshots"],
  [["prune", "--keep", "7 sundays"], "USAGE", '"7 sundays"', "--keep"],
  [["prune", "--keep", "many"], "USAGE", '"many"', "--keep"],
  [["prune", "--keep", "5 last", "--remove", "aa"], "USAGE", "--remove and --keep", "amber prune --help"],
  [["prune", "--undo", "aa", "--remove", "aa"], "USAGE", "--undo and --remove", "amber prune --help"],
  [["prune", "--remove", "zzz"], "SNAPSHOT_UNKNOWN", '"zzz"', "amber snapshots"],
  [["prune", "--undo", "zzz"], "SNAPSHOT_UNKNOWN", '"zzz"', /./],
  [["status", "--max-age", "yesterday"], "USAGE", '"yesterday"', "26h"],
];

Deno.test("bad input: every command line that cannot be meant", async (t) => {
  await using app = await dataApp({ "data/uploads/cat.png": "meow", "migrations/0001_a.sql": "select 1;" });
  await Deno.symlink("uploads/cat.png", app.folder.path("data/link"));
  await app.take();
  // Two whose ids begin alike; what is in them does not matter.
  for (const digit of ["0", "1"]) {
    const name = `20200101T000000Z-aa${digit.repeat(62)}`;
    await app.folder.write({ [`repository/snapshots/${name}.json`]: "{}" });
  }
  // cat writes bytes and has no --json, so that refuses() cannot ask it.
  for (
    const [path, message, hint] of [
      ["uploads", "it is a folder", /amber ls [0-9a-f]{10} uploads/],
      ["link", 'it is a link to "uploads/cat.png"', /amber ls/],
      ["nothing.txt", 'Cannot find "nothing.txt"', /amber ls/],
    ] as const
  ) {
    const { stdout, stderr } = await app.ends(2, ["cat", "latest", path]);
    assert.equal(stdout, "");
    assert.match(stderr, /^error {2}SNAPSHOT_FILE_UNKNOWN$/m);
    has(stderr, message, stderr);
    has(stderr, hint, stderr);
  }
  const asked = (await app.ends(2, ["cat", "latest", "uploads/cat.png", "--json"])).json;
  assert.deepEqual([asked.length, asked[0]!.code], [1, "USAGE"]);
  for (const [args, code, message, hint] of usage) {
    await t.step(`amber ${args.map((arg) => arg || '""').join(" ")}`, async () => {
      await refuses(args, { cwd: app.folder.root, env }, { code, message, hint });
    });
  }
});

Deno.test("bad input: what AMBER_KEEP cannot mean is said before anything is read", async () => {
  await using app = await dataApp({}, {});
  const options = { cwd: app.folder.root, env: { ...env, AMBER_KEEP: "often" } };
  await refuses(["snapshot"], options, { code: "USAGE", message: '"often"', hint: "--keep" });
});

const head = { repository: "amber", format: 1, id: "0".repeat(32), reader: [], writer: [], pruner: [] };

const repositories: [title: string, files: Files, code: Refusal["code"], message: string, hint: string][] = [
  [
    "of a newer format",
    { "amber.json": sealLine({ ...head, format: 2 }) },
    "REPOSITORY_NEWER",
    "a newer amber made it (format 2)",
    "Use that newer amber",
  ],
  [
    "that needs to know more",
    { "amber.json": sealLine({ ...head, reader: ["sealing"] }) },
    "REPOSITORY_NEWER",
    "one must know sealing",
    "Use that newer amber",
  ],
  [
    "whose amber.json is damaged",
    { "amber.json": `${JSON.stringify(head)}\nsha256 ${"0".repeat(64)}\n` },
    "OBJECT_DAMAGED",
    "amber.json is damaged",
    "from a copy",
  ],
  [
    "of something else",
    { "amber.json": sealLine({ ...head, repository: "other" }) },
    "REPOSITORY_FOREIGN",
    "not that of a repository",
    "AMBER_REPOSITORY",
  ],
  ["that is a folder of photos", { "cat.jpg": "meow" }, "REPOSITORY_FOREIGN", "no amber.json", "AMBER_REPOSITORY"],
];

for (const [title, files, code, message, hint] of repositories) {
  Deno.test(`bad input: a repository ${title}`, async () => {
    await using app = await dataApp({ "migrations/0001_a.sql": "select 1;" });
    for (const [path, content] of Object.entries(files)) await app.folder.write({ [`repository/${path}`]: content });
    for (const command of ["snapshot", "snapshots", "prune", "status"]) {
      await refuses([command], { cwd: app.folder.root, env }, { code, message, hint });
    }
  });
}

Deno.test("bad input: a repository that only a newer amber may write to can be read", async () => {
  await using app = await dataApp();
  await app.take();
  await app.folder.write({ "repository/amber.json": sealLine({ ...head, writer: ["sealing"], pruner: ["sealing"] }) });
  const options = { cwd: app.folder.root, env };
  await app.ends(0, ["ls", "latest"]);
  await refuses(["snapshot"], options, {
    code: "REPOSITORY_NEWER",
    message: "to be its writer one must know sealing",
    hint: "newer",
  });
  await refuses(["prune"], options, {
    code: "REPOSITORY_NEWER",
    message: "to be its pruner one must know sealing",
    hint: "newer",
  });
});

// data/ missing or empty is usually a wrong mount, and a snapshot of it would look like a good one.
const missing: [title: string, files: Files, env: Record<string, string>, code: Refusal["code"], why: string][] = [
  [
    "no data folder and no database",
    {},
    { DB_PATH: "local.db" },
    "DATA_MISSING",
    "does not exist, and there is no database either",
  ],
  [
    "an empty data folder and no database",
    { "data/": "" },
    { DB_PATH: "local.db" },
    "DATA_EMPTY",
    "is empty, and there is no database either",
  ],
  [
    "no data folder, which the database should lie in",
    {},
    { DB_PATH: "data/prod.db" },
    "DATA_MISSING",
    'the configured database "data/prod.db" should lie in it',
  ],
  [
    "an empty data folder, which the database should lie in",
    { "data/lost+found/": "" },
    { DB_PATH: "data/prod.db" },
    "DATA_EMPTY",
    "should lie in it",
  ],
  ["a data folder that is a file", { "data": "x" }, { DB_PATH: "local.db" }, "DATA_MISSING", "is not a folder"],
];

for (const [title, files, given, code, message] of missing) {
  Deno.test(`bad input: ${title}`, async () => {
    await using folder = await tempFolder(files);
    const options = { cwd: folder.root, env: { AMBER_REPOSITORY: "repository", ...given }, changes: true };
    await refuses(["snapshot"], options, { code, message, hint: "AMBER_DATA" });
    await refuses(["snapshot", "--plan"], options, { code, message, hint: "AMBER_DATA" });
  });
}

Deno.test("bad input: a data folder that was not empty at the snapshot before", async () => {
  await using app = await dataApp({ "data/photo.jpg": "x" });
  await Deno.rename(app.folder.path("data/app.db"), app.folder.path("local.db"));
  const given = { ...env, DB_PATH: "local.db" };
  await app.ends(0, ["snapshot"], { env: given });
  await Deno.rename(app.folder.path("data"), app.folder.path("elsewhere"));
  await app.folder.write({ "data/": "" });
  const options = { cwd: app.folder.root, env: given };
  await refuses(["snapshot"], { ...options, changes: true }, {
    code: "DATA_EMPTY",
    message: "had files in it",
    hint: "mounted",
  });
});

Deno.test("a database alone, without a data folder, is a snapshot with a note", async () => {
  await using app = await dataApp();
  await Deno.rename(app.folder.path("data/app.db"), app.folder.path("local.db"));
  await Deno.remove(app.folder.path("data"), { recursive: true });
  const { stdout, stderr } = await amber(["snapshot"], {
    cwd: app.folder.root,
    env: { AMBER_REPOSITORY: "repository" },
  });
  assert.match(stderr, /^note {2}the data folder "data" does not exist$/m);
  assert.match(stdout, /^ {2}\/database\.db {2}1 table, 3 rows$/m);
});
