/** How long a program took and how much memory, as GNU time says it; and how large a folder is. */
import { join } from "node:path";
import { command } from "../support/command.ts";
import { findProgram } from "../support/programs.ts";

export interface Timed {
  seconds: number;
  /** Peak of the process, MB. */
  peakMb: number;
}

/** @param report A file that may be written to. @throws when the program fails. */
export async function timed(
  argv: string[],
  { cwd, env, report }: { cwd: string; env: Record<string, string>; report: string },
): Promise<Timed> {
  const time = findProgram("time");
  if (!time) throw new Error("GNU time is not installed: Debian's package is called time");
  const { code, stdout, stderr } = await command(time, ["-f", "%e %M", "-o", report, ...argv], {
    cwd,
    env,
    timeoutMs: 900_000,
  });
  if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}\n${stdout}\n${stderr}`);
  const [seconds, kilobytes] = Deno.readTextFileSync(report).trim().split("\n").at(-1)!.split(" ").map(Number);
  return { seconds: seconds!, peakMb: kilobytes! * 1024 / 1e6 };
}

/** Bytes of a file, or of all files below a folder; 0 when there is nothing. */
export function sizeOf(path: string): number {
  try {
    const info = Deno.lstatSync(path);
    if (!info.isDirectory) return info.size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
  return [...Deno.readDirSync(path)].reduce((sum, { name }) => sum + sizeOf(join(path, name)), 0);
}
