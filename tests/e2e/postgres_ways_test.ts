/** Postgres in a snapshot and back on the ways by which apps reach it: a pooler, TLS, a role that is no superuser. */
import assert from "node:assert/strict";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { type PostgresDatabase, sharedPostgres, startPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { dataApp } from "./data_app.ts";

/** References in a circle, a trigger that must not fire, and rows. */
const schema = `
  create table person (id int generated always as identity primary key, best int, name text not null);
  create table pet (id int primary key, owner int not null references person, name text);
  alter table person add foreign key (best) references pet deferrable initially deferred;
  create table audit (what text, at timestamptz default clock_timestamp());
  create function audit() returns trigger language plpgsql as 'begin insert into audit (what) values (tg_op); return new; end';
  create trigger audited before insert or update on pet for each row execute function audit();
  begin; insert into person (best, name) values (1, 'Ada'), (null, 'Bob'); insert into pet values (1, 1, 'Cat'); commit;`;

const contentSql = `select (select string_agg(p::text, ';' order by id) from person p) || '|' ||
  (select string_agg(p::text, ';' order by id) from pet p) || '|' || (select count(*) || '' || min(at) from audit) as content`;

async function roundTrip(database: PostgresDatabase, url: string): Promise<void> {
  const content = async () => (await database.sql(contentSql))[0]!.content;
  const before = await content();
  await using app = await dataApp({}, { DATABASE_URL: url });
  const id = await app.take();
  await database.sql(
    "update person set name = 'nobody'; update pet set name = 'gone'; insert into person (name) values ('new')",
  );
  assert.notEqual(await content(), before);
  await app.ends(0, ["restore", id, "--database", "--yes"]);
  assert.equal(await content(), before);
  await database.sql("insert into person (name) values ('next')");
  assert.deepEqual(await database.sql("select max(id) as id from person"), [{ id: 3 }], "where the identity stands");
}

for (const poolMode of ["transaction", "session"] as const) {
  testWith("pgbouncer", `through PgBouncer in ${poolMode} mode a snapshot is taken and put back`, async () => {
    const server = await sharedPostgres();
    await using database = await server.database();
    await database.sql(schema);
    await using pooler = await startPgBouncer(server, { poolMode, poolSize: 4 });
    await roundTrip(database, pooler.url(database.name));
  });
}

testWith(["postgres", "openssl"], "by TLS, as a role that only owns its tables", async () => {
  await using server = await startPostgres({ tls: "required", auth: "scram-sha-256" });
  await using database = await server.database();
  await server.sql("postgres", "create role plain login password 'it''s' nosuperuser nocreatedb nocreaterole");
  await database.sql(`alter database "${database.name}" owner to plain; set role plain; ${schema}`);
  const url = server.url(database.name, { user: "plain", password: "it's", parameters: { sslmode: "require" } });
  await roundTrip(database, url);
});
