import { folderOf } from "../fs.ts";

/** A path with all links resolved, as far as it exists; the rest is appended as it is, also where a file is in its way. */
export function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) throw error;
    const folder = folderOf(path);
    const name = path.slice(path.replace(/\/+$/, "").lastIndexOf("/") + 1).replace(/\/+$/, "");
    if (folder === path || name === "" || name === ".") return path === "." ? Deno.cwd() : path;
    return `${realPath(folder).replace(/\/$/, "")}/${name}`;
  }
}

/** Where a path lies in a folder, both with links resolved: "" for the folder itself, undefined when it lies elsewhere. */
export function pathInside(folder: string, path: string): string | undefined {
  if (path === folder) return "";
  const start = folder.endsWith("/") ? folder : `${folder}/`;
  return path.startsWith(start) ? path.slice(start.length) : undefined;
}
