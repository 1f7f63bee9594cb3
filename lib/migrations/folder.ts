import { AmberError } from "../errors.ts";
import { realPath } from "./carried.ts";
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
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(realPath(path))];
  } catch (cause) {
    throw new AmberError("MIGRATIONS_MISSING", {
      message: `Cannot read the migrations in "${path}": ${reason(cause, "folder")}`,
      where: path,
      hint: cause instanceof Deno.errors.PermissionDenied
        ? "Let this user read and enter the folder: chmod a+rx"
        : cause instanceof Deno.errors.NotADirectory
        ? "Name the folder that the files are in (AMBER_MIGRATIONS, --migrations)."
        : "Is the path right (AMBER_MIGRATIONS, --migrations), and is the folder mounted? `amber makemigrations NAME` writes a first one.",
      cause,
    });
  }
  for (const { name } of entries.filter((entry) => entry.isDirectory)) refuseFolder(name, join(path, name));
  // Links count as what they lead to: Kubernetes mounts a ConfigMap as links.
  return entries.filter((entry) => !entry.isDirectory).map((entry) => entry.name).sort();
}

/** A folder is no migration, but one that looks like it would be left out silently: Prisma and Diesel keep theirs so. */
function refuseFolder(name: string, path: string): void {
  const isFile = !/^[._]/.test(name) && /\.(sql|ts|js|mts|mjs)$/i.test(name);
  const holds = isFile || !/^\d/.test(name)
    ? undefined
    : ["up.sql", "migration.sql"].find((file) => exists(join(path, file)));
  if (isFile || holds) throw folderError(name, path, holds);
}

function folderError(name: string, path: string, holds?: string): AmberError {
  return new AmberError("MIGRATION_NAME", {
    message: `Cannot read the migrations: "${name}" is a folder${holds ? ` with ${holds} in it` : ""}`,
    where: path,
    hint: holds
      ? `amber keeps each migration in one file: make ${name}.sql of it, with a "-- migrate:down" line before what undoes it.`
      : "Name it like no migration, or put a file in its place.",
  });
}

function read(path: string): Uint8Array {
  try {
    return Deno.readFileSync(realPath(path));
  } catch (cause) {
    if (cause instanceof Deno.errors.IsADirectory) throw folderError(path.split("/").at(-1)!, path);
    const isGone = cause instanceof Deno.errors.NotFound;
    throw new AmberError("MIGRATION_MALFORMED", {
      message: `Cannot read "${path}": ${
        isGone ? "it is a link to a file that does not exist" : reason(cause, "file")
      }`,
      where: path,
      hint: isGone ? "Bring back what the link leads to, or remove the link." : "Let this user read it: chmod a+r",
      cause,
    });
  }
}

function reason(cause: unknown, what: "file" | "folder"): string {
  if (cause instanceof Deno.errors.NotFound) return `there is no such ${what}`;
  if (cause instanceof Deno.errors.NotADirectory) return "it is not a folder";
  if (cause instanceof Deno.errors.PermissionDenied) return "this user may not read it";
  return cause instanceof Error ? cause.message : String(cause);
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false; // what cannot be looked into is no migration of ours
  }
}

function join(folder: string, file: string): string {
  return folder.endsWith("/") ? folder + file : `${folder}/${file}`;
}
