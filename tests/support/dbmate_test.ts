import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { dbmate } from "./dbmate.ts";
import { sharedPostgres } from "./postgres.ts";
import { testWith } from "./skip.ts";
import { tempFolder } from "./temp_folder.ts";

const files = {
  "db/migrations/20240101000000_note.sql": "-- migrate:up\ncreate table note (x int);\n-- migrate:down\n",
};

testWith("dbmate", "dbmate migrates a SQLite file", async () => {
  await using folder = await tempFolder(files);
  const env = { DATABASE_URL: "sqlite:a.db" };
  const { code, stderr } = await dbmate(["--no-dump-schema", "up"], { cwd: folder.root, env });
  assert.equal(code, 0, stderr);
  using db = new DatabaseSync(folder.path("a.db"));
  assert.deepEqual(db.prepare("select version from schema_migrations").all().map((row) => row.version), [
    "20240101000000",
  ]);
});

testWith(["dbmate", "postgres"], "dbmate migrates a Postgres database", async () => {
  await using folder = await tempFolder(files);
  await using database = await (await sharedPostgres()).database();
  const env = { DATABASE_URL: `${database.url}?sslmode=disable` };
  const { code, stderr } = await dbmate(["--no-dump-schema", "up"], { cwd: folder.root, env });
  assert.equal(code, 0, stderr);
  assert.deepEqual(await database.sql("select version from schema_migrations"), [{ version: "20240101000000" }]);
});
