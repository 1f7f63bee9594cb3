import { readFolder } from "../migrations/folder.ts";
import { readHistory } from "../migrations/history.ts";
import { compare } from "./look.ts";
import { looking, type LookOptions } from "./check.ts";

/** One line of `showmigrations`. */
export interface ShownMigration {
  name: string;
  state: "applied" | "pending" | "running" | "reverting";
  mark?: "changed" | "missing" | "late" | "ahead" | "conflict";
  /** ISO 8601; when it is applied. */
  appliedAt?: string;
  appliedBy?: string;
  durationMs?: number;
  snapshot?: string;
  /** Statements done and to do, when it was begun outside a transaction. */
  done?: number;
  statements?: number;
}

/** Every migration in order of execution: files and rows side by side. Refuses nothing that can be shown. */
export async function showmigrations(options: LookOptions): Promise<ShownMigration[]> {
  const folder = readFolder(options.migrations, options.database.engine);
  return await looking(options, async (engine) => {
    if (engine) {
      options.report({ type: "start", database: engine.where, migrations: folder.path, files: folder.files.length });
    }
    const found = await compare(folder, engine && await readHistory(engine), options.database.engine, {
      conflicts: true,
    });
    const leaves = new Set(found.graph.leaves.length > 1 ? found.graph.leaves.map((leaf) => leaf.name) : []);
    return found.entries.map(({ name, state, mark, row }) => ({
      name,
      state,
      ...(mark ? { mark } : leaves.has(name) ? { mark: "conflict" as const } : {}),
      ...(row && state === "applied"
        ? {
          appliedAt: row.appliedAt,
          appliedBy: row.appliedBy,
          durationMs: row.durationMs,
          ...(row.snapshot ? { snapshot: row.snapshot } : {}),
        }
        : {}),
      ...(row && state !== "applied" ? { done: row.done, statements: row.statements } : {}),
    }));
  });
}
