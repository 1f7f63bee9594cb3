/**
 * What snapshots of a Postgres table of 1 GB cost, beside `pg_dump -Fc` and `pg_restore` in the same run: time, bytes stored
 * and peak memory. `--check` exits 1 when a target is missed; `--quick` takes a tenth of the rows.
 */
import { compiledAmber, missingBinary, refreshBinary } from "../support/compiled.ts";
import { startPostgres } from "../support/postgres.ts";
import { findProgram } from "../support/programs.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { sizeOf, type Timed, timed } from "./timed.ts";

interface Measured extends Timed {
  /** Bytes. */
  stored: number;
}

const rows = Deno.args.includes("--quick") ? 600_000 : 6_000_000;
const reason = await refreshBinary() ?? missingBinary();
if (reason) throw new Error(`There is no compiled amber to measure: ${reason}`);
const [dumpProgram, restoreProgram] = [findProgram("pg_dump"), findProgram("pg_restore")];
if (!dumpProgram || !restoreProgram) throw new Error("PostgreSQL's client programs are needed");

await using folder = await tempFolder({ "data/": "" });
await using server = await startPostgres({
  settings: { fsync: "off", shared_buffers: "256MB", max_wal_size: "8GB", autovacuum: "off" },
});
await using database = await server.database();
await database.sql(`create table events (id bigint generated always as identity primary key, account int not null,
    kind text not null, payload text, amount numeric(12, 2), at timestamptz not null);
  insert into events (account, kind, payload, amount, at)
    select (random() * 50000)::int, (array['view', 'order', 'payment', 'refund'])[1 + (random() * 3)::int],
      md5(i::text) || ' ' || md5((i * 7)::text) || repeat(' lorem ipsum', (random() * 4)::int),
      (random() * 1000)::numeric(12, 2), '2026-01-01'::timestamptz + i * interval '1 second'
    from generate_series(1, ${rows}) i;
  create index on events (account); create index on events (at);`);
await database.sql("vacuum analyze events");
const [{ size } = { size: 0 }] = await database.sql("select pg_table_size('events') as size");
console.log(`${rows} rows, ${(Number(size) / 1e6).toFixed(0)} MB on the server's disk\n`);

const env = {
  DATABASE_URL: database.url,
  AMBER_REPOSITORY: folder.path("repository"),
  AMBER_DATA: folder.path("data"),
  AMBER_SCRATCH: folder.path("scratch"),
};
const snapshot = () => measured([compiledAmber(), "snapshot"], folder.path("repository"));
let dumps = 0;
const pgDump = () => {
  const to = folder.path(`dump-${dumps++}`);
  return measured([dumpProgram, "-Fc", "-f", to, database.url], to);
};

const first = await step("first", snapshot, pgDump);
const nothing = await step("nothing changed", snapshot);
const one = Math.round(rows / 100);
await database.sql(`insert into events (account, kind, payload, amount, at)
    select 1, 'new', md5(i::text) || md5((i * 3)::text), 1, now() from generate_series(1, ${one}) i;
  update events set amount = amount + 1 where id > ${rows - one} and id <= ${rows}`);
const appended = await step("1 % appended, the newest 1 % updated", snapshot, pgDump);
await database.sql(`update events set amount = amount + 1 where id % 100 = 7`);
const scattered = await step("1 % anywhere updated", snapshot, pgDump);
const again = await step("nothing changed, again", snapshot);

await using target = await server.database();
await using other = await server.database();
const back = await step(
  "restore into an empty database",
  () =>
    measured([compiledAmber(), "restore", "latest", "--database", "--schema", "--yes"], undefined, {
      DATABASE_URL: target.url,
    }),
  () => measured([restoreProgram, "-d", other.url, folder.path(`dump-${dumps - 1}`)]),
);
const exchanged = await step(
  "restore over the same schema",
  () =>
    measured(
      [compiledAmber(), "restore", "latest", "--database", "--yes", "--no-safety", "--confirm", target.name],
      undefined,
      {
        DATABASE_URL: target.url,
      },
    ),
);
const sum = "select count(*)::text || ' ' || sum(hashtext(events::text))::text as hash from events";
const hashes = await Promise.all([database, target, other].map(async (one) => (await one.sql(sum))[0]!.hash));
if (new Set(hashes).size !== 1) throw new Error(`What was restored differs: ${hashes.join(", ")}`);

const targets = [
  { what: "nothing changed: stored, kB", measured: nothing.amber.stored / 1e3, atMost: 100 },
  { what: "appended: stored, % of the first", measured: appended.amber.stored / first.amber.stored * 100, atMost: 5 },
  { what: "first, beside pg_dump, times its seconds", measured: first.amber.seconds / first.peer!.seconds, atMost: 2 },
  {
    what: "restore, beside pg_restore, times its seconds",
    measured: back.amber.seconds / back.peer!.seconds,
    atMost: 2,
  },
  {
    what: "peak memory, MB",
    measured: Math.max(
      ...[first, nothing, appended, scattered, again, back, exchanged].map(({ amber }) => amber.peakMb),
    ),
    atMost: 200,
  },
];
console.log("targets");
for (const { what, measured, atMost } of targets) {
  console.log(`  ${measured <= atMost ? "met   " : "missed"}  ${what}: ${measured.toFixed(2)} (at most ${atMost})`);
}
const part = scattered.amber.stored / first.amber.stored * 100;
console.log(`  1 % anywhere updated costs ${part.toFixed(1)} % of the first`);
if (Deno.args.includes("--check") && targets.some(({ measured, atMost }) => measured > atMost)) Deno.exit(1);

async function step(
  name: string,
  amber: () => Promise<Measured>,
  peer?: () => Promise<Measured>,
): Promise<{ amber: Measured; peer?: Measured }> {
  console.log(name);
  const found = { amber: await amber(), peer: await peer?.() };
  for (const [tool, one] of Object.entries(found)) {
    if (!one) continue;
    const facts = [
      `${one.seconds.toFixed(2)} s`,
      `${(one.stored / 1e6).toFixed(3)} MB stored`,
      `${one.peakMb.toFixed(0)} MB peak`,
    ];
    console.log(`  ${(tool === "peer" ? "PostgreSQL" : tool).padEnd(11)} ${facts.join("   ")}`);
  }
  console.log();
  return found;
}

async function measured(argv: string[], grows?: string, more: Record<string, string> = {}): Promise<Measured> {
  const before = grows === undefined ? 0 : sizeOf(grows);
  const found = await timed(argv, { cwd: folder.root, env: { ...env, ...more }, report: folder.path("time.txt") });
  return { ...found, stored: grows === undefined ? 0 : sizeOf(grows) - before };
}
