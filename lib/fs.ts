/**
 * Small words about files for what every start loads. node:fs, node:path and node:url would say the same, and cost a
 * start 35 ms of its 60 (`deno task bench`).
 */

/** What lies at a path, links followed; undefined when nothing does. Other failures are thrown. */
export function statOrNone(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Size in bytes; 0 when there is no file. */
export function sizeOf(path: string): number {
  return statOrNone(path)?.size ?? 0;
}

// Elsewhere "\" may stand in a name.
const [ends, last] = Deno.build.os === "windows" ? [/(?<=.)[/\\]+$/, /[/\\][^/\\]*$/] : [/(?<=.)\/+$/, /\/[^/]*$/];

/** The folder that a path lies in: `.` for a bare name, the root for the root. */
export function folderOf(path: string): string {
  const bare = path.replace(ends, "");
  const cut = bare.search(last);
  return cut < 0 ? "." : cut === 0 ? bare[0]! : bare.slice(0, cut);
}

/** A file's address, for SQLite's URI names. */
export function fileUrl(path: string): string {
  const isAbsolute = /^([/\\]|[A-Za-z]:)/.test(path);
  const whole = (isAbsolute ? path : `${Deno.cwd()}/${path}`).replaceAll(
    "\\",
    Deno.build.os === "windows" ? "/" : "\\",
  );
  return `file://${whole.startsWith("/") ? "" : "/"}${whole.split("/").map(encodeURIComponent).join("/")}`;
}
