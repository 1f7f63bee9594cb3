/** Folders and files of migrations that are not sound: refused before anything runs, by `migrate` and by `check`. */
import assert from "node:assert/strict";
import { amber } from "../support/command.ts";
import { tempFolder } from "../support/temp_folder.ts";
import type { Files } from "../support/temp_folder.ts";
import { type Refusal, refuses } from "./refusal.ts";

const create = (table: string) => `create table ${table} (x integer);\n`;
const code = (body: string) => `export async function up(db) { ${body} }\n`;

interface Case extends Refusal {
  title: string;
  files: Files;
  args?: string[];
  /** `check` says the same. Default true. */
  checked?: boolean;
}

async function check({ files, args = [], checked = true, ...expected }: Case): Promise<void> {
  await using folder = await tempFolder(files);
  await refuses(["migrate", ...args], { cwd: folder.root }, expected);
  if (checked) await refuses(["check", ...args], { cwd: folder.root }, expected);
}

const cases: Case[] = [
  {
    title: "a folder that is not there is never a success",
    files: {},
    code: "MIGRATIONS_MISSING",
    message: 'Cannot read the migrations in "migrations": there is no such folder',
    where: "migrations",
    hint: "AMBER_MIGRATIONS",
  },
  {
    title: "an empty folder is never a success",
    files: { "migrations/": "" },
    code: "MIGRATIONS_MISSING",
    message: 'the folder "migrations" has none',
    hint: "Is the path right",
  },
  {
    title: "a folder with notes only is never a success",
    files: { "db/README.md": "notes", "db/.hidden.sql": create("a"), "db/_helper.ts": "export {}" },
    args: ["-d", "db"],
    code: "MIGRATIONS_MISSING",
    message: 'the folder "db" has none',
    hint: "Is the path right",
  },
  {
    title: "a file in the place of the folder",
    files: { "migrations": create("a") },
    code: "MIGRATIONS_MISSING",
    message: "it is not a folder",
    hint: "Name the folder that the files are in",
  },
  {
    title: "migrations in folders of their own, as Diesel and Prisma have them",
    files: { "migrations/20240101_init/migration.sql": create("a") },
    code: "MIGRATION_NAME",
    message: '"20240101_init" is a folder',
    where: "migrations/20240101_init",
    hint: "20240101_init.sql",
  },
  {
    title: "a folder beside the files that holds a migration is not left out silently",
    files: { "migrations/0001_a.sql": create("a"), "migrations/0002_b/up.sql": create("b") },
    code: "MIGRATION_NAME",
    message: '"0002_b" is a folder',
    hint: "0002_b.sql",
  },
  {
    title: "a folder that is called like a file",
    files: { "migrations/0001_a.sql": create("a"), "migrations/0002_b.sql/": "" },
    code: "MIGRATION_NAME",
    message: '"0002_b.sql" is a folder',
    hint: "file",
  },
  {
    title: "a name without a number",
    files: { "migrations/0001_a.sql": create("a"), "migrations/add_b.sql": create("b") },
    code: "MIGRATION_NAME",
    message: '"add_b.sql": its name does not begin with a number',
    where: "migrations/add_b.sql",
    hint: "0001_add_b.sql",
  },
  {
    title: "code without a number, which may be a helper",
    files: { "migrations/0001_a.sql": create("a"), "migrations/helper.ts": "export {}" },
    code: "MIGRATION_NAME",
    message: "does not begin with a number",
    hint: "_helper.ts if it is no migration",
  },
  {
    title: "golang-migrate's pairs",
    files: { "migrations/0001_a.up.sql": create("a"), "migrations/0001_a.down.sql": "drop table a;" },
    code: "MIGRATION_NAME",
    message: "both directions of a migration in one file",
    hint: "-- migrate:down",
  },
  {
    title: "Flyway's names",
    files: { "migrations/V1__a.sql": create("a") },
    code: "MIGRATION_NAME",
    message: "Flyway",
    hint: "0001_a.sql",
  },
  {
    title: "another name for an engine",
    files: { "migrations/0001_a.pg.sql": create("a") },
    code: "MIGRATION_NAME",
    message: '"pg" is not how amber names an engine',
    hint: "0001_a.postgres.sql",
  },
  {
    title: "an ending in upper case",
    files: { "migrations/0001_a.SQL": create("a") },
    code: "MIGRATION_NAME",
    message: "not in lower case",
    hint: "0001_a.sql",
  },
  {
    title: "an engine in upper case",
    files: { "migrations/0001_a.SQLite.sql": create("a") },
    code: "MIGRATION_NAME",
    message: '"SQLite" is not how amber names an engine',
    hint: "0001_a.sqlite.sql",
  },
  {
    title: "a control character in a name",
    files: { "migrations/0001_a\nb.sql": create("a") },
    code: "MIGRATION_NAME",
    message: "control character",
    hint: "Rename",
  },
  {
    title: "two files of one name",
    files: { "migrations/0001_a.sql": create("a"), "migrations/0001_a.ts": code("") },
    code: "MIGRATION_NAME",
    message: '"0001_a.sql" and "0001_a.ts" are both the migration "0001_a"',
    where: "migrations",
    hint: "one file",
  },
  {
    title: "a file for both engines and one for one of them",
    files: { "migrations/0001_a.sql": create("a"), "migrations/0001_a.sqlite.sql": create("a") },
    code: "MIGRATION_NAME",
    message: "are both the migration",
    hint: "NAME.sqlite.sql",
  },
  {
    title: "no file for this engine",
    files: { "migrations/0001_a.sql": create("a"), "migrations/0002_b.postgres.sql": create("b") },
    code: "MIGRATION_VARIANT_MISSING",
    message: 'Cannot run "0002_b" on sqlite: it has a file for postgres only',
    where: "migrations/0002_b.postgres.sql",
    hint: "0002_b.sqlite.sql",
  },
  {
    title: "two files with one number",
    files: {
      "migrations/0001_a.sql": create("a"),
      "migrations/0002_b.sql": create("b"),
      "migrations/0002_c.sql": create("c"),
    },
    code: "MIGRATION_CONFLICT",
    message: /"0002_b" \(after "0001_a"\) and "0002_c" \(after "0001_a"\)/,
    where: "migrations/0002_b.sql",
    hint: "amber makemigrations --merge",
  },
  {
    title: "two files with the same number written differently",
    files: { "migrations/0001_a.sql": create("a"), "migrations/1_b.sql": create("b") },
    code: "MIGRATION_CONFLICT",
    message: '"0001_a" (after nothing) and "1_b" (after nothing)',
    hint: "rename one to the next number",
  },
  {
    title: "a circle",
    files: {
      "migrations/0001_a.sql": `-- migrate:depends 0003_c\n${create("a")}`,
      "migrations/0002_b.sql": create("b"),
      "migrations/0003_c.sql": create("c"),
    },
    code: "MIGRATION_CYCLE",
    message: /"0001_a" → "0003_c" → "0002_b" → "0001_a"/,
    hint: "dependenc",
  },
  {
    title: "a migration that depends on itself",
    files: { "migrations/0001_a.sql": `-- migrate:depends 0001_a\n${create("a")}` },
    code: "MIGRATION_CYCLE",
    message: '"0001_a" → "0001_a"',
    where: "migrations/0001_a.sql",
    hint: "dependenc",
  },
  {
    title: "a parent that is not there",
    files: { "migrations/0001_a.sql": create("a"), "migrations/0002_b.sql": `-- migrate:depends 0001\n${create("b")}` },
    code: "MIGRATION_PARENT_MISSING",
    message: '"0002_b" depends on "0001", and there is no such migration',
    where: "migrations/0002_b.sql",
    hint: 'Did you mean "0001_a"?',
  },
  {
    title: "a typo in a parent's name",
    files: {
      "migrations/0001_accounts.sql": create("a"),
      "migrations/0002_b.sql": `-- migrate:depends 0001_acounts\n${create("b")}`,
    },
    code: "MIGRATION_PARENT_MISSING",
    message: '"0001_acounts"',
    hint: /./,
  },
  {
    title: "two up sections",
    files: {
      "migrations/0001_a.sql": `-- migrate:up\n${create("a")}-- migrate:down\ndrop table a;\n-- migrate:up\n${
        create("b")
      }`,
    },
    code: "MIGRATION_MALFORMED",
    message: "on line 5 is the second one, the first is on line 1",
    where: "migrations/0001_a.sql:5:1",
    hint: "a file of its own",
  },
  {
    title: "an empty file",
    files: { "migrations/0001_a.sql": "" },
    code: "MIGRATION_MALFORMED",
    message: "contains no statement",
    where: "migrations/0001_a.sql",
    hint: "-- migrate:up",
  },
  {
    title: "a file that is not UTF-8",
    files: { "migrations/0001_a.sql": new Uint8Array([...bytes("select 1;\n-- caf"), 0xe9, 10]) },
    code: "MIGRATION_MALFORMED",
    message: "it is not UTF-8 text",
    where: "migrations/0001_a.sql:2:",
    hint: "iconv",
  },
  {
    title: "a file in UTF-16",
    files: {
      "migrations/0001_a.sql": new Uint8Array([0xff, 0xfe, ...[..."select 1;"].flatMap((c) => [c.charCodeAt(0), 0])]),
    },
    code: "MIGRATION_MALFORMED",
    message: "UTF-16",
    hint: "UTF-8",
  },
  {
    title: "UTF-16 without a mark",
    files: { "migrations/0001_a.sql": new Uint8Array([..."select 1;"].flatMap((c) => [c.charCodeAt(0), 0])) },
    code: "MIGRATION_MALFORMED",
    message: "NUL",
    where: "migrations/0001_a.sql:1:2",
    hint: "UTF-8",
  },
  {
    title: "a typo in the last pending file stops the first",
    files: {
      "migrations/0001_a.sql": create("a"),
      "migrations/0002_b.sql": create("b"),
      "migrations/0003_c.sql": "insert into a values ('never closed);\n",
    },
    code: "MIGRATION_MALFORMED",
    message: "is never closed",
    where: "migrations/0003_c.sql:1:23",
    hint: "Mend the file",
  },
  {
    title: "code that does not parse",
    files: {
      "migrations/0001_a.sql": create("a"),
      "migrations/0002_b.ts": "\nexport async function up(db) { if ( }\n",
    },
    code: "MIGRATION_MALFORMED",
    message: 'Cannot load "migrations/0002_b.ts"',
    where: "migrations/0002_b.ts:2:",
    hint: "Mend the file",
  },
  {
    title: "code that throws when it is loaded",
    files: {
      "migrations/0001_a.sql": create("a"),
      "migrations/0002_b.ts": `${code("")}\nthrow new Error("not today");\n`,
    },
    code: "MIGRATION_MALFORMED",
    message: "not today",
    where: "migrations/0002_b.ts:3:",
    hint: "Mend the file",
  },
  {
    title: "code that imports a file that is not there",
    files: {
      "migrations/0001_a.sql": create("a"),
      "migrations/0002_b.ts": `import { x } from "./gone.ts";\n${code("x")}`,
    },
    code: "MIGRATION_MALFORMED",
    message: 'Module not found "migrations/gone.ts"',
    where: "migrations/0002_b.ts",
    hint: "files beside it",
  },
  {
    title: "code that imports a package that nobody has",
    files: {
      "migrations/0001_a.sql": create("a"),
      "migrations/0002_b.ts": `import { x } from "nobody-has-this";\n${code("x")}`,
    },
    code: "MIGRATION_MALFORMED",
    message: "nobody-has-this",
    where: "migrations/0002_b.ts",
    hint: "npm packages",
  },
  {
    title: "code without up",
    files: { "migrations/0001_a.ts": "export function upp() {}\n" },
    code: "MIGRATION_MALFORMED",
    message: "it exports no function `up`",
    where: "migrations/0001_a.ts",
    hint: "export async function up(db)",
  },
  {
    title: "code whose down is no function",
    files: { "migrations/0001_a.ts": `${code("")}export const down = "drop table a";\n` },
    code: "MIGRATION_MALFORMED",
    message: "`down` is not a function",
    hint: "export async function down(db)",
  },
  {
    title: "code whose depends is made up at run time",
    files: { "migrations/0001_a.ts": `${code("")}export const depends = ["0001", "x"].slice(0, 0).concat("b");\n` },
    code: "MIGRATION_PARENT_MISSING",
    message: '"0001"',
    hint: /./,
  },
  {
    title: "an empty name of a folder in the environment",
    files: { "migrations/0001_a.sql": create("a"), ".env": "AMBER_MIGRATIONS=\n" },
    code: "CONFIG_EMPTY",
    message: "AMBER_MIGRATIONS (.env): it is set but empty",
    hint: "Unset it or give it a value",
  },
];
for (const one of cases) Deno.test(`files: ${one.title}`, () => check(one));

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

Deno.test("files: links that lead nowhere, or to a folder, are named", async () => {
  await using folder = await tempFolder({ "migrations/0001_a.sql": create("a"), "elsewhere/": "" });
  await Deno.symlink("gone.sql", folder.path("migrations/0002_b.sql"));
  const gone = {
    code: "MIGRATION_MALFORMED",
    message: 'Cannot read "migrations/0002_b.sql": it is a link to a file that does not exist',
    where: "migrations/0002_b.sql",
    hint: "link",
  } as const;
  await refuses(["migrate"], { cwd: folder.root }, gone);
  await refuses(["check"], { cwd: folder.root }, gone);
  await Deno.remove(folder.path("migrations/0002_b.sql"));
  await Deno.symlink("../elsewhere", folder.path("migrations/0002_b.sql"));
  await refuses(["migrate"], { cwd: folder.root }, {
    code: "MIGRATION_NAME",
    message: '"0002_b.sql" is a folder',
    hint: "file",
  });
});

Deno.test("files: links to files and folders are followed, as Kubernetes mounts them", async () => {
  await using folder = await tempFolder({ "migrations/..data_1/0001_a.sql": create("a") });
  await Deno.symlink("..data_1", folder.path("migrations/..data"));
  await Deno.symlink("..data/0001_a.sql", folder.path("migrations/0001_a.sql"));
  await Deno.symlink("migrations", folder.path("link"));
  assert.match((await amber(["migrate", "-d", "link/"], { cwd: folder.root })).stdout, /1 applied/);
});

Deno.test("files: what is no migration may lie beside them", async () => {
  await using folder = await tempFolder({
    "migrations/0001_a.sql": create("a"),
    "migrations/README.md": "",
    "migrations/.0002.sql.swp": "",
    "migrations/.0003_x.sql": "",
    "migrations/_shared.ts": "",
    "migrations/types.d.ts": "",
    "migrations/0001_data/rows.csv": "",
    "migrations/__pycache__/x.pyc": "",
  });
  assert.match((await amber(["migrate"], { cwd: folder.root })).stdout, /1 applied/);
});
