/** Command lines that cannot be meant: exit 2, with the right word. */
import assert from "node:assert/strict";
import { amber } from "../support/command.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { hides, type Refusal, refuses } from "./refusal.ts";

type Case = [args: string[], code: Refusal["code"], message: string | RegExp, hint: string | RegExp];

const cases: Case[] = [
  [["migrat"], "COMMAND_UNKNOWN", 'Cannot find a command "migrat"', "amber migrate"],
  [["xyzzy"], "COMMAND_UNKNOWN", '"xyzzy"', "amber --help"],
  [["up"], "COMMAND_UNKNOWN", '"up"', "amber migrate"],
  [["new"], "COMMAND_UNKNOWN", '"new"', "amber makemigrations NAME"],
  [["rollback"], "COMMAND_UNKNOWN", '"rollback"', "amber migrate --back 1"],
  [["down"], "COMMAND_UNKNOWN", '"down"', "amber migrate --back 1"],
  [["deploy"], "COMMAND_UNKNOWN", '"deploy"', "amber migrate"],
  [["validate"], "COMMAND_UNKNOWN", '"validate"', "amber check"],
  [["stamp"], "COMMAND_UNKNOWN", '"stamp"', "amber migrate --fake"],
  [["repair"], "COMMAND_UNKNOWN", '"repair"', "amber migrate --accept"],
  [["dump"], "COMMAND_UNKNOWN", '"dump"', /amber/],
  [["squashmigrations"], "COMMAND_UNKNOWN", '"squashmigrations"', /amber/],
  [["startapp"], "COMMAND_UNKNOWN", '"startapp"', /amber/],
  [["Migrate"], "COMMAND_UNKNOWN", '"Migrate"', "amber migrate"],
  [["migrate", "--frob"], "USAGE", "--frob", "amber migrate --help"],
  [["migrate", "--plam"], "USAGE", "--plam", "amber migrate --help"],
  [["migrate", "--yes=maybe"], "USAGE", "--yes: ", "amber migrate --help"],
  [["migrate", "-x"], "USAGE", "-x", "amber migrate --help"],
  [["migrate", "0001", "0002"], "USAGE", /./, "amber migrate --help"],
  [["migrate", "--back", "0"], "USAGE", '"0" is not a whole number from 1', "amber migrate --help"],
  [["migrate", "--back=-1"], "USAGE", '"-1" is not a whole number from 1', "amber migrate --help"],
  [["migrate", "--back", "x"], "USAGE", '"x" is not a whole number from 1', "amber migrate --help"],
  [["migrate", "--back", "1.5"], "USAGE", "whole number", "amber migrate --help"],
  [["migrate", "--back"], "USAGE", "back", "amber migrate --help"],
  [["migrate", "--back", "1", "0001"], "USAGE", "a target and --back", "amber migrate --help"],
  [["migrate", "--fake", "--fake-initial"], "USAGE", "--fake and --fake-initial", "amber migrate --help"],
  [["migrate", "--fake", "--check"], "USAGE", "--fake and --check", "amber migrate --help"],
  [["migrate", "--accept", "0001", "--fake"], "USAGE", "--fake and --accept", "amber migrate --help"],
  [["migrate", "--accept", "0001", "0001"], "USAGE", "--accept with a target", "amber migrate --help"],
  [["migrate", "--fake", "--back", "1"], "USAGE", "--back with --fake", "amber migrate --help"],
  [["migrate", "--fake", "--one-transaction"], "USAGE", "--one-transaction with --fake", "amber migrate --help"],
  [["migrate", "--check", "0001"], "USAGE", "--check with a target", "amber migrate --help"],
  [["migrate", "-d/folder"], "USAGE", `"-d/folder" is no flag`, "amber migrate --help"],
  [["--frob"], "COMMAND_UNKNOWN", '"--frob" stands before it', "Flags come after the command"],
  [["--wait", "5s", "migrate"], "COMMAND_UNKNOWN", '"--wait" stands before it', "Flags come after the command"],
  [["migrate", "--wait", "soon"], "USAGE", 'Cannot read "soon" as a duration', "30s"],
  [["migrate", "--wait", "-1s"], "USAGE", /./, /./],
  [["migrate", "--snapshot", "sometimes"], "CONFIG_VALUE", "--snapshot", "never, risky or always"],
  [["migrate", "--env-file", "nowhere.env"], "CONFIG_UNREADABLE", '"nowhere.env": there is no such file', "--env-file"],
  [["migrate", "--env-file", "."], "CONFIG_UNREADABLE", '"."', "--env-file"],
  [["migrate", "--url", ""], "CONFIG_EMPTY", "--url", /./],
  [["migrate", "-d", ""], "CONFIG_EMPTY", "--migrations", /./],
  [["migrate", "--migrations"], "USAGE", "migrations", "amber migrate --help"],
  [["wait", "--until", "sunday"], "USAGE", 'Cannot wait until "sunday"', "--until current"],
  [["adopt"], "USAGE", "TOOL", "amber adopt --help"],
  [["adopt", "flyway"], "USAGE", '"flyway"', "amber migrate --fake"],
  [["makemigrations", "--merge", "--empty"], "USAGE", "--merge and --empty", "amber makemigrations --help"],
  [["makemigrations", ".."], "USAGE", "no letter", "amber makemigrations add_posts"],
  [["sqlmigrate", "9"], "MIGRATION_UNKNOWN", '"9"', "amber showmigrations"],
  [["status", "extra"], "USAGE", /./, "amber status --help"],
];

for (const [args, code, message, hint] of cases) {
  Deno.test(`usage: amber ${args.map((arg) => arg || '""').join(" ")}`, async () => {
    await using folder = await tempFolder({ "migrations/0001_a.sql": "create table a (x);" });
    await refuses(args, { cwd: folder.root }, { code, message, hint });
  });
}

// What is typed in the wrong place is repeated in the message, unless it is a URL with a login.
const url = "postgres://ada:Qwpoiu7@lmzxk.invalid/relecloud";
for (
  const args of [
    [url],
    [`--url=${url}`, "migrate"],
    ["migrate", url],
    ["migrate", "0001", url],
    ["migrate", `-u${url}`],
    ["migrate", `--ur=${url}`],
    ["migrate", "--ur", url],
    ["migrate", "--wait", url],
    ["migrate", `--back=${url}`],
    ["migrate", `--json=${url}`],
    ["migrate", "--url", url, "--url", url],
    ["migrate", "--accept", url],
    ["migrate", "--snapshot", url],
    ["migrate", "--env-file", url],
    ["migrate", "--migrations", url],
    ["wait", "--until", url],
    ["adopt", url],
    ["sqlmigrate", url],
    ["showmigrations", url],
    ["makemigrations", "--check", url],
    ["migrate", `"${url}"`],
    ["migrate", url.replace("postgres", "jdbc:mysql")],
  ]
) {
  Deno.test(`usage: no password is repeated: amber ${args.join(" ").replaceAll(url, "URL")}`, async () => {
    await using folder = await tempFolder({ "migrations/0001_a.sql": "create table a (x);" });
    for (const json of [[], ["--json"]]) {
      const result = await amber([...args, ...json], { cwd: folder.root, env: { DB_PATH: "new.db" } });
      hides(result, ["Qwpoiu7", "lmzxk"]);
    }
  });
}

Deno.test("usage: without arguments amber explains itself", async () => {
  const { code, stdout } = await amber([], { cwd: "/" });
  assert.equal(code, 0);
  assert.match(stdout, /amber migrate/);
});

Deno.test("usage: every command has help with an example", async () => {
  const commands = [
    "migrate",
    "makemigrations",
    "showmigrations",
    "sqlmigrate",
    "check",
    "adopt",
    "wait",
    "status",
    "dbshell",
  ];
  for (const command of commands) {
    const { code, stdout, stderr } = await amber([command, "--help"], { cwd: "/" });
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`Example:\\n +amber ${command}`), stdout);
  }
});
