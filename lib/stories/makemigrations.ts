import { AmberError } from "../errors.ts";
import { readFolder } from "../migrations/folder.ts";
import { buildGraph, refuseConflict } from "../migrations/graph.ts";
import type { Dialect } from "../migrations/lexer.ts";
import { type MigrationFile, parseFileName } from "../migrations/migration.ts";

export interface MakeOptions {
  migrations: string;
  engine: Dialect;
  /** Without number and ending; default: `initial`, or `auto_` and the time. */
  name?: string;
  /** Write a migration that depends on all the last ones. */
  merge?: boolean;
  /** Only look whether files are sound and agree on the last one. */
  check?: boolean;
  /** Only say what would be written. */
  plan?: boolean;
  now: () => Date;
}

/**
 * Writes the next migration file; the folder too, when it is missing.
 *
 * @throws {AmberError} MIGRATION_CONFLICT when two files are the last one and `merge` is not asked for; FILE_UNWRITABLE.
 */
export function makemigrations(options: MakeOptions): { path?: string; text?: string; merged?: string[] } {
  const files = existing(options);
  const graph = buildGraph(files);
  if (!options.merge) refuseConflict(graph);
  if (options.check) return {};
  if (options.merge && graph.leaves.length < 2) return {};
  const leaves = graph.leaves.map((leaf) => leaf.name);
  const merged = options.merge ? leaves : undefined;
  const words = options.name ??
    (merged
      ? `merge_${merged.join("_")}`.slice(0, 100)
      : files.length === 0
      ? "initial"
      : `auto_${stamp(options.now()).slice(0, 12)}`);
  const path = `${options.migrations.replace(/\/+$/, "")}/${nextNumber(files, options.now())}_${slug(words)}.sql`;
  const text = merged
    ? `-- migrate:depends ${merged.join(" ")}\n-- migrate:up\n\n-- migrate:down\n`
    : "-- migrate:up\n\n\n-- migrate:down\n\n";
  if (!options.plan) write(options.migrations, path, text);
  return { path, text, merged };
}

/** The next number in the folder's own manner: as wide as the last one; a time where times are used. */
function nextNumber(files: readonly Pick<MigrationFile, "number" | "name">[], now: Date): string {
  const last = files.reduce((max, file) => (file.number > max ? file.number : max), 0n);
  const width = files.reduce((max, file) => Math.max(max, /^\d*/.exec(file.name)![0].length), 0) || 4;
  if (width < 14) return String(last + 1n).padStart(width, "0");
  const time = BigInt(stamp(now));
  return String(time > last ? time : last + 1n);
}

function existing({ migrations, engine }: MakeOptions): MigrationFile[] {
  try {
    return readFolder(migrations, engine).files;
  } catch (error) {
    if (error instanceof AmberError && error.code === "MIGRATION_VARIANT_MISSING") {
      // The missing half may be what this command is about to help with: names alone are enough here.
      return namesOnly(migrations);
    }
    if (error instanceof AmberError && error.code === "MIGRATIONS_MISSING") return [];
    throw error;
  }
}

function namesOnly(migrations: string): MigrationFile[] {
  const files = new Map<string, MigrationFile>();
  for (const { name: file } of Deno.readDirSync(migrations)) {
    const parsed = parseFileName(file, `${migrations}/${file}`);
    if (parsed) {
      files.set(parsed.name, {
        ...parsed,
        path: `${migrations}/${file}`,
        bytes: Deno.readFileSync(`${migrations}/${file}`),
      });
    }
  }
  return [...files.values()];
}

function slug(name: string): string {
  const clean = name.trim().replace(/\.sql$/, "").replace(/^\d+_/, "").replace(/[\s/\\.,:;'"`]+/g, "_").replace(
    /^_+|_+$/g,
    "",
  );
  if (clean === "") {
    throw new AmberError("USAGE", {
      message: "Cannot name the migration: the name has no letter",
      hint: "amber makemigrations add_posts",
    });
  }
  return clean;
}

function stamp(now: Date): string {
  return now.toISOString().replace(/\D/g, "").slice(0, 14);
}

function write(folder: string, path: string, text: string): void {
  try {
    Deno.mkdirSync(folder, { recursive: true });
    Deno.writeTextFileSync(path, text, { createNew: true });
  } catch (cause) {
    throw new AmberError("FILE_UNWRITABLE", {
      message: `Cannot write "${path}": ${cause instanceof Error ? cause.message : cause}`,
      where: path,
      hint: "May this user write in that folder?",
      cause,
    });
  }
}
