/** Files that do not fit what was applied, targets that nobody can mean, and ways back that do not exist. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { amber, type CommandResult } from "../support/command.ts";
import { type Files, type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { type Refusal, refuses } from "./refusal.ts";

const three: Files = {
  "migrations/0001_accounts.sql":
    "-- migrate:up\ncreate table accounts (x integer);\n-- migrate:down\ndrop table accounts;\n",
  "migrations/0002_notes.sql":
    "create table notes (x integer);\ninsert into notes values (1);\ncreate index by_x on notes (x);\n",
  "migrations/0003_tags.sql": "-- migrate:up\ncreate table tags (x integer);\n-- migrate:down\ndrop table tags;\n",
};

async function migrated(files: Files = three): Promise<TempFolder> {
  const folder = await tempFolder(files);
  const { code, stderr } = await amber(["migrate"], { cwd: folder.root });
  assert.equal(code, 0, stderr);
  return folder;
}

interface Case extends Refusal {
  title: string;
  before?: Files; // applied first; default: three
  change?: Files; // written then
  remove?: string[];
  args?: string[];
  /** `check` and `showmigrations` do not fail. */
  onlyMigrate?: boolean;
}

const cases: Case[] = [
  {
    title: "an applied file was edited: which statement",
    change: {
      "migrations/0002_notes.sql":
        "create table notes (x integer);\ninsert into notes values (2);\ncreate index by_x on notes (x);\n",
    },
    code: "MIGRATION_DRIFT",
    message: /"0002_notes" was applied on \d{4}-\d\d-\d\d, and statement 2 of 3 has changed since/,
    where: "migrations/0002_notes.sql",
    hint: /Put the file back.*amber migrate --accept 0002_notes/,
  },
  {
    title: "an applied file got a statement more, and one is pending",
    change: {
      "migrations/0002_notes.sql": `${three["migrations/0002_notes.sql"]}create table more (x integer);\n`,
      "migrations/0004_new.sql": "create table new (x integer);",
    },
    code: "MIGRATION_DRIFT",
    message: "statement 4 ",
    where: "migrations/0002_notes.sql",
    hint: "--accept 0002_notes",
  },
  {
    title: "an applied file cannot be read any more",
    change: { "migrations/0002_notes.sql": "create table notes (x integer default 'open);\n" },
    code: "MIGRATION_MALFORMED",
    message: "is never closed",
    where: "migrations/0002_notes.sql:1:",
    hint: /./,
  },
  {
    title: "applied code was edited",
    before: { "migrations/0001_a.ts": "export async function up(db) { await db.exec('create table a (x)'); }\n" },
    change: { "migrations/0001_a.ts": "export async function up(db) { await db.exec('create table a (y)'); }\n" },
    code: "MIGRATION_DRIFT",
    message: "its code has changed since",
    where: "migrations/0001_a.ts",
    hint: "--accept 0001_a",
  },
  {
    title: "an applied file is missing",
    remove: ["migrations/0002_notes.sql"],
    code: "MIGRATION_MISSING",
    message: '"0002_notes" was applied on',
    where: "0002_notes",
    hint: "version control",
  },
  {
    title: "an applied file was renamed",
    remove: ["migrations/0002_notes.sql"],
    change: { "migrations/0002_posts.sql": three["migrations/0002_notes.sql"]! },
    code: "MIGRATION_MISSING",
    message: '"0002_notes" was applied, and its file is now called "0002_posts"',
    where: "0002_notes",
    hint: "old name back",
  },
  {
    title: "the last applied file was renamed",
    remove: ["migrations/0003_tags.sql"],
    change: { "migrations/0003_labels.sql": three["migrations/0003_tags.sql"]! },
    code: "MIGRATION_MISSING",
    message: 'its file is now called "0003_labels"',
    hint: "old name back",
  },
  {
    title: "one came late from another branch",
    before: { "migrations/0001_a.sql": "create table a (x);", "migrations/0003_c.sql": "create table c (x);" },
    change: { "migrations/0002_b.sql": "create table b (x);" },
    code: "MIGRATION_LATE",
    message: 'Cannot apply "0002_b" now: "0003_c", which comes after, is applied already',
    where: "migrations/0002_b.sql",
    hint: "amber migrate --allow-late",
  },
  {
    title: "a target that nobody knows",
    args: ["0009"],
    onlyMigrate: true,
    code: "MIGRATION_UNKNOWN",
    message: 'Cannot find a migration "0009"',
    hint: "amber showmigrations",
  },
  {
    title: "a target with a typo",
    args: ["notes"],
    onlyMigrate: true,
    code: "MIGRATION_UNKNOWN",
    message: '"notes"',
    hint: 'Did you mean "0002_notes"?',
  },
  {
    title: "a target that many begin with",
    args: ["000"],
    onlyMigrate: true,
    code: "MIGRATION_AMBIGUOUS",
    message: '"0001_accounts", "0002_notes", "0003_tags"',
    hint: "more of the name",
  },
  {
    title: "an empty target, as a variable without a value gives it",
    args: [""],
    onlyMigrate: true,
    code: "USAGE",
    message: "name is empty",
    hint: "zero",
  },
  {
    title: "all the way back over one that has no way back: nothing is run, not even the last one",
    args: ["zero"],
    onlyMigrate: true,
    code: "MIGRATION_IRREVERSIBLE",
    message: 'Cannot go back across "0002_notes": it has no down section',
    where: "migrations/0002_notes.sql",
    hint: "Nothing was run",
  },
  {
    title: "two steps back over one that has no way back",
    args: ["--back", "2"],
    onlyMigrate: true,
    code: "MIGRATION_IRREVERSIBLE",
    message: "0002_notes",
    hint: "Nothing was run",
  },
  {
    title: "the plan of a way back that does not exist",
    args: ["0001", "--plan"],
    onlyMigrate: true,
    code: "MIGRATION_IRREVERSIBLE",
    message: "0002_notes",
    hint: "Nothing was run",
  },
  {
    title: "back over code without down",
    before: { "migrations/0001_a.ts": "export async function up(db) {}\n" },
    args: ["zero"],
    onlyMigrate: true,
    code: "MIGRATION_IRREVERSIBLE",
    message: "it exports no function `down`",
    where: "migrations/0001_a.ts",
    hint: "Nothing was run",
  },
  {
    title: "back over one that says why it cannot",
    before: {
      "migrations/0001_a.sql": "-- migrate:up\ncreate table a (x);\n-- migrate:irreversible the cards were shredded\n",
    },
    args: ["--back", "1"],
    onlyMigrate: true,
    code: "MIGRATION_IRREVERSIBLE",
    message: 'Cannot go back across "0001_a": the cards were shredded',
    where: "migrations/0001_a.sql",
    hint: "Nothing was run",
  },
  {
    title: "back over one that a newer version applied without a way back",
    before: { "migrations/0001_a.sql": "create table a (x);", "migrations/0002_b.sql": "create table b (x);" },
    remove: ["migrations/0002_b.sql"],
    args: ["0001"],
    onlyMigrate: true,
    code: "MIGRATION_IRREVERSIBLE",
    message: 'Cannot go back across "0002_b": there is no file for it here',
    hint: "newer version",
  },
  {
    title: "accepting what is not applied",
    change: { "migrations/0004_new.sql": "create table new (x integer);" },
    args: ["--accept", "0004"],
    onlyMigrate: true,
    code: "MIGRATION_UNKNOWN",
    message: 'Cannot accept "0004_new": it is not applied',
    hint: "amber migrate",
  },
  {
    title: "taking rows out of the history where nobody can be asked",
    args: ["0001", "--fake"],
    onlyMigrate: true,
    code: "CONFIRMATION_NEEDED",
    message: "Take 2 migrations out of the history",
    hint: "--yes",
  },
];

for (const { title, before, change = {}, remove = [], args = [], onlyMigrate = false, ...expected } of cases) {
  Deno.test(`history: ${title}`, async () => {
    await using folder = await migrated(before);
    await folder.write(change);
    for (const path of remove) await Deno.remove(folder.path(path));
    await refuses(["migrate", ...args], { cwd: folder.root }, expected);
    if (!onlyMigrate) await refuses(["check"], { cwd: folder.root }, expected);
  });
}

Deno.test("history: other line ends, a byte-order mark, comments and blank lines are no change", async () => {
  const text = three["migrations/0002_notes.sql"] as string;
  const variants = {
    "CRLF": text.replaceAll("\n", "\r\n"),
    "a byte-order mark": `\ufeff${text}`,
    "comments": `-- what it is for\n\n/* long\n story */ ${text.replace(";\n", ";\n\n-- and then\n")}`,
    "no line end at the end": text.trimEnd(),
    "markers": `-- migrate:up\n${text}`,
    "all of it": `\ufeff-- migrate:up\r\n\r\n-- x\r\n${text.replaceAll("\n", "\r\n")}`,
  };
  await using folder = await migrated();
  for (const [what, variant] of Object.entries(variants)) {
    await folder.write({ "migrations/0002_notes.sql": variant });
    for (const args of [["check"], ["migrate"], ["migrate"]]) {
      const result = await amber(args, { cwd: folder.root });
      assert.equal(result.code, 0, `${what}: ${args}\n${result.stderr}`);
    }
  }
});

Deno.test("history: a way down may be written later", async () => {
  await using folder = await migrated();
  await folder.write({
    "migrations/0002_notes.sql": `-- migrate:up\n${
      three["migrations/0002_notes.sql"]
    }-- migrate:down\ndrop table notes;\n`,
  });
  succeeded(await amber(["check"], { cwd: folder.root }));
  succeeded(await amber(["migrate", "zero"], { cwd: folder.root }));
});

Deno.test("history: the database may be ahead, and old code still starts", async () => {
  await using folder = await migrated();
  await Deno.remove(folder.path("migrations/0003_tags.sql"));
  for (const command of ["migrate", "check", "migrate"]) {
    const { code, stderr } = await amber([command], { cwd: folder.root });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /the database is ahead: "0003_tags"/);
    const { json } = await amber([command, "--json"], { cwd: folder.root });
    assert.ok(json.some((line) => line.type === "note" && /ahead/.test(String(line.message))), command);
    assert.equal(json.at(-1)?.type, "result");
  }
  assert.match((await amber(["showmigrations"], { cwd: folder.root })).stdout, /\[X\] 0003_tags .*newer version/);
});

Deno.test("history: late ones are applied when that is allowed", async () => {
  await using folder = await migrated({
    "migrations/0001_a.sql": "create table a (x);",
    "migrations/0003_c.sql": "create table c (x);",
  });
  await folder.write({ "migrations/0002_b.sql": "create table b (x);" });
  assert.match((await amber(["showmigrations"], { cwd: folder.root })).stdout, /\[ \] 0002_b .*late/);
  assert.match((await amber(["migrate", "--allow-late"], { cwd: folder.root })).stdout, /applied +0002_b/);
  succeeded(await amber(["check"], { cwd: folder.root }));
});

Deno.test("history: an edited file is accepted, and only then left alone", async () => {
  await using folder = await migrated();
  await folder.write({ "migrations/0002_notes.sql": "create table notes (x integer, y integer);\n" });
  assert.equal((await amber(["migrate"], { cwd: folder.root })).code, 4);
  const { stdout } = succeeded(await amber(["migrate", "--accept", "0002"], { cwd: folder.root }));
  assert.match(stdout, /Accepted "0002_notes" as it is now\. Nothing was run/);
  succeeded(await amber(["check"], { cwd: folder.root }));
  succeeded(await amber(["migrate"], { cwd: folder.root }));
});

Deno.test("history: --fake takes rows out with --yes and leaves the tables", async () => {
  await using folder = await migrated();
  const { stdout } = succeeded(await amber(["migrate", "0001", "--fake", "--yes"], { cwd: folder.root }));
  assert.match(stdout, /taken out +0003_tags\n +taken out +0002_notes\nNothing was run/);
  using database = new DatabaseSync(folder.path("local.db"));
  assert.deepEqual(database.prepare("select name from amber_migrations").all().map(({ name }) => name), [
    "0001_accounts",
  ]);
  assert.equal(database.prepare("select count(*) as n from tags").get()!.n, 0);
});

function succeeded(result: CommandResult): CommandResult {
  assert.equal(result.code, 0, result.stdout + result.stderr);
  return result;
}
