import { join } from "node:path";
import { command, type CommandResult } from "./command.ts";
import { npmFolder } from "./npm_program.ts";

let folder: Promise<string> | undefined;

/**
 * Runs dbmate, from npm. It takes the database by `DATABASE_URL` in `env`: `sqlite:PATH`, or a postgres URL, which needs
 * `sslmode=disable` among its parameters for a server without TLS. `--no-dump-schema` spares it looking for pg_dump.
 */
export async function dbmate(
  args: string[],
  options: { cwd: string; env: Record<string, string>; timeoutMs?: number },
): Promise<CommandResult> {
  folder ??= npmFolder("dbmate");
  return await command(join(await folder, "bin", "dbmate"), args, options);
}
