/** Starting over on purpose on Postgres: what `amber wipe` removes, leaves and gives back. pg_dump is the oracle. */
import assert from "node:assert/strict";
import postgres from "postgres";
import { wipeCalls } from "../../lib/capture/wipe_calls.ts";
import { parseDatabaseUrl } from "../../lib/database_url.ts";
import { compilePatterns } from "../../lib/patterns.ts";
import { wipe } from "../../lib/stories/wipe.ts";
import { tortured } from "../engines/postgres/torture.ts";
import { command, spawnAmber } from "../support/command.ts";
import { treeOf } from "../support/data_tree.ts";
import { type PostgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { findProgram } from "../support/programs.ts";
import { testWith } from "../support/skip.ts";
import { type DataApp, dataApp } from "./data_app.ts";

/** All of a database as pg_dump writes it, rows too. */
async function dump({ url }: PostgresDatabase): Promise<string> {
  const { code, stdout, stderr } = await command(findProgram("pg_dump")!, [url], { cwd: "/" });
  assert.equal(code, 0, stderr);
  return stdout.replace(/^\\(un)?restrict .*\n/gm, "");
}

const files = {
  "data/uploads/cat.txt": "meow",
  "migrations/0001_notes.sql": "create table notes (id int primary key);",
};

async function appOn(database: PostgresDatabase): Promise<DataApp> {
  const made = await dataApp(files, { DATABASE_URL: database.url });
  Deno.removeSync(made.folder.path("data/app.db"));
  for (const ending of ["-wal", "-shm"]) {
    try {
      Deno.removeSync(made.folder.path(`data/app.db${ending}`));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return made;
}

/** What stands in a database: nothing of these is an extension's. */
const kindsSql = `select count(*)::int as count from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname !~ '^(pg_|information_schema)' and not exists
    (select from pg_depend d where d.objid = c.oid and d.deptype in ('e', 'i'))`;

testWith(
  ["postgres", "pg_dump"],
  "a schema with everything in it is wiped to an empty database, and comes back",
  async () => {
    const server = await sharedPostgres();
    await using original = await tortured(server);
    await using app = await appOn(original);
    const before = await dump(original);
    const extensions = await original.sql(
      "select extname, nspname from pg_extension join pg_namespace n on n.oid = extnamespace order by 1",
    );
    assert.ok(extensions.length > 1);
    const { plan } = await app.result("wipe", "--database", "--all-schemas", "--plan") as unknown as {
      plan: { postgres: { tables: string[]; left: unknown[]; objects: number } };
    };
    assert.ok(plan.postgres.objects > 100 && plan.postgres.left.length === 0, JSON.stringify(plan));
    assert.equal(await dump(original), before, "a plan changes nothing");
    const { safety, command: back } = await app.result("wipe", "--database", "--all-schemas", "--yes");
    assert.equal(back, `amber restore ${safety} --schema`);
    const made = (await dump(original)).match(/^(CREATE|ALTER) .*/gm) ?? [];
    // What is left are the extensions with their schemas, and rights on what every database is born with.
    const unexpected = made.filter((line) => !/^CREATE (EXTENSION|SCHEMA)|^ALTER SCHEMA/.test(line));
    assert.deepEqual(unexpected, []);
    assert.deepEqual(await original.sql(kindsSql), [{ count: 0 }]);
    assert.deepEqual(
      await original.sql(
        "select extname, nspname from pg_extension join pg_namespace n on n.oid = extnamespace order by 1",
      ),
      extensions,
    );
    assert.equal(await app.folder.read("data/uploads/cat.txt"), "meow");
    await app.ends(0, ["restore", String(safety), "--schema", "--yes", "--database"]);
    assert.equal(await dump(original), before);
  },
);

testWith(["postgres", "pg_dump"], "files and database go together, and come back together", async () => {
  const server = await sharedPostgres();
  await using database = await server.database();
  await using app = await appOn(database);
  await app.ends(0, ["migrate"]);
  await database.sql("insert into notes select generate_series(1, 100); select lo_create(77)");
  const [before, tree] = [await dump(database), treeOf(app.folder.path("data"), { except: [".amber"] })];
  const shown = await app.ends(0, ["wipe", "--plan"]);
  assert.match(shown.stdout, /removes 1 file and 1 folder/);
  assert.match(shown.stdout, /empties the database .*1 schema \(public\): 2 tables, 3 objects in all/);
  const production = { env: { AMBER_PRODUCTION: "1" } };
  const refused = await app.ends(2, ["wipe", "--database", "--yes"], production);
  const name = new URL(database.url).pathname.slice(1);
  assert.match(refused.stderr, new RegExp(`--confirm ${name}`));
  const { stdout } = await app.ends(0, ["wipe", "--yes"]);
  const id = /amber restore ([0-9a-f]{10}) --schema$/m.exec(stdout)![1]!;
  assert.deepEqual([...Deno.readDirSync(app.folder.path("data"))].map(({ name }) => name), [".amber"]);
  assert.deepEqual(await database.sql(kindsSql), [{ count: 0 }], "amber's history too, and no marker");
  assert.equal((await app.result("wipe")).state, "nothing");
  await app.ends(0, ["restore", id, "--schema", "--yes"]);
  assert.equal(await dump(database), before);
  assert.deepEqual(treeOf(app.folder.path("data"), { except: [".amber"] }), tree);
  await app.ends(0, ["wipe", "--database", "--confirm", name], production);
  assert.match((await app.ends(0, ["migrate"])).stdout, /1 applied/);
});

testWith("postgres", "other schemas stay unless they are named, and nothing in them is lost by a cascade", async () => {
  const server = await sharedPostgres();
  await using database = await server.database();
  await using app = await appOn(database);
  await database.sql(`create table notes (id int primary key); insert into notes values (1);
    create schema billing; create table billing.bills (note int references notes); select lo_create(5)`);
  const shown = await app.ends(0, ["wipe", "--database", "--plan"]);
  assert.match(shown.stdout, /stays {3}the schema billing {2}\(1 object; --schema or --all-schemas/);
  const { json } = await app.ends(2, ["wipe", "--database", "--yes", "--json"]);
  const error = json.at(-1)!;
  assert.match(String(error.message), /bills_note_fkey on billing\.bills would go too, in a schema that is to stay/);
  assert.match(String(error.hint), /^Nothing was removed\. .*--schema NAME/);
  assert.deepEqual(await database.sql("select id from notes"), [{ id: 1 }]);
  await database.sql("alter table billing.bills drop constraint bills_note_fkey");
  await app.ends(0, ["wipe", "--database", "--yes"]);
  assert.deepEqual(
    await database.sql(
      "select to_regclass('notes')::text as notes, to_regclass('billing.bills')::text as bills, (select count(*)::int from pg_largeobject_metadata) as large",
    ),
    [
      { notes: null, bills: "billing.bills", large: 1 },
    ],
  );
  await app.ends(2, ["wipe", "--database", "--schema", "nowhere", "--yes"]);
  await app.ends(0, ["wipe", "--database", "--schema", "billing", "--yes"]);
  assert.deepEqual(await database.sql("select nspname from pg_namespace where nspname = 'billing'"), []);
  assert.deepEqual(await database.sql("select count(*)::int as count from pg_largeobject_metadata"), [{ count: 0 }]);
});

testWith("postgres", "a role that does not own something is told, and nothing is removed", async () => {
  const server = await sharedPostgres();
  await using database = await server.database();
  await using app = await appOn(database);
  const role = `wiper_${crypto.randomUUID().slice(0, 8)}`;
  await database.sql(`create role ${role} login password 'w'; grant all on schema public to ${role};
    create table theirs (id int); grant all on theirs to ${role}; set role ${role}; create table ours (id int); reset role`);
  const url = new URL(database.url);
  [url.username, url.password] = [role, "w"];
  const env = { DATABASE_URL: url.href };
  const { json } = await app.ends(2, ["wipe", "--database", "--yes", "--json"], { env });
  assert.equal(json.at(-1)!.code, "DATABASE_FORBIDDEN");
  assert.match(String(json.at(-1)!.message), /must be owner of table theirs/);
  assert.match(String(json.at(-1)!.hint), /Nothing was removed\. Run it as the role that owns it/);
  assert.deepEqual(await database.sql("select to_regclass('ours')::text as a, to_regclass('theirs')::text as b"), [
    { a: "ours", b: "theirs" },
  ]);
  await database.sql(`drop owned by ${role}; drop role ${role}`);
});

testWith(
  ["postgres", "pg_dump"],
  "killed in the middle: everything is there, and the next one removes it",
  async () => {
    const server = await sharedPostgres();
    await using database = await server.database();
    await using app = await appOn(database);
    await database.sql(
      "create table a (id int); insert into a values (1); create table z (id int); insert into z values (2)",
    );
    const before = await dump(database);
    const reader = postgres(database.url, { max: 1, onnotice: () => {} });
    await reader.unsafe("begin; select * from z");
    {
      await using wiping = spawnAmber(["wipe", "--yes", "--json", "--wait", "60s"], {
        cwd: app.folder.root,
        env: { DATABASE_URL: database.url, AMBER_REPOSITORY: "repository" },
      });
      await wiping.until('"type":"safety"');
      const waiting =
        "select 1 from pg_locks l join pg_database d on d.oid = l.database where d.datname = current_database() and not granted";
      for (let found = 0; found === 0;) found = (await database.sql(waiting)).length;
      wiping.kill("SIGKILL");
      await wiping.result;
    }
    await reader.end();
    assert.equal(await dump(database), before);
    assert.equal(await app.folder.read("data/uploads/cat.txt"), "meow");
    await app.ends(0, ["wipe", "--yes"]);
    assert.deepEqual(await database.sql(kindsSql), [{ count: 0 }]);
    assert.throws(() => Deno.lstatSync(app.folder.path("data/uploads")), Deno.errors.NotFound);
  },
);

testWith(
  "postgres",
  "stopped between the commit and the files: the next command that writes removes those",
  async () => {
    const server = await sharedPostgres();
    await using database = await server.database();
    await using app = await appOn(database);
    await database.sql("create table a (id int)");
    const places = {
      data: app.folder.path("data"),
      scratch: app.folder.path("data/.amber"),
      database: parseDatabaseUrl(database.url, "test"),
      exclude: compilePatterns([], { data: app.folder.path("data") }),
      now: () => new Date(),
      random: (size: number) => crypto.getRandomValues(new Uint8Array(size)),
      stop: new AbortController().signal,
      report: () => {},
    };
    const calls = {
      ...wipeCalls,
      makeTrash: () => {
        throw new Error("the power is gone");
      },
    };
    const takeSafety = () => Promise.reject(new Error("none is wanted"));
    await assert.rejects(wipe({ ...places, calls, takeSafety, noSafety: true }), /the power is gone/);
    assert.deepEqual(
      await database.sql("select to_regclass('a')::text as a, to_regclass('amber_wipe')::text as marker"),
      [
        { a: null, marker: "amber_wipe" },
      ],
    );
    assert.equal(await app.folder.read("data/uploads/cat.txt"), "meow");
    const { stderr } = await app.ends(0, ["migrate"]);
    assert.match(stderr, /finishing the wipe that was interrupted/);
    assert.throws(() => Deno.lstatSync(app.folder.path("data/uploads")), Deno.errors.NotFound);
    assert.deepEqual(await database.sql("select to_regclass('amber_wipe')::text as marker"), [{ marker: null }]);
  },
);
