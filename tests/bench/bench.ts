/** `deno task bench`: all benches, one after the other. Ends with 1 when one of them missed a target under `--check`. */
import { join } from "node:path";

let isMissed = false;
for (const name of ["migrate_bench.ts", "start_bench.ts", "snapshot_bench.ts", "postgres_bench.ts"]) {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", join(import.meta.dirname!, name), ...Deno.args],
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  isMissed ||= !success;
}
if (isMissed) Deno.exit(1);
