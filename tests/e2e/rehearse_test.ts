/** `amber rehearse`: what would fail on the real rows, found on a copy that is gone afterwards. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import type { Files } from "../support/temp_folder.ts";
import { onBoth, type Project, project } from "./project.ts";

const files: Files = {
  "migrations/0001_people.sql": "create table people (id integer primary key, mail text, name text);",
  "migrations/0002_more.sql": "create table more (id integer primary key); insert into more select id from people;",
  "migrations/0003_unique.sql": "create table other (id integer);\n\ncreate unique index people_mail on people (mail);",
};

const rows = "insert into people values (1, 'a', 'A'), (2, 'a', null), (3, 'c', 'C')";

async function filled(made: Project): Promise<void> {
  await made.ends(0, ["migrate", "0001"]);
  await made.sql(rows);
}

onBoth(
  "a duplicate under a new unique index is found, with file and line, and one that passes passes",
  files,
  async (at) => {
    await filled(at);
    const before = await at.fingerprint("content");
    const { code, json } = await at.run(["rehearse", "--json"]);
    const last = json.at(-1)!;
    assert.deepEqual([code, last.code], [1, "STATEMENT_FAILED"], JSON.stringify(json));
    assert.match(String(last.message), /Cannot apply "0003_unique": .*unique.*\(rehearsed on a copy\)$/is);
    assert.match(String(last.where), /^migrations\/0003_unique\.sql:3:/);
    assert.match(String(last.hint), /^Nothing was changed in .*\. Mend the file, and rehearse again\.$/);
    const passed = json.filter(({ type }) => type === "rehearsed").map(({ migration }) =>
      (migration as { name: string }).name
    );
    assert.deepEqual(passed, ["0002_more"]);
    assert.equal(await at.fingerprint("content"), before);
    const result = await at.result("rehearse", "0002");
    assert.equal(result.from, "now");
    assert.equal((result.migrations as unknown[]).length, 1);
    await at.sql("update people set mail = 'b' where id = 2");
    const { stdout } = await at.ends(0, ["rehearse"]);
    assert.match(stdout, /passes {4}0002_more {2}\S+/);
    assert.match(stdout, /passes {4}0003_unique/);
    assert.match(
      stdout,
      /Rehearsed: 2 migrations pass on a copy of the database as it is now, made in .* removed again\./,
    );
    assert.equal(await at.history(), "0001_people");
    await at.ends(0, ["migrate"]);
    assert.match((await at.ends(0, ["rehearse"])).stdout, /Nothing to do\./);
  },
);

onBoth("a NULL under NOT NULL is found only where the rows are", {
  ...files,
  "migrations/0003_unique.postgres.sql": "alter table people alter column name set not null;",
  "migrations/0003_unique.sqlite.sql":
    "create table people_new (id integer primary key, mail text, name text not null);\ninsert into people_new select * from people;\ndrop table people;\nalter table people_new rename to people;",
  "migrations/0003_unique.sql": "",
}, async (at) => {
  Deno.removeSync(at.folder.path("migrations/0003_unique.sql"));
  await filled(at);
  const { code, json } = await at.run(["rehearse", "--json"]);
  assert.deepEqual([code, json.at(-1)!.code], [1, "STATEMENT_FAILED"], JSON.stringify(json));
  assert.match(String(json.at(-1)!.message), /null/i);
  await at.sql("update people set name = 'B' where id = 2");
  await at.ends(0, ["rehearse"]);
});

onBoth("from a snapshot: its rows, and not those of now", files, async (at) => {
  await filled(at);
  await at.folder.write({ "data/x": "y" });
  const taken = await at.result("snapshot");
  await at.sql("update people set mail = 'b' where id = 2");
  await at.ends(0, ["rehearse"]);
  const old = await at.run(["rehearse", "--from", "latest", "--json"]);
  assert.deepEqual([old.code, old.json.at(-1)!.code], [1, "STATEMENT_FAILED"]);
  const passing = await at.result("rehearse", "0002", "--from", String(taken.id));
  assert.equal(passing.from, taken.id);
  await at.ends(2, ["rehearse", "--from", "ffffffffff"]);
});

function hashOf(path: string): string {
  return createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
}

for (const journal of ["wal", "delete"]) {
  Deno.test(`sqlite: no byte of the file and its log changes, and nothing is left behind, ${journal}`, async () => {
    await using made = await project("sqlite", files);
    await filled(made);
    await made.sql(`pragma journal_mode = ${journal}`);
    using server = new DatabaseSync(made.folder.path("app.db"));
    server.exec("pragma wal_autocheckpoint = 0; insert into people values (9, 'z', 'Z')");
    const paths = ["app.db", ...(journal === "wal" ? ["app.db-wal"] : [])].map((name) => made.folder.path(name));
    const before = paths.map(hashOf);
    const names = () => [...Deno.readDirSync(made.folder.root)].map(({ name }) => name).sort();
    const listed = names();
    await made.ends(1, ["rehearse"]);
    await made.ends(0, ["rehearse", "0002"]);
    assert.deepEqual(paths.map(hashOf), before);
    assert.deepEqual(names().filter((name) => name !== "data"), listed);
    assert.deepEqual([...Deno.readDirSync(made.folder.path("data/.amber"))].map(({ name }) => name), []);
  });
}

testWith("postgres", "the server's statistics show that nothing was written to the real database", async () => {
  await using made = await project("postgres", files);
  await filled(made);
  const written = async () => {
    const [row] = await made.sql(
      `select sum(n_tup_ins)::int as ins, sum(n_tup_upd)::int as upd, sum(n_tup_del)::int as del from pg_stat_user_tables`,
    );
    return JSON.stringify(row);
  };
  const left = async () =>
    await made.sql(
      "select datname from pg_database where datname ~ '^amber_drill_' and pg_get_userbyid(datdba) = current_user and not exists (select from pg_stat_activity a where a.datid = pg_database.oid)",
    );
  // What the sessions before wrote is counted when they have ended.
  let before = await written();
  for (let again = ""; again !== before; again = before, before = await written());
  const other = await left();
  await made.ends(1, ["rehearse"]);
  await made.ends(0, ["rehearse", "0002"]);
  assert.equal(await written(), before);
  assert.ok((await left()).length <= other.length, "no scratch database is left");
});

testWith("postgres", "it tells which locks a migration holds on tables that were there", async () => {
  await using made = await project("postgres", {
    "migrations/0001_a.sql": "create table a (id int primary key); create table b (id int primary key);",
    "migrations/0002_b.sql":
      "alter table a add column x int; update b set id = id; create table c (a int references a);",
    "migrations/0003_c.sql": "create index concurrently a_x on a (x);",
  });
  await made.ends(0, ["migrate", "0001"]);
  await made.sql("insert into a values (1); insert into b values (1)");
  const { migrations } = await made.result("rehearse") as unknown as {
    migrations: { name: string; locks: unknown[] }[];
  };
  assert.deepEqual(migrations.map(({ name, locks }) => [name, locks]), [
    ["0002_b", [{ table: "public.a", mode: "AccessExclusiveLock" }, { table: "public.b", mode: "RowExclusiveLock" }]],
    ["0003_c", []],
  ]);
  const { stdout } = await made.ends(0, ["rehearse"]);
  assert.match(stdout, /locks public\.a {2}ACCESS EXCLUSIVE: nobody else reads or writes it/);
  assert.match(stdout, /locks public\.b {2}ROW EXCLUSIVE: others read and write it/);
});

testWith("postgres", "a role without CREATEDB is told, and what a killed run left is dropped by the next", async () => {
  const server = await sharedPostgres();
  await using made = await project("postgres", files);
  await filled(made);
  const role = `rehearser_${crypto.randomUUID().slice(0, 8)}`;
  await made.sql(`create role ${role} login password 'w'; grant select on all tables in schema public to ${role}`);
  const url = new URL(made.env.DATABASE_URL!);
  [url.username, url.password] = [role, "w"];
  const { json } = await made.ends(2, ["rehearse", "--json"], { env: { DATABASE_URL: url.href } });
  assert.equal(json.at(-1)!.code, "DATABASE_FORBIDDEN");
  assert.match(String(json.at(-1)!.message), /the role may not create databases/);
  assert.match(String(json.at(-1)!.hint), /createdb/);
  await made.sql(`drop owned by ${role}; drop role ${role}`);
  const old = await server.createDatabase(`amber_drill_1700000000_${"0".repeat(16)}`);
  await made.ends(0, ["rehearse", "0002"]);
  assert.deepEqual(await made.sql(`select 1 from pg_database where datname = '${old}'`), []);
});

testWith("postgres", "what would reach beyond the copy is refused before anything is copied", async () => {
  await using made = await project("postgres", {
    ...files,
    "migrations/0003_unique.sql": "create table z (id int);\n-- a role\ncreate role nobody_at_all;",
  });
  await filled(made);
  const { json } = await made.ends(2, ["rehearse", "--json"]);
  assert.match(
    String(json.at(-1)!.message),
    /Cannot rehearse "0003_unique": it changes what belongs to the whole server/,
  );
  assert.deepEqual(await made.sql("select 1 from pg_roles where rolname = 'nobody_at_all'"), []);
  await made.ends(0, ["rehearse", "0002"]);
});
