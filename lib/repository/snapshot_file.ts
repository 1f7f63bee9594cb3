import { AmberError } from "../errors.ts";
import { packBlockLimit, packLimit } from "./pack.ts";

/** Format of everything in a repository that this amber writes: see FORMAT.md. */
export const formatVersion = 1;

/**
 * What a snapshot was taken for. `latest`, `--at` and drills look at ordinary ones; a safety one was taken before a
 * restore, a wipe or a risky migration; a partial one is the trace of a run that has not ended yet.
 */
export type Kind = "ordinary" | "safety" | "partial";

/** A pack that a snapshot relies on. */
export interface PackRef {
  /** How the tree names it. A number keeps its meaning from parent to child, from 1. */
  number: number;
  /** SHA-256 of its bytes, 64 hex digits; it is stored as `packs/<first two>/<all>`. */
  hash: string;
  /** Bytes in all. */
  size: number;
  /** Bytes of its table of contents, which stands at the end. */
  tocSize: number;
  /** How many blocks it has. */
  blocks: number;
}

/** A run of blocks: `count` blocks from `index` on in the pack with this number; pack 0 is a hole (zeros, stored nowhere). */
export interface Run {
  count: number;
  pack: number;
  index: number;
}

/** One database, as it was at the snapshot's moment. */
export interface DatabaseFacts {
  /** Its path in the tree. */
  path: string;
  /** Whether it was the configured one. */
  configured: boolean;
  /** Bytes of a page, and how many. */
  pageSize: number;
  /** How many there are. */
  pages: number;
  /** `wal`, `delete`, … */
  journal: string;
  /** Rows of each table. */
  rows: Record<string, number>;
  /** Applied migrations: how many, and the last one's name. Absent without a history. */
  migrations?: { count: number; last: string };
  /** Size, times and inode of its files: equal means unchanged. Absent when they were too fresh to be trusted. */
  stamp?: string;
}

/** The Postgres database, as it was at the snapshot's moment. */
export interface PostgresFacts {
  /** The database's name; shown, never used. */
  name: string;
  /** The server's version, e.g. `15.18`. */
  server: string;
  /** Bytes of all that was read, as text. */
  bytes: number;
  /** Rows of each table, by its qualified and quoted name. */
  rows: Record<string, number>;
  /** As of DatabaseFacts. */
  migrations?: { count: number; last: string };
  /** Hashes over all objects of the schema: what they are, and who may do what. Equal means the same schema. */
  structure: string;
  /** The same of owners and grants. */
  rights: string;
  /** What is not among the objects, each with its reason. */
  notes: string[];
}

/** Something that could not be kept, or was not as expected. `path` is relative to the data folder. */
export interface Remark {
  /** Relative to the data folder. */
  path: string;
  /**
   * `changed`: changed while being read, `unreadable`, `special`: a FIFO, socket or device, `name`: not UTF-8,
   * `attributes`: extended attributes, `raw`: a database stored as ordinary files, `vanished`, `rollback`: copied with
   * its writers waiting, `in place`: could not be linked, `unheld`: not held at the barrier
   */
  what:
    | "changed"
    | "unreadable"
    | "special"
    | "name"
    | "attributes"
    | "raw"
    | "vanished"
    | "rollback"
    | "in place"
    | "unheld";
  /** For people. */
  message: string;
}

/** What is told only to those who may read the contents: the part that will be sealed. */
export interface SnapshotFacts {
  /** Where the tree is: its blocks in order. */
  tree: Run[];
  /** The data folder as it was named, absolute; shown, never used. */
  data: string;
  /** user@host */
  by: string;
  /** amber's version. */
  amber: string;
  tags: string[];
  /** Counts and bytes of everything in the tree; `stored` is what this snapshot added to the repository. */
  files: number;
  folders: number;
  bytes: number;
  stored: number;
  databases: DatabaseFacts[];
  /** Absent when the configured database was none on Postgres. */
  postgres?: PostgresFacts;
  /** What it was taken before, for a safety snapshot: `restore`, `wipe`, `migrate`. */
  before?: string;
  remarks: Remark[];
  /** Patterns that were left out, and how many paths each matched. */
  excluded: Record<string, number>;
  /** How long it took, ms. */
  durationMs: number;
}

/** A snapshot file: the only commit point of a repository. Its id is a prefix of `hash`. */
export interface Snapshot {
  /** `snapshots/<utc>-<hash>.json` without folder and ending. */
  name: string;
  /** SHA-256 of the file, 64 hex digits. */
  hash: string;
  /** Bytes of the file. */
  size: number;
  kind: Kind;
  /** The moment of the barrier, by this machine's clock, ISO 8601 with ms, UTC. */
  time: string;
  /** The parent's hash. */
  parent?: string;
  packs: PackRef[];
  facts: SnapshotFacts;
}

/** How much of a hash is shown as an id. */
export const idLength = 10;

export function idOf(snapshot: Pick<Snapshot, "hash">): string {
  return snapshot.hash.slice(0, idLength);
}

const namePattern = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-([0-9a-f]{64})$/;

/** Time and hash that a file's name tells; undefined for a name that is none. */
export function readName(name: string): { time: string; hash: string } | undefined {
  const parts = namePattern.exec(name);
  if (!parts) return undefined;
  const [, year, month, day, hour, minute, second, hash] = parts;
  return { time: `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`, hash: hash! };
}

/** The name of a file with this content. */
export function nameOf(time: string, hash: string): string {
  return `${time.replace(/\.\d+Z$/, "Z").replace(/[-:]/g, "")}-${hash}`;
}

/** The bytes of a snapshot file. Pure; the name follows from their hash. */
export function encodeSnapshot(snapshot: Omit<Snapshot, "name" | "hash" | "size">): Uint8Array {
  const { kind, time, parent, packs, facts } = snapshot;
  const value = {
    format: formatVersion,
    kind,
    time,
    ...(parent === undefined ? {} : { parent }),
    packs: packs.map(({ number, hash, size, tocSize, blocks }) => [number, hash, size, tocSize, blocks]),
    facts: { ...facts, tree: facts.tree.map(({ count, pack, index }) => [count, pack, index]) },
  };
  return new TextEncoder().encode(`${JSON.stringify(value)}\n`);
}

/**
 * Reads a snapshot file whose hash has been checked. A repository is input: every field is checked for shape and size.
 *
 * @throws {AmberError} REPOSITORY_NEWER, OBJECT_DAMAGED
 */
export function decodeSnapshot(name: string, bytes: Uint8Array): Snapshot {
  const damaged = (why: string) =>
    new AmberError("OBJECT_DAMAGED", {
      message: `Cannot read the snapshot file "${name}": ${why}`,
      where: `snapshots/${name}.json`,
      hint: "amber verify says what else is damaged. Other snapshots can still be restored: amber snapshots",
    });
  const known = readName(name);
  if (!known) throw damaged("its name is none of a snapshot");
  if (!isModest(bytes)) throw damaged("it is larger than any");
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw damaged("it is no JSON");
  }
  if (typeof value !== "object" || value === null) throw damaged("it is no object");
  if (typeof value.format === "number" && value.format > formatVersion) {
    throw new AmberError("REPOSITORY_NEWER", {
      message: `Cannot read the snapshot file "${name}": a newer amber wrote it (format ${value.format})`,
      where: `snapshots/${name}.json`,
      hint: "Use that newer amber.",
    });
  }
  const problem = firstProblem(value, known.time);
  if (problem) throw damaged(problem);
  const facts = value.facts as Record<string, unknown>;
  return {
    name,
    hash: known.hash,
    size: bytes.length,
    kind: value.kind as Kind,
    time: value.time as string,
    parent: value.parent as string | undefined,
    packs: (value.packs as [number, string, number, number, number][]).map(
      ([number, hash, size, tocSize, blocks]) => ({ number, hash, size, tocSize, blocks }),
    ),
    facts: { ...facts, tree: readRuns(facts.tree) } as unknown as SnapshotFacts,
  };
}

/** More than any snapshot file has: bytes; and lists, objects and parts of them, which take far more memory when read. */
const limits = { bytes: 64 << 20, parts: 1 << 22 };

function isModest(bytes: Uint8Array): boolean {
  if (bytes.length > limits.bytes) return false;
  if (bytes.length <= limits.parts) return true;
  let parts = 0;
  for (const byte of bytes) if (byte === 0x2c || byte === 0x5b || byte === 0x7b) parts++; // , [ {
  return parts <= limits.parts;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isText = (value: unknown): value is string => typeof value === "string" && value.length <= 1 << 20;
const isHash = (value: unknown): value is string => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function readRuns(value: unknown): Run[] {
  return (value as [number, number, number][]).map(([count, pack, index]) => ({ count, pack, index }));
}

/** What is wrong with a decoded file first; undefined when it has the shape that the types above promise. */
function firstProblem(value: Record<string, unknown>, nameTime: string): string | undefined {
  const { format, kind, time, parent, packs, facts } = value;
  if (format !== formatVersion) return "it has no format";
  if (kind !== "ordinary" && kind !== "safety" && kind !== "partial") return "its kind is unknown";
  if (typeof time !== "string" || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(time)) return "it has no time";
  if (Number.isNaN(Date.parse(time))) return "its time is none";
  if (time.slice(0, 19) !== nameTime.slice(0, 19)) return "its time is not that of its name";
  if (parent !== undefined && !isHash(parent)) return "its parent is no hash";
  if (!Array.isArray(packs) || packs.length > 1_000_000) return "it has no list of packs";
  const numbers = new Set<number>();
  for (const pack of packs) {
    if (!Array.isArray(pack)) return "a pack of its list has no parts";
    const [number, hash, size, tocSize, blocks] = pack;
    if (
      !isCount(number) || number === 0 || !isHash(hash) || ![size, tocSize, blocks].every(isCount) ||
      size > packLimit || tocSize > size || blocks > packBlockLimit
    ) {
      return "a pack of its list is malformed";
    }
    if (numbers.has(number)) return "two of its packs have one number";
    numbers.add(number);
  }
  if (!isObject(facts)) return "it has no facts";
  const { tree, data, by, amber, tags, files, folders, bytes, stored, databases, before, remarks, excluded } = facts;
  const isRun = (run: unknown) =>
    Array.isArray(run) && run.length === 3 && run.every(isCount) && (run[1] === 0 || numbers.has(run[1]!));
  if (!Array.isArray(tree) || !tree.every(isRun)) return "it does not say where its tree is";
  if (![data, by, amber].every(isText)) return "its origin is malformed";
  if (![files, folders, bytes, stored, facts.durationMs].every(isCount)) return "its counts are malformed";
  if (!Array.isArray(tags) || !tags.every(isText)) return "its tags are malformed";
  if (before !== undefined && !isText(before)) return "its reason is malformed";
  if (
    !Array.isArray(remarks) || !remarks.every((one) => isObject(one) && [one.path, one.what, one.message].every(isText))
  ) {
    return "its remarks are malformed";
  }
  if (!isObject(excluded) || !Object.values(excluded).every(isCount)) return "its exclusions are malformed";
  if (facts.postgres !== undefined && !isPostgres(facts.postgres)) return "its Postgres database is malformed";
  return Array.isArray(databases) && databases.every(isDatabase) ? undefined : "its databases are malformed";
}

function isPostgres(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { name, server, bytes, rows, migrations, structure, rights, notes } = value;
  return [name, server, structure, rights].every(isText) && isCount(bytes) && areRows(rows) &&
    isStanding(migrations) && Array.isArray(notes) && notes.every(isText);
}

function areRows(value: unknown): boolean {
  return isObject(value) && Object.values(value).every(isCount);
}

function isStanding(value: unknown): boolean {
  return value === undefined || (isObject(value) && isCount(value.count) && isText(value.last));
}

function isDatabase(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { path, configured, pageSize, pages, journal, rows, migrations, stamp } = value;
  return isText(path) && typeof configured === "boolean" && isCount(pageSize) && isCount(pages) && isText(journal) &&
    areRows(rows) && (stamp === undefined || isText(stamp)) && isStanding(migrations);
}
