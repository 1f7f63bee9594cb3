import { Heap } from "../memory.ts";
import type { Remark } from "../repository/snapshot_file.ts";
import { comparePaths } from "../repository/tree.ts";
import { companionEndings } from "./databases.ts";
import type { Captured, CapturedDatabase, InstantOptions } from "./instant.ts";
import { isLinkFolder, type LinkFolder } from "./links.ts";
import { identityOf, lookAgain, scanEach, type Scanned } from "./scan.ts";

/** Every path of the data folder that is to be in a snapshot. */
export function walk({ data, skip }: InstantOptions, remark: (one: Remark) => void): Iterable<Scanned> {
  return data === undefined ? [] : scanEach(data, {
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
  const linked = new Map<string, number>(); // identity → link
  const entries: Captured[] = [];
  const found: Scanned[] = [];
  const heap = new Heap();
  for (const scanned of walk(options, (remark) => remarks.push(remark))) {
    // Writers wait for this as well, but only where the walk itself takes several times as long.
    if (found.push(scanned) % 16_384 === 0) heap.tend();
  }
  for (const scanned of [...found, ...missedBy(found, paths, data)]) {
    if (companions.has(scanned.path)) continue;
    // The same object goes on as an entry: there may be 100,000, and no time to look for memory.
    const entry = Object.assign<Scanned, Pick<Captured, "isKnown" | "link" | "sameAs">>(scanned, {
      isKnown: known(scanned) !== undefined,
    });
    entries.push(entry);
    if (entry.type !== "file" || entry.isKnown) continue;
    const identity = identityOf(scanned);
    const isOfDatabase = databases.has(scanned.path) || (identity !== undefined && inodes.has(identity));
    if (isOfDatabase) continue;
    entry.link = identity === undefined ? undefined : linked.get(identity);
    if (entry.link !== undefined) continue;
    try {
      entry.link = links?.add(`${data}/${scanned.path}`);
      if (entry.link === undefined) remarks.push(inPlace(scanned.path));
      else if (scanned.names > 1 && identity !== undefined) linked.set(identity, entry.link);
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
  const databaseOf = new Map(databases.map(({ scanned, path }) => [identityOf(scanned) ?? path, path]));
  const first = new Map<string, string>();
  return entries.filter((entry) => {
    const { type, path, names } = entry;
    if (type !== "file") return true;
    const identity = identityOf(entry) ?? path;
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
