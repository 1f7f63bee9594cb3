import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { counting, refuseFailures, refuseRepetition, runAtOnce } from "./race.ts";
import { type Place, sqliteAt } from "./setups.ts";

testWith("postgres", "8 runners at once on a Postgres database that does not exist yet: all exit 0", async () => {
  const server = await sharedPostgres();
  const name = `made_${crypto.randomUUID().slice(0, 8)}`;
  await using folder = await tempFolder(counting("postgres"));
  try {
    const results = await runAtOnce(8, { cwd: folder.root, env: { DATABASE_URL: server.url(name) } });
    refuseFailures(results);
    await refuseRepetition({ sql: (text: string) => server.sql(name, text) } as Place, results);
  } finally {
    await server.dropDatabase(name);
  }
});

Deno.test("8 runners at once on a SQLite database that does not exist yet: all exit 0", async () => {
  await using folder = await tempFolder(counting("sqlite"));
  await using place = sqliteAt(folder.path("new.sqlite"), () => Promise.resolve());
  const results = await runAtOnce(8, { cwd: folder.root, env: place.env });
  refuseFailures(results);
  await refuseRepetition(place, results);
  await place.refuseLeftovers();
});
