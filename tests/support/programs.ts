import { delimiter, join } from "node:path";

// Debian keeps daemons such as pgbouncer in /usr/sbin, which is not on the PATH of ordinary users.
const systemFolders = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/** The path of an installed program: on PATH first, then where systems keep daemons. */
export function findProgram(name: string): string | undefined {
  const folders = (Deno.env.get("PATH") ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...folders, ...systemFolders].map((folder) => join(folder, name)).find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    const facts = Deno.statSync(path);
    return facts.isFile && ((facts.mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}
