import { AmberError } from "../errors.ts";
import { folderOf, statOrNone } from "../fs.ts";
import { parseFileName } from "../migrations/migration.ts";
import { dockerfile, envExample, firstMigration } from "./init_files.ts";

export interface InitOptions {
  /** The folder of migrations, as it is configured. */
  migrations: string;
  /** Only say what would be written. */
  plan?: boolean;
}

export interface InitResult {
  /** Paths that were written, or would be. */
  written: string[];
  /** What was there already, and was left as it is. */
  existing: string[];
}

/**
 * Writes what one's own app begins with, into the working directory: a first migration, `.env.example` and a
 * `Dockerfile`. Nothing is overwritten: run again, it writes what is missing.
 *
 * @throws {AmberError} FILE_UNWRITABLE; what was written before remains.
 */
export function init({ migrations, plan }: InitOptions): InitResult {
  const folder = migrations.replace(/(?<=.)\/+$/, "");
  const files = [
    { path: `${folder}/0001_initial.sql`, text: firstMigration, there: migrationIn(folder) },
    { path: ".env.example", text: envExample, there: existing(".env.example") },
    { path: "Dockerfile", text: dockerfile, there: existing("Dockerfile") },
  ];
  const result: InitResult = { written: [], existing: [] };
  for (const { path, text, there } of files) {
    if (there !== undefined) result.existing.push(there);
    else if (plan || writeNew(path, text)) result.written.push(path);
    else result.existing.push(path);
  }
  return result;
}

/** A second first migration would be in conflict with the one that is there, whatever that is called. */
function migrationIn(folder: string): string | undefined {
  if (existing(folder) === undefined) return undefined;
  try {
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    const first = names.find((name) => parseFileName(name, `${folder}/${name}`));
    return first && `${folder}/${first}`;
  } catch (cause) {
    if (cause instanceof AmberError) return folder; // a name that no migration has: for `migrate` to complain of
    throw unwritable(`${folder}/0001_initial.sql`, cause);
  }
}

function existing(path: string): string | undefined {
  return statOrNone(path) && path;
}

/** @returns false when the file has come into being meanwhile. */
function writeNew(path: string, text: string): boolean {
  try {
    Deno.mkdirSync(folderOf(path), { recursive: true });
    using file = Deno.openSync(path, { write: true, createNew: true });
    try {
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      return true;
    } catch (error) {
      Deno.removeSync(path); // half of it would be taken for all of it the next time
      throw error;
    }
  } catch (cause) {
    if (cause instanceof Deno.errors.AlreadyExists) return false;
    throw unwritable(path, cause);
  }
}

function unwritable(path: string, cause: unknown): AmberError {
  return new AmberError("FILE_UNWRITABLE", {
    message: `Cannot write "${path}": ${cause instanceof Error ? cause.message : cause}`,
    where: path,
    hint: "May this user write in that folder?",
    cause,
  });
}
