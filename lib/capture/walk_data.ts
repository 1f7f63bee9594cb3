import type { Remark } from "../repository/snapshot_file.ts";
import { comparePaths } from "../repository/tree.ts";
import { companionEndings } from "./databases.ts";
import type { Captured, CapturedDatabase, InstantOptions } from "./instant.ts";
import { isLinkFolder, type LinkFolder } from "./links.ts";
import { lookAgain, scan, type Scanned } from "./scan.ts";

/** Every path of the data folder that is to be in a snapshot. */
export function walk({ data, skip }: InstantOptions, remark: (one: Remark) => void): Scanned[] {
  return scan(data!, {
    remark,
    skip: (path, isFolder) =>
      (!path.includes("/") && (isLinkFolder(path) || (path === "lost+found" && isFolder))) || skip(path, isFolder),
  });
}

/** While the writers wait: every path as it is now, and a link to each file that the parent does not have as it is. */
export function walkInside(
  options: InstantOptions,
  { databases, paths, inodes, links, remarks }: {
    databases: ReadonlyMap<string, string>;
    /** What was there a moment ago. */
    paths: readonly string[];
    inodes: ReadonlySet<string>;
    links?: LinkFolder;
    remarks: Remark[];
  },
): Captured[] {
  const { data, known } = options;
  if (data === undefined) return [];
  const companions = new Set([...databases.keys()].flatMap((path) => companionEndings.map((end) => path + end)));
  const linked = new Map<string, string>(); // inode → link
  const entries: Captured[] = [];
  const found = walk(options, (remark) => remarks.push(remark));
  for (const scanned of [...found, ...missedBy(found, paths, data)]) {
    if (companions.has(scanned.path)) continue;
    const full = `${data}/${scanned.path}`;
    const isKnown = known(scanned) !== undefined;
    const entry: Captured = { ...scanned, from: full, isKnown };
    entries.push(entry);
    const { identity } = scanned;
    const isOfDatabase = databases.has(scanned.path) || (identity !== undefined && inodes.has(identity));
    if (scanned.type !== "file" || isKnown || isOfDatabase) continue;
    const before = identity && linked.get(identity);
    if (before) {
      entry.from = before;
      continue;
    }
    try {
      const link = links?.add(full);
      if (link === undefined) remarks.push(inPlace(scanned.path));
      else entry.from = link;
      if (link !== undefined && identity) linked.set(identity, link);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      entries.pop();
      remarks.push({ path: scanned.path, what: "vanished", message: "it vanished while the snapshot began" });
    }
  }
  return entries;
}

/** Paths that were there, still are, and were not listed: some file systems miss a file that is replaced meanwhile. */
function missedBy(found: readonly Scanned[], paths: readonly string[], data: string): Scanned[] {
  const listed = new Set(found.map(({ path }) => path));
  return paths.flatMap((path) => listed.has(path) ? [] : lookAgain(data, path) ?? []);
}

function inPlace(path: string): Remark {
  return { path, what: "in place", message: "it could not be linked, and was read in its place a little later" };
}

/** Sorted, second names of a file noted, and databases left to themselves. */
export function finishEntries(
  entries: Captured[],
  databases: readonly CapturedDatabase[],
  remark: (one: Remark) => void,
): Captured[] {
  entries.sort((a, b) => comparePaths(a.path, b.path));
  const databaseOf = new Map(databases.map(({ scanned, path }) => [scanned.identity ?? path, path]));
  const first = new Map<string, string>();
  return entries.filter((entry) => {
    const { type, path, names, identity = path } = entry;
    if (type !== "file") return true;
    const database = databaseOf.get(identity);
    if (database === path) return false;
    const target = database ?? first.get(identity);
    if (database !== undefined && (database > path || database.startsWith("/"))) {
      // A hard link follows what it leads to, inside the folder.
      remark({ path, what: "special", message: `it is another name of the database "${database}": left out` });
      return false;
    }
    if (target !== undefined) entry.sameAs = target;
    else if (names > 1) first.set(identity, path);
    return true;
  });
}
