/** `amber schema`: a text that is always the same, and makes the same database. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { runSql } from "../engines/postgres/schema_databases.ts";
import { onBoth, project } from "./project.ts";

const files = {
  "migrations/0001_a.sql": `create table b (id integer primary key, name text default 'x''y');
    create table a (id integer primary key, b integer references b (id));
    create index a_b on a (b) where b > 1; -- not a comment of the index
    create view "Ä" as select a.id, b.name from a join b on a.b = b.id;`,
};

onBoth("the schema is printed without amber's history, and makes the same one again", files, async (at) => {
  await at.ends(0, ["migrate"]);
  const { stdout } = await at.ends(0, ["schema"]);
  assert.doesNotMatch(stdout, /amber_migrations/);
  assert.match(stdout, /CREATE TABLE (public\.)?a[ (]/);
  assert.match(stdout, /CREATE VIEW (public\.)?"Ä"/);
  assert.equal((await at.ends(0, ["schema"])).stdout, stdout);
  await using other = await project(at.engine, {});
  if (at.engine === "postgres") await runSql(other.env.DATABASE_URL!, stdout);
  else await other.sql(stdout);
  assert.equal((await other.ends(0, ["schema"])).stdout, stdout);
  assert.equal(await other.fingerprint(), await at.fingerprint());
});

onBoth("equal databases that were made differently have the same text", {}, async (at) => {
  await using other = await project(at.engine, {});
  await at.sql(
    "create table b (id int, x text); create table a (id int); create index b_x on b (x); create view v as select id from a",
  );
  await other.sql(
    "create table c (z int); create table a (id int); create view v as select id from a; create table b (id int, x text); drop table c; create index b_x on b (x)",
  );
  assert.equal((await other.ends(0, ["schema"])).stdout, (await at.ends(0, ["schema"])).stdout);
  const [one, two] = [await at.result("schema"), await other.result("schema")];
  assert.deepEqual(two, one);
  assert.equal(one.engine, at.engine);
  assert.match(String(one.structure), /^[0-9a-f]{16}$/);
  assert.ok(
    (one.objects as { kind: string; name: string }[]).some(({ kind, name }) => kind === "view" && /v$/.test(name)),
  );
});

onBoth("a missing database, and a folder without migrations", {}, async (at) => {
  if (at.engine === "sqlite") {
    await at.ends(2, ["schema"]);
    assert.deepEqual(await at.folder.list(), []);
  } else {
    assert.equal((await at.error("schema", "--url", `${at.env.DATABASE_URL}_missing`)).code, "DATABASE_UNKNOWN");
  }
});

Deno.test("sqlite: what comes by itself is left out, and every kind of object is replayed", async () => {
  await using at = await project("sqlite", {});
  await at.sql(`create table t (id integer primary key autoincrement, x text unique);
    create index commented on t (x) -- at the end
    ;
    create virtual table f using fts5(x, content = 't');
    create virtual table boxes using rtree(id, a, b);
    create table f_mine (x);
    create view v as select * from later -- there is no such table
    ;
    create trigger tr after insert on t begin select 1; end;
    insert into t (x) values ('a'); analyze; pragma user_version = 7; pragma application_id = 99`);
  const { stdout } = await at.ends(0, ["schema"]);
  assert.doesNotMatch(stdout, /f_data|boxes_node|sqlite_/);
  assert.match(stdout, /CREATE TABLE f_mine/);
  assert.match(stdout, /PRAGMA user_version = 7;/);
  await using other = await project("sqlite", {});
  await other.sql(stdout);
  assert.equal((await other.ends(0, ["schema"])).stdout, stdout);
});

Deno.test("sqlite: a virtual table of a module that amber has not is told, and its tables are taken for its own", async () => {
  await using at = await project("sqlite", {});
  await at.sql("create table vec_rows (x); create table other (x)");
  using database = new DatabaseSync(at.folder.path("app.db"), { defensive: false } as object);
  database.exec(`pragma writable_schema = on;
    insert into sqlite_schema values ('table', 'vec', 'vec', 0, 'CREATE VIRTUAL TABLE vec using vec0(a float)')`);
  database.close();
  const { stdout, stderr } = await at.ends(0, ["schema"]);
  assert.match(stderr, /virtual table vec: its module/);
  assert.match(stdout, /vec0/);
  assert.doesNotMatch(stdout, /vec_rows/);
});

testWith(
  "postgres",
  "postgres: --no-rights leaves out owners and grants; a table called like the password is no secret",
  async () => {
    await using at = await project("postgres", {});
    const server = await sharedPostgres();
    await at.sql("create table notes (id int); grant select on notes to public");
    const url = server.url(new URL(at.env.DATABASE_URL!).pathname.slice(1), { password: "notes" });
    const env = { DATABASE_URL: url };
    assert.match(
      (await at.ends(0, ["schema"], { env })).stdout,
      /ALTER TABLE public\.notes OWNER TO postgres;\n[^]*GRANT SELECT/,
    );
    const { stdout } = await at.ends(0, ["schema", "--no-rights"], { env });
    assert.match(stdout, /CREATE TABLE public\.notes/);
    assert.doesNotMatch(stdout, /OWNER TO|GRANT/);
    assert.match(stdout, /-- Not covered: roles, tablespaces/);
  },
);

testWith("pgbouncer", "postgres: through a pooler, without leaving settings behind", async () => {
  await using at = await project("postgres", files);
  await at.ends(0, ["migrate"]);
  const { stdout } = await at.ends(0, ["schema"]);
  await using bouncer = await startPgBouncer(await sharedPostgres(), { poolMode: "transaction", poolSize: 1 });
  const url = bouncer.url(new URL(at.env.DATABASE_URL!).pathname.slice(1));
  assert.equal((await at.ends(0, ["schema"], { env: { DATABASE_URL: url } })).stdout, stdout);
  assert.equal((await at.ends(0, ["check"], { env: { DATABASE_URL: url } })).code, 0);
});
