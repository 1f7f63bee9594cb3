import { Buffer } from "node:buffer";
import { AmberError } from "../errors.ts";
import { countBlocks, cutRuns, numbersOf, RunList } from "./run_list.ts";
import { postgresPrefix } from "./postgres_prefix.ts";
import type { Run } from "./snapshot_file.ts";

export { postgresPrefix };

/** Bytes of a block of an ordinary file; a database's blocks are its pages. */
export const fileBlockSize = 1 << 20;

/** Runs of a file are kept in lines of so many blocks, so that a change rewrites only the lines that it touches. */
export const lineBlocks = 4096;

interface Common {
  /**
   * Relative to the data folder, "/" between components, none of them empty, `.` or `..`. The configured database has the
   * path `/database.db` when it lay elsewhere, and what is in a Postgres database lies below `/postgres/`: no path inside
   * begins with "/".
   */
  path: string;
  /** Permission bits, 12 of them. */
  mode: number;
  uid: number;
  gid: number;
  /** ms since 1970. */
  mtimeMs: number;
}

export interface FolderEntry extends Common {
  type: "folder";
}

export interface LinkEntry extends Common {
  type: "link";
  /** As it was read; followed by nobody. */
  target: string;
}

/** A second name of a file: `target` is the path of the first, which comes before it. */
export interface HardLinkEntry extends Common {
  type: "hardlink";
  target: string;
}

export interface FileEntry extends Common {
  type: "file";
  /** Bytes. */
  size: number;
  /** Of its bytes, of a database over its blocks: see ContentHash. Absent while a partial snapshot has only its beginning. */
  contentHash?: string;
  /** Together with size and mtime: equal means unchanged. 0: unknown. */
  inode: number;
  /** Bytes of a block: 1 MiB, or a database's page; 0: each has its own, since they end where rows do. */
  blockSize: number;
  /** Whether it is an image of a SQLite database, complete by itself. */
  database: boolean;
  /**
   * Its blocks in order, complete (of a partial one: as far as it came), to be gone through as often as one likes: an array
   * or a RunList.
   */
  runs: Iterable<Run>;
}

/** One path of a snapshot. */
export type Entry = FolderEntry | LinkEntry | HardLinkEntry | FileEntry;

/** Paths are sorted by UTF-16 code units, whole paths compared; a folder comes before what is in it. */
export function comparePaths(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Blocks of a file, all of them; of one whose blocks have their own sizes as many as it has. */
export function blockCount({ size, blockSize, runs }: Pick<FileEntry, "size" | "blockSize" | "runs">): number {
  return blockSize === 0 ? countBlocks(runs) : Math.ceil(size / blockSize);
}

/** Whether its hash is one over those of its blocks: see BlocksHash. */
export function isHashedByBlocks({ database, blockSize }: Pick<FileEntry, "database" | "blockSize">): boolean {
  return database || blockSize === 0;
}

/** An entry's lines, without line ends: one, and for a large file one more for each 4,096 blocks. */
export function* entryLines(entry: Entry): Generator<string> {
  const { path, mode, uid, gid, mtimeMs } = entry;
  const common = { p: path, m: mode, u: uid, g: gid, t: mtimeMs };
  switch (entry.type) {
    case "folder":
      return yield JSON.stringify({ ...common, k: "d" });
    case "link":
      return yield JSON.stringify({ ...common, k: "l", to: entry.target });
    case "hardlink":
      return yield JSON.stringify({ ...common, k: "h", to: entry.target });
  }
  const { size, contentHash, inode, blockSize, database, runs } = entry;
  const head = {
    ...common,
    k: "f",
    s: size,
    ...(contentHash === undefined ? {} : { h: contentHash }),
    i: inode,
    ...(blockSize === fileBlockSize ? {} : { b: blockSize }),
    ...(database ? { db: 1 } : {}),
  };
  if (blockCount(entry) <= lineBlocks) return yield JSON.stringify({ ...head, r: numbersOf(runs) });
  yield JSON.stringify(head);
  let from = 0;
  for (const part of cutRuns(runs, lineBlocks)) {
    yield JSON.stringify({ p: path, from, r: part });
    from += lineBlocks;
  }
}

/** Smallest and largest block of the tree, bytes, and one line in so many ends one by chance. */
const blockSizes = { least: 4 << 10, most: 256 << 10, every: 64 };

/**
 * Cuts lines into blocks at line ends that depend on the paths alone, so that an unchanged part of a tree gives the same
 * blocks whatever changed before it.
 */
export function* cutTree(lines: Iterable<string>): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  let block: string[] = [];
  let size = 0; // bytes
  for (const line of lines) {
    block.push(line, "\n");
    size += Buffer.byteLength(line) + 1;
    if (size >= blockSizes.most || (size >= blockSizes.least && isCut(line))) {
      yield encoder.encode(block.join(""));
      block = [];
      size = 0;
    }
  }
  if (size > 0) yield encoder.encode(block.join(""));
}

/** By what a line is about, not by what it says: everything up to the first field that can change. */
function isCut(line: string): boolean {
  const end = line.startsWith(',"from":', line.indexOf('",', 5) + 1) ? line.indexOf(',"r":') : line.indexOf(',"m":');
  let hash = 0x811c9dc5;
  for (let i = 0; i < end; i++) hash = Math.imul(hash ^ line.charCodeAt(i), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % blockSizes.every === 0;
}

/**
 * Reads a tree's blocks, in order, back into entries. A tree is input: paths are sorted, each stands once, none leads out
 * of the folder, and numbers are numbers.
 *
 * @throws {AmberError} OBJECT_DAMAGED
 */
export async function* readTree(blocks: AsyncIterable<Uint8Array>): AsyncGenerator<Entry> {
  let previous: string | undefined;
  let pending: (FileEntry & { runs: RunList }) | undefined;
  let seen = 0;
  for await (const line of linesOf(blocks)) {
    const value = parseLine(line);
    if (pending && value.from !== undefined) {
      if (value.p !== pending.path || value.from !== seen) {
        throw damaged(`the blocks of "${pending.path}" are out of order`);
      }
      for (const run of readRuns(value.r, pending.path)) {
        pending.runs.push(run);
        seen += run.count;
      }
      continue;
    }
    if (pending) yield complete(pending);
    pending = undefined;
    seen = 0;
    const entry = readEntry(value);
    if (previous !== undefined && previous >= entry.path) throw damaged(`"${entry.path}" stands out of order`);
    previous = entry.path;
    if (entry.type === "file" && value.r === undefined) pending = { ...entry, runs: new RunList() };
    else yield entry.type === "file" ? complete(entry) : entry;
  }
  if (pending) yield complete(pending);
}

/** Most bytes of one line of a tree: 4,096 blocks, each a run of its own, and a long path. */
const lineLimit = 1 << 20;

async function* linesOf(blocks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const block of blocks) {
    let text: string;
    try {
      text = decoder.decode(block);
    } catch {
      throw damaged("a part of it is no text");
    }
    if (!text.endsWith("\n")) throw damaged("a part of it does not end with a line");
    for (const line of text.slice(0, -1).split("\n")) {
      if (line.length > lineLimit) throw damaged("a line is too long");
      yield line;
    }
  }
}

function parseLine(line: string): Record<string, unknown> {
  try {
    const value = JSON.parse(line);
    if (typeof value === "object" && value !== null && typeof value.p === "string") return value;
  } catch {
    // said below
  }
  throw damaged("a line is malformed");
}

function readEntry(value: Record<string, unknown>): Entry {
  const { p, m, u, g, t, k, to, s, h, i, b, db, r } = value;
  const path = p as string;
  if (!isPath(path)) throw damaged(`it names the path ${JSON.stringify(path.slice(0, 300))}`);
  const isWithin = (value: unknown, most: number) => isCount(value) && value <= most;
  if (
    !isWithin(m, 0o7777) || !isWithin(u, 0xffff_ffff) || !isWithin(g, 0xffff_ffff) ||
    !Number.isInteger(t) || Math.abs(t as number) > lastMs
  ) {
    throw damaged(`what it says of "${path}" is malformed`);
  }
  const common = { path, mode: m as number, uid: u as number, gid: g as number, mtimeMs: t as number };
  if (k === "d") return { ...common, type: "folder" };
  if (k === "l" || k === "h") {
    if (typeof to !== "string" || to === "" || to.includes("\0") || to.length > 4096) {
      throw damaged(`the link "${path}" leads nowhere`);
    }
    if (k === "l") return { ...common, type: "link", target: to };
    if (!isPath(to) || to >= path) throw damaged(`the hard link "${path}" does not lead to a file before it`);
    return { ...common, type: "hardlink", target: to };
  }
  const blockSize = b ?? fileBlockSize;
  if (
    k !== "f" || !isCount(s) || !isInode(i) || !isCount(blockSize) || blockSize > fileBlockSize ||
    (blockSize < 512 && (blockSize !== 0 || db === 1)) ||
    (h !== undefined && !(typeof h === "string" && /^[0-9a-f]{64}$/.test(h)))
  ) throw damaged(`what it says of "${path}" is malformed`);
  return {
    ...common,
    type: "file",
    size: s,
    contentHash: h as string | undefined,
    inode: i,
    blockSize,
    database: db === 1,
    runs: r === undefined ? [] : kept([...readRuns(r, path)]),
  };
}

function complete(entry: FileEntry): FileEntry {
  const blocks = countBlocks(entry.runs);
  const wanted = blockCount(entry);
  if (entry.contentHash === undefined ? blocks > wanted : blocks !== wanted) {
    throw damaged(`"${entry.path}" has ${blocks} blocks instead of ${wanted}`);
  }
  return entry;
}

function* readRuns(value: unknown, path: string): Generator<Run> {
  if (!Array.isArray(value) || value.length % 3 !== 0 || !value.every(isCount)) {
    throw damaged(`the blocks of "${path}" are malformed`);
  }
  for (let at = 0; at < value.length; at += 3) {
    if (value[at] === 0) throw damaged(`the blocks of "${path}" are malformed`);
    yield { count: value[at]!, pack: value[at + 1]!, index: value[at + 2]! };
  }
}

/** So few runs as an array, which takes less memory than a RunList: most files have one. */
const fewRuns = 16;

function kept(runs: Run[]): Iterable<Run> {
  if (runs.length <= fewRuns) return runs;
  const list = new RunList();
  for (const run of runs) list.push(run);
  return list;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Some file systems number with 64 bits, of which a number here keeps the first 53: enough to be told apart. */
function isInode(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}

/** The last moment that a Date can be, ms before and after 1970. */
const lastMs = 8.64e15;

/** Whether a path stays inside: see Common.path. */
export function isPath(path: string): boolean {
  if (path === "/database.db") return true;
  const inside = path.startsWith(postgresPrefix) ? path.slice(postgresPrefix.length) : path;
  return inside.length <= 16_384 && !inside.includes("\0") && inside.isWellFormed() &&
    inside.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

function damaged(why: string): AmberError {
  return new AmberError("OBJECT_DAMAGED", {
    message: `Cannot read a snapshot's list of files: ${why}`,
    hint: "amber verify says what else is damaged. Other snapshots can still be restored: amber snapshots",
  });
}
