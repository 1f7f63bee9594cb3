import { accessSync, constants } from "node:fs";
import { AmberError } from "../errors.ts";

/**
 * The configured database is what a snapshot is for: it is never stored as something that nobody could open.
 *
 * @param why What SQLite says.
 * @throws {AmberError} when that path is the configured database: DATABASE_FORBIDDEN, DISK_FULL, DATABASE_UNREADABLE,
 * DATABASE_FORMAT
 */
export function refuseConfigured(
  configured: { file: string; path: string } | undefined,
  path: string,
  why: string,
): void {
  if (configured?.path !== path) return;
  const { file } = configured;
  const refuse = (code: AmberError["code"], what: string, hint: string) =>
    new AmberError(code, { message: `Cannot take a snapshot: ${what}`, where: file, hint });
  if (!mayRead(file)) {
    throw refuse(
      "DATABASE_FORBIDDEN",
      `this user may not read the configured database "${file}"`,
      `Run amber as the user that owns it, or give this one the right: ls -l "${file}"`,
    );
  }
  // The first to open a database in WAL mode makes its -shm: without room for that it cannot be read at all.
  if (/disk is full/i.test(why)) {
    throw refuse("DISK_FULL", `there is no room beside the configured database "${file}" (${why})`, room);
  }
  if (/disk i\/o error/i.test(why)) {
    const hint = `Is the disk full (df -h "${file}"), or does it fail? ${room}`;
    throw refuse(
      "DATABASE_UNREADABLE",
      `the disk does not let the configured database "${file}" be read (${why})`,
      hint,
    );
  }
  throw refuse(
    "DATABASE_FORMAT",
    `the configured database "${file}" cannot be read (${why})`,
    "If it is damaged: amber restore latest. The rest alone can be stored with another DB_PATH.",
  );
}

const room = "A database in WAL mode needs 32 kB beside it to be opened. Make room, then run it again.";

/** Asked without opening it: closing it again would drop this process's locks on it. */
function mayRead(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch (error) {
    return (error as { code?: string }).code !== "EACCES";
  }
}
