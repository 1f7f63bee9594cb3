import { AmberError } from "../errors.ts";
import type { Engine } from "../engines/engine.ts";
import { openEngine } from "../engines/open.ts";
import { rowOf } from "../migrations/apply.ts";
import { readFolder } from "../migrations/folder.ts";
import { readHistory, writeRow } from "../migrations/history.ts";
import { tableExists } from "../migrations/initial.ts";
import { prepare } from "../migrations/prepare.ts";
import { compare } from "./look.ts";
import { type MigrateOptions, openOptions } from "./migrate.ts";
import { recording } from "./record.ts";

export interface AdoptResult {
  adopted: string[];
  /** Versions in dbmate's table for which there is no file. */
  unknown: string[];
  /** Files that dbmate had not applied: `migrate` will. */
  pending: string[];
}

/**
 * Takes over dbmate's history: every version in `schema_migrations` that has a file is recorded as applied, with its
 * present statements. Runs nothing, and leaves dbmate's table where it is.
 *
 * @throws {AmberError} HISTORY_FOREIGN when there is nothing of dbmate's, or nothing that fits the folder.
 */
export async function adoptDbmate(options: Omit<MigrateOptions, "target" | "back">): Promise<AdoptResult> {
  const folder = readFolder(options.migrations, options.database.engine);
  const decide = async (engine: Engine) => {
    const versions = await dbmateVersions(engine);
    const { entries } = await compare(folder, await readHistory(engine), engine.dialect);
    const byNumber = new Map(
      entries.filter((entry) => entry.migration).map((entry) => [String(entry.migration!.number), entry]),
    );
    const found = versions.flatMap((version) => byNumber.get(String(BigInt(version))) ?? []);
    if (found.length === 0) {
      throw new AmberError("HISTORY_FOREIGN", {
        message:
          `Cannot adopt dbmate's history: none of its ${versions.length} versions has a file in "${folder.path}"`,
        where: folder.path,
        hint: "Name the folder that dbmate used: --migrations db/migrations",
      });
    }
    const fresh = found.filter((entry) => entry.state === "pending");
    const result: AdoptResult = {
      adopted: fresh.map((entry) => entry.name),
      unknown: versions.filter((version) => !byNumber.has(String(BigInt(version)))),
      pending: entries.filter((entry) => entry.state === "pending" && !fresh.includes(entry))
        .map((entry) => entry.name),
    };
    return { fresh, result };
  };
  const engine = await openEngine(options.database, {
    ...openOptions(options, 60_000),
    create: false,
    readOnly: options.plan ?? false,
  });
  try {
    if (options.plan) return (await decide(engine)).result;
    return await recording(engine, options, async () => {
      const { fresh, result } = await decide(engine);
      const steps = fresh.map(({ name, migration, row }) => ({ name, direction: "up" as const, migration, row }));
      for (const step of await prepare(steps, engine.dialect)) await writeRow(engine, rowOf(step, options, 0));
      return result;
    });
  } finally {
    await engine.close();
  }
}

async function dbmateVersions(engine: Engine): Promise<string[]> {
  const isThere = await tableExists(engine, { name: "schema_migrations" });
  const rows = isThere ? await engine.query("select version from schema_migrations order by version") : [];
  const versions = rows.map((row) => String(row.version)).filter((version) => /^\d+$/.test(version));
  if (versions.length === 0) {
    throw new AmberError("HISTORY_FOREIGN", {
      message: `Cannot adopt dbmate's history: ${
        isThere ? "its table schema_migrations is empty" : "there is no table schema_migrations"
      }`,
      where: engine.where,
      hint: "Is this the database that dbmate migrated? A fresh one needs no adopting: amber migrate",
    });
  }
  return versions;
}
