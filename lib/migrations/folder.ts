import { AmberError } from "../errors.ts";
import type { Dialect } from "./lexer.ts";
import { compareMigrations, type MigrationFile, parseFileName } from "./migration.ts";

/** A folder of migrations as one engine sees it. */
export interface Folder {
  path: string;
  /** In order of number and name. */
  files: MigrationFile[];
  /** Names of migrations that have a file for one engine only; for `check` to mention. */
  oneEngine: { name: string; has: Dialect }[];
}

/**
 * Reads every migration file for this engine: names and bytes, in one walk, nothing parsed.
 *
 * @throws {AmberError} MIGRATIONS_MISSING when there is no folder or no migration in it, which is never a success: a
 * wrong path in an image must not pass. MIGRATION_NAME, MIGRATION_VARIANT_MISSING.
 */
export function readFolder(path: string, dialect: Dialect): Folder {
  const variants = new Map<
    string,
    { file: string; dialect?: Dialect; parsed: NonNullable<ReturnType<typeof parseFileName>> }[]
  >();
  for (const file of list(path)) {
    const parsed = parseFileName(file, join(path, file));
    if (!parsed) continue;
    const same = variants.get(parsed.name) ?? [];
    const twin = same.find((other) =>
      other.dialect === undefined || parsed.dialect === undefined || other.dialect === parsed.dialect
    );
    if (twin) {
      throw new AmberError("MIGRATION_NAME", {
        message: `Cannot read the migrations: "${twin.file}" and "${file}" are both the migration "${parsed.name}"`,
        where: path,
        hint: "One migration is one file, or one for each engine: NAME.sqlite.sql and NAME.postgres.sql.",
      });
    }
    variants.set(parsed.name, [...same, { file, dialect: parsed.dialect, parsed }]);
  }
  if (variants.size === 0) {
    throw new AmberError("MIGRATIONS_MISSING", {
      message: `Cannot find any migration: the folder "${path}" has none`,
      where: path,
      hint: "Is the path right (AMBER_MIGRATIONS, --migrations)? `amber makemigrations NAME` writes the first one.",
    });
  }
  const oneEngine: Folder["oneEngine"] = [];
  const files: MigrationFile[] = [];
  for (const [name, found] of variants) {
    const mine = found.find((variant) => variant.dialect === undefined || variant.dialect === dialect);
    if (!mine) {
      throw new AmberError("MIGRATION_VARIANT_MISSING", {
        message: `Cannot run "${name}" on ${dialect}: it has a file for ${found[0]!.dialect} only`,
        where: join(path, found[0]!.file),
        hint: `Add ${name}.${dialect}.${
          found[0]!.file.split(".").at(-1)
        }, empty after "-- migrate:up" if there is nothing to do.`,
      });
    }
    if (found.length === 1 && mine.dialect) oneEngine.push({ name, has: mine.dialect });
    files.push({
      name,
      number: mine.parsed.number,
      kind: mine.parsed.kind,
      path: join(path, mine.file),
      bytes: read(join(path, mine.file)),
    });
  }
  return { path, files: files.sort(compareMigrations), oneEngine };
}

function list(path: string): string[] {
  try {
    // Links count as what they lead to: Kubernetes mounts a ConfigMap as links.
    return [...Deno.readDirSync(path)].filter((entry) => !entry.isDirectory).map((entry) => entry.name).sort();
  } catch (cause) {
    const why = cause instanceof Deno.errors.NotFound
      ? "there is no such folder"
      : cause instanceof Deno.errors.NotADirectory
      ? "it is not a folder"
      : cause instanceof Error
      ? cause.message
      : String(cause);
    throw new AmberError("MIGRATIONS_MISSING", {
      message: `Cannot read the migrations in "${path}": ${why}`,
      where: path,
      hint:
        "Is the path right (AMBER_MIGRATIONS, --migrations), and is the folder mounted? `amber makemigrations NAME` writes a first one.",
      cause,
    });
  }
}

function read(path: string): Uint8Array {
  try {
    return Deno.readFileSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.IsADirectory) return new Uint8Array();
    throw new AmberError("MIGRATION_MALFORMED", {
      message: `Cannot read "${path}": ${cause instanceof Error ? cause.message : cause}`,
      where: path,
      hint: "May this user read it?",
      cause,
    });
  }
}

function join(folder: string, file: string): string {
  return folder.endsWith("/") ? folder + file : `${folder}/${file}`;
}
