/** Migrations, rows and entries as literals, for tests of what is decided from them. */
import { buildGraph } from "../../lib/migrations/graph.ts";
import type { HistoryRow } from "../../lib/migrations/history_row.ts";
import type { Dialect } from "../../lib/migrations/lexer.ts";
import { type MigrationFile, numberOf } from "../../lib/migrations/migration.ts";
import { fingerprint } from "../../lib/migrations/prepare.ts";
import { type Entry, type Fingerprint, survey } from "../../lib/migrations/survey.ts";

/** A file of the folder `m`. A name that ends in `.ts` is code. */
export function file(name: string, text = `create table t${numberOf(name)} (x integer);`): MigrationFile {
  const isCode = name.endsWith(".ts");
  const bare = name.replace(/\.ts$/, "");
  return {
    name: bare,
    number: numberOf(bare),
    kind: isCode ? "code" : "sql",
    path: `m/${isCode ? name : `${name}.sql`}`,
    bytes: new TextEncoder().encode(text),
  };
}

/** An applied row with made-up hashes, and whatever differs. */
export function row(name: string, differing: Partial<HistoryRow> = {}): HistoryRow {
  return {
    name,
    checksum: "c",
    splitter: 1,
    hashes: "",
    rawHash: `raw ${name}`,
    state: "applied",
    done: 0,
    doneHash: null,
    statements: 1,
    begun: null,
    checkpoint: null,
    appliedAt: "2026-11-03T10:00:00.000Z",
    durationMs: 1,
    appliedBy: "ada@test",
    amber: "0.0.9",
    snapshot: null,
    down: null,
    digest: null,
    ...differing,
  };
}

/** The row that a file has when it was applied as it is. */
export async function rowFor(applied: MigrationFile, dialect: Dialect = "sqlite"): Promise<HistoryRow> {
  const known = await fingerprint(applied, undefined, dialect) as Required<Fingerprint>;
  return row(applied.name, { ...known, statements: known.hashes.split(" ").length });
}

/** Files and rows side by side, as every command sees them. */
export async function surveyed(
  files: readonly MigrationFile[],
  rows: readonly HistoryRow[],
  dialect: Dialect = "sqlite",
): Promise<Entry[]> {
  const known = new Map(rows.map((one) => [one.name, one]));
  const prints = new Map<string, Fingerprint>();
  for (const one of files) prints.set(one.name, await fingerprint(one, known.get(one.name), dialect));
  return survey(buildGraph(files).ordered, rows, prints);
}
