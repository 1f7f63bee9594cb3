import { AmberError } from "./errors.ts";
import { compilePatterns } from "./patterns.ts";
import { find, label, type Level, type Setting } from "./variables.ts";

/** The part of a Config that is about snapshots. Paths are as they were written: relative to the working directory. */
export interface SnapshotConfig {
  /** A folder, or the address of a store; later several, separated by commas. */
  repository: Setting;
  /** Patterns of what snapshots leave out: compilePatterns() has read them without complaint. */
  exclude: Setting<string[]>;
  /** Retention as it was written; absent: prune forgets nothing. */
  keep?: Setting;
  /** Room for staging, drills and rehearsals. */
  scratch: Setting;
  /** What may be lost: it costs time, never correctness. */
  cache: Setting;
  /** Address of a health check; a secret. */
  pingUrl?: Setting;
}

/**
 * @param data The data folder, which most defaults lie in.
 * @throws {AmberError} CONFIG_EMPTY, CONFIG_VALUE
 */
export function readSnapshotConfig(levels: Level[], data: string): SnapshotConfig {
  const inData = (name: string) => ({ value: `${data.replace(/\/+$/, "")}/${name}`, source: "default" });
  const scratch = find(levels, "AMBER_SCRATCH") ?? inData(".amber");
  const inScratch = { value: `${scratch.value.replace(/\/+$/, "")}/cache`, source: "default" };
  return {
    repository: find(levels, "AMBER_REPOSITORY") ?? inData("backups"),
    exclude: readExclude(levels, data),
    keep: find(levels, "AMBER_KEEP"),
    scratch,
    cache: find(levels, "AMBER_CACHE") ?? inScratch,
    pingUrl: readPingUrl(levels),
  };
}

/** The flag's patterns and the variable's together: a flag leaves out more, it does not bring anything back. */
function readExclude(levels: Level[], data: string): Setting<string[]> {
  const isFlag = ({ source }: Level) => source === undefined;
  const named = [levels.filter((level) => !isFlag(level)), levels.filter(isFlag)]
    .map((part) => find(part, "AMBER_EXCLUDE"))
    .filter((setting) => setting !== undefined);
  const patterns = named.flatMap(({ value, source }) => {
    const { patterns } = compilePatterns(linesOf(value), { where: label("AMBER_EXCLUDE", source), data });
    return patterns;
  });
  return { value: [...new Set(patterns)], source: named.map(({ source }) => source).join(", ") || "default" };
}

/** Patterns stand one a line; white space around them and empty lines come from YAML and shells, and mean nothing. */
export function linesOf(text: string): string[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}

function readPingUrl(levels: Level[]): Setting | undefined {
  const found = find(levels, "AMBER_PING_URL");
  if (found === undefined) return undefined;
  const value = found.value.trim();
  if (/^https?:\/\/\S+$/i.test(value) && URL.canParse(value)) return { value, source: found.source };
  throw new AmberError("CONFIG_VALUE", {
    message: `Cannot use ${label("AMBER_PING_URL", found.source)}: it is no http:// or https:// address`,
    hint: "Copy the whole address of the health check. It is a secret, and not shown here.",
  });
}

/**
 * Every form of every secret among these variables, also of places that another one beats: the pinged addresses with
 * and without what stands behind their path, and addresses of stores with a login in them.
 */
export function snapshotSecrets(levels: Level[]): string[] {
  return levels.flatMap(({ values }) => {
    const { AMBER_PING_URL: ping, AMBER_REPOSITORY: repository } = values;
    const url = ping === undefined ? null : URL.parse(ping.trim());
    return [
      ...(ping ? [ping.trim()] : []),
      ...(url ? [url.href, `${url.origin}${url.pathname}`] : []),
      ...(repository && holdsLogin(repository) ? [repository] : []),
    ];
  });
}

/** Whether a store's address has a key in it: `s3://key:secret@…`. A secret may hold any character, "/" too. */
export function holdsLogin(address: string): boolean {
  return /:\/\/[^@]*:.*@/s.test(address);
}
