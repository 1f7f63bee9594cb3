/** The compiled amber, as it runs in a container: no Deno, no project, no packages beside it. */
import assert from "node:assert/strict";
import { compiledAmber } from "../support/compiled.ts";
import type { CommandOptions } from "../support/command.ts";
import { spawnCommand } from "../support/command.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { schemaFingerprint } from "../support/schema.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { version } from "../../lib/version.ts";

/** The binary with nothing of ours in its environment: no HOME, no cache, no PATH that leads to a deno. */
async function run(args: string[], { cwd, env = {} }: Pick<CommandOptions, "cwd" | "env">) {
  // `env -i`: also what the test support would add.
  const pairs = Object.entries({ PATH: "/usr/bin:/bin", ...env }).map(([name, value]) => `${name}=${value}`);
  await using running = spawnCommand("/usr/bin/env", ["-i", ...pairs, compiledAmber(), ...args], { cwd });
  return await running.result;
}

const files = {
  "migrations/0001_notes.sql":
    "-- migrate:up\ncreate table notes (id integer primary key, title text);\ninsert into notes values (1, 'One; two');\n-- migrate:down\ndrop table notes;\n",
  "migrations/0002_search.sqlite.sql":
    "-- migrate:up\ncreate virtual table search using fts5 (title);\n-- migrate:down\ndrop table search;",
  "migrations/0002_search.postgres.sql":
    "-- migrate:up\ncreate index concurrently notes_title on notes (title);\n-- migrate:down\ndrop index concurrently notes_title;",
  "migrations/0003_slugs.ts": `
    import { createHash } from "node:crypto";
    import { readFileSync } from "node:fs";
    import { slug, type Slug } from "./_slug.ts";

    export const depends: string[] = ["0002_search"];

    enum Kind { Short = "short" }

    export async function up(db: any): Promise<void> {
      console.log("from the migration");
      await db.exec("alter table notes add column slug text");
      await db.exec("alter table notes add column hash text");
      await db.batch({ from: "notes", size: 10 }, async (rows: { id: number; title: string }[]) => {
        for (const { id, title } of rows) {
          const made: Slug = slug(title);
          const hash = createHash("sha256").update(made).digest("hex").slice(0, 8);
          await db.exec("update notes set slug = $1, hash = $2 where id = $3", [made + Kind.Short, hash, Number(id)]);
        }
      });
      if (!readFileSync(new URL(import.meta.url)).length) throw new Error("not from the disk");
    }
    export async function down(db: any) {
      await db.exec("alter table notes drop column slug");
      await db.exec("alter table notes drop column hash");
    }`,
  "migrations/_slug.ts":
    `export type Slug = string; export const slug = (text: string): Slug => text.toLowerCase().replace(/[^a-z]+/g, "-");`,
};

const where = { sqlite: [], postgres: ["postgres" as const] };

for (const engine of ["sqlite", "postgres"] as const) {
  testWith(
    ["binary", ...where[engine]],
    `${engine}: the binary applies SQL and TypeScript from a folder, and takes them back`,
    async () => {
      await using folder = await tempFolder(files);
      await using database = engine === "postgres" ? await (await sharedPostgres()).database() : undefined;
      const env = { DATABASE_URL: database?.url ?? "sqlite:app.db" };
      const at = { cwd: folder.root, env };
      const target = database?.url ?? folder.path("app.db");

      const plan = await run(["migrate", "--plan"], at);
      assert.equal(plan.code, 0, plan.stderr);
      const first = await run(["migrate", "--json"], at);
      assert.equal(first.code, 0, first.stderr + first.stdout);
      const lines = first.stdout.trim().split("\n").map((line) => JSON.parse(line));
      assert.deepEqual(lines.at(-1), {
        type: "result",
        applied: ["0001_notes", "0002_search", "0003_slugs"],
        unapplied: [],
        recorded: [],
      });
      assert.match(first.stderr, /^from the migration$/m);
      assert.match(await schemaFingerprint(target, { rows: "content" }), /one-two/);

      const second = await run(["migrate"], at);
      assert.deepEqual([second.code, second.stdout], [0, "Nothing to do.\n"], second.stderr);
      assert.equal((await run(["check"], at)).code, 0);
      const shown = await run(["showmigrations"], at);
      assert.match(shown.stdout, /^ \[X\] 0003_slugs/m);
      assert.match((await run(["sqlmigrate", "1"], at)).stdout, /create table notes/);
      const status = await run(["status"], at);
      assert.match(status.stdout, /3 applied, 0 pending/);

      const back = await run(["migrate", "0001"], at);
      assert.equal(back.code, 0, back.stderr);
      assert.doesNotMatch(await schemaFingerprint(target), /slug|search|notes_title/);
      assert.equal((await run(["migrate", "zero"], at)).code, 0);
      if (engine === "sqlite") {
        // A safety snapshot was taken before each of the two that dropped something.
        const left = (await folder.list()).filter((path) => !/^migrations\/|^data\/backups\/(packs|amber)/.test(path));
        const [database, lock, ...snapshots] = left;
        assert.deepEqual([database, lock, snapshots.length], ["app.db", "data/.amber/restore.lock", 2], `${left}`);
        assert.ok(snapshots.every((path) => path.startsWith("data/backups/snapshots/")), `${left}`);
      }
    },
  );

  testWith(
    ["binary", ...where[engine]],
    `${engine}: without its folder the binary ends with 2, and makes no database`,
    async () => {
      await using folder = await tempFolder();
      const server = engine === "postgres" ? await sharedPostgres() : undefined;
      const name = `missing_${crypto.randomUUID().slice(0, 8)}`;
      const env = { DATABASE_URL: server?.url(name) ?? "sqlite:app.db" };
      for (
        const args of [["migrate"], ["migrate", "--plan"], ["check"], ["showmigrations"], [
          "migrate",
          "-d",
          "elsewhere",
        ]]
      ) {
        const { code, stderr } = await run(args, { cwd: folder.root, env });
        assert.equal(code, 2, stderr);
        assert.match(stderr, /^error {2}MIGRATIONS_MISSING\n.*"(migrations|elsewhere)"/m);
      }
      await folder.write({ "migrations/readme.txt": "none" });
      assert.equal((await run(["migrate"], { cwd: folder.root, env })).code, 2);
      assert.deepEqual(await folder.list(), ["migrations/readme.txt"]);
      if (server) {
        assert.deepEqual(await server.sql("postgres", `select 1 from pg_database where datname = '${name}'`), []);
      }
    },
  );
}

testWith("binary", "the binary knows its version, helps, and fails like the source does", async () => {
  await using folder = await tempFolder({
    "migrations/0001_a.sql": "create table a (x integer);\ncreate tabel b (x integer);\n",
    "deno.json": "{ this is no JSON",
    "package.json": "nor this",
    ".env": "DB_PATH=from_env.db\n",
  });
  const at = { cwd: folder.root };
  const told = await run(["--version"], at);
  assert.equal(told.stdout.trim(), version);
  const help = await run(["migrate", "--help"], at);
  assert.match(help.stdout, /amber migrate && exec my-server/);
  assert.equal(help.code, 0);
  assert.equal((await run(["migrat"], at)).code, 2);
  assert.equal((await run(["migrate", "--bogus"], at)).code, 2);
  const failed = await run(["migrate"], at);
  assert.equal(failed.code, 1, failed.stderr);
  assert.match(failed.stderr, /at +migrations\/0001_a\.sql:2:8\n(?:.*\n)* +2 \| create tabel b .*\n +\| {8}\^/);
  assert.match(failed.stderr, /sqlite from_env\.db/);
  await folder.write({ "migrations/0001_a.sql": "create table a (x integer);" });
  assert.equal((await run(["migrate"], at)).code, 0);
});

testWith("binary", "what TypeScript imports and is not there is named, before anything runs", async () => {
  await using folder = await tempFolder({
    "migrations/0001_a.sql": "create table a (x integer);",
    "migrations/0002_b.ts": 'import x from "./gone.ts";\nexport const up = () => x;',
  });
  const { code, stderr } = await run(["migrate"], { cwd: folder.root });
  assert.equal(code, 1);
  assert.match(stderr, /MIGRATION_MALFORMED\n.*0002_b\.ts.*gone\.ts/);
  await folder.write({ "migrations/0002_b.ts": "export const up = (db: { x: ) => {};" });
  assert.match((await run(["migrate"], { cwd: folder.root })).stderr, /MIGRATION_MALFORMED\n.*0002_b\.ts/);
  assert.deepEqual((await folder.list()).filter((path) => !path.startsWith("migrations/")), []);
});

testWith("binary", "the binary ends by SIGTERM with 143, and the next one goes on", async () => {
  await using folder = await tempFolder({
    "migrations/0001_a.sql": "create table a (x integer);",
    "migrations/0002_slow.sql":
      "create table b as with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000000000) select count(*) as n from n;",
  });
  await using running = spawnCommand(compiledAmber(), ["migrate"], { cwd: folder.root });
  await running.until("0001_a");
  const started = performance.now();
  running.kill("SIGTERM");
  const { code, stderr } = await running.result;
  assert.equal(code, 143, stderr);
  assert.ok(performance.now() - started < 10_000);
  await folder.write({ "migrations/0002_slow.sql": "create table b (x integer);" });
  const next = await run(["migrate"], { cwd: folder.root });
  assert.deepEqual([next.code, /1 applied/.test(next.stdout)], [0, true], next.stderr);
});

testWith("binary", "code in a folder imports amber itself from inside the binary", async () => {
  await using folder = await tempFolder({
    "migrations/0001_x.ts": `import { AmberError, type MigrationDatabase } from "@amber/amber";
export async function up(db: MigrationDatabase) {
  if (typeof AmberError !== "function") throw new Error("not there");
  await db.exec("create table x (id integer primary key)");
}
`,
  });
  const ran = await run(["migrate"], { cwd: folder.root, env: { DATABASE_URL: "sqlite:app.db" } });
  assert.deepEqual([ran.code, ran.stdout.split("\n").at(-2)], [0, "Done: 1 applied."], ran.stderr);
});
