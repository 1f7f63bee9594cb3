import type { Files } from "../support/temp_folder.ts";

/** The rows that backfills walk over. */
const bigRows = 6_000;

/**
 * 100 migrations of every kind, in which whatever runs twice, or not at all, shows in the rows: counters go up, lines are
 * added to a log, backfills add to every row. Nothing in it depends on a sequence: those keep what a rollback takes back.
 */
export function hundred(dialect: "postgres" | "sqlite"): Files {
  const files: Files = {};
  for (let number = 1; number <= 100; number++) {
    const [kind, text] = dialect === "postgres" ? postgresFile(number) : sqliteFile(number);
    const ending = kind === "backfill" ? "ts" : "sql";
    files[`migrations/${String(number).padStart(4, "0")}_${kind}.${ending}`] = text;
  }
  return files;
}

export const firstName = "0001_start";
export const lastName = "0100_plain";

function postgresFile(number: number): [string, string] {
  if (number === 1) {
    return ["start", start("integer", `select g, 0, 0, 'row ' || g from generate_series(1, ${bigRows}) g`)];
  }
  const log = (word: string) => `insert into log values ('${number} ${word}');`;
  switch (number % 10) {
    case 2:
      return ["index", `create index concurrently if not exists big_n_${number} on big (n, id);`];
    case 3: // the same columns each time: a name is taken by an invalid index that stays, and the next one gets another
      return ["nameless", "create unique index concurrently on big (id, line);"];
    case 4:
      return [
        "apart",
        `-- migrate:up transaction:false\n${log("first")}\ncreate index concurrently big_a_${number} on big (a);\n` +
        `update counter set n = n + 1;\ndrop index concurrently big_a_${number};\n${log("last")}\nvacuum counter;`,
      ];
    case 5:
      return ["backfill", backfill];
    case 6:
      return ["slow", `update counter set n = n + 1; select pg_sleep(0.15); ${log("slow")}`];
    case 7:
      return ["reindex", `${log("before")} reindex table concurrently big; ${log("after")}`];
    default:
      return ["plain", plain(number, `select g, 'row ' || g from generate_series(1, 50) g`)];
  }
}

function sqliteFile(number: number): [string, string] {
  const series = (count: number, columns: string) =>
    `with recursive g (i) as (select 1 union all select i + 1 from g where i < ${count}) select ${columns} from g`;
  if (number === 1) return ["start", start("integer", series(bigRows, "i, 0, 0, 'row ' || i"))];
  const log = (word: string) => `insert into log values ('${number} ${word}');`;
  switch (number % 10) {
    case 3:
    case 4:
      return [
        "apart",
        `-- migrate:up transaction:false\n${log("first")}\ncreate index big_a_${number} on big (a);\n` +
        `update counter set n = n + 1;\ndrop index big_a_${number};\n${log("last")}`,
      ];
    case 5:
      return ["backfill", backfill];
    case 6: // more than fits into the cache: SQLite writes into the file before the commit
      return [
        "large",
        `update counter set n = n + 1; ${filled(number, series(12_000, `i, hex(zeroblob(150)) || ${number}`))}`,
      ];
    case 7:
      return ["vacuum", `${log("before")} vacuum; ${log("after")}`];
    default:
      return ["plain", plain(number, series(50, "i, 'row ' || i"))];
  }
}

const start = (type: string, rows: string) =>
  `create table counter (n integer not null); insert into counter values (0);
create table log (line text);
create table big (id ${type} primary key, n integer, a integer, line text);
insert into big ${rows};`;

const filled = (number: number, rows: string) =>
  `create table t${number} (id integer primary key, line text); insert into t${number} ${rows};`;

const plain = (number: number, rows: string) => `update counter set n = n + 1;\n${filled(number, rows)}`;

const backfill = `
export const atomic = false;
export async function up(db) {
  await db.batch({ from: "big", select: "id", size: 500 }, async (rows) => {
    await db.exec("update big set a = a + 1 where id between $1 and $2", [rows[0].id, rows.at(-1).id]);
  });
  await db.batch({ from: "big", select: "id", where: "id % 2 = 0", size: 500 }, async (rows) => {
    await db.exec("update big set n = n + 1 where id between $1 and $2", [rows[0].id, rows.at(-1).id]);
  });
}
`;
