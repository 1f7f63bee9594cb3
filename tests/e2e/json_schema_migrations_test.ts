/** Every line of `--json` from the commands about the schema is what tests/schemas says. */
import { testWith } from "../support/skip.ts";
import postgres from "postgres";
import { spawnAmber } from "../support/command.ts";
import { families, JsonLines } from "./json_lines.ts";
import { project } from "./project.ts";

const files = {
  "migrations/0001_notes.sql":
    "-- migrate:up\ncreate table notes (id integer primary key, body text);\ninsert into notes values (1, 'one');\n-- migrate:down\ndrop table notes;\n",
  "migrations/0002_tags.sql":
    "-- migrate:up\ncreate table tags (id integer);\n-- migrate:down\ndrop table tags;\n-- end",
};

testWith("postgres", "migrate and its kin: every line is one that the schemas know, on both engines", async (t) => {
  const lines = new JsonLines();
  for (const engine of ["sqlite", "postgres"] as const) await t.step(engine, () => walk(lines, engine));
  await t.step("waiting", () => waitForLocks(lines));
  await lines.areSound(families.migrations);
});

/** From an empty database to one with every state that a migration can be in. */
async function walk(lines: JsonLines, engine: "sqlite" | "postgres"): Promise<void> {
  await using at = await project(engine, files);
  const { folder, env } = at;
  const ends = (status: number, ...args: string[]) => lines.ends(status, args, { cwd: folder.root, env });

  await ends(3, "check");
  await ends(0, "showmigrations");
  await ends(0, "showmigrations", "--plan");
  await ends(0, "sqlmigrate");
  await ends(0, "sqlmigrate", "0002", "--backwards");
  await ends(2, "sqlmigrate", "0009");
  await ends(2, "schema", "--url", "nonsense");
  await ends(0, "migrate", "--plan");
  await ends(0, "migrate");
  await ends(0, "rehearse");
  await ends(2, "rehearse", "0009");
  await ends(0, "rehearse", "0001");
  await ends(0, "migrate");
  await ends(0, "schema");
  await ends(0, "schema", "--no-rights");
  await ends(0, "wait");
  await ends(0, "wait", "--until", "current");
  await ends(2, "wait", "--until", "whenever");
  await ends(0, "check");
  await ends(0, "migrate", "--check");
  await ends(0, "migrate", "--back", "1", "--plan");
  await ends(0, "migrate", "--back", "1", "--snapshot", "always"); // a safety snapshot
  await ends(0, "migrate", "--fake");
  await ends(2, "migrate", "--fake", "0001");
  await ends(0, "migrate", "--fake", "0001", "--yes");
  await ends(0, "migrate", "--fake-initial");
  await ends(2, "migrate", "0009");
  await ends(2, "migrate", "--fake", "--check");

  await folder.write({ "migrations/0001_notes.sql": "create table notes (id integer primary key);" });
  await ends(4, "check");
  await ends(4, "migrate");
  await ends(0, "showmigrations"); // changed
  await ends(0, "migrate", "--accept", "0001");
  await ends(2, "migrate", "--accept", "0009");
  await Deno.rename(folder.path("migrations/0002_tags.sql"), folder.path("0002_tags.sql"));
  await ends(0, "migrate"); // a note: it is ahead
  await ends(0, "showmigrations");
  await folder.write({ "migrations/0003_last.sql": "create table last (id integer);" });
  await ends(4, "migrate"); // missing
  await ends(0, "showmigrations");
  await Deno.rename(folder.path("0002_tags.sql"), folder.path("migrations/0002_tags.sql"));

  await folder.write({
    "migrations/0004_half.sql": "-- migrate:up transaction:false\ncreate table half (id integer);\nselect nothing;",
  });
  await ends(1, "migrate");
  await ends(0, "showmigrations"); // running
  await ends(3, "check");
  await folder.write({
    "migrations/0004_half.sql": "-- migrate:up transaction:false\ncreate table half (id integer);\nselect 1;",
    "migrations/0005_code.ts": "export async function up(db) { await db.exec('create table code (id integer)'); }",
    ...(engine === "postgres"
      ? { "migrations/0006_notice.sql": "do $$ begin raise notice 'hello'; end $$;" }
      : { "migrations/0006_none.sql": "select 1;" }),
  });
  await ends(0, "sqlmigrate");
  await ends(0, "migrate", "--plan");
  await ends(0, "migrate");
  await folder.write({ "migrations/0006_other.sql": "select 1;" });
  await ends(4, "makemigrations", "more");
  await ends(4, "makemigrations", "--check");
  await ends(0, "showmigrations"); // conflict
  await ends(0, "makemigrations", "--merge");
  await ends(0, "makemigrations", "--merge");
  await ends(0, "makemigrations", "--check");
  await ends(0, "makemigrations", "more", "--plan");
  await folder.write({ "migrations/0001_twice.sql": "select 1;" });
  await ends(4, "migrate"); // late
  await ends(0, "showmigrations");

  await ends(2, "adopt", "flyway");
  await ends(4, "adopt", "dbmate");
  await at.sql("create table schema_migrations (version varchar(128) primary key)");
  await at.sql("insert into schema_migrations values ('1'), ('99')");
  await folder.write({ "db/1_notes.sql": "create table notes (id integer);", "db/2_more.sql": "select 1;" });
  await at.sql("drop table amber_migrations");
  await ends(0, "adopt", "dbmate", "-d", "db", "--plan");
  await ends(0, "adopt", "dbmate", "-d", "db");
  await ends(2, "showmigrations", "-d", "nowhere");
}

/** A database that does not answer, and one whose table somebody holds. */
async function waitForLocks(lines: JsonLines): Promise<void> {
  await using at = await project("postgres", {
    "migrations/0001_t.sql": "create table t (a integer);",
    "migrations/0002_more.sql": "alter table t add column b integer;",
  });
  const { folder, env } = at;
  const silent = { cwd: folder.root, env: { DATABASE_URL: "postgres://ada@127.0.0.1:1/app" } };
  await lines.ends(5, ["check"], silent);
  await lines.ends(5, ["wait", "--wait", "2s"], silent);
  await lines.ends(0, ["migrate", "0001"], { cwd: folder.root, env });

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    await using running = spawnAmber(["wait", "--until", "current", "--json"], { cwd: folder.root, env });
    await running.until(`"type":"waiting"`, 20_000);
    running.kill(signal);
    const result = await running.result;
    lines.keep("wait", result, result.stdout);
  }
  const client = postgres(env.DATABASE_URL!, { max: 1, fetch_types: false });
  try {
    await client.unsafe("begin; select * from t").simple();
    await using running = spawnAmber(["migrate", "--json"], { cwd: folder.root, env });
    await running.until(`"type":"blocked"`, 20_000);
    await client.unsafe("commit").simple();
    const result = await running.result;
    lines.keep("migrate", result, result.stdout);
  } finally {
    await client.end({ timeout: 0 });
  }
}
