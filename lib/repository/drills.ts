import { AmberError } from "../errors.ts";
import type { ObjectStore } from "../stores/store.ts";
import { sealLine, unsealLine } from "./small_file.ts";
import { formatVersion } from "./snapshot_file.ts";

/** What a drill found: a snapshot restored to scratch, and looked at. */
export interface Drill {
  /** The snapshot's hash, 64 hex digits. */
  snapshot: string;
  /** When it ended, ISO 8601 with ms, UTC. */
  time: string;
  /** How long it took, ms. */
  durationMs: number;
  /** user@host, and amber's version. */
  by: string;
  /** amber's version. */
  amber: string;
  /** Whether nothing was wrong. */
  ok: boolean;
  /** What was wrong, for people; and what is only worth knowing. At most 100 each. */
  problems: string[];
  /** What is only worth knowing. */
  notes: string[];
  /** What was restored: files, bytes; databases, and rows counted in them. */
  files: number;
  /** Bytes of what was restored. */
  bytes: number;
  /** How many were opened and checked. */
  databases: number;
  /** Counted in them. */
  rows: number;
}

const namePattern = /^drills\/([0-9a-f]{64})-(\d{8}T\d{6}Z)\.json$/;

/** The name of the file in which a drill is kept. */
export function drillName({ snapshot, time }: Pick<Drill, "snapshot" | "time">): string {
  return `drills/${snapshot}-${time.replace(/\.\d+Z$/, "Z").replace(/[-:]/g, "")}.json`;
}

/** @throws {AmberError} STORE_* */
export async function writeDrill(store: ObjectStore, drill: Drill): Promise<void> {
  await store.put(drillName(drill), sealLine({ format: formatVersion, ...drill }));
}

/** One drill; undefined when there is none, or the name is none of a drill. @throws {AmberError} OBJECT_DAMAGED, STORE_* */
export async function readDrill(store: ObjectStore, name: string): Promise<Drill | undefined> {
  if (!namePattern.test(name)) return undefined;
  const bytes = await store.get(name);
  if (bytes === undefined) return undefined;
  const value = unsealLine(bytes);
  if (isDrill(value) && drillName(value) === name) return value;
  throw new AmberError("OBJECT_DAMAGED", {
    message: `Cannot read the drill "${name}": ${
      value === undefined ? "it is damaged" : "it is not what its name says"
    }`,
    where: name,
    hint: "The snapshot itself does not depend on it. amber drill makes a new one.",
  });
}

/**
 * The newest drill of each snapshot, by the snapshot's hash.
 *
 * @param damaged Told of those that cannot be read, which are left out.
 */
export async function readDrills(
  store: ObjectStore,
  damaged: (error: AmberError) => void = () => {},
): Promise<Map<string, Drill>> {
  const drills = new Map<string, Drill>();
  // Sorted by snapshot and then by time: the newest first from behind, the others need not be read.
  for (const { name } of (await store.list("drills/")).reverse()) {
    const snapshot = namePattern.exec(name)?.[1];
    if (snapshot === undefined || drills.has(snapshot)) continue;
    try {
      const drill = await readDrill(store, name);
      if (drill) drills.set(snapshot, drill);
    } catch (error) {
      if (!(error instanceof AmberError) || error.code !== "OBJECT_DAMAGED") throw error;
      damaged(error);
    }
  }
  return drills;
}

function isDrill(value: unknown): value is Drill {
  if (typeof value !== "object" || value === null) return false;
  const { snapshot, time, durationMs, by, amber, ok, problems, notes, files, bytes, databases, rows } = value as Record<
    string,
    unknown
  >;
  const isTexts = (list: unknown) => Array.isArray(list) && list.every((one) => typeof one === "string");
  const isCount = (count: unknown) => Number.isSafeInteger(count) && (count as number) >= 0;
  return typeof snapshot === "string" && typeof time === "string" && !Number.isNaN(Date.parse(time)) &&
    typeof by === "string" && typeof amber === "string" && typeof ok === "boolean" && isTexts(problems) &&
    isTexts(notes) && [durationMs, files, bytes, databases, rows].every(isCount);
}
