import { AmberError } from "../errors.ts";
import type { Engine } from "../engines/engine.ts";
import { openEngine } from "../engines/open.ts";
import { readFolder } from "../migrations/folder.ts";
import { readHistory } from "../migrations/history.ts";
import { readSql } from "../migrations/prepare.ts";
import { refuseOtherTool } from "../migrations/other_tools.ts";
import { notes, refuseDrift } from "../migrations/survey.ts";
import { compare, type Look, readPending } from "./look.ts";
import { type MigrateOptions, openOptions } from "./migrate.ts";

/** What a command that only looks needs. */
export type LookOptions = Pick<
  MigrateOptions,
  "database" | "migrations" | "waitMs" | "by" | "report" | "stop" | "allowLate"
>;

/** Opens the database to look only; a missing one is looked at as an empty one by `work`. */
export async function looking<T>(options: LookOptions, work: (engine: Engine | undefined) => Promise<T>): Promise<T> {
  let engine: Engine | undefined;
  try {
    engine = await openEngine(options.database, {
      ...openOptions(options, 0),
      patienceMs: options.waitMs ?? 5_000,
      create: false,
      readOnly: true,
    });
  } catch (error) {
    if (!(error instanceof AmberError) || error.code !== "DATABASE_UNKNOWN") throw error;
  }
  try {
    return await work(engine);
  } finally {
    await engine?.close();
  }
}

/**
 * Is the schema current and unchanged, and are the files sound? Reads, and does nothing else: no lock, no file made, a
 * role with SELECT alone is enough. Never relies on the digest.
 *
 * @throws {AmberError} MIGRATIONS_PENDING, and everything that `migrate` would refuse.
 */
export async function check(options: LookOptions): Promise<{ applied: number }> {
  const folder = readFolder(options.migrations, options.database.engine);
  return await looking(options, async (engine) => {
    if (engine) {
      options.report({ type: "start", database: engine.where, migrations: folder.path, files: folder.files.length });
    }
    const found = await compare(folder, engine && await readHistory(engine), options.database.engine);
    await readFiles(found, options);
    refuseDrift(found.entries, { allowLate: options.allowLate ?? false });
    for (const message of notes(found.entries)) options.report({ type: "note", message });
    for (const { name, has } of folder.oneEngine) {
      options.report({ type: "note", message: `"${name}" has a file for ${has} only` });
    }
    const pending = found.entries.filter((entry) => entry.migration && entry.state !== "applied").map((entry) =>
      entry.name
    );
    if (pending.length === 0) return { applied: found.entries.filter((entry) => entry.state === "applied").length };
    if (engine && !found.rows?.length) await refuseOtherTool(engine);
    throw new AmberError("MIGRATIONS_PENDING", {
      message: `${pending.length} migration${pending.length === 1 ? " is" : "s are"} pending: ${
        pending.slice(0, 5).join(", ")
      }${pending.length > 5 ? " …" : ""}`,
      where: engine?.where,
      hint: "amber migrate",
    });
  });
}

/** Every pending file in full, and every SQL file that can still be read: an applied one is only noted. */
async function readFiles(found: Look, options: LookOptions): Promise<void> {
  await readPending(found, options.database.engine);
  for (const { migration, state } of found.entries) {
    if (!migration || state !== "applied" || migration.kind === "code") continue;
    try {
      readSql(migration, options.database.engine);
    } catch (error) {
      if (!(error instanceof AmberError)) throw error;
      options.report({
        type: "note",
        message: `"${migration.name}" is applied, and its file could not be read today: ${error.message}`,
      });
    }
  }
}
