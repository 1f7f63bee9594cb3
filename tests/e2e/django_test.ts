/** Habits of people who know Django's manage.py: the same words do the same things. */
import assert from "node:assert/strict";
import { onBoth, type Project } from "./project.ts";

const table = (name: string) =>
  `-- migrate:up\ncreate table ${name} (x integer);\n-- migrate:down\ndrop table ${name};\n`;

const five = {
  "migrations/0001_initial.sql": table("a"),
  "migrations/0002_posts.sql": table("b"),
  "migrations/0003_tags.sql": table("c"),
  "migrations/0004_search.sql": table("d"),
  "migrations/0005_slugs.sql": table("e"),
};
const names = ["0001_initial", "0002_posts", "0003_tags", "0004_search", "0005_slugs"];
const upTo = (count: number) => names.slice(0, count).join(" ");

/** The tables a to e that are there. */
async function tables({ engine, sql }: Project): Promise<string> {
  const rows = await sql(
    engine === "sqlite"
      ? "select name from sqlite_schema where type = 'table' and length(name) = 1 order by name"
      : "select tablename as name from pg_tables where schemaname = 'public' and length(tablename) = 1 order by 1",
  );
  return rows.map((row) => row.name).join("");
}

onBoth("migrate goes forwards and back to a target, by name, number or prefix", five, async (at) => {
  const steps: { args: string[]; history: string; tables: string; says: RegExp }[] = [
    { args: ["0003"], history: upTo(3), tables: "abc", says: /^ {2}applied +0001_initial .*0003_tags .*3 applied/s },
    { args: ["0003"], history: upTo(3), tables: "abc", says: /^Nothing to do\.$/m },
    { args: ["0002_p"], history: upTo(2), tables: "ab", says: /^ {2}undone +0003_tags .*1 undone/s },
    { args: ["0004_search"], history: upTo(4), tables: "abcd", says: /2 applied/ },
    { args: ["1"], history: upTo(1), tables: "a", says: /undone +0004_search.*undone +0003_tags.*undone +0002_posts/s },
    { args: [], history: upTo(5), tables: "abcde", says: /4 applied/ },
    {
      args: ["--back", "2"],
      history: upTo(3),
      tables: "abc",
      says: /undone +0005_slugs.*undone +0004_search.*2 undone/s,
    },
    { args: ["migrations/0001_initial.sql"], history: upTo(1), tables: "a", says: /2 undone/ },
    { args: ["zero"], history: "", tables: "", says: /undone +0001_initial.*1 undone/s },
    { args: ["zero"], history: "", tables: "", says: /Nothing to do/ },
    { args: ["--back", "1"], history: "", tables: "", says: /Nothing to do/ },
    { args: ["0005"], history: upTo(5), tables: "abcde", says: /5 applied/ },
  ];
  for (const { args, history, tables: there, says } of steps) {
    const planned = await at.result("migrate", ...args, "--plan");
    const { stdout } = await at.ends(0, ["migrate", ...args]);
    const line = `migrate ${args.join(" ")}`;
    assert.match(stdout, says, line);
    assert.equal(await at.history(), history, line);
    assert.equal(await tables(at), there, line);
    const done = [...stdout.matchAll(/^ {2}(applied|undone) +(\S+)/gm)].map(([, verb, name]) => `${verb} ${name}`);
    const promised = (planned.planned as { name: string; direction: string }[])
      .map((step) => `${step.direction === "up" ? "applied" : "undone"} ${step.name}`);
    assert.deepEqual(done, promised, `${line} does what --plan has shown`);
  }
});

onBoth("--plan and --dry-run show what would run, and write nothing, not even a database", five, async (at) => {
  const before = await at.folder.list();
  const { stdout } = await at.ends(0, ["migrate", "0002", "--plan"]);
  assert.equal(stdout, "Plan:\n  apply  0001_initial\n  apply  0002_posts\n");
  assert.equal((await at.ends(0, ["migrate", "0002", "--dry-run"])).stdout, stdout);
  assert.deepEqual(await at.folder.list(), before);
  assert.equal(await tables(at), "");
  await at.folder.write({ "app.db": "" }); // sql() above has made it, too
  await at.ends(0, ["migrate"]);
  const applied = await at.fingerprint();
  const back = await at.ends(0, ["migrate", "0004", "--plan"]);
  assert.equal(back.stdout, "Plan:\n  undo   0005_slugs\n");
  assert.equal(await at.fingerprint(), applied);
  assert.equal((await at.ends(0, ["migrate", "--plan"])).stdout, "Nothing to do.\n");
});

/** What a plan says of the way back. */
const safety = "  before that a safety snapshot is taken, of the data folder and the database\n";

onBoth("the plan says what is risky, where there are rows", {
  "migrations/0001_a.sql": "create table a (x integer);",
  "migrations/0002_b.sql": "drop table a;",
  "migrations/0003_c.sql": "create table c (x integer);",
}, async (at) => {
  await at.ends(0, ["migrate", "0001"]);
  assert.doesNotMatch((await at.ends(0, ["migrate", "--plan"])).stdout, /risky/);
  await at.sql("insert into a values (1)");
  assert.equal(
    (await at.ends(0, ["migrate", "--plan"])).stdout,
    `Plan:\n  apply  0002_b  risky: may change or remove data\n  apply  0003_c\n${safety}`,
  );
});

onBoth("showmigrations has Django's boxes, and --plan only what is left", five, async (at) => {
  const boxes = async () => (await at.ends(0, ["showmigrations"])).stdout.replace(/ {2}\(\d{4}-.*\)$/gm, "");
  assert.equal(await boxes(), names.map((name) => ` [ ] ${name}\n`).join(""));
  await at.ends(0, ["migrate", "0002"]);
  assert.equal(
    await boxes(),
    ` [X] 0001_initial\n [X] 0002_posts\n [ ] 0003_tags\n [ ] 0004_search\n [ ] 0005_slugs\n`,
  );
  const { stdout } = await at.ends(0, ["showmigrations"]);
  assert.match(stdout, / \[X\] 0001_initial {2}\(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)\n/);
  for (const flag of ["--plan", "-p"]) {
    assert.equal(
      (await at.ends(0, ["showmigrations", flag])).stdout,
      "  apply  0003_tags\n  apply  0004_search\n  apply  0005_slugs\n",
    );
  }
  const { migrations } = await at.result("showmigrations") as { migrations: Record<string, unknown>[] };
  assert.deepEqual(
    migrations.map(({ name, state }) => [name, state]),
    names.map((name, i) => [name, i < 2 ? "applied" : "pending"]),
  );
  assert.match(String(migrations[0]!.appliedAt), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.match(String(migrations[0]!.appliedBy), /@/);
});

onBoth("--fake records without running, and takes out of the history when it is asked to", five, async (at) => {
  const first = await at.ends(0, ["migrate", "--fake", "0002", "--plan"]);
  assert.equal(first.stdout, "  would be recorded  0001_initial\n  would be recorded  0002_posts\nNothing was run.\n");
  assert.equal((await at.folder.list()).includes("app.db"), false, "a plan makes no database");
  const recorded = await at.ends(0, ["migrate", "--fake", "0002"]);
  assert.equal(recorded.stdout, "  recorded  0001_initial\n  recorded  0002_posts\nNothing was run.\n");
  assert.equal(await at.history(), upTo(2));
  assert.equal(await tables(at), "");
  await at.ends(0, ["migrate"]);
  assert.equal(await tables(at), "cde");

  assert.match((await at.error("migrate", "--fake", "0003")).message, /out of the history/);
  assert.equal(await at.history(), upTo(5));
  const plan = await at.ends(0, ["migrate", "--fake", "0003", "--plan"]);
  assert.equal(plan.stdout, "  would be taken out  0005_slugs\n  would be taken out  0004_search\nNothing was run.\n");
  assert.equal(await at.history(), upTo(5));
  const { unrecorded } = await at.result("migrate", "--fake", "0003", "--yes");
  assert.deepEqual(unrecorded, ["0005_slugs", "0004_search"]);
  assert.equal(await at.history(), upTo(3));
  assert.equal(await tables(at), "cde", "the tables stay as they are");
  await at.ends(0, ["migrate", "--fake"]);
  assert.equal(await at.history(), upTo(5));
  assert.equal((await at.ends(0, ["migrate"])).stdout, "Nothing to do.\n");
  await at.ends(0, ["migrate", "--fake", "zero", "--yes"]);
  assert.equal(await at.history(), "");
  await at.ends(3, ["check"]);
});

onBoth("--fake takes over a database whose tables are there, also of another tool", five, async (at) => {
  await at.sql(
    "create table a (x integer); create table b (x integer); create table django_migrations (id integer); insert into django_migrations values (1);",
  );
  const refused = await at.error("migrate");
  assert.equal(refused.code, "HISTORY_FOREIGN");
  assert.match(refused.hint, /--fake NAME/);
  await at.ends(0, ["migrate", "--fake", "0002"]);
  await at.ends(0, ["migrate"]);
  assert.equal(await tables(at), "abcde");
});

onBoth("--fake-initial records a first migration whose tables all exist, and runs one whose do not", {
  "migrations/0001_initial.sql": "create table a (x integer); create table b (x integer); create index a_x on a (x);",
  "migrations/0002_more.sql": "create table c (x integer);",
}, async (at) => {
  await at.sql("create table a (x integer)");
  const half = await at.error("migrate", "--fake-initial");
  assert.equal(half.code, "STATEMENT_FAILED", "one of two tables is not enough: it runs, and the database says no");
  assert.equal(await at.history(), "");
  await at.sql("create table b (x integer)");
  const planned = await at.ends(0, ["migrate", "--fake-initial", "--plan"]);
  assert.equal(await at.history(), "");
  assert.equal(
    planned.stdout,
    "Plan:\n  record 0001_initial  without running it: its tables are there\n  apply  0002_more\n",
  );
  const { recorded, applied } = await at.result("migrate", "--fake-initial");
  assert.deepEqual([recorded, applied], [["0001_initial"], ["0002_more"]]);
  assert.equal(await tables(at), "abc");
  assert.doesNotMatch(await at.fingerprint(), /a_x/);
});

onBoth("--fake-initial on an empty database is an ordinary migrate", five, async (at) => {
  const { recorded, applied } = await at.result("migrate", "--fake-initial");
  assert.deepEqual([recorded, applied], [[], names]);
});

onBoth("sqlmigrate prints what is sent", {
  "migrations/0001_initial.sql":
    "-- The first.\n-- migrate:up\nBEGIN;\ncreate table a (x integer, t text default 'a;b'); -- one\ninsert into a values (1, 'x');\nCOMMIT;\n-- migrate:down\ndrop table a;\n",
  "migrations/0002_code.ts": "export function up(db) {}",
}, async (at) => {
  const { stdout } = await at.ends(0, ["sqlmigrate", "0001"]);
  assert.equal(
    stdout,
    "-- 0001_initial\nBEGIN;\ncreate table a (x integer, t text default 'a;b');\ninsert into a values (1, 'x');\nCOMMIT;\n",
  );
  const all = await at.ends(0, ["sqlmigrate"]);
  assert.equal(all.stdout, `${stdout}\n-- 0002_code\n-- code: runs up() of migrations/0002_code.ts\n`);
  const back = await at.ends(0, ["sqlmigrate", "1", "--backwards"]);
  assert.equal(back.stdout, "-- 0001_initial (backwards)\nBEGIN;\ndrop table a;\nCOMMIT;\n");
  assert.equal((await at.error("sqlmigrate", "2", "--backwards")).code, "MIGRATION_IRREVERSIBLE");
  assert.equal((await at.error("sqlmigrate", "9")).code, "MIGRATION_UNKNOWN");

  // What it prints, run by hand, makes what amber makes.
  await at.sql(stdout);
  const byHand = await at.fingerprint("content");
  await at.sql("drop table a");
  await at.ends(0, ["migrate", "1"]);
  assert.equal(await at.fingerprint("content"), byHand);
  assert.match((await at.ends(0, ["sqlmigrate"])).stdout, /^-- 0002_code\n/);
  await at.ends(0, ["migrate"]);
  assert.equal((await at.ends(0, ["sqlmigrate"])).stdout, "-- nothing pending\n");
});

onBoth("sqlmigrate shows what stands outside a transaction as it is", {
  "migrations/0001_a.sql": "create table a (x integer); vacuum;",
}, async (at) => {
  const { stdout } = await at.ends(0, ["sqlmigrate", "0001"]);
  assert.equal(stdout, "-- 0001_a\ncreate table a (x integer);\nvacuum;\n");
});

onBoth("makemigrations writes the next file in the folder's own manner", {}, async (at) => {
  const made = async (...args: string[]) => {
    const before = new Set(await at.folder.list());
    const { stdout } = await at.ends(0, ["makemigrations", ...args]);
    const fresh = (await at.folder.list()).filter((path) => !before.has(path));
    assert.equal(fresh.length, 1, stdout);
    assert.equal(stdout, `Wrote ${fresh[0]}\n`);
    return fresh[0]!;
  };
  const first = await made();
  assert.equal(first, "migrations/0001_initial.sql");
  assert.match(await at.folder.read(first), /^-- migrate:up\n\s*-- migrate:down\n\s*$/);
  await at.ends(0, ["migrate"]);
  assert.equal(await made("Add posts"), "migrations/0002_Add_posts.sql");
  assert.equal(await made("--empty", "tags"), "migrations/0003_tags.sql");
  assert.match(await made(), /^migrations\/0004_auto_\d{12}\.sql$/);
  assert.equal(await made("0009_named.sql"), "migrations/0005_named.sql");
  const plan = await at.ends(0, ["makemigrations", "x", "--plan"]);
  assert.equal(plan.stdout, "Would write migrations/0006_x.sql\n");
  assert.equal((await at.folder.list()).filter((path) => path.includes("0006")).length, 0);
  await at.ends(0, ["migrate"]);

  await at.folder.write({
    "wide/000009_a.sql": "select 1;",
    "times/20240101000000_a.sql": "select 1;",
    "three/099_a.sql": "select 1;",
  });
  assert.equal(await made("b", "-d", "wide"), "wide/000010_b.sql");
  assert.match(await made("b", "-d", "times"), /^times\/20[2-9]\d{11}_b\.sql$/);
  assert.equal(await made("b", "-d", "three"), "three/100_b.sql");
  await at.folder.write({ "times/29990101000000_z.sql": "select 1;" });
  assert.equal(
    await made("c", "-d", "times"),
    "times/29990101000001_c.sql",
    "after a file from the future, still after it",
  );
  for (const name of ["", "///", "..."]) assert.equal((await at.error("makemigrations", name)).code, "USAGE");
  assert.equal(await made("../up", "-d", "wide"), "wide/000011_up.sql");
});

onBoth("makemigrations --check says whether the files agree, and writes nothing", five, async (at) => {
  const before = await at.folder.list();
  await at.ends(0, ["makemigrations", "--check"]);
  await at.folder.write({ "migrations/0005_other.sql": table("f") });
  const refused = await at.error("makemigrations", "--check");
  assert.deepEqual([refused.code, refused.exit], ["MIGRATION_CONFLICT", 4]);
  assert.deepEqual(await at.folder.list(), [...before, "migrations/0005_other.sql"].sort());
});

onBoth("two leaves are a conflict for all, until --merge writes a migration after both", five, async (at) => {
  await at.folder.write({ "migrations/0005_other.sql": table("f") });
  for (const command of ["migrate", "check", "makemigrations"]) {
    const { code, exit, message, hint } = await at.error(command);
    assert.deepEqual([code, exit], ["MIGRATION_CONFLICT", 4]);
    assert.match(message, /"0005_other" \(after "0004_search"\) and "0005_slugs" \(after "0004_search"\)/);
    assert.match(hint, /makemigrations --merge/);
  }
  assert.equal(await at.history(), "");
  const shown = await at.ends(0, ["showmigrations"]);
  assert.match(shown.stdout, /0005_other {2}\(conflict/);

  const { stdout } = await at.ends(0, ["makemigrations", "--merge"]);
  assert.equal(stdout, "Wrote migrations/0006_merge_0005_other_0005_slugs.sql, after 0005_other and 0005_slugs\n");
  const text = await at.folder.read("migrations/0006_merge_0005_other_0005_slugs.sql");
  assert.match(text, /^-- migrate:depends 0005_other 0005_slugs\n-- migrate:up\n/);
  assert.match((await at.ends(0, ["makemigrations", "--merge"])).stdout, /Nothing to merge/);
  await at.ends(0, ["migrate"]);
  await at.ends(0, ["check"]);
  assert.equal(await tables(at), "abcdef");
  await at.ends(0, ["migrate", "0004"]);
  assert.equal(await tables(at), "abcd");
  await at.ends(0, ["makemigrations", "next"]);
  await at.ends(0, ["migrate"]);
  assert.match(await at.history(), /0007_next$/);
});

onBoth("two leaves of dependencies, not of numbers, are merged as well", {
  "migrations/0001_a.sql": table("a"),
  "migrations/0002_b.sql": table("b"),
  "migrations/0003_c.sql": `-- migrate:depends 0001_a\n${table("c")}`,
}, async (at) => {
  assert.equal((await at.error("migrate")).code, "MIGRATION_CONFLICT");
  await at.ends(0, ["makemigrations", "--merge", "joined"]);
  assert.match(await at.folder.read("migrations/0004_joined.sql"), /^-- migrate:depends 0002_b 0003_c$/m);
  await at.ends(0, ["migrate"]);
  await at.ends(0, ["migrate", "zero"]);
  assert.equal(await at.history(), "");
});

onBoth("--allow-late applies what came from another branch after its followers", five, async (at) => {
  await at.ends(0, ["migrate"]);
  await at.folder.write({ "migrations/0003_late.sql": table("f"), "migrations/0004_search.sql": table("d") });
  const refused = await at.error("migrate");
  assert.deepEqual([refused.code, refused.exit], ["MIGRATION_LATE", 4]);
  assert.match(refused.message, /"0003_late"/);
  assert.equal((await at.error("check")).code, "MIGRATION_LATE");
  assert.equal((await at.error("check", "--allow-late")).code, "MIGRATIONS_PENDING");
  const { applied } = await at.result("migrate", "--allow-late");
  assert.deepEqual(applied, ["0003_late"]);
  await at.ends(0, ["check"]);
  assert.equal((await at.ends(0, ["migrate"])).stdout, "Nothing to do.\n");
});

onBoth("--accept takes one edited migration as it is now, and no other", five, async (at) => {
  await at.ends(0, ["migrate"]);
  await at.folder.write({
    "migrations/0002_posts.sql": table("b").replace("(x", "(y"),
    "migrations/0003_tags.sql": table("c").replace("(x", "(y"),
  });
  const refused = await at.error("migrate");
  assert.equal(refused.code, "MIGRATION_DRIFT");
  assert.match(refused.hint, /migrate --accept 0002_posts/);
  const plan = await at.ends(0, ["migrate", "--accept", "2", "--plan"]);
  assert.match(plan.stdout, /Would accept "0002_posts"/);
  assert.match((await at.error("migrate")).message, /0002_posts/);
  const { stdout } = await at.ends(0, ["migrate", "--accept", "0002_posts"]);
  assert.equal(stdout, 'Accepted "0002_posts" as it is now. Nothing was run.\n');
  assert.match((await at.error("migrate")).message, /0003_tags/);
  await at.ends(0, ["migrate", "--accept", "3"]);
  assert.equal((await at.ends(0, ["migrate"])).stdout, "Nothing to do.\n");
  assert.match((await at.ends(0, ["migrate", "--accept", "3"])).stdout, /Nothing to do/);
  await at.ends(0, ["check"]);
  assert.equal((await at.error("migrate", "--accept", "9")).code, "MIGRATION_UNKNOWN");
});

onBoth("what a newer version applied can be undone by an older one, with the SQL that the history keeps", {
  ...five,
  "migrations/0004_search.sql":
    "-- migrate:up\ncreate table d (x integer);\ninsert into d values (1);\n-- migrate:down rows:d\ndelete from d where x = 1;\ndrop table d;\n",
}, async (at) => {
  await at.ends(0, ["migrate"]);
  await Deno.remove(at.folder.path("migrations/0004_search.sql"));
  await Deno.remove(at.folder.path("migrations/0005_slugs.sql"));
  const started = await at.ends(0, ["migrate"]);
  assert.match(started.stderr, /the database is ahead: "0004_search", "0005_slugs"/);
  assert.equal(started.stdout, "Nothing to do.\n");
  await at.ends(0, ["check"]);
  assert.match((await at.ends(0, ["showmigrations"])).stdout, /\[X\] 0005_slugs {2}\(.*newer version/);

  const plan = await at.ends(0, ["migrate", "0003", "--plan"]);
  assert.equal(
    plan.stdout,
    "Plan:\n  undo   0005_slugs   with the SQL kept in the history; risky: may change or remove data\n" +
      `  undo   0004_search  with the SQL kept in the history; risky: may change or remove data\n${safety}`,
  );
  await at.ends(0, ["migrate", "0003"]);
  assert.equal(await at.history(), upTo(3));
  assert.equal(await tables(at), "abc");
});

onBoth("what a newer version applied without a way back is not undone", {
  "migrations/0001_a.sql": table("a"),
  "migrations/0002_b.sql": "create table b (x integer);",
  "migrations/0003_c.ts":
    "export async function up(db) { await db.exec('create table c (x integer)'); }\nexport async function down(db) { await db.exec('drop table c'); }",
}, async (at) => {
  await at.ends(0, ["migrate", "2"]);
  await Deno.remove(at.folder.path("migrations/0002_b.sql"));
  await Deno.remove(at.folder.path("migrations/0003_c.ts"));
  const refused = await at.error("migrate", "zero");
  assert.equal(refused.code, "MIGRATION_IRREVERSIBLE");
  assert.match(refused.message, /no file for it here, and the history keeps no way back/);
  assert.equal(await tables(at), "ab");
});

onBoth("irreversible is found before anything is undone", {
  "migrations/0001_a.sql": table("a"),
  "migrations/0002_b.sql": "-- migrate:irreversible the rows are gone\n-- migrate:up\ncreate table b (x integer);",
  "migrations/0003_c.sql": table("c"),
}, async (at) => {
  await at.ends(0, ["migrate"]);
  for (const args of [["zero"], ["0001"], ["--back", "2"], ["zero", "--plan"]]) {
    const { code, exit, message } = await at.error("migrate", ...args);
    assert.deepEqual([code, exit], ["MIGRATION_IRREVERSIBLE", 2]);
    assert.match(message, /"0002_b": the rows are gone$/);
    assert.equal(await tables(at), "abc");
  }
  await at.ends(0, ["migrate", "--back", "1"]);
  assert.equal(await tables(at), "ab");
});
