/** Fault 4 of Postgres: the connection is cut at each message of a snapshot and of a restore. Whole, or nothing. */
import assert from "node:assert/strict";
import { parseDatabaseUrl } from "../../lib/database_url.ts";
import { AmberError } from "../../lib/errors.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { startNetwork } from "../engines/postgres/failing_network.ts";
import { type PostgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { random, runSeed } from "../support/random.ts";
import { appIn, putBack } from "../support/restoring.ts";
import { isLong, testWith } from "../support/skip.ts";
import { namesOf, takeSnapshot } from "../support/taking.ts";
import { tempFolder } from "../support/temp_folder.ts";

const rows = 3_000;
const setUp = `create table notes (id int primary key, text text);
  create table tags (id int primary key, note int references notes, name text);
  insert into notes select i, repeat('note ' || i, 20) from generate_series(1, ${rows}) i;
  insert into tags select i, i, 'tag' from generate_series(1, 500) i;`;

/** The database as it is reached through the network that fails. */
function through({ name }: PostgresDatabase, port: number) {
  return parseDatabaseUrl(`postgres://postgres@127.0.0.1:${port}/${name}?sslmode=disable`, "test");
}

function chosen(passed: number, atLeast: number): number[] {
  const dice = random(runSeed());
  const all = Array.from({ length: passed }, (_, index) => index + 1);
  return isLong ? all : dice.shuffle(all).slice(0, atLeast).sort((a, b) => a - b);
}

testWith("postgres", "a snapshot whose connection is cut at any message: there is none, or it is whole", async (t) => {
  const server = await sharedPostgres();
  await using database = await server.database();
  await database.sql(setUp);
  await using folder = await tempFolder({ "data/a.txt": "a" });
  const app = appIn(folder.root);
  const store = new DirectoryStore(app.repository);
  let passed = 0;
  {
    await using network = startNetwork({ host: "127.0.0.1", port: server.port });
    await takeSnapshot(app, { database: through(database, network.port) });
    passed = network.passed;
  }
  const counts = { none: 0, whole: 0 };
  for (const at of chosen(passed, 25)) {
    const before = await namesOf(store, "ordinary");
    await using network = startNetwork({ host: "127.0.0.1", port: server.port }, { at, how: "cut" });
    try {
      const { snapshot } = await takeSnapshot(app, { database: through(database, network.port), waitMs: 0 });
      assert.deepEqual(snapshot.facts.postgres!.rows, { "public.notes": rows, "public.tags": 500 }, `message ${at}`);
      counts.whole++;
    } catch (error) {
      assert.ok(error instanceof AmberError && error.exitStatus === 5, `message ${at}: ${error}`);
      assert.deepEqual(await namesOf(store, "ordinary"), before, `message ${at}: a snapshot that failed is there`);
      counts.none++;
    }
  }
  assert.ok(counts.none > 0);
  console.log(`  ${t.name}: ${JSON.stringify(counts)} of ${passed} messages`);
});

testWith("postgres", "a restore whose connection is cut at any message: the database is old or new", async (t) => {
  const server = await sharedPostgres();
  await using database = await server.database();
  await database.sql(setUp);
  await using folder = await tempFolder({ "data/a.txt": "a" });
  const app = appIn(folder.root);
  const direct = parseDatabaseUrl(database.url, "test");
  const { id } = await takeSnapshot(app, { database: direct });
  const stateOf = async () =>
    (await database.sql(
      "select count(*)::text || sum(hashtext(text))::text || (select count(*) from tags) as state from notes",
    ))[0]!
      .state;
  const old = await stateOf();
  const spoil = async () => {
    await database.sql(
      "delete from tags; delete from notes where id > 10; insert into notes values (0, 'new') on conflict do nothing",
    );
    return await stateOf();
  };
  const options = { wanted: id!, selection: { database: true }, noSafety: true };
  let passed = 0;
  {
    await spoil();
    await using network = startNetwork({ host: "127.0.0.1", port: server.port });
    await putBack(app, { ...options, database: through(database, network.port) });
    passed = network.passed;
    assert.equal(await stateOf(), old);
  }
  const counts = { old: 0, new: 0 };
  for (const at of chosen(passed, 10)) {
    const spoiled = await spoil();
    await using network = startNetwork({ host: "127.0.0.1", port: server.port }, { at, how: "cut" });
    let failure: unknown;
    await putBack(app, { ...options, database: through(database, network.port) }).catch((error) => failure = error);
    // The server notices that its client has gone, and rolls back.
    for (let i = 0; i < 200 && await isBusy(database); i++) await new Promise((resolve) => setTimeout(resolve, 25));
    const now = await stateOf();
    assert.ok(now === old || now === spoiled, `message ${at}: ${now}`);
    if (!failure) assert.equal(now, old, `message ${at}: it said that all was done`);
    else assert.ok(failure instanceof AmberError && [1, 5].includes(failure.exitStatus), `message ${at}: ${failure}`);
    counts[now === old ? "old" : "new"]++;
    // Again, and by the direct way: what was decided is finished, the rest is done anew.
    await putBack(app, { ...options, database: direct });
    assert.equal(await stateOf(), old, `message ${at}`);
  }
  console.log(`  ${t.name}: ${JSON.stringify({ restored: counts.old, untouched: counts.new })} of ${passed} messages`);
});

async function isBusy(database: PostgresDatabase): Promise<boolean> {
  const [row] = await database.sql(
    "select exists (select from pg_stat_activity where datname = current_database() and application_name like 'amber%') as yes",
  );
  return row!.yes === true;
}
