/** The compiled amber alone takes, lists, drills, verifies, restores, exports and wipes, with nothing of Deno beside it. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { compiledAmber } from "../support/compiled.ts";
import { type CommandResult, spawnCommand } from "../support/command.ts";
import { testWith } from "../support/skip.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

/** `env -i`: no HOME, no cache, no PATH that leads to a deno; a scratch folder that only amber has. */
async function run(folder: TempFolder, args: string[], env: Record<string, string> = {}): Promise<CommandResult> {
  const pairs = Object.entries({ PATH: "/usr/bin:/bin", DB_PATH: "data/prod.db", ...env }).map(([name, value]) =>
    `${name}=${value}`
  );
  await using running = spawnCommand("/usr/bin/env", ["-i", ...pairs, compiledAmber(), ...args], { cwd: folder.root });
  return await running.result;
}

async function ends(status: number, folder: TempFolder, args: string[], env?: Record<string, string>) {
  const result = await run(folder, args, env);
  assert.equal(result.code, status, `amber ${args.join(" ")}\n${result.stdout}\n${result.stderr}`);
  return result;
}

function notes(path: string): string[] {
  using database = new DatabaseSync(path, { readOnly: true });
  return database.prepare("select body from notes order by id").all().map(({ body }) => String(body));
}

testWith("binary", "the binary takes a snapshot of a live folder, drills it and puts it back", async () => {
  await using folder = await tempFolder({
    "data/uploads/cat.txt": "a cat",
    "migrations/0001_notes.sql":
      "create table notes (id integer primary key, body text);\ninsert into notes (body) values ('one'), ('two');\n",
    "migrations/0002_risky.sql": "delete from notes where id = 1;\n",
  });
  await ends(0, folder, ["migrate", "0001"]);
  using server = new DatabaseSync(folder.path("data/prod.db"));
  server.exec("pragma journal_mode = wal; insert into notes (body) values ('three')");

  const taken = (await ends(0, folder, ["snapshot", "--json"])).json.at(-1)!;
  assert.equal(taken.type, "result");
  assert.deepEqual((taken.databases as { rows: unknown }[])[0]!.rows, { amber_migrations: 1, notes: 3 });
  await ends(0, folder, ["verify"]);
  await ends(0, folder, ["drill"]);
  const listed = (await ends(0, folder, ["snapshots"])).stdout;
  assert.match(listed, new RegExp(`${taken.id}.*0001_notes`));
  assert.equal((await ends(0, folder, ["cat", "latest", "uploads/cat.txt"])).stdout, "a cat");

  server.exec("delete from notes");
  Deno.removeSync(folder.path("data/uploads"), { recursive: true });
  await ends(0, folder, ["restore", "latest", "--yes"]);
  assert.deepEqual(notes(folder.path("data/prod.db")), ["one", "two", "three"]);
  assert.equal(await folder.read("data/uploads/cat.txt"), "a cat");
  server.exec("insert into notes (body) values ('after')"); // the server has had it open all the time
  assert.deepEqual(notes(folder.path("data/prod.db")), ["one", "two", "three", "after"]);

  const migrated = (await ends(0, folder, ["migrate", "--json"])).json.at(-1)!;
  assert.match(String(migrated.snapshot), /^[0-9a-f]{10}$/);
  assert.deepEqual(notes(folder.path("data/prod.db")), ["two", "three", "after"]);
  await ends(0, folder, ["restore", String(migrated.snapshot), "--yes"]);
  assert.deepEqual(notes(folder.path("data/prod.db")), ["one", "two", "three", "after"]);

  await ends(0, folder, ["export", "latest", "-o", "all.tar"]);
  assert.ok(Deno.statSync(folder.path("all.tar")).size > 8_192);
  await ends(0, folder, ["wipe", "--yes"]);
  assert.deepEqual(
    [...Deno.readDirSync(folder.path("data"))].map(({ name }) => name).filter((name) =>
      !/^(\.amber|backups|prod\.db)/.test(name)
    ),
    [],
  );
  await ends(0, folder, ["restore", "latest", "--to", "elsewhere"]);
  assert.deepEqual(notes(folder.path("elsewhere/prod.db")), ["one", "two", "three"]);
});

testWith("binary", "in production the binary restores and wipes only by name", async () => {
  await using folder = await tempFolder({ "data/a.txt": "a" });
  const env = { PLASH_PRODUCTION: "1", DB_PATH: "data/prod.db" };
  using database = new DatabaseSync(folder.path("data/prod.db"));
  database.exec("create table notes (id integer primary key, body text); insert into notes (body) values ('one')");
  await ends(0, folder, ["snapshot"], env);
  database.exec("delete from notes");
  await ends(2, folder, ["restore", "latest", "--yes"], env);
  await ends(2, folder, ["wipe", "--yes"], env);
  assert.deepEqual(notes(folder.path("data/prod.db")), []);
  await ends(0, folder, ["restore", "latest", "--confirm", "data"], env);
  assert.deepEqual(notes(folder.path("data/prod.db")), ["one"]);
  await ends(0, folder, ["wipe", "--confirm", "data"], env);
  await assert.rejects(folder.read("data/a.txt"), Deno.errors.NotFound);
  await ends(0, folder, ["status", "--max-age", "1h"], env);
});
