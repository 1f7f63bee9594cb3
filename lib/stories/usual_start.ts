import { AmberError } from "../errors.ts";
import { openEngine } from "../engines/open.ts";
import { readFolder } from "../migrations/folder.ts";
import { readHistory } from "../migrations/history.ts";
import { isCurrent } from "./look.ts";
import { type MigrateOptions, openOptions } from "./migrate.ts";

/**
 * The start of a container whose database is current: reads the files, one query, one hash. False when there is more to
 * look at, or the database does not exist. Only for a plain `migrate` without a target; reports only when it is true.
 *
 * @throws {AmberError} What is wrong with the folder or the file.
 */
export async function usualStart(options: MigrateOptions): Promise<boolean> {
  const folder = readFolder(options.migrations, options.database.engine);
  if (options.target !== undefined || options.back !== undefined) return false;
  const look = { ...openOptions(options, 60_000), create: false, readOnly: true, recover: true };
  const engine = await openEngine(options.database, look)
    .catch((error) => {
      if (error instanceof AmberError && error.code === "DATABASE_UNKNOWN") return undefined;
      throw error;
    });
  if (!engine) return false;
  try {
    if (!(await isCurrent(folder, await readHistory(engine)))) return false;
    options.report({ type: "start", database: engine.where, migrations: folder.path, files: folder.files.length });
    return true;
  } finally {
    await engine.close();
  }
}
