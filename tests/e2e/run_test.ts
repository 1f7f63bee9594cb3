/** `amber run -- CMD`: the server in the foreground, with its data in order before it starts. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { compiledAmber } from "../support/compiled.ts";
import { jsonLines, type RunningCommand, spawnCommand } from "../support/command.ts";
import { findProgram } from "../support/programs.ts";
import { testWith } from "../support/skip.ts";
import { type Files, type TempFolder, tempFolder } from "../support/temp_folder.ts";

const files = {
  "migrations/0001_notes.sql":
    "create table notes (id integer primary key, text);\ninsert into notes values (1, 'one');",
};
const variables = { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository" };

/** A server that says which signals it got; TERM ends it. Its sleep is short, since a shell hears signals between commands. */
const server = `for one in INT HUP QUIT USR1 USR2 WINCH; do trap "echo got $one" $one; done
trap 'echo got TERM; exit 3' TERM
echo ready
while :; do sleep 0.05; done`;

interface App extends AsyncDisposable {
  folder: TempFolder;
  start(args: string[], env?: Record<string, string>): RunningCommand;
  /** Runs to the end, with this status. */
  ends(status: number, args: string[], env?: Record<string, string>): Promise<{ stdout: string; stderr: string }>;
}

/** A folder in which the compiled amber runs. */
async function app(more: Files = {}): Promise<App> {
  const folder = await tempFolder({ ...files, "data/": "", ...more });
  const start: App["start"] = (args, env = {}) =>
    spawnCommand(compiledAmber(), args, { cwd: folder.root, env: { ...variables, ...env }, timeoutMs: 30_000 });
  return {
    folder,
    start,
    ends: async (status, args, env) => {
      await using running = start(args, env);
      const { code, stdout, stderr } = await running.result;
      assert.equal(code, status, `amber ${args.join(" ")}\n${stdout}\n${stderr}`);
      return { stdout, stderr };
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** How many notes there are. */
function notes(path: string): number {
  using database = new DatabaseSync(path, { readOnly: true });
  return Number(database.prepare("select count(*) as n from notes").get()!.n);
}

testWith("binary", "run migrates, starts CMD with its arguments, and returns its exit status", async () => {
  await using at = await app();
  for (const status of [0, 1, 42]) {
    const { stdout, stderr } = await at.ends(status, [
      "run",
      "--",
      "sh",
      "-c",
      `echo "$@"; exit ${status}`,
      "sh",
      "-x",
      "--json",
      "a b",
    ]);
    assert.equal(stdout, "-x --json a b\n", "stdout is CMD's alone");
    assert.match(stderr, status === 0 ? /^Done: 1 applied\.$/m : /^Nothing to do\.$/m);
  }
  assert.equal(notes(at.folder.path("data/app.db")), 1);
});

testWith("binary", "run: death by a signal comes back as a shell gives it", async () => {
  await using at = await app();
  await at.ends(137, ["run", "--", "sh", "-c", "kill -KILL $$"]);
  await at.ends(143, ["run", "--", "sh", "-c", "kill -TERM $$"]);
  await using running = at.start(["run", "--", "sh", "-c", "echo ready; exec sleep 60"]);
  await running.until("ready");
  running.kill("SIGTERM");
  assert.equal((await running.result).code, 143);
});

testWith("binary", "run passes on what a server may be told by signals, and goes on", async () => {
  await using at = await app();
  await using running = at.start(["run", "--", "sh", "-c", server]);
  await running.until("ready");
  for (const signal of ["SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGWINCH"] as const) {
    running.kill(signal);
    await running.until(`got ${signal.slice(3)}\n`);
  }
  running.kill("SIGTERM");
  const { code, stdout } = await running.result;
  assert.equal(code, 3);
  assert.match(stdout, /got TERM\n$/);
});

testWith("binary", "run: 127 for what is not there, 126 for what is no program", async () => {
  await using at = await app({ "plain": "x", "bin/plain": "x", "script": "#!/nowhere/sh\n" });
  await Deno.chmod(at.folder.path("script"), 0o755);
  const path = `${at.folder.path("bin")}:/usr/bin:/bin`;
  const cases: [number, string, RegExp][] = [
    [127, "no-such-program", /PROGRAM_MISSING\n.*Cannot start "no-such-program": it is in no folder of PATH/],
    [127, "./nowhere", /PROGRAM_MISSING\n.*there is no such file/],
    [127, "./script", /PROGRAM_REFUSED\n.*the interpreter in its first line does not exist/],
    [126, "./plain", /PROGRAM_REFUSED\n.*it is not executable/],
    [126, "plain", /PROGRAM_REFUSED\n.*it is not executable/],
    [126, "./data", /PROGRAM_REFUSED/],
  ];
  for (const [status, program, said] of cases) {
    const { stdout, stderr } = await at.ends(status, ["run", "--", program], { PATH: path });
    assert.match(stderr, said);
    assert.equal(stdout, "");
  }
});

testWith("binary", "run: where migrating or restoring fails CMD is never started, 125", async () => {
  await using at = await app({ "migrations/0002_broken.sql": "create tabel x (a);" });
  const start = ["--", "sh", "-c", "echo started > started"];
  const { stderr } = await at.ends(125, ["run", ...start]);
  assert.match(stderr, /^error {2}STATEMENT_FAILED\n(?:.*\n)* +at +migrations\/0002_broken\.sql/m);
  const told = await at.ends(125, ["run", "--json", ...start]);
  assert.equal(told.stdout, "");
  const last = jsonLines(told.stderr).at(-1)!;
  assert.deepEqual([last.type, last.code, last.exit], ["error", "STATEMENT_FAILED", 125]);
  assert.match((await at.ends(125, ["run", "-d", "elsewhere", ...start])).stderr, /MIGRATIONS_MISSING/);
  await at.folder.write({ "repository": "a file" });
  await at.ends(125, ["run", "--restore", ...start]);
  assert.ok(!(await at.folder.list()).includes("started"));
});

testWith("binary", "run: what was asked wrongly is 2, and nothing is touched", async () => {
  await using at = await app();
  const start = ["--", "sh", "-c", "echo started > started"];
  for (
    const args of [
      ["run"],
      ["run", "--"],
      ["run", "sh"],
      ["run", "sh", ...start],
      ["run", "--bogus", ...start],
      ["run", "--snapshot-every", "often", ...start],
      ["run", "--snapshot-every", "0", ...start],
    ]
  ) {
    assert.match((await at.ends(2, args)).stderr, /^error {2}USAGE/m, args.join(" "));
  }
  await at.ends(2, ["run", "--snapshot-every", "1h", ...start], { AMBER_KEEP: "a few" });
  assert.deepEqual(await at.folder.list(), ["migrations/0001_notes.sql"]);
});

testWith("binary", "run --plan shows what would be done, and stops", async () => {
  await using at = await app();
  const { stderr } = await at.ends(0, [
    "run",
    "--plan",
    "--restore",
    "--snapshot-every",
    "1h",
    "--",
    "my-server",
    "-p",
  ]);
  assert.match(stderr, /0001_notes(?:.*\n)*Then it would start: my-server -p\n.*every 3600 s/);
  assert.deepEqual(await at.folder.list(), ["migrations/0001_notes.sql"]);
});

testWith("binary", "run: a signal while it migrates stops amber, and CMD is not started", async () => {
  await using at = await app({
    "migrations/0002_slow.sql":
      "create table b as with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000000000) select count(*) as n from n;",
  });
  for (const [signal, status] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
    await using running = at.start(["run", "--json", "--", "sh", "-c", "echo started > started"]);
    await running.until('"type":"begin","name":"0002_slow"');
    running.kill(signal);
    assert.equal((await running.result).code, status);
  }
  assert.ok(!(await at.folder.list()).includes("started"));
});

testWith("binary", "run --restore fills an empty disk first, and touches no data that are there", async () => {
  await using at = await app({ "data/a.txt": "kept" });
  await at.ends(0, ["migrate"]);
  await at.ends(0, ["snapshot"]);
  await Deno.remove(at.folder.path("data"), { recursive: true });
  await Deno.mkdir(at.folder.path("data"));
  await at.folder.write({ "migrations/0002_more.sql": "insert into notes values (2, 'two');" });
  const { stdout, stderr } = await at.ends(0, ["run", "--restore", "--", "cat", "data/a.txt"]);
  assert.equal(stdout, "kept");
  assert.match(stderr, /^Restored (?:.*\n)*Done: 1 applied\./m);
  assert.equal(notes(at.folder.path("data/app.db")), 2);
  await at.folder.write({ "data/a.txt": "newer" });
  assert.equal((await at.ends(0, ["run", "--restore", "--", "cat", "data/a.txt"])).stdout, "newer");
});

testWith("binary", "run --snapshot-every takes several, tells one that fails, and the server lives", async () => {
  await using at = await app();
  await using running = at.start(["run", "--json", "--snapshot-every", "1s", "--", "sh", "-c", server], {
    AMBER_KEEP: "2 last",
  });
  await running.until(/"type":"snapshot ended"(?:.*\n)*.*"type":"snapshot ended"/);
  await Deno.rename(at.folder.path("repository"), at.folder.path("moved"));
  await at.folder.write({ "repository": "a file" });
  await running.until('"type":"snapshot failed"');
  await Deno.remove(at.folder.path("repository"));
  await Deno.rename(at.folder.path("moved"), at.folder.path("repository"));
  const many = running.stderr.split('"type":"snapshot ended"').length;
  await running.until(new RegExp(`(?:"type":"snapshot ended"(?:.*\\n)*.*){${many}}`));
  running.kill("SIGUSR1");
  await running.until("got USR1");
  running.kill("SIGTERM");
  const { code, stdout, stderr } = await running.result;
  assert.equal(code, 3, stderr);
  assert.equal(stdout, "ready\ngot USR1\ngot TERM\n");
  const told = jsonLines(stderr);
  const taken = told.filter(({ type }) => type === "snapshot ended");
  assert.ok(taken.every(({ prune, id }) => prune && id), stderr);
  assert.deepEqual([told.at(-1)!.type, told.at(-1)!.exit], ["result", 3]);
  assert.equal(jsonLines((await at.ends(0, ["snapshots", "--json"])).stdout).at(-1)!.snapshots instanceof Array, true);
  await at.ends(0, ["verify"]);
});

testWith("binary", "run: the snapshot under way when CMD ends is stopped, and leaves nothing half", async () => {
  await using at = await app();
  const big = crypto.getRandomValues(new Uint8Array(65_536));
  using file = await Deno.create(at.folder.path("data/big.bin"));
  for (let i = 0; i < 8_000; i++) {
    big[0] = i;
    big[i % 65_536] = i >> 8;
    await file.write(big);
  }
  await file.truncate(2_000_000_000); // the hole is read like everything else
  await using running = at.start(["run", "--snapshot-every", "1s", "--", "sh", "-c", server]);
  await running.until("amber: snapshot of data");
  const started = performance.now();
  running.kill("SIGTERM");
  const { code, stderr } = await running.result;
  assert.equal(code, 3, stderr);
  assert.ok(performance.now() - started < 8_000, "it was waited for");
  assert.match(stderr, /^error {2}TERMINATED\n.*the server has ended/m);
  const { stdout } = await at.ends(0, ["snapshots", "--json"]);
  assert.deepEqual(
    (jsonLines(stdout).at(-1)!.snapshots as { kind: string }[]).filter(({ kind }) => kind !== "partial"),
    [],
  );
});

const needsNamespaces = "run works as process 1: signals reach CMD, and its status comes back";
const reason = noNamespaces();
if (reason !== undefined) Deno.test({ name: `${needsNamespaces} (skipped: ${reason})`, ignore: true, fn: () => {} });
else {
  testWith("binary", needsNamespaces, async () => {
    await using at = await app();
    const asFirst = ["--pid", "--fork", "--mount-proc", compiledAmber(), "run", "--", "sh", "-c"];
    const options = { cwd: at.folder.root, env: variables };
    await using running = spawnCommand("unshare", [...asFirst, server], options);
    await running.until("ready");
    const inside = Number(Deno.readTextFileSync(`/proc/${running.pid}/task/${running.pid}/children`).trim());
    for (const signal of ["SIGINT", "SIGHUP", "SIGUSR1"] as const) {
      Deno.kill(inside, signal);
      await running.until(`got ${signal.slice(3)}\n`);
    }
    Deno.kill(inside, "SIGTERM");
    assert.equal((await running.result).code, 3);
    await using killed = spawnCommand("unshare", [...asFirst, "kill -KILL $$"], options);
    assert.equal((await killed.result).code, 137);
  });
}

function noNamespaces(): string | undefined {
  if (findProgram("unshare") === undefined) return "unshare is not installed";
  const tried = new Deno.Command("unshare", { args: ["--pid", "--fork", "--mount-proc", "true"], stderr: "piped" })
    .outputSync();
  return tried.success ? undefined : new TextDecoder().decode(tried.stderr).trim();
}
