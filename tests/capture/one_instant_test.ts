import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { idOf, type Snapshot } from "../../lib/repository/snapshot_file.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { Locker, startTalking } from "../engines/sqlite/talking.ts";
import { makeDatabase } from "../support/data_tree.ts";
import { type App, appIn } from "../support/restoring.ts";
import { isLong } from "../support/skip.ts";
import { takeSnapshot, writeOut } from "../support/taking.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

const writers = 4;
const rounds = isLong ? 1_000 : 50;
const all = 1_000_000n; // the sum over the pair

Deno.test(`${rounds} snapshots while ${writers} programs write into 4 databases and replace uploads: each is one moment`, async (t) => {
  await using folder = await tempFolder({ "data/uploads/": "" });
  const app = { ...appIn(folder.root), database: folder.path("data/wal.db") };
  makeDatabases(app.data);
  const snapshots: Snapshot[] = [];
  let measured: Record<"commitsMs" | "controlMs", number[]>;
  {
    await using programs = new AsyncDisposableStack();
    const talking = Array.from(
      { length: writers },
      (_, number) => programs.use(startTalking("../../capture/instant_writer.ts", [app.data, String(number)])),
    );
    const ask = async () => {
      const answers = (await Promise.all(talking.map((one) => one.ask("")))).map((line) => JSON.parse(line));
      return { commitsMs: answers.flatMap((one) => one.commitsMs), controlMs: answers.flatMap((one) => one.controlMs) };
    };
    await ask(); // all of them have begun
    await takeSnapshot(app); // everything is loaded now
    await ask();
    for (let round = 0; round < rounds; round++) snapshots.push((await takeSnapshot(app)).snapshot);
    measured = await ask();
  }
  const { commitsMs, controlMs } = measured;
  console.log(
    `commits to the WAL database, ms: ${stall(commitsMs)}\nto one of which no snapshot is taken: ${stall(controlMs)}`,
  );
  assert.ok(commitsMs.length >= rounds, "the writers stood still");
  // Where others take the processors, writers wait without any snapshot too.
  const limit = Math.max(50, 1.5 * quantile(controlMs, 0.99));
  assert.ok(quantile(commitsMs, 0.99) < limit, `99 % of the commits should take less than ${limit} ms`);

  await t.step("no invariant is broken, no database damaged", async () => {
    const counts = new Set<number>();
    for (const snapshot of snapshots) counts.add(await check(snapshot, app, folder));
    console.log(`${snapshots.length} snapshots read back, at ${counts.size} different counts: none broken`);
    assert.ok(counts.size > rounds / 2, "the programs went on meanwhile");
  });
});

function makeDatabases(data: string): void {
  const counts = "create table counts (writer integer primary key, n integer)";
  const rows = Array.from({ length: writers }, (_, writer) => `insert into counts values (${writer}, 0)`).join("; ");
  const money = (amount: bigint) => `create table money (amount integer); insert into money values (${amount})`;
  const ballast = `create table ballast (id integer primary key, body blob);
    with recursive n (i) as (select 1 union all select i + 1 from n where i < 2000)
    insert into ballast (body) select randomblob(500) from n`;
  const uploads =
    "create table uploads (writer integer, slot integer, path text, sha256 text, primary key (writer, slot))";
  const make = (name: string, journal: string, ...sql: string[]) => {
    using database = new DatabaseSync(`${data}/${name}`);
    database.exec([`pragma journal_mode = ${journal}`, ...sql].join("; "));
  };
  make("../control.db", "wal", counts, rows, ballast);
  make("wal.db", "wal", counts, rows, ballast, uploads);
  make("old.db", "delete", counts, rows);
  make("pair_a.db", "delete", counts, rows, money(all));
  make("pair_b.db", "delete", money(0n));
}

/** What must be true of each snapshot; gives the sum of all counts. */
async function check(snapshot: Snapshot, app: App, folder: TempFolder): Promise<number> {
  const target = folder.path("back");
  await writeOut(new DirectoryStore(app.repository), snapshot, target);
  const which = `snapshot ${idOf(snapshot)}`;
  using stack = new DisposableStack();
  const open = (name: string) => {
    const database = stack.use(new DatabaseSync(`${target}/${name}`));
    assert.deepEqual(
      { ...database.prepare("pragma integrity_check").get() },
      { integrity_check: "ok" },
      `${which}: ${name}`,
    );
    return database;
  };
  const [wal, old, a, b] = ["wal.db", "old.db", "pair_a.db", "pair_b.db"].map(open) as [
    DatabaseSync,
    DatabaseSync,
    DatabaseSync,
    DatabaseSync,
  ];
  const counts = [wal, old, a].map((database) =>
    (database.prepare("select n from counts order by writer").all() as { n: number }[]).map(({ n }) => n)
  ) as [number[], number[], number[]];
  for (let writer = 0; writer < writers; writer++) {
    const [first, second, third] = counts.map((some) => some[writer]!) as [number, number, number];
    assert.ok(
      first >= second && second >= third && third >= first - 1,
      `${which}: ${writer} at ${[first, second, third]}`,
    );
  }
  const amountIn = (database: DatabaseSync) => database.prepare("select amount from money").get()!.amount as number;
  assert.equal(amountIn(a) + amountIn(b), Number(all), `${which}: the pair`);
  for (const { path, sha256 } of wal.prepare("select path, sha256 from uploads").all()) {
    assert.equal(hashOf(Deno.readFileSync(`${target}/${path}`)), sha256, `${which}: ${path}`);
  }
  for (const { name } of Deno.readDirSync(`${target}/uploads`)) {
    if (!name.startsWith("current-")) continue;
    const bytes = Deno.readFileSync(`${target}/uploads/${name}`);
    assert.equal(hashOf(bytes.subarray(64)), new TextDecoder().decode(bytes.subarray(0, 64)), `${which}: ${name}`);
  }
  const { remarks } = snapshot.facts;
  const lost = remarks.filter(({ what, path }) => what !== "rollback" && !path.includes("/.new-")); // half written
  assert.deepEqual(lost, [], which);
  stack.dispose();
  await Deno.remove(target, { recursive: true });
  return counts[0].reduce((sum, n) => sum + n, 0);
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]!;
}

function stall(values: readonly number[]): string {
  const [half, most] = [quantile(values, 0.5), quantile(values, 0.99)];
  return `p50 ${half.toFixed(1)}, p99 ${most.toFixed(1)}, max ${Math.max(...values).toFixed(1)} of ${values.length}`;
}

for (const journal of ["wal", "delete"] as const) {
  Deno.test(`a snapshot inside the caller's own transaction loses none of its locks (${journal})`, async () => {
    await using folder = await tempFolder({ "data/up/a.txt": "one" });
    const app = appIn(folder.root);
    const other = folder.path("data/up/other.db");
    for (const path of [app.database, other]) makeDatabase(path, { journal, rows: 50 });
    await using locker = new Locker(app.database);
    using database = new DatabaseSync(app.database);
    database.exec("begin immediate; delete from notes where id <= 10");
    await locker.hammer();
    const held = new Set([Deno.realPathSync(app.database)]);
    const results = [];
    for (let round = 0; round < 3; round++) results.push(await takeSnapshot(app, { held, reread: round === 2 }));
    const { got } = await locker.calm();
    assert.equal(got, 0, "another program wrote inside the transaction");
    database.exec("commit");
    assert.equal(await locker.gets(), true);
    for (const { snapshot } of results) {
      const rows = Object.fromEntries(snapshot.facts.databases.map(({ path, rows }) => [path, rows.notes]));
      assert.deepEqual(rows, { "prod.db": 50, "up/other.db": 50 }); // what was committed, and no more
    }
    const { snapshot } = await takeSnapshot(app);
    assert.equal(snapshot.facts.databases.find(({ configured }) => configured)?.rows.notes, 40);
  });
}
