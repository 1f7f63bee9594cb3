/** A binary with an app's migrations inside. */
import assert from "node:assert/strict";
import { command, projectFolder } from "../support/command.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";

const files = {
  "app/migrations/0001_notes.sql":
    "-- migrate:up\ncreate table notes (id integer primary key, title text not null);\n\n-- migrate:down\ndrop table notes;\n",
  "app/migrations/0002_index.sqlite.sql": "-- migrate:up\ncreate index notes_title on notes (title);\n",
  "app/migrations/0003_first.ts": `import type { MigrationDatabase } from "@amber/amber";
    export async function up(db: MigrationDatabase) { await db.exec("insert into notes (title) values ('first')"); }`,
  "other/0001_other.sql": "-- migrate:up\ncreate table other (id integer primary key);\n",
};

/** Where it cannot be downloaded, what goes into the binary is named. */
const runtime: Record<string, string> = Deno.env.has("DENORT_BIN") ? { DENORT_BIN: Deno.env.get("DENORT_BIN")! } : {};

testWith(
  "binary",
  "a binary carries its migrations: it needs no folder, and takes another one only when it is named",
  async () => {
    await using folder = await tempFolder({ ...files, "empty/": "" });
    const amber = folder.path("amber");
    const compile = (...args: string[]) =>
      command(Deno.execPath(), ["run", "--quiet", "-A", "compile.ts", "--output", amber, ...args], {
        cwd: projectFolder,
        env: runtime,
        timeoutMs: 180_000,
      });
    const missing = await compile("--migrations", folder.path("nowhere"));
    assert.deepEqual([missing.code, /there is no such folder/.test(missing.stderr)], [1, true], missing.stderr);
    const compiled = await compile("--migrations", folder.path("app/migrations"));
    assert.equal(compiled.code, 0, compiled.stderr);
    await Deno.remove(folder.path("app"), { recursive: true }); // nothing of it is needed any more
    const run = (args: string[], env: Record<string, string> = {}) =>
      command(amber, args, { cwd: folder.path("empty"), env: { DB_PATH: "app.db", ...env } });

    const first = await run(["migrate"]);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stderr, /^amber: sqlite app\.db, migrations from amber:migrations \(3\)$/m);
    assert.match(first.stdout, /Done: 3 applied\.$/m);
    const second = await run(["migrate"]);
    assert.deepEqual([second.code, second.stdout], [0, "Nothing to do.\n"], second.stderr);
    assert.equal((await run(["check"])).code, 0);
    assert.match((await run(["status"])).stdout, /amber:migrations \(inside this binary\)\n.*3 applied, 0 pending/);
    assert.match((await run(["sqlmigrate", "1"])).stdout, /create table notes/);
    // Not carried for this engine: said so, as from a folder.
    const postgres = await run(["migrate"], { DATABASE_URL: "postgres://nobody@127.0.0.1:1/none" });
    assert.match(postgres.stderr, /MIGRATION_VARIANT_MISSING[\s\S]*amber:migrations\/0002_index\.sqlite\.sql/);

    const other = await run(["migrate"], { DB_PATH: "other.db", AMBER_MIGRATIONS: folder.path("other") });
    assert.match(other.stderr, /migrations from \/.*\/other \(1\)$/m);
    const forgotten = await run(["migrate"], { DB_PATH: "never.db", AMBER_MIGRATIONS: "/app/migrations" });
    assert.deepEqual([forgotten.code, /MIGRATIONS_MISSING/.test(forgotten.stderr)], [2, true], forgotten.stderr);
    const back = await run(["migrate", "0001", "--yes"]);
    assert.equal(back.code, 2, back.stderr);
    assert.match(back.stderr, /amber:migrations\/0003_first\.ts/);
    const made = await run(["makemigrations", "more"]);
    assert.match(made.stdout, /^Wrote migrations\/0001_more\.sql$/m); // a folder, for what is inside cannot be written
    assert.deepEqual(
      (await folder.list()).filter((path) => path.startsWith("empty/") && !path.startsWith("empty/data/")).sort(),
      ["empty/app.db", "empty/migrations/0001_more.sql", "empty/other.db"],
    );
  },
);
