/** A restore that holds a Postgres database, a SQLite one and files is killed: all of it is wholly old or wholly new. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { type DataApp, dataApp } from "../e2e/data_app.ts";
import { spawnAmber } from "../support/command.ts";
import { type PostgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { random, runSeed } from "../support/random.ts";
import { isLong, testWith } from "../support/skip.ts";

interface State {
  rows: string;
  file: string;
  sqlite: number;
}

async function stateOf(app: DataApp, database: PostgresDatabase): Promise<State> {
  const [row] = await database.sql(
    "select count(*)::text || ' ' || coalesce(sum(hashtext(n::text)), 0)::text || ' ' || (select count(*) from other)::text as state from notes n",
  );
  using sqlite = new DatabaseSync(app.folder.path("data/app.db"));
  return {
    rows: String(row!.state),
    file: Deno.readTextFileSync(app.folder.path("data/uploads/cat.txt")),
    sqlite: Number(sqlite.prepare("select count(*) as n from posts").get()!.n),
  };
}

testWith(
  "postgres",
  "a restore with Postgres killed at random moments: what is there is old or new, and becomes new",
  async (t) => {
    const dice = random(runSeed());
    const server = await sharedPostgres();
    await using database = await server.database();
    await database.sql(`create table notes (id int primary key, text text);
    create table other (id int primary key, note int references notes);
    insert into notes select i, 'old ' || i from generate_series(1, 20000) i; insert into other select i, i from generate_series(1, 500) i`);
    await using app = await dataApp({ "data/uploads/cat.txt": "old" }, { DATABASE_URL: database.url });
    const id = await app.take();
    const old = await stateOf(app, database);
    const spoil = async () => {
      await database.sql(
        "delete from other; delete from notes where id > 100; insert into notes values (99999, 'new') on conflict do nothing",
      );
      await app.folder.write({ "data/uploads/cat.txt": "spoiled" });
      app.sql("insert into posts (text) values ('spoiled')");
      return await stateOf(app, database);
    };
    const args = ["restore", id, "--yes"];
    await spoil();
    const started = performance.now();
    await app.ends(0, args);
    const wholeMs = performance.now() - started;
    assert.deepEqual(await stateOf(app, database), old);

    const outcomes = { untouched: 0, between: 0, restored: 0 };
    const kills = isLong ? 300 : 25;
    for (let i = 0; i < kills; i++) {
      const spoiled = await spoil();
      const atMs = dice.int(Math.round(wholeMs / 3), Math.round(wholeMs));
      const story = `seed ${dice.seed}, kill ${i} after ${atMs} of ${Math.round(wholeMs)} ms`;
      const running = spawnAmber(args, {
        cwd: app.folder.root,
        env: { DATABASE_URL: database.url, AMBER_REPOSITORY: "repository" },
      });
      await sleep(atMs);
      running.kill();
      await running.result;
      await noOther(database);
      const left = await stateOf(app, database);
      for (const part of ["rows", "file", "sqlite"] as const) {
        assert.ok([old[part], spoiled[part]].includes(left[part]), `${story}: ${part} is neither: ${left[part]}`);
      }
      const parts = [left.rows === old.rows, left.file === old.file, left.sqlite === old.sqlite];
      outcomes[parts.every(Boolean) ? "restored" : parts.some(Boolean) ? "between" : "untouched"]++;
      // The next command that writes finishes what was decided; then all of it is old or all of it new.
      const { postgres } = await app.result("snapshot");
      // A kill right at the end can leave the marker in the database, and nowhere else.
      assert.deepEqual(Object.keys((postgres as { rows: object }).rows), ["public.notes", "public.other"], story);
      const after = await stateOf(app, database);
      assert.ok(
        [old, spoiled].some((one) => JSON.stringify(one) === JSON.stringify(after)),
        `${story}: ${JSON.stringify(after)}`,
      );
      if (parts.some(Boolean)) assert.deepEqual(after, old, story);
      if (after.rows === old.rows || i % 5 > 0) continue;
      await app.ends(0, args);
      assert.deepEqual(await stateOf(app, database), old, story);
    }
    console.log(`  ${t.name}: ${kills} kills, seed ${dice.seed}: ${JSON.stringify(outcomes)}`);
  },
);

/** The server rolls back what the dead one had begun. */
async function noOther(database: PostgresDatabase): Promise<void> {
  for (let i = 0; i < 400; i++) {
    const [row] = await database.sql(
      "select count(*)::int as n from pg_stat_activity where datname = current_database() and application_name like 'amber%'",
    );
    if (row!.n === 0) return;
    await sleep(25);
  }
  throw new Error("the killed restore's session is still there after 10 s");
}
