/** One instant across Postgres and SQLite: what an app writes to both under one lock is in a snapshot in both, or in none. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { parseDatabaseUrl } from "../../lib/database_url.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { appIn } from "../support/restoring.ts";
import { isLong, testWith } from "../support/skip.ts";
import { contentsOf, takeSnapshot, writeOut } from "../support/taking.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { startWriter } from "./both_writer.ts";

const rounds = isLong ? 1_000 : 50;

testWith(
  "postgres",
  `${rounds} snapshots while writers write to Postgres and SQLite: no invariant is broken in any`,
  async (t) => {
    const server = await sharedPostgres();
    await using database = await server.database();
    await database.sql(
      `create table account (id int primary key, balance int not null); create table moved (id int primary key);
    insert into account select i, 1000 from generate_series(1, 20) i`,
    );
    await using folder = await tempFolder({ "data/": "" });
    const app = appIn(folder.root);
    const file = folder.path("data/both.db");
    {
      using sqlite = new DatabaseSync(file);
      sqlite.exec("pragma journal_mode = wal; create table moved (id integer primary key)");
    }
    const store = new DirectoryStore(app.repository);
    const counts = new Set<number>();
    {
      await using _transfers = startWriter(["transfers", database.url]);
      await using both = startWriter(["both", database.url, file]);
      await both.begun;
      for (let round = 0; round < rounds; round++) {
        const { snapshot } = await takeSnapshot(app, { database: parseDatabaseUrl(database.url, "test") });
        const contents = await contentsOf(store, snapshot, { textSize: 1 << 22 });
        const rowsOf = (table: string) => {
          const entry = contents.get(`/postgres/tables/public/${table}`) as { text: string };
          return entry.text.split("\n").slice(0, -1).map((line) => line.split("\t").map(Number));
        };
        // Money goes from one row to another, in one transaction.
        const accounts = rowsOf("account");
        assert.equal(accounts.length, 20);
        assert.equal(accounts.reduce((sum, [, balance]) => sum + balance!, 0), 20_000, `round ${round}`);
        await writeOut(store, snapshot, folder.path("out"), ({ path }) => path === "both.db");
        using sqlite = new DatabaseSync(folder.path("out/both.db"));
        const there = sqlite.prepare("select id from moved order by id").all().map(({ id }) => Number(id));
        const here = rowsOf("moved").map(([id]) => id!).sort((a, b) => a - b);
        assert.deepEqual(here, there, `round ${round}: what is in Postgres is not what is in SQLite`);
        assert.equal(snapshot.facts.postgres!.rows["public.moved"], here.length);
        counts.add(here.length);
        await sleep(5);
      }
    }
    assert.ok(counts.size > rounds / 2, `only ${counts.size} different states: did the writers write?`);
    console.log(`  ${t.name}: ${counts.size} different states`);
  },
);
