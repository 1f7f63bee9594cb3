/** What a risky migration leaves behind: the way back. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { AmberOptions } from "../support/command.ts";
import { command, spawnAmber } from "../support/command.ts";
import { compiledAmber } from "../support/compiled.ts";
import { testWith } from "../support/skip.ts";
import type { Files } from "../support/temp_folder.ts";
import { type Project, project } from "./project.ts";

const files: Files = {
  "migrations/0001_notes.sql": `create table notes (id integer primary key, body text);
    insert into notes (body) values ('one'), ('two');`,
  "migrations/0002_tags.sql": "create table tags (name text);",
  "migrations/0003_drop.sql": "delete from notes;",
  "data/uploads/cat.jpg": "a cat",
};

interface Told {
  type: string;
  [field: string]: unknown;
}

/** A project on SQLite, migrated up to `target`. */
async function at(target: string, more: Files = {}): Promise<Project> {
  const made = await project("sqlite", { ...files, ...more });
  await made.ends(0, ["migrate", target]);
  return made;
}

async function safetyIds({ result }: Project): Promise<string[]> {
  const { snapshots } = await result("snapshots") as unknown as { snapshots: { id: string; kind: string }[] };
  return snapshots.filter(({ kind }) => kind === "safety").map(({ id }) => id);
}

async function run(made: Project, args: string[], options?: Partial<AmberOptions>) {
  const { code, json, stderr } = await made.run([...args, "--json"], options);
  const lines = json as Told[];
  return { code, lines, last: lines.at(-1)!, notes: lines.filter(({ type }) => type === "note"), stderr };
}

Deno.test("a risky plan takes a safety snapshot, whose id is in the history and in the result, and which brings the rows back", async () => {
  await using made = await at("0001");
  const { code, last, lines } = await run(made, ["migrate"]);
  assert.equal(code, 0, JSON.stringify(last));
  const [id] = await safetyIds(made);
  assert.ok(id);
  assert.deepEqual([last.snapshot, last.command], [id, `amber restore ${id}`]);
  assert.ok(lines.some((one) => one.type === "safety" && one.id === id && one.command === `amber restore ${id}`));
  assert.deepEqual(await made.sql("select name, snapshot from amber_migrations order by name"), [
    { name: "0001_notes", snapshot: null },
    { name: "0002_tags", snapshot: id },
    { name: "0003_drop", snapshot: id },
  ]);
  assert.deepEqual(await made.sql("select count(*) as count from notes"), [{ count: 0 }]);
  Deno.removeSync(made.folder.path("data/uploads/cat.jpg"));
  await made.ends(0, ["restore", id, "--yes"]);
  assert.deepEqual(await made.sql("select body from notes order by id"), [{ body: "one" }, { body: "two" }]);
  assert.equal(await made.folder.read("data/uploads/cat.jpg"), "a cat");
  assert.equal(await made.history(), "0001_notes");
});

Deno.test("people read which snapshot it is and how to put it back", async () => {
  await using made = await at("0001");
  const { stdout, stderr } = await made.ends(0, ["migrate"]);
  const [id] = await safetyIds(made);
  assert.match(stdout, new RegExp(`snapshot ${id}.*amber restore ${id}`));
  assert.match(stderr, new RegExp(`safety.*${id}`));
});

const without: Record<string, { target: string; args?: string[]; env?: Record<string, string>; more?: Files }> = {
  "nothing is risky": { target: "0001", args: ["0002"] },
  "nothing is pending": { target: "0003" },
  "there are no rows": {
    target: "0001",
    more: { "migrations/0001_notes.sql": "create table notes (id integer primary key, body text);" },
  },
  "--snapshot never": { target: "0001", args: ["--snapshot", "never"] },
  "AMBER_SNAPSHOT_BEFORE_MIGRATE=never": { target: "0001", env: { AMBER_SNAPSHOT_BEFORE_MIGRATE: "never" } },
  "always, and nothing is pending": { target: "0003", args: ["--snapshot", "always"] },
  "always, and there are no rows": {
    target: "0001",
    args: ["--snapshot", "always"],
    more: { "migrations/0001_notes.sql": "create table notes (id integer primary key, body text);" },
  },
  "only the plan is wanted": { target: "0001", args: ["--plan"] },
};

for (const [what, { target, args = [], env, more }] of Object.entries(without)) {
  Deno.test(`no safety snapshot: ${what}`, async () => {
    await using made = await project("sqlite", { ...files, ...more });
    // The first run is on an empty database: it takes none either.
    await made.ends(0, ["migrate", target]);
    const { code, last, notes } = await run(made, ["migrate", ...args], { env });
    assert.equal(code, 0, JSON.stringify(last));
    assert.deepEqual([last.snapshot, notes], [undefined, []]);
    assert.ok(!exists(made.folder.path("data/backups")));
  });
}

Deno.test("always takes one before a plan that only adds", async () => {
  await using made = await at("0001");
  const { last } = await run(made, ["migrate", "0002", "--snapshot", "always"]);
  assert.deepEqual(await safetyIds(made), [last.snapshot]);
  assert.deepEqual(await made.sql("select snapshot from amber_migrations where name = '0002_tags'"), [
    { snapshot: last.snapshot },
  ]);
});

Deno.test("--plan says whether one would be taken", async () => {
  await using made = await at("0001");
  const would = async (...args: string[]) => (await run(made, ["migrate", "--plan", ...args])).last.safety;
  assert.equal(await would(), true);
  assert.equal(await would("0002"), undefined);
  assert.equal(await would("0002", "--snapshot", "always"), true);
  assert.equal(await would("--snapshot", "never"), undefined);
  assert.match((await made.ends(0, ["migrate", "--plan"])).stdout, /before that a safety snapshot is taken/);
  const { last } = await grown(made, () => run(made, ["migrate", "--plan"]));
  assert.deepEqual([last.safety, /6 GB/.test(String(last.whyNoSafety))], [false, true]);
});

Deno.test("a migration that fails names the snapshot and the command, and the rows are there anyway", async () => {
  await using made = await at("0001", {
    "migrations/0003_drop.sql": "delete from notes;",
    "migrations/0004_wrong.sql": "drop table nowhere;",
  });
  const { code, last } = await run(made, ["migrate"]);
  const [id] = await safetyIds(made);
  assert.deepEqual([code, last.type, last.code], [1, "error", "STATEMENT_FAILED"]);
  assert.match(String(last.message), new RegExp(`no such table: nowhere.*in snapshot ${id}\\)$`));
  assert.match(String(last.hint), new RegExp(`amber restore ${id}$`));
  assert.equal(await made.history(), "0001_notes 0002_tags 0003_drop");
  const text = await made.run(["migrate"]);
  assert.equal((await safetyIds(made)).length, 1, "nothing has rows any more: nothing is risky");
  assert.equal(text.code, 1);
  await made.ends(0, ["restore", id!, "--yes"]);
  assert.deepEqual(await made.sql("select count(*) as count from notes"), [{ count: 2 }]);
});

Deno.test("undoing takes one too", async () => {
  await using made = await project("sqlite", {
    "migrations/0001_a.sql":
      "-- migrate:up\ncreate table a (x);\ninsert into a values (1);\n-- migrate:down\ndrop table a;",
  });
  await made.ends(0, ["migrate"]);
  const { last } = await run(made, ["migrate", "--back", "1"]);
  assert.deepEqual([last.unapplied, await safetyIds(made)], [["0001_a"], [last.snapshot]]);
});

/** What happens where the repository cannot be made: a file lies in its place. */
const unwritable = { env: { AMBER_REPOSITORY: "occupied" } };

Deno.test("where none can be taken the default warns and migrates, and names the variable", async () => {
  await using made = await at("0001", { occupied: "a file" });
  const { code, last, notes } = await run(made, ["migrate"], unwritable);
  assert.equal(code, 0, JSON.stringify(last));
  assert.match(
    String(notes[0]?.message),
    /^no safety snapshot is taken: .*AMBER_SNAPSHOT_BEFORE_MIGRATE=risky would not/,
  );
  assert.deepEqual([last.snapshot, await made.history()], [undefined, "0001_notes 0002_tags 0003_drop"]);
});

for (const [mode, how] of [["risky", "environment"], ["always", "flag"]] as const) {
  Deno.test(`where none can be taken and the ${how} asks for one (${mode}), nothing runs`, async () => {
    await using made = await at("0001", { occupied: "a file" });
    const asked = how === "flag" ? ["--snapshot", mode] : [];
    const env = { ...unwritable.env, ...(how === "flag" ? {} : { AMBER_SNAPSHOT_BEFORE_MIGRATE: mode }) };
    const { code, last } = await run(made, ["migrate", ...asked], { env });
    assert.deepEqual([code, last.code], [1, "SAFETY_SNAPSHOT_FAILED"]);
    assert.match(String(last.message), how === "flag" ? /--snapshot asks/ : /MIGRATE \(environment\) asks/);
    assert.match(String(last.hint), /--snapshot never/);
    assert.equal(await made.history(), "0001_notes");
    await made.ends(0, ["migrate", "--snapshot", "never"], { env: unwritable.env });
  });
}

/** Lets the database's file look as if it had 6 GB: SQLite goes by its header, and the hole costs nothing. */
async function grown<T>(made: Project, work: () => Promise<T>): Promise<T> {
  const path = made.folder.path("app.db");
  const { size } = Deno.statSync(path);
  Deno.truncateSync(path, 6_000_000_000);
  try {
    return await work();
  } finally {
    Deno.truncateSync(path, Math.max(size, 4096));
  }
}

Deno.test("a database over 5 GB: the default warns, who asks for risky is refused", async () => {
  await using made = await at("0001");
  await grown(made, async () => {
    const refused = await run(made, ["migrate", "--snapshot", "risky"]);
    assert.deepEqual([refused.code, refused.last.code], [1, "SAFETY_SNAPSHOT_FAILED"]);
    assert.match(String(refused.last.message), /the database has 6 GB, and "risky" takes one up to 5 GB/);
    assert.match(String(refused.last.hint), /=always .*--snapshot never/);
  });
  const path = made.folder.path("app.db");
  Deno.truncateSync(path, 6_000_000_000);
  const { code, notes } = await run(made, ["migrate"]);
  assert.equal(code, 0);
  assert.match(String(notes[0]?.message), /6 GB.*Migrating all the same/);
  assert.deepEqual(await made.sql("select count(*) as count from notes"), [{ count: 0 }]);
});

testWith("root", "files that cannot be read are told, and do not keep the database from being kept", async () => {
  await using made = await at("0001");
  // Not even root may read a file that is locked away by another file system's rules: a name that is no UTF-8 is one of those.
  const { code } = await command("sh", ["-c", `touch "$(printf 'data/\\377')"`], { cwd: made.folder.root });
  assert.equal(code, 0);
  const { last, notes } = await run(made, ["migrate", "--snapshot", "risky"]);
  assert.equal(last.type, "result", JSON.stringify(last));
  assert.deepEqual(await safetyIds(made), [last.snapshot]);
  assert.ok(notes.some(({ message }) => /not of every file/.test(String(message))), JSON.stringify(notes));
});

Deno.test("without a data folder the database alone is kept", async () => {
  await using made = await project("sqlite", {
    "migrations/0001_notes.sql": files["migrations/0001_notes.sql"]!,
    "migrations/0003_drop.sql": files["migrations/0003_drop.sql"]!,
  });
  await made.ends(0, ["migrate", "0001"]);
  const { last } = await run(made, ["migrate"], { env: { AMBER_REPOSITORY: "kept" } });
  assert.equal(last.type, "result", JSON.stringify(last));
  await made.ends(0, ["restore", String(last.snapshot), "--yes"], { env: { AMBER_REPOSITORY: "kept" } });
  assert.deepEqual(await made.sql("select count(*) as count from notes"), [{ count: 2 }]);
});

/** Uploads that take a while to store, so that something can happen meanwhile. */
async function fillData(made: Project): Promise<void> {
  for (let i = 0; i < 24; i++) {
    await Deno.writeFile(
      made.folder.path(`data/uploads/${i}.bin`),
      crypto.getRandomValues(new Uint8Array(65_536)).map((byte, at) => byte ^ at),
    );
    Deno.truncateSync(made.folder.path(`data/uploads/${i}.bin`), 8_000_000 + i);
  }
}

for (const journal of ["wal", "delete"]) {
  Deno.test(`while it is taken nobody else can write, readers read, and no lock is lost, ${journal}`, async () => {
    await using made = await at("0001");
    await made.sql(`pragma journal_mode = ${journal}`);
    await fillData(made);
    await using migrating = spawnAmber(["migrate", "--json"], { cwd: made.folder.root, env: made.env });
    await migrating.until("snapshot begins");
    // The locks belong to that process: another one finds out whether they are held.
    const writer = `import { DatabaseSync } from "node:sqlite";
      const database = new DatabaseSync(Deno.args[0], { timeout: 0 });
      const tally = { refused: 0, written: 0, read: 0 };
      const isThere = () => { try { Deno.statSync(Deno.args[1]); return true; } catch { return false; } };
      do {
        try { database.exec("insert into notes (body) values ('intruder')"); tally.written++; break; }
        catch (error) { if (!/locked/.test(error.message)) throw error; tally.refused++; }
        try { if (database.prepare("select count(*) as count from notes").get().count === 2) tally.read++; }
        catch (error) { if (!/locked/.test(error.message)) throw error; }
      } while (isThere());
      console.log(JSON.stringify(tally));`;
    await made.folder.write({ "writer.ts": writer, "go": "" });
    const writing = command(
      Deno.execPath(),
      ["run", "-A", "--quiet", made.folder.path("writer.ts"), made.folder.path("app.db"), made.folder.path("go")],
      { cwd: made.folder.root },
    );
    await migrating.until('"type":"safety"');
    Deno.removeSync(made.folder.path("go"));
    const tally = JSON.parse((await writing).stdout);
    const { json, code } = await migrating.result;
    assert.equal(code, 0, JSON.stringify(json.at(-1)));
    assert.ok(tally.refused > 10 && tally.read > 10, JSON.stringify(tally));
    // Between the snapshot and the first migration nobody gets in either.
    assert.equal(tally.written, 0, JSON.stringify(tally));
    assert.deepEqual(await made.sql("select count(*) as count from notes"), [{ count: 0 }]);
    const id = String(json.at(-1)!.snapshot);
    await made.ends(0, ["restore", id, "--yes"]);
    assert.deepEqual(await made.sql("select count(*) as count from notes"), [{ count: 2 }]);
    assert.deepEqual(await made.sql("pragma integrity_check"), [{ integrity_check: "ok" }]);
  });
}

Deno.test("killed while it is taken: nothing has run, and the next run takes it and migrates", async () => {
  await using made = await at("0001");
  await fillData(made);
  {
    await using migrating = spawnAmber(["migrate", "--json"], { cwd: made.folder.root, env: made.env });
    await migrating.until("snapshot begins");
    migrating.kill("SIGKILL");
    await migrating.result;
  }
  assert.equal(await made.history(), "0001_notes");
  assert.deepEqual(await made.sql("select count(*) as count from notes"), [{ count: 2 }]);
  const { last } = await run(made, ["migrate"]);
  assert.deepEqual(await safetyIds(made), [last.snapshot]);
  assert.equal(await made.history(), "0001_notes 0002_tags 0003_drop");
  const left = [...Deno.readDirSync(made.folder.path("data"))].map(({ name }) => name).sort();
  assert.deepEqual(left, [".amber", "backups", "uploads"].filter((name) => left.includes(name)));
});

Deno.test("a signal while it is taken ends the run: nothing has run", async () => {
  await using made = await at("0001");
  await fillData(made);
  await using migrating = spawnAmber(["migrate", "--json"], { cwd: made.folder.root, env: made.env });
  await migrating.until("snapshot begins");
  migrating.kill("SIGTERM");
  const { code, json } = await migrating.result;
  assert.deepEqual([code, json.at(-1)?.code], [143, "TERMINATED"]);
  assert.equal(await made.history(), "0001_notes");
  assert.deepEqual(await safetyIds(made), []);
});

Deno.test("two runs at once: each takes one at most, and the history names those", async () => {
  await using made = await at("0001");
  const both = await Promise.all([run(made, ["migrate"]), run(made, ["migrate"])]);
  assert.deepEqual(both.map(({ code }) => code), [0, 0], JSON.stringify(both));
  // Between two migrations of the one the other may get in, with a plan of its own.
  const ids = await safetyIds(made);
  const said = both.map(({ last }) => last.snapshot).filter((id) => id !== undefined);
  assert.deepEqual(said.sort(), [...ids].sort());
  const rows = await made.sql("select snapshot from amber_migrations where name > '0002' order by name");
  assert.ok(rows.length === 2 && rows.every(({ snapshot }) => ids.includes(String(snapshot))), JSON.stringify(rows));
});

testWith("binary", "the compiled binary takes it as well: workers inside a worker", async () => {
  await using made = await at("0001");
  const { last, code } = await run(made, ["migrate"], { binary: compiledAmber() });
  assert.equal(code, 0, JSON.stringify(last));
  assert.deepEqual(await safetyIds(made), [last.snapshot]);
});

Deno.test("a database that another process holds for reading only is migrated with its snapshot all the same", async () => {
  await using made = await at("0001");
  await made.sql("pragma journal_mode = wal");
  using reader = new DatabaseSync(made.folder.path("app.db"));
  reader.exec("begin");
  reader.prepare("select count(*) from notes").get();
  const { last } = await run(made, ["migrate"]);
  assert.deepEqual(await safetyIds(made), [last.snapshot]);
  reader.exec("commit");
});

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
