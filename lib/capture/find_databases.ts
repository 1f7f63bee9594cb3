import { Heap } from "../memory.ts";
import { comparePaths } from "../repository/tree.ts";
import { hasLog, isDatabase, openInThisProcess, whyRaw } from "./databases.ts";
import type { Captured, CapturedDatabase, InstantOptions } from "./instant.ts";
import type { LinkFolder } from "./links.ts";
import { identityOf, type Scanned, whichFile } from "./scan.ts";
import { walk } from "./walk_data.ts";

/** What a look before the moment found. */
export interface Found {
  /** Tree path → file. */
  databases: Map<string, string>;
  /** Every path in the data folder. */
  paths: string[];
}

/** Walks once before the moment: which files are databases takes reading, and that must not happen while writers wait. */
export async function findDatabases(options: InstantOptions, raw: Map<string, string>): Promise<Found> {
  const { data, configured, known, stop } = options;
  const databases = new Map<string, string>();
  const open = openInThisProcess();
  const isConfigured = (file: Scanned) => configured?.path === file.path;
  const paths: string[] = [];
  const heap = new Heap();
  for (const file of walk(options, () => {})) {
    if (paths.push(file.path) % 4096 === 0) heap.tend();
    if (file.type !== "file" || raw.has(file.path)) continue;
    const full = `${data}/${file.path}`;
    const kind = known(file) ?? (isConfigured(file) || isDatabase(full, file, open) ? "database" : "file");
    if (kind === "database") databases.set(file.path, full);
  }
  // Only now, right before they are opened; and all at once, since each may be looked at for a second.
  await Promise.all([...databases].map(async ([path, full]) => {
    const why = path === configured?.path ? undefined : await whyRaw(full, stop);
    if (why === undefined) return;
    databases.delete(path);
    raw.set(path, why);
  }));
  if (configured) databases.set(configured.path, configured.file);
  return { databases: withoutSecondNames(databases, configured?.path), paths };
}

/**
 * A database that has several names in the folder is opened by one of them: what has not been written into it yet lies
 * beside the name that its programs use. That is the configured one, else one with a log, else the first.
 */
function withoutSecondNames(databases: Map<string, string>, configured: string | undefined): Map<string, string> {
  const seen = new Set<string>();
  const rank = new Map([...databases].map(([path, full]) => [path, path === configured ? 0 : hasLog(full) ? 1 : 2]));
  const sorted = [...databases].sort(([a], [b]) => rank.get(a)! - rank.get(b)! || comparePaths(a, b));
  return new Map(sorted.filter(([, full]) => {
    let identity: string | undefined;
    try {
      identity = identityOf(whichFile(Deno.statSync(full)));
    } catch {
      return true; // said by whoever opens it
    }
    return identity === undefined || (!seen.has(identity) && seen.add(identity));
  }));
}

/** Databases that were not there, or were none, before the moment. */
export function lateDatabases(
  { data }: InstantOptions,
  entries: readonly Captured[],
  { captured, raw, links }: {
    captured: readonly CapturedDatabase[];
    raw: ReadonlyMap<string, string>;
    links?: LinkFolder;
  },
): string[] {
  if (data === undefined) return [];
  const open = openInThisProcess();
  const known = new Set(captured.map(({ path, scanned }) => identityOf(scanned) ?? path));
  return entries.filter((entry) => {
    const { path, type, link, isKnown } = entry;
    if (type !== "file" || isKnown || raw.has(path) || known.has(identityOf(entry) ?? path)) return false;
    return isDatabase(link === undefined ? `${data}/${path}` : links!.pathOf(link), entry, open);
  }).map(({ path }) => path);
}
