import type { Dialect } from "./lexer.ts";

/** How the migrations that a binary carries are named, in messages too: no folder on a disk is called so. */
export const carriedPath = "amber:migrations";

/** Where a migration can be written: what a binary carries cannot be added to. */
export function folderToWrite(path: string): string {
  return path === carriedPath ? "migrations" : path;
}

/** Made by compile.ts, and there in a compiled binary only. Without "..", which what is inside one does not resolve. */
const place = new URL("../../carried", import.meta.url).pathname;

/** What is known of the files for one engine without reading them; `undefined` where they cannot be used on it. */
export type CarriedIndex = Partial<Record<Dialect, { files: number; digest: string }>>;

/** What this binary carries; undefined when it carries nothing, or is none. */
export function readCarriedIndex(): CarriedIndex | undefined {
  if (!Deno.build.standalone) return undefined;
  try {
    return JSON.parse(Deno.readTextFileSync(`${place}/index.json`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Where a folder of migrations, or a file in it, can be read. */
export function realPath(path: string): string {
  const rest = path === carriedPath
    ? ""
    : path.startsWith(`${carriedPath}/`)
    ? path.slice(carriedPath.length)
    : undefined;
  return rest === undefined ? path : `${place}/migrations${rest}`;
}
