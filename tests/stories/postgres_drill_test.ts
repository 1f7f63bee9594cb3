/** Drills of a Postgres database: restored into a scratch database that is gone afterwards, or read where there can be none. */
import assert from "node:assert/strict";
import { parseDatabaseUrl, type PostgresAddress } from "../../lib/database_url.ts";
import { PostgresEngine } from "../../lib/engines/postgres/engine.ts";
import { packName } from "../../lib/repository/pack.ts";
import { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import type { Snapshot } from "../../lib/repository/snapshot_file.ts";
import { drill, type DrillResult } from "../../lib/stories/drill.ts";
import { snapshot } from "../../lib/stories/snapshot.ts";
import { forgeSnapshot } from "../support/forge.ts";
import { MemoryStore } from "../support/memory_store.ts";
import { type PostgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { copyOf } from "../support/small_repository.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

const common = { by: "test@here", amber: "0.0.0", now: () => new Date(), stop: new AbortController().signal };

interface Taken {
  folder: TempFolder;
  store: MemoryStore;
  taken: Snapshot;
  address: PostgresAddress;
}

/** A snapshot of a database that these statements have filled. */
async function take(database: PostgresDatabase, folder: TempFolder, sql: string): Promise<Taken> {
  await database.sql(sql);
  await folder.write({ "data/a.txt": "a" });
  const store = new MemoryStore();
  const address = parseDatabaseUrl(database.url, "a test") as PostgresAddress;
  const { snapshot: taken } = await snapshot({
    ...{ ...common, store, data: folder.path("data"), database: address, scratch: folder.path("scratch"), exclude: [] },
    report: () => {},
  });
  return { folder, store, taken: taken!, address };
}

async function run({ folder, store, address }: Taken, more: { database?: PostgresAddress } = { database: address }) {
  return await drill({ ...common, store, scratch: folder.path("scratch"), report: () => {}, ...more });
}

function verdict({ ok, problems, notes, databases, rows }: DrillResult) {
  return { ok, problems, notes, databases, rows };
}

const notesSql = `create table notes (id int primary key, text text, parent int references notes);
  insert into notes select i, 'note ' || i, nullif(i - 1, 0) from generate_series(1, 5000) i;
  create table empty (id bigserial primary key); create view all_notes as select * from notes`;

/** Scratch databases whose server time stands in their names. */
async function scratches({ server }: PostgresDatabase): Promise<string[]> {
  const rows = await server.sql(
    "postgres",
    "select datname from pg_database where datname like 'amber_drill_%' order by 1",
  );
  return rows.map(({ datname }) => String(datname));
}

testWith(
  "postgres",
  "a good one is restored and counted, and nothing is left on the server; old leftovers go",
  async () => {
    const server = await sharedPostgres();
    await using database = await server.database();
    await using folder = await tempFolder();
    const all = await take(database, folder, notesSql);
    const ages = [3_600, 60, 3_601].map((age, i) => {
      return `amber_drill_${Math.floor(Date.now() / 1000) - age}_${"0123456789abcde" + i}`;
    });
    for (const name of ages) await server.createDatabase(name);
    const [old, young, used] = ages as [string, string, string];
    const other = "amber_drill_other";
    await server.createDatabase(other);
    const somebody = await PostgresEngine.open({ ...all.address, database: used }, {
      ...{ waitMs: 5_000, create: false, readOnly: true, by: "somebody", stop: common.stop, report: () => {} },
    });
    try {
      assert.deepEqual(verdict(await run(all)), { ok: true, problems: [], notes: [], databases: 1, rows: 5_000 });
      assert.deepEqual(await scratches(database), [young, used, other].sort());
      assert.ok(!(await scratches(database)).includes(old));
    } finally {
      await somebody.close();
      for (const name of [...ages, other]) await server.dropDatabase(name);
    }
  },
);

testWith("postgres", "without a server, or where the role may make no database, all is read and counted", async () => {
  const server = await sharedPostgres();
  await using database = await server.database();
  await using folder = await tempFolder();
  const all = await take(database, folder, notesSql);
  const read = { ok: true, problems: [], databases: 0, rows: 0 };
  const note = (why: string) => [
    `the Postgres database "${database.name}" was read and its rows were counted, but not restored: ${why}`,
  ];
  const none = note("no Postgres database is configured");
  assert.deepEqual(verdict(await run(all, {})), { ...read, notes: none });
  const role = `drill_${crypto.randomUUID().slice(0, 8)}`;
  await database.sql(`create role ${role} login nocreatedb; grant create on database ${database.name} to ${role}`);
  try {
    const weak = { database: { ...all.address, user: role } };
    assert.deepEqual(verdict(await run(all, weak)), { ...read, notes: note("the role may not create databases") });
  } finally {
    await database.sql(`drop owned by ${role}; drop role ${role}`);
  }
  const gone = { database: { ...all.address, database: "not_there_any_more" } };
  assert.deepEqual(verdict(await run(all, gone)), { ...read, notes: note("the configured database does not exist") });
  await assert.rejects(run(all, { database: { ...all.address, port: 1 } }), { code: "DATABASE_SILENT" });
});

testWith("postgres", "rows that are damaged, missing or miscounted are found, restored or read", async () => {
  const server = await sharedPostgres();
  await using database = await server.database();
  await using folder = await tempFolder();
  const all = await take(database, folder, notesSql);
  const flipped = copyOf(all.store);
  await damageRows(flipped, all.taken, "/postgres/tables/public/notes");
  const counted = copyOf(all.store);
  forgeSnapshot(counted, all.taken, ({ facts }) => void facts.postgres.rows["public.notes"]++);
  counted.objects.delete(`snapshots/${all.taken.name}.json`);
  const more = copyOf(all.store);
  forgeSnapshot(more, all.taken, ({ facts }) => void (facts.postgres.rows["public.none"] = 1));
  more.objects.delete(`snapshots/${all.taken.name}.json`);
  const cases: [store: MemoryStore, problem: RegExp][] = [
    [flipped, /Cannot read .*pack/],
    [counted, /^the Postgres table public\.notes had 5001 rows, and 5000 are stored$/],
    [more, /^the Postgres table public\.none had 1 rows, and is not stored$/],
  ];
  for (const [store, problem] of cases) {
    for (const database of [all.address, undefined]) {
      const { ok, problems, rows } = await run({ ...all, store }, { database });
      assert.deepEqual({ ok, rows }, { ok: false, rows: 0 });
      assert.match(problems.join("\n"), problem);
    }
  }
  assert.deepEqual(await scratches(database), []);
});

/** Flips a bit in the frame that the first rows of a table are in. */
async function damageRows(store: MemoryStore, taken: Snapshot, path: string): Promise<void> {
  using pool = new BlockPool();
  const reader = new SnapshotReader(store, taken, pool);
  for await (const entry of reader.entries()) {
    if (entry.type !== "file" || entry.path !== path) continue;
    const { pack, index } = [...entry.runs][0]!;
    const toc = await reader.packs.toc(pack);
    const { from, size } = toc.frames[reader.packs.locate(toc, pack, index).frame]!;
    store.objects.get(packName(reader.packs.pack(pack).hash))!.bytes[from + Math.floor(size / 2)]! ^= 1;
    return;
  }
  assert.fail(`there is no ${path}`);
}
