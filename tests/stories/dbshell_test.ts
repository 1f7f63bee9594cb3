import assert from "node:assert/strict";
import { parseDatabaseUrl } from "../../lib/database_url.ts";
import { shellCommand } from "../../lib/stories/dbshell.ts";
import { spawnAmber } from "../support/command.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";

Deno.test("shellCommand() keeps the password out of the arguments", () => {
  const address = parseDatabaseUrl(
    "postgres://ada:s3cret@db.example:5433/app?sslmode=require&options=-c%20a%3Db",
    "test",
  );
  const { program, args, env } = shellCommand(address, ["-c", "select 1"]);
  assert.equal(program, "psql");
  assert.deepEqual(args, ["-c", "select 1"]);
  assert.deepEqual(env, {
    PGHOST: "db.example",
    PGPORT: "5433",
    PGDATABASE: "app",
    PGUSER: "ada",
    PGSSLMODE: "require",
    PGPASSWORD: "s3cret",
    PGOPTIONS: "-c a=b",
  });
  assert.deepEqual(shellCommand({ engine: "sqlite", path: "-x.db" }, [".tables"]), {
    program: "sqlite3",
    args: ["./-x.db", ".tables"],
    env: {},
  });
});

testWith("sqlite3", "dbshell opens sqlite3 on the configured database, and gives its exit status", async () => {
  await using folder = await tempFolder();
  const run = async (...args: string[]) =>
    await spawnAmber(["dbshell", "--", ...args], { cwd: folder.root, env: { DB_PATH: "a.db" } }).result;
  const made = await run("create table t (x); insert into t values (7); select x from t;");
  assert.deepEqual([made.code, made.stdout], [0, "7\n"], made.stderr);
  assert.notEqual((await run("select nothere")).code, 0);
});

testWith(["psql", "postgres"], "dbshell opens psql on the configured database", async () => {
  await using folder = await tempFolder();
  await using database = await (await sharedPostgres()).database();
  const { code, stdout, stderr } = await spawnAmber(["dbshell", "--", "-Atc", "select current_database()"], {
    cwd: folder.root,
    env: { DATABASE_URL: database.url },
  }).result;
  assert.deepEqual([code, stdout], [0, `${database.name}\n`], stderr);
});

Deno.test("dbshell says which program is missing", async () => {
  await using folder = await tempFolder();
  const { code, stderr } = await spawnAmber(["dbshell"], {
    cwd: folder.root,
    env: { DB_PATH: "a.db", PATH: folder.root },
  }).result;
  assert.equal(code, 2, stderr);
  assert.match(stderr, /PROGRAM_MISSING\n.*sqlite3 is not installed\n.*apt-get install sqlite3/);
});
