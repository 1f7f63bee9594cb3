import { AmberError } from "../errors.ts";
import type { SnapshotReader } from "../repository/reader.ts";
import { idOf } from "../repository/snapshot_file.ts";
import { isPath, postgresPrefix } from "../repository/tree.ts";

/**
 * A path as a person may write it: `./uploads/` is `uploads`; "" means everything. What is in a Postgres database lies
 * below `/postgres`.
 *
 * @throws {AmberError} USAGE
 */
export function cleanPath(path: string): string {
  if (path === "/database.db") return path;
  const clean = path.split("/").filter((part) => part !== "" && part !== ".").join("/");
  if (`${path}/`.startsWith(postgresPrefix) && isPath(clean)) return `/${clean}`;
  if (!path.startsWith("/") && (clean === "" ? path !== "" : isPath(clean))) return clean;
  throw new AmberError("USAGE", {
    message: `Cannot find the path "${path}" in a snapshot: it is not one inside the data folder`,
    hint: "Paths are relative to the data folder, as amber ls shows them: uploads/a.png",
  });
}

/** Whether a path is this one or lies below it; everything lies below "". */
export function isWithin(path: string, folder: string): boolean {
  return folder === "" || path === folder || path.startsWith(`${folder}/`);
}

/** What comes after all that lies below a folder, where paths are sorted: "0" follows "/". */
export function isBehind(path: string, folder: string): boolean {
  return folder !== "" && path >= `${folder}0`;
}

/**
 * The error for a path that a snapshot does not have, with the one that was probably meant.
 *
 * @param database The configured SQLite database, which has another path in a snapshot when it lies elsewhere.
 */
export async function unknownPath(path: string, reader: SnapshotReader, database?: string): Promise<AmberError> {
  const { facts } = reader.snapshot;
  const paths: string[] = [];
  for await (const entry of reader.entries()) paths.push(entry.path);
  const near = path === database?.replace(/^\.\//, "")
    ? facts.databases.find(({ configured }) => configured)?.path
    : nearestPath(path, paths, facts.data);
  return new AmberError("SNAPSHOT_FILE_UNKNOWN", {
    message: `Cannot find "${path}" in snapshot ${idOf(reader.snapshot)}`,
    hint: near === undefined
      ? `amber ls ${idOf(reader.snapshot)} lists what is in it; paths are relative to the data folder.`
      : `Did you mean "${near}"? amber ls ${idOf(reader.snapshot)} lists what is in it.`,
  });
}

/** Among more paths than this only those in the same folder are compared letter by letter. */
const mostCompared = 20_000;

/**
 * The path that was probably meant: the same one without the data folder before it, one that ends like it, one with the
 * same name elsewhere, or one that is written nearly so. undefined when none is near.
 *
 * @param data The data folder as the snapshot names it.
 */
export function nearestPath(wanted: string, paths: readonly string[], data: string): string | undefined {
  const folder = data.replace(/\/+$/, "").replace(/^.*\//, "");
  const bare = wanted.startsWith(`${folder}/`) ? wanted.slice(folder.length + 1) : undefined;
  const certain = paths.find((path) => path === bare) ?? paths.find((path) => path.endsWith(`/${wanted}`));
  if (certain !== undefined) return certain;
  const [place, name] = splitPath(wanted);
  const parts = paths.map((path) => [path, ...splitPath(path)] as const);
  const named = parts.filter((one) => one[2] === name).map(([path]) => path);
  if (named.length > 0) return leastDistant(wanted, named.slice(0, mostCompared), Infinity);
  const most = Math.max(2, Math.floor(wanted.length / 3)) + 1;
  const beside = parts.filter((one) => one[1] === place).map(([path]) => path);
  return leastDistant(wanted, beside, most) ??
    (paths.length > mostCompared ? undefined : leastDistant(wanted, paths, most));
}

/** The folder that a path lies in, "" for the data folder, and its name there. */
function splitPath(path: string): [folder: string, name: string] {
  const cut = path.lastIndexOf("/");
  return [path.slice(0, Math.max(0, cut)), path.slice(cut + 1)];
}

/** Of those that can be made from `wanted` with fewer than `most` changes the one with the fewest. */
function leastDistant(wanted: string, paths: readonly string[], most: number): string | undefined {
  let nearest: string | undefined;
  let least = most;
  for (const path of paths) {
    if (Math.abs(path.length - wanted.length) >= least) continue;
    const distance = editDistance(wanted, path, least);
    if (distance < least) [nearest, least] = [path, distance];
  }
  return nearest;
}

/** How many letters must be changed, added or taken away; `most` when it is that many or more. */
function editDistance(a: string, b: string, most: number): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, row[j]! + 1, next[j - 1]! + 1));
    }
    if (Math.min(...next) >= most) return most;
    row = next;
  }
  return row[b.length]!;
}
