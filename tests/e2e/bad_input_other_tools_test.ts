/** A database that another tool has migrated is not migrated again from 0001: that may begin with a DROP. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { amber } from "../support/command.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { has, refuses } from "./refusal.ts";

const files = { "migrations/0001_a.sql": "create table a (x integer);\n" };

// Table and columns as each tool makes them, as far as amber looks at them.
const otherTools: [tool: string, table: string, columns: string, hint: string][] = [
  ["dbmate", "schema_migrations", "version varchar(128) primary key", "amber adopt dbmate"],
  ["golang-migrate", "schema_migrations", "version bigint primary key, dirty boolean not null", "amber migrate --fake"],
  ["Django", "django_migrations", "id integer primary key, app text, name text", "amber migrate --fake"],
  ["sqlx", "_sqlx_migrations", "version bigint primary key, description text", "amber migrate --fake"],
  ["goose", "goose_db_version", "id integer primary key, version_id bigint", "amber migrate --fake"],
  ["Flyway", "flyway_schema_history", "installed_rank integer primary key, version text", "amber migrate --fake"],
  ["Liquibase", "databasechangelog", "id text, author text", "amber migrate --fake"],
  ["Drizzle", "__drizzle_migrations", "id integer primary key, hash text", "amber migrate --fake"],
  ["Prisma", "_prisma_migrations", "id text primary key, migration_name text", "amber migrate --fake"],
  ["Knex", "knex_migrations", "id integer primary key, name text", "amber migrate --fake"],
  ["Kysely", "kysely_migration", "name text primary key, timestamp text", "amber migrate --fake"],
  ["node-pg-migrate", "pgmigrations", "id integer primary key, name text", "amber migrate --fake"],
  ["Sequelize", '"SequelizeMeta"', "name text primary key", "amber migrate --fake"],
  ["Alembic", "alembic_version", "version_num text primary key", "amber migrate --fake"],
  ["Atlas", "atlas_schema_revisions", "version text primary key", "amber migrate --fake"],
  ["Diesel", "__diesel_schema_migrations", "version text primary key, run_on text", "amber migrate --fake"],
  ["sql-migrate", "gorp_migrations", "id text primary key, applied_at text", "amber migrate --fake"],
  ["TypeORM", "typeorm_metadata", "type text, name text", "amber migrate --fake"],
  ["MikroORM", "mikro_orm_migrations", "id integer primary key, name text", "amber migrate --fake"],
];

for (const [tool, table, columns, hint] of otherTools) {
  const name = table.replaceAll('"', "");
  const expected = {
    code: "HISTORY_FOREIGN",
    message: `this database was migrated by ${tool} (table "${name}"), and amber has no history here`,
    hint,
  } as const;
  Deno.test(`SQLite: the history of ${tool} (${name}) was not taken over`, async () => {
    await using folder = await tempFolder(files);
    {
      using database = new DatabaseSync(folder.path("local.db"));
      database.exec(`create table ${table} (${columns}); insert into ${table} default values`.replace(/not null/g, ""));
    }
    await refuses(["migrate"], { cwd: folder.root }, expected);
    await refuses(["check"], { cwd: folder.root }, expected);
    if (tool !== "Django") return;
    // What the hint says helps.
    const options = { cwd: folder.root };
    const faked = await amber(["migrate", "--fake", "0001"], options);
    has(faked.stdout, "recorded  0001_a", faked.stderr);
    assert.equal((await amber(["migrate"], options)).code, 0);
    assert.equal((await amber(["check"], options)).code, 0);
  });

  testWith("postgres", `Postgres: the history of ${tool} (${name}) was not taken over`, async () => {
    await using database = await (await sharedPostgres()).database();
    await using folder = await tempFolder(files);
    await database.sql(
      `create table ${table} (${columns.replace(/primary key|not null/g, "")}); insert into ${table} default values`,
    );
    const options = { cwd: folder.root, env: { DATABASE_URL: database.url } };
    await refuses(["migrate"], options, expected);
    await refuses(["check"], options, expected);
    const tables = await database.sql("select tablename from pg_tables where schemaname = 'public'");
    assert.deepEqual(tables, [{ tablename: name }], "nothing was made");
  });
}

for (
  const [tool, table] of [["Drizzle", "drizzle.__drizzle_migrations"], [
    "Atlas",
    "atlas_schema_revisions.atlas_schema_revisions",
  ]]
) {
  testWith("postgres", `Postgres: the history of ${tool} in its own schema is found`, async () => {
    await using database = await (await sharedPostgres()).database();
    await using folder = await tempFolder(files);
    await database.sql(`create schema ${table!.split(".")[0]}; create table ${table} (id integer)`);
    await refuses(["migrate"], { cwd: folder.root, env: { DATABASE_URL: database.url } }, {
      code: "HISTORY_FOREIGN",
      message: `migrated by ${tool}`,
      hint: "amber migrate --fake",
    });
  });
}

testWith(
  "postgres",
  "Postgres: another tool's history in a schema that the app does not use is no obstacle",
  async () => {
    await using database = await (await sharedPostgres()).database();
    await using folder = await tempFolder(files);
    await database.sql("create schema other; create table other.django_migrations (id integer)");
    const { code, stderr } = await amber(["migrate"], { cwd: folder.root, env: { DATABASE_URL: database.url } });
    assert.equal(code, 0, stderr);
  },
);

testWith("postgres", "Postgres: an empty table of another tool, and one that the role may not read", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder(files);
  await database.sql("create table django_migrations (id integer)");
  await refuses(["migrate"], { cwd: folder.root, env: { DATABASE_URL: database.url } }, {
    code: "HISTORY_FOREIGN",
    message: "migrated by Django",
    hint: "drop table django_migrations; then amber migrate",
  });
  const role = `newcomer_${crypto.randomUUID().slice(0, 8)}`;
  await database.sql(`create role ${role} login; grant create on schema public to ${role}`);
  try {
    const env = { DATABASE_URL: database.server.url(database.name, { user: role }) };
    const expected = { code: "HISTORY_FOREIGN", message: "migrated by Django", hint: "amber migrate --fake" } as const;
    await refuses(["migrate"], { cwd: folder.root, env }, expected);
  } finally {
    await database.sql(`drop owned by ${role}; drop role ${role}`);
  }
});
