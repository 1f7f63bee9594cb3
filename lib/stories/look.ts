import type { Engine } from "../engines/engine.ts";
import { type Folder, readFolder } from "../migrations/folder.ts";
import { buildGraph, type Graph, refuseConflict } from "../migrations/graph.ts";
import { readHistory } from "../migrations/history.ts";
import type { HistoryRow } from "../migrations/history_row.ts";
import { fingerprint, readSql } from "../migrations/prepare.ts";
import { type Entry, type Fingerprint, survey } from "../migrations/survey.ts";

/** What lies in the folder and what stands in the history, side by side. */
export interface Look {
  folder: Folder;
  graph: Graph;
  /** undefined: there is no history table, or no database. */
  rows: HistoryRow[] | undefined;
  entries: Entry[];
}

/** Compares files and rows. The graph is checked for conflicts unless `conflicts` are wanted in the picture. */
export async function compare(
  folder: Folder,
  rows: HistoryRow[] | undefined,
  engine: Engine["dialect"],
  { conflicts = false } = {},
): Promise<Look> {
  const graph = buildGraph(folder.files);
  if (!conflicts) refuseConflict(graph);
  const byName = new Map(rows?.map((row) => [row.name, row]));
  const fingerprints = new Map<string, Fingerprint>();
  for (const file of folder.files) fingerprints.set(file.name, await fingerprint(file, byName.get(file.name), engine));
  return { folder, graph, rows, entries: survey(graph.ordered, rows ?? [], fingerprints) };
}

/** Folder and history of an open database. */
export async function look(engine: Engine, migrations: string, options?: { conflicts?: boolean }): Promise<Look> {
  const folder = readFolder(migrations, engine.dialect);
  return await compare(folder, await readHistory(engine), engine.dialect, options);
}

/** Reads every pending file in full, code too, so that mistakes show before anything runs. */
export async function readPending({ entries }: Look, engine: Engine["dialect"]): Promise<void> {
  for (const { migration, state } of entries) {
    if (!migration || state === "applied") continue;
    if (migration.kind === "sql") readSql(migration, engine);
    else {
      const { loadCode } = await import("../migrations/code.ts");
      await loadCode(migration);
    }
  }
}
