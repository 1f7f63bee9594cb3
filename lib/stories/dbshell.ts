import type { DatabaseAddress } from "../database_url.ts";
import { AmberError } from "../errors.ts";

/** A program to start: nothing secret among its arguments, which every user of the machine can see. */
export interface ShellCommand {
  program: "sqlite3" | "psql";
  args: string[];
  env: Record<string, string>;
}

/** The database's own shell; a password goes into its environment. Pure. */
export function shellCommand(database: DatabaseAddress, args: readonly string[]): ShellCommand {
  if (database.engine === "sqlite") {
    const path = database.path.startsWith("-") ? `./${database.path}` : database.path;
    return { program: "sqlite3", args: [path, ...args], env: {} };
  }
  return {
    program: "psql",
    args: [...args],
    env: {
      PGHOST: database.host,
      PGPORT: String(database.port),
      PGDATABASE: database.database,
      PGUSER: database.user,
      PGSSLMODE: database.sslmode,
      ...(database.password === undefined ? {} : { PGPASSWORD: database.password }),
      ...(database.sslrootcert ? { PGSSLROOTCERT: database.sslrootcert } : {}),
      ...(database.options ? { PGOPTIONS: database.options } : {}),
    },
  };
}

/** Runs it in this terminal; gives its exit status. @throws {AmberError} PROGRAM_MISSING */
export async function dbshell(command: ShellCommand): Promise<number> {
  try {
    const child = new Deno.Command(command.program, {
      args: command.args,
      env: command.env,
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    return (await child.status).code;
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new AmberError("PROGRAM_MISSING", {
      message: `Cannot open a shell: ${command.program} is not installed`,
      hint: command.program === "psql"
        ? "Debian: apt-get install postgresql-client"
        : "Debian: apt-get install sqlite3",
      cause,
    });
  }
}
