/** What a risky migration on Postgres leaves behind: the way back. */
import assert from "node:assert/strict";
import { PostgresEngine } from "../../lib/engines/postgres/engine.ts";
import { parseDatabaseUrl } from "../../lib/database_url.ts";
import type { PostgresAddress } from "../../lib/database_url.ts";
import { type SafetyBefore, serverBytesOf, whyNoSafety } from "../../lib/stories/safety_before_migrate.ts";
import { spawnAmber } from "../support/command.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import type { Files } from "../support/temp_folder.ts";
import { type Project, project } from "./project.ts";

const files: Files = {
  "migrations/0001_notes.sql": `create table notes (id int primary key, body text);
    insert into notes values (1, 'one'), (2, 'two');`,
  "migrations/0002_tags.sql": "create table tags (name text);",
  "migrations/0003_drop.sql": "delete from notes;",
  "data/uploads/cat.jpg": "a cat",
};

/** A project on Postgres, migrated up to `target`. */
async function at(target: string, more: Files = {}): Promise<Project> {
  const made = await project("postgres", { ...files, ...more });
  await made.ends(0, ["migrate", target]);
  return made;
}

async function safetyIds({ result }: Project): Promise<string[]> {
  const { snapshots } = await result("snapshots") as unknown as { snapshots: { id: string; kind: string }[] };
  return snapshots.filter(({ kind }) => kind === "safety").map(({ id }) => id);
}

async function run(made: Project, args: string[], env: Record<string, string> = {}) {
  const { code, json } = await made.run([...args, "--json"], { env });
  const notes = json.filter(({ type }) => type === "note").map(({ message }) => String(message));
  return { code, last: json.at(-1)!, notes };
}

testWith("postgres", "a risky plan takes one, whose id is in the history, and which brings the rows back", async () => {
  await using made = await at("0002");
  const { code, last } = await run(made, ["migrate"]);
  assert.equal(code, 0, JSON.stringify(last));
  const [id] = await safetyIds(made);
  assert.deepEqual([last.snapshot, last.command], [id, `amber restore ${id}`]);
  assert.deepEqual(await made.sql("select snapshot from amber_migrations where name = '0003_drop'"), [
    { snapshot: id },
  ]);
  assert.deepEqual(await made.sql("select * from notes"), []);
  await made.ends(0, ["restore", id!, "--yes"]);
  assert.deepEqual(await made.sql("select body from notes order by id"), [{ body: "one" }, { body: "two" }]);
  assert.equal(await made.history(), "0001_notes 0002_tags");
});

testWith("postgres", "one that fails half-way outside a transaction says how both ways lead back", async () => {
  await using made = await at("0002", {
    "migrations/0003_drop.sql": `-- migrate:up transaction:false
      delete from notes where id = 1;
      alter table notes add column more int;
      insert into nowhere values (1);`,
  });
  const { code, last } = await run(made, ["migrate"]);
  const [id] = await safetyIds(made);
  assert.deepEqual([code, last.code], [1, "STATEMENT_FAILED"]);
  assert.match(String(last.message), new RegExp(`in snapshot ${id}\\)$`));
  assert.match(String(last.hint), new RegExp(`put back what was there before: amber restore ${id}\\. If .*`));
  assert.match(String(last.hint), new RegExp(`amber wipe --database, then amber restore ${id} --schema$`));
  assert.equal(await made.history(), "0001_notes 0002_tags 0003_drop~");
  const refused = await made.ends(1, ["restore", id!, "--yes"]);
  assert.match(refused.stderr, /RESTORE_BLOCKED/);
  // The schema put back by hand: then the rows alone.
  await made.sql("alter table notes drop column more");
  await made.ends(0, ["restore", id!, "--yes"]);
  assert.deepEqual(await made.sql("select body from notes order by id"), [{ body: "one" }, { body: "two" }]);
  assert.equal(await made.history(), "0001_notes 0002_tags");
});

testWith("postgres", "none is taken when nothing is risky, nothing is pending, or somebody said never", async () => {
  await using made = await at("0001");
  for (const args of [["migrate", "0002"], ["migrate", "--plan"], ["migrate", "--snapshot", "never"], ["migrate"]]) {
    const { code, last, notes } = await run(made, args);
    assert.deepEqual([code, last.snapshot, notes], [0, undefined, []], args.join(" "));
  }
  assert.throws(() => Deno.lstatSync(made.folder.path("data/backups")), Deno.errors.NotFound);
});

testWith("postgres", "in production without AMBER_REPOSITORY none is taken, and it is said", async () => {
  await using made = await at("0001");
  const production = { AMBER_PRODUCTION: "1" };
  const planned = await run(made, ["migrate", "--plan"], production);
  assert.equal(planned.last.safety, false);
  assert.match(String(planned.last.whyNoSafety), /AMBER_REPOSITORY is not set/);
  const asked = await run(made, ["migrate", "--snapshot", "risky"], production);
  assert.deepEqual([asked.code, asked.last.code], [1, "SAFETY_SNAPSHOT_FAILED"]);
  assert.match(String(asked.last.hint), /^Set AMBER_REPOSITORY to a folder that lasts\. .*--snapshot never$/);
  assert.equal(await made.history(), "0001_notes");
  const { code, notes, last } = await run(made, ["migrate"], production);
  assert.deepEqual([code, last.snapshot], [0, undefined]);
  assert.match(notes.join(), /no safety snapshot is taken: AMBER_REPOSITORY is not set, .*gone tomorrow\. Migrating/);
  await made.ends(0, ["migrate", "0002", "--fake", "--yes"]);
  await made.sql("insert into notes values (3, 'three')");
  const lasting = await run(made, ["migrate"], { ...production, AMBER_REPOSITORY: "kept" });
  assert.match(String(lasting.last.snapshot), /^[0-9a-f]{10}$/, JSON.stringify(lasting));
});

testWith("postgres", "two runs at once: each takes one at most, and one of them migrates", async () => {
  await using made = await at("0002");
  const both = await Promise.all([run(made, ["migrate"]), run(made, ["migrate"])]);
  assert.deepEqual(both.map(({ code }) => code), [0, 0], JSON.stringify(both));
  const said = both.map(({ last }) => last.snapshot).filter((id) => id !== undefined);
  assert.deepEqual(said, await safetyIds(made));
  assert.equal(said.length, 1);
});

testWith("postgres", "killed while it is taken: nothing has run, and the next run takes it and migrates", async () => {
  await using made = await at("0002");
  await made.sql("insert into notes select i, repeat(md5(i::text), 30) from generate_series(10, 60000) i");
  {
    await using migrating = spawnAmber(["migrate", "--json"], { cwd: made.folder.root, env: made.env });
    await migrating.until("snapshot begins");
    migrating.kill("SIGKILL");
    await migrating.result;
  }
  assert.equal(await made.history(), "0001_notes 0002_tags");
  const { last } = await run(made, ["migrate"]);
  assert.deepEqual(await safetyIds(made), [last.snapshot]);
  await made.ends(0, ["restore", String(last.snapshot), "--database", "--yes"]);
  assert.deepEqual(await made.sql("select count(*)::int as count from notes"), [{ count: 59_993 }]);
});

testWith("postgres", "the server says how large its database is, and above 5 GB only always takes one", async () => {
  const server = await sharedPostgres();
  await using database = await server.database();
  const address = parseDatabaseUrl(database.url, "test") as PostgresAddress;
  const engine = await PostgresEngine.open(address, {
    ...{ waitMs: 5_000, create: false, readOnly: true, by: "test", report: () => {} },
    stop: new AbortController().signal,
  });
  try {
    const [row] = await database.sql("select pg_database_size(current_database())::text as bytes");
    assert.equal(await serverBytesOf(engine), Number(row!.bytes));
  } finally {
    await engine.close();
  }
  const settings = { repository: "r", data: "d", database: address, scratch: "s", cache: "c", exclude: [] };
  const safety: SafetyBefore = { settings, mode: "risky", source: "default" };
  assert.equal(whyNoSafety(safety, 5_000_000_000), undefined);
  assert.match(whyNoSafety(safety, 6_000_000_000)!, /the database has 6 GB, and "risky" takes one up to 5 GB/);
  assert.equal(whyNoSafety({ ...safety, mode: "always" }, 6_000_000_000), undefined);
});
