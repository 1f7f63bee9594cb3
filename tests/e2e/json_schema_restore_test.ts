/** Every line of `--json` from restore and wipe is what tests/schemas says. */
import assert from "node:assert/strict";
import { restore } from "../../lib/stories/restore.ts";
import { steppedCalls } from "../support/faulty_restore.ts";
import { appIn, placesOf } from "../support/restoring.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { type DataApp, dataApp } from "./data_app.ts";
import { families, JsonLines } from "./json_lines.ts";

Deno.test("restore and wipe: every line is one that the schemas know", async () => {
  const lines = new JsonLines();
  await using app = await dataApp({ "data/a.txt": "old", "data/uploads/b.txt": "b", "outside.log": "" });
  const { folder } = app;
  const env = { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository", AMBER_EXCLUDE: "*.log" };
  const ends = (status: number, ...args: string[]) => lines.ends(status, args, { cwd: folder.root, env });

  await ends(0, "restore", "latest", "--if-empty"); // no snapshot
  await ends(2, "restore", "latest");
  const id = await app.take();
  await ends(2, "restore", "0000");
  await ends(2, "restore");
  await folder.write({ "data/a.txt": "new", "data/new.txt": "goes", "data/kept.log": "stays" });
  app.sql("delete from posts");
  await ends(0, "restore", "latest", "--plan");
  await ends(2, "restore", "latest");
  await ends(2, "restore", "latest", "--no-safety");
  await ends(0, "restore", "latest", "--yes");
  await ends(0, "restore", "latest", "--if-empty"); // not empty
  await ends(0, "restore", "latest", "--to", "elsewhere");
  await ends(0, "restore", "latest", "--path", "a.txt", "--yes");

  await ends(0, "restore", "--discard", "--plan");
  await ends(0, "restore", "--discard", "--yes"); // nothing
  await interrupt(app);
  await ends(0, "restore", id, "--yes"); // finished
  await interrupt(app);
  await ends(2, "restore", "--discard");
  await ends(0, "restore", "--discard", "--yes");

  await ends(0, "wipe", "--plan");
  await ends(2, "wipe");
  await ends(2, "wipe", "--no-safety");
  await ends(0, "wipe", "--yes");
  await ends(0, "wipe", "--yes"); // nothing
  await ends(0, "restore", "latest", "--if-empty");
  await ends(5, "wipe", "--url", "postgres://ada@127.0.0.1:1/app", "--yes"); // nobody answers
  await lines.areSound(families.restore);
});

testWith("postgres", "restore of a Postgres database: its plan and its results, each way", async () => {
  const server = await sharedPostgres();
  await using original = await server.database();
  await using empty = await server.database();
  await original.sql("create table notes (id int primary key, text text); insert into notes values (1, 'a'), (2, 'b')");
  await using app = await dataApp({ "data/a.txt": "a" }, { DATABASE_URL: original.url });
  const lines = new JsonLines();
  const ends = (status: number, url: string, ...args: string[]) =>
    lines.ends(status, args, {
      cwd: app.folder.root,
      env: { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository", DATABASE_URL: url },
    });
  await ends(0, original.url, "snapshot");
  await ends(0, original.url, "restore", "latest", "--plan");
  await ends(0, original.url, "restore", "latest", "--yes");
  await ends(0, empty.url, "restore", "latest", "--database", "--schema", "--plan");
  await ends(1, empty.url, "restore", "latest", "--database", "--yes");
  await ends(0, empty.url, "restore", "latest", "--database", "--schema", "--yes");
  await lines.areSound({ commands: [], events: ["restore plan"], exits: [0, 1] });
});

/** Stops a restore of the latest snapshot right after it was decided. */
async function interrupt({ folder }: DataApp): Promise<void> {
  await folder.write({ "data/a.txt": "newer" });
  let isDecided = false;
  const places = await placesOf(appIn(folder.root, { database: folder.path("data/app.db") }));
  const calls = steppedCalls(({ call }) => {
    if (isDecided) throw new Error(`power failure before ${call}`);
  });
  const stopped = restore({
    ...{ ...places, calls, wanted: "latest", noSafety: true, confirm: () => {} },
    takeSafety: () => Promise.reject(new Error("not asked for")),
    report: ({ type }) => isDecided ||= type === "decided",
  });
  await assert.rejects(stopped, /power failure/);
}
