/** Paths and files that are no SQLite database that can be migrated. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { amber, otherUser } from "../support/command.ts";
import { testWith } from "../support/skip.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { type Refusal, refuses } from "./refusal.ts";

const files = { "migrations/0001_a.sql": "create table a (x integer);\n" };

/** A database of some pages, with rows. */
function fill(path: string, rows = 2_000): void {
  using database = new DatabaseSync(path);
  database.exec(`create table notes (id integer primary key, text text);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < ${rows}) insert into notes select i, hex(randomblob(50)) from n;`);
}

interface Case extends Refusal {
  title: string;
  env: Record<string, string>;
  prepare?: (folder: TempFolder) => void | Promise<void>;
  /** What `check` answers, when not the same. */
  check?: Partial<Refusal>;
}

const cases: Case[] = [
  {
    title: "a folder",
    env: { DB_PATH: "data" },
    prepare: (folder) => folder.write({ "data/": "" }),
    code: "DATABASE_PATH",
    message: 'Cannot open the database "data": it is a folder',
    where: "data",
    hint: "DB_PATH",
  },
  {
    title: "a path that ends like a folder",
    env: { DB_PATH: "data/" },
    code: "DATABASE_PATH",
    message: '"data/": it names a folder',
    hint: "data/prod.db",
  },
  {
    title: "a folder that does not exist, as without the volume",
    env: { DATABASE_URL: "sqlite:data/prod.db" },
    code: "DATABASE_PATH",
    message: 'Cannot open the database "data/prod.db": the folder "data" does not exist',
    where: "data/prod.db",
    hint: "mkdir -p data",
  },
  {
    title: "a file in the place of the folder",
    env: { DB_PATH: "data/prod.db" },
    prepare: (folder) => folder.write({ "data": "" }),
    code: "DATABASE_PATH",
    message: '"data" is not a folder',
    hint: "DB_PATH",
  },
  {
    title: "a link that leads nowhere",
    env: { DB_PATH: "app.db" },
    prepare: (folder) => Deno.symlink("volume/app.db", folder.path("app.db")),
    code: "DATABASE_PATH",
    message: '"app.db": it is a link to "volume/app.db", which does not exist',
    hint: "volume",
  },
  {
    title: "a link to itself",
    env: { DB_PATH: "app.db" },
    prepare: (folder) => Deno.symlink("app.db", folder.path("app.db")),
    code: "DATABASE_PATH",
    message: '"app.db"',
    hint: /./,
  },
  {
    title: "a device",
    env: { DB_PATH: "/dev/null" },
    code: "DATABASE_PATH",
    message: '"/dev/null": it is not a file',
    hint: "DB_PATH",
  },
  {
    title: "garbage",
    env: { DB_PATH: "app.db" },
    prepare: (folder) => folder.write({ "app.db": "This is a letter and no database.\n".repeat(100) }),
    code: "DATABASE_FORMAT",
    message: 'Cannot read the database "app.db": the file is not a SQLite database',
    where: "app.db",
    hint: "Nothing was changed",
  },
  {
    title: "garbage of a few bytes",
    env: { DB_PATH: "app.db" },
    prepare: (folder) => folder.write({ "app.db": "x" }),
    code: "DATABASE_FORMAT",
    message: "not a SQLite database",
    hint: "Nothing was changed",
  },
  {
    title: "a pg_dump in the wrong variable",
    env: { DB_PATH: "app.db" },
    prepare: (folder) => folder.write({ "app.db": "--\n-- PostgreSQL database dump\n--\n" }),
    code: "DATABASE_FORMAT",
    message: "not a SQLite database",
    hint: /./,
  },
  {
    title: "the first page alone, as after a copy that was cut off",
    env: { DB_PATH: "app.db" },
    prepare(folder) {
      fill(folder.path("app.db"));
      Deno.truncateSync(folder.path("app.db"), 4096);
    },
    code: "DATABASE_FORMAT",
    message: /damaged|cut off/,
    hint: "Nothing was changed",
  },
  {
    title: "half of the pages",
    env: { DB_PATH: "app.db" },
    prepare(folder) {
      fill(folder.path("app.db"));
      Deno.truncateSync(folder.path("app.db"), Math.floor(Deno.statSync(folder.path("app.db")).size / 8192) * 4096);
    },
    code: "DATABASE_FORMAT",
    message: /damaged|cut off/,
    hint: "put the file back",
  },
  {
    title: "a header cut off",
    env: { DB_PATH: "app.db" },
    prepare(folder) {
      fill(folder.path("app.db"));
      Deno.truncateSync(folder.path("app.db"), 60);
    },
    code: "DATABASE_FORMAT",
    message: /not a SQLite database|damaged|cut off/,
    hint: "Nothing was changed",
  },
  {
    title: "a first page overwritten behind the header",
    env: { DB_PATH: "app.db" },
    prepare(folder) {
      fill(folder.path("app.db"));
      using file = Deno.openSync(folder.path("app.db"), { write: true });
      file.seekSync(100, Deno.SeekMode.Start);
      file.writeSync(new Uint8Array(3_996).fill(0xaa));
    },
    code: "DATABASE_FORMAT",
    message: "damaged",
    hint: "Nothing was changed",
  },
  {
    title: "a Postgres URL in the wrong variable",
    env: { DB_PATH: "postgres://ada:Qwpoiu7@lmzxk.invalid/relecloud" },
    code: "CONFIG_VALUE",
    message: "Cannot use DB_PATH (environment): it holds a URL",
    hint: "DATABASE_URL",
    secrets: ["Qwpoiu7", "lmzxk"],
  },
  {
    title: "memory",
    env: { DATABASE_URL: "sqlite::memory:" },
    code: "CONFIG_VALUE",
    message: "does not last",
    hint: "Name a file",
  },
];

for (const { title, env, prepare, check, ...expected } of cases) {
  Deno.test(`SQLite: ${title}`, async () => {
    await using folder = await tempFolder(files);
    await prepare?.(folder);
    await refuses(["migrate"], { cwd: folder.root, env }, expected);
    await refuses(["check"], { cwd: folder.root, env }, { ...expected, ...check });
    await refuses(["status"], { cwd: folder.root, env }, { ...expected, ...check });
  });
}

Deno.test("SQLite: a history table that somebody else made", async () => {
  await using folder = await tempFolder(files);
  {
    using database = new DatabaseSync(folder.path("local.db"));
    database.exec("create table amber_migrations (name text)");
  }
  for (const command of ["migrate", "check", "status"]) {
    await refuses([command], { cwd: folder.root }, {
      code: "HISTORY_FOREIGN",
      message: "the table main.amber_migrations is not as amber makes it",
      hint: "rename that one",
    });
  }
});

Deno.test("SQLite: a file without a byte is an empty database", async () => {
  await using folder = await tempFolder({ ...files, "app.db": "" });
  const options = { cwd: folder.root, env: { DB_PATH: "app.db" } };
  await refuses(["check"], options, {
    code: "MIGRATIONS_PENDING",
    message: "1 migration is pending: 0001_a",
    hint: "amber migrate",
  });
  assert.match((await amber(["migrate"], options)).stdout, /1 applied/);
  assert.equal((await amber(["check"], options)).code, 0);
});

Deno.test("SQLite: a missing file is made by migrate alone, for its owner only", async () => {
  await using folder = await tempFolder(files);
  for (const args of [["check"], ["showmigrations"], ["status"], ["migrate", "--plan"], ["sqlmigrate"], ["wait"]]) {
    await amber(args, { cwd: folder.root });
    assert.deepEqual(await folder.list(), ["migrations/0001_a.sql"], args.join(" "));
  }
  assert.equal((await amber(["migrate"], { cwd: folder.root })).code, 0);
  assert.deepEqual(await folder.list(), ["local.db", "migrations/0001_a.sql"]);
  assert.equal(Deno.statSync(folder.path("local.db")).mode! & 0o777, 0o600);
});

testWith("root", "SQLite: a file or a folder that this user may not write", async () => {
  await using nobody = await otherUser("nobody");
  await using folder = await tempFolder({ ...files, "closed/": "", "data/": "" });
  fill(folder.path("data/theirs.db"));
  fill(folder.path("closed/theirs.db"));
  fill(folder.path("data/secret.db"));
  await folder.giveTo(nobody.user!);
  Deno.chmodSync(folder.path("closed"), 0o555);
  Deno.chmodSync(folder.path("data/theirs.db"), 0o444);
  Deno.chmodSync(folder.path("data/secret.db"), 0);
  const run = (path: string, expected: Refusal) =>
    refuses(["migrate"], {
      cwd: folder.path("migrations"),
      as: nobody,
      env: { DB_PATH: folder.path(path), AMBER_MIGRATIONS: "." },
    }, expected);
  await run("closed/new.db", {
    code: "DATABASE_PATH",
    message: /Cannot create the database ".*closed\/new\.db": this user may not write in the folder/,
    hint: "Let this user write there",
  });
  await run("data/theirs.db", {
    code: "DATABASE_PATH",
    message: /Cannot write to the database/,
    hint: "write the file and its folder",
  });
  await run("closed/theirs.db", {
    code: "DATABASE_PATH",
    message: /database ".*closed\/theirs\.db"/,
    hint: "write the file and its folder",
  });
  await run("data/secret.db", { code: "DATABASE_PATH", message: /Cannot open the database/, hint: "read and write" });
  // In a folder that may not even be entered nobody knows whether there is a file.
  Deno.chmodSync(folder.path("data"), 0);
  await run("data/theirs.db", { code: "DATABASE_PATH", message: /database/, hint: /./ });
  Deno.chmodSync(folder.path("data"), 0o755);

  // Files of migrations that may not be read.
  await folder.write({ "m/0001_a.sql": "select 1;" });
  Deno.chmodSync(folder.path("m/0001_a.sql"), 0);
  const read = (expected: Refusal) =>
    refuses(
      ["migrate", "-d", folder.path("m")],
      { cwd: folder.path("data"), as: nobody, env: { DB_PATH: "new.db" } },
      expected,
    );
  await read({
    code: "MIGRATION_MALFORMED",
    message: "this user may not read it",
    where: /m\/0001_a\.sql$/,
    hint: "chmod a+r",
  });
  Deno.chmodSync(folder.path("m"), 0);
  await read({ code: "MIGRATIONS_MISSING", message: "this user may not read it", hint: "chmod a+rx" });
  Deno.chmodSync(folder.path("m"), 0o755);
});
