/** Every line of `--json` from commands that start programs, and of those that are about amber itself, is as tests/schemas says. */
import { spawnAmber } from "../support/command.ts";
import { testWith } from "../support/skip.ts";
import { dataApp } from "./data_app.ts";
import { families, JsonLines } from "./json_lines.ts";

const env = { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository" };

testWith("sqlite3", "run, dbshell, status, init, completions: every line is one that the schemas know", async (t) => {
  const lines = new JsonLines();
  await using app = await dataApp({ "data/a.txt": "a" });
  const { folder } = app;
  const at = (more: Record<string, string> = {}) => ({ cwd: folder.root, env: { ...env, ...more } });
  const ends = (status: number, ...args: string[]) => lines.ends(status, args, at());

  await t.step("init, status, completions", async () => {
    await ends(2, "status"); // no migrations: the result, and the error
    await ends(0, "init", "--plan");
    await ends(0, "init");
    await ends(0, "init");
    await ends(1, "init", "-d", "data/a.txt");
    await ends(0, "status");
    await ends(2, "completions", "bash");
    await ends(3, "status", "--max-age", "1h");
  });
  await t.step("run", async () => {
    await ends(0, "run", "--restore", "--plan", "--", "sh", "-c", "exit 3");
    await ends(0, "run", "--snapshot-every", "1h", "--plan", "--", "sh");
    await ends(3, "run", "--restore", "--", "sh", "-c", "exit 3");
    await ends(127, "run", "--", "no-such-program");
    await ends(126, "run", "--", "./data/a.txt");
    await ends(2, "run");
    await ends(125, "run", "-d", "nowhere", "--", "sh");
    const until = "until ls repository/snapshots/*.json > /dev/null 2>&1; do sleep 0.05; done";
    await ends(0, "run", "--snapshot-every", "1s", "--", "sh", "-c", until);
  });
  await t.step("status of snapshots", async () => {
    await app.take();
    await app.ends(0, ["drill"]);
    await ends(0, "status");
    await folder.write({ "migrations/0001_initial.sql": "select 'changed';" });
    await ends(0, "status");
    await ends(5, "status", "--url", "postgres://ada@127.0.0.1:1/app");
    await Deno.writeTextFile(folder.path("file"), "");
    await ends(2, "status", "-r", "file");
  });
  await t.step("dbshell", async () => {
    await ends(0, "dbshell", "--", "select 1 where 0");
    await lines.ends(2, ["dbshell"], at({ PATH: folder.path("migrations") }));
  });
  await t.step("snapshots while it runs", async () => {
    await app.ends(0, ["migrate", "--accept", "0001"]);
    const args = ["run", "--json", "--snapshot-every", "1s", "--", "sh", "-c", "exec sleep 60"];
    await using running = spawnAmber(args, at());
    await running.until(`"type":"snapshot ended"`);
    await Deno.rename(folder.path("data"), folder.path("gone"));
    await running.until(`"type":"snapshot failed"`);
    running.kill("SIGTERM");
    const result = await running.result;
    lines.keep("run", result, result.stderr);
  });
  await lines.areSound(families.programs);
});
