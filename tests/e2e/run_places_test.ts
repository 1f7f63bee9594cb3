/** `amber run` where it is used: beside a Postgres, on a terminal, with a health check. */
import assert from "node:assert/strict";
import { amber, spawnAmber, spawnCommand } from "../support/command.ts";
import { amberProgram } from "../support/driven.ts";
import { healthCheck } from "../support/health_check.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";

const migrations = {
  "migrations/0001_notes.sql":
    "create table notes (id integer primary key, text text);\ninsert into notes values (1, 'one');\n",
};

testWith("postgres", "run on Postgres: two at once, one migrates, and both servers start", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder({
    ...migrations,
    "migrations/0002_slow.sql": "select pg_sleep(1);\ninsert into notes values (2, 'two');\n",
  });
  const options = { cwd: folder.root, env: { DATABASE_URL: database.url } };
  const server = "trap 'echo got TERM; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
  await using first = spawnAmber(["run", "--json", "--", "sh", "-c", server], options);
  await using second = spawnAmber(["run", "--json", "--", "sh", "-c", server], options);
  await Promise.all([first.until("ready"), second.until("ready")]);
  const applied = [first, second].map(({ stderr }) =>
    stderr.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line)).find(({ type }) =>
      type === "migrate ended"
    )!.applied.length
  );
  assert.deepEqual(applied.sort(), [0, 2]);
  assert.deepEqual([...await database.sql("select id from notes order by id")], [{ id: 1 }, { id: 2 }]);
  for (const one of [first, second]) {
    one.kill("SIGTERM");
    const { code, stdout } = await one.result;
    assert.deepEqual([code, stdout], [3, "ready\ngot TERM\n"]);
  }
});

testWith("postgres", "run on Postgres: no connection of amber's is left while the server runs", async () => {
  await using database = await (await sharedPostgres()).database();
  await using folder = await tempFolder(migrations);
  const options = { cwd: folder.root, env: { DATABASE_URL: `${database.url}?application_name=run_places` } };
  await using running = spawnAmber(["run", "--", "sh", "-c", "echo ready; exec sleep 60"], options);
  await running.until("ready");
  assert.deepEqual(
    [...await database.sql("select pid from pg_stat_activity where application_name = 'run_places'")],
    [],
  );
  running.kill("SIGTERM");
  assert.equal((await running.result).code, 143);
});

testWith("postgres", "run on Postgres: a wrong password is 125, and is not shown", async () => {
  const server = await sharedPostgres();
  await using folder = await tempFolder(migrations);
  const { hostname, port } = new URL(server.url("postgres"));
  const env = { DATABASE_URL: `postgres://nobody_there:s3cretword@${hostname}:${port}/postgres` };
  const { code, stdout, stderr } = await amber(["run", "--wait", "5s", "--", "echo", "started"], {
    cwd: folder.root,
    env,
  });
  assert.deepEqual([code, stdout], [125, ""], stderr);
  assert.doesNotMatch(stderr, /s3cretword/);
});

testWith("script", "run on a terminal: the server has it, Ctrl-C reaches it once, and it may go on", async () => {
  await using folder = await tempFolder(migrations);
  await folder.write({
    "server.sh": `n=0
trap 'n=$((n + 1)); echo "got INT $n"' INT
test -t 0 && test -t 1 && echo "ready on a terminal"
until [ -e again ]; do sleep 0.05; done
for i in 1 2 3 4 5 6; do sleep 0.05; done
echo "ended with $n"
exit 5
`,
    // What somebody types, when the test says so.
    "keys.sh": `until [ -e press ]; do sleep 0.05; done
printf '\\003'
until [ -e again ]; do sleep 0.05; done
sleep 1
`,
  });
  // exec: script's own shell would hear the keyboard as well.
  const line = ["exec", ...amberProgram(), "run", "--", "sh", "server.sh"].map((word) => `"${word}"`).join(" ");
  const shell = 'sh keys.sh | script --quiet --return --flush --command "$0" /dev/null';
  const options = { cwd: folder.root, env: { DB_PATH: "app.db", TERM: "xterm", SHELL: "/bin/sh", NO_COLOR: "1" } };
  await using running = spawnCommand("sh", ["-c", shell, line], options);
  await running.until("ready on a terminal");
  await folder.write({ "press": "" });
  await running.until("got INT 1");
  await folder.write({ "again": "" });
  const { code, stdout } = await running.result;
  assert.equal(code, 5, stdout);
  assert.match(stdout, /applied +0001_notes/);
  assert.match(stdout, /^ended with 1\r?$/m);
});

Deno.test("run tells the health check of each snapshot, also of one that fails, and not of the server", async () => {
  await using check = healthCheck();
  await using folder = await tempFolder({ ...migrations, "data/a.txt": "a" });
  const env = { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository", AMBER_PING_URL: check.url };
  const server = "until [ -e stop ]; do sleep 0.05; done; exit 4";
  const args = ["run", "--json", "--snapshot-every", "1s", "--", "sh", "-c", server];
  await using running = spawnAmber(args, { cwd: folder.root, env });
  await running.until('"type":"snapshot ended"');
  assert.deepEqual(check.told.slice(0, 2).map(({ what }) => what), ["/start", "success"]);
  assert.match(check.told[1]!.text, /^Snapshot [0-9a-f]{10}: 2 files/);
  await Deno.rename(folder.path("repository"), folder.path("moved"));
  await folder.write({ repository: "a file" });
  await running.until('"type":"snapshot failed"');
  const failed = check.told.findLast(({ what }) => what === "/fail")!;
  assert.match(failed.text, /repository/);
  await folder.write({ stop: "" });
  const { code, stderr } = await running.result;
  assert.equal(code, 4);
  assert.doesNotMatch(stderr, /s3cret/);
  assert.ok(check.told.every(({ what }) => ["/start", "success", "/fail"].includes(what)));
});
