import { Heap } from "../memory.ts";
import type { Captured, CapturedDatabase, Image, Instant } from "../capture/instant.ts";
import { vanishedLink } from "../capture/links.ts";
import type { openRegular, RegularFile } from "../capture/regular_file.ts";
import type { Remark } from "../repository/snapshot_file.ts";
import { comparePaths, type Entry, fileBlockSize, type FileEntry } from "../repository/tree.ts";
import { isUnchanged } from "./known_content.ts";
import type { PostgresContents, PostgresPart } from "../capture/postgres/contents.ts";
import {
  type Content,
  type ContentStore,
  hashContent,
  storeBlocks,
  type StoredContent,
  storeSmall,
} from "./store_content.ts";
import { storeRows } from "./store_rows.ts";
import type { StoredEntry, StoredFile } from "./stored_tree.ts";

export interface EntryStore extends ContentStore {
  instant: Instant;
  /** The Postgres database of that moment. */
  postgres?: PostgresContents;
  /** The pages of databases that are not unchanged. */
  imageOf: (database: CapturedDatabase) => Promise<Image>;
  /** When the parent was taken, ms; without one it does not matter. */
  parentTimeMs: number;
  remark: (remark: Remark) => void;
  open: typeof openRegular;
  /** Where a small file is read into, a block's bytes: of 5,000 new ones each, the collector would have much to do. */
  small: Uint8Array;
  /** After each entry, and in the middle of a long one: what is stored so far, in order. */
  trace: (entries: readonly StoredEntry[], begun?: StoredFile) => Promise<void>;
}

/** How often a file that changes while it is read is read again. */
const attempts = 3;

/** Stores every path of the instant, in order. What could not be stored is remarked and left out. */
export async function storeEntries(to: EntryStore): Promise<StoredEntry[]> {
  const entries: StoredEntry[] = [];
  const inodes = new Map<string, number>(); // of files that may have more names
  const heap = new Heap();
  const items = inOrder(to.instant, to.postgres?.parts() ?? []).reverse();
  for (let item = items.pop(); item; item = items.pop()) { // each is gone when it is done
    to.stop.throwIfAborted();
    if (items.length % 256 === 0) heap.tend();
    const parent = await to.known.at(item.path);
    const begun = (file: StoredFile) => to.trace(entries, file);
    const entry = "chunks" in item
      ? await storePart(item, parent, to, begun)
      : "file" in item
      ? await storeDatabase(item, parent, to, begun)
      // Read in its place, the first name may have led to another file by then.
      : item.sameAs !== undefined && inodes.get(item.sameAs) === item.inode
      ? { ...commonOf(item), type: "hardlink" as const, target: item.sameAs }
      : await storePath(item, parent, to, begun);
    if (entry) entries.push(entry);
    if (entry?.type === "file" && !("chunks" in item) && ("file" in item || item.names > 1)) {
      inodes.set(item.path, entry.inode);
    }
    await to.trace(entries);
  }
  return entries;
}

function inOrder(
  { entries, databases }: Instant,
  parts: readonly PostgresPart[],
): (Captured | CapturedDatabase | PostgresPart)[] {
  return [...entries.splice(0), ...databases, ...parts].sort((a, b) => comparePaths(a.path, b.path));
}

function commonOf({ path, mode, uid, gid, mtimeMs }: Captured | CapturedDatabase["scanned"]) {
  return { path, mode, uid, gid, mtimeMs };
}

async function storePath(
  item: Captured,
  parent: Entry | undefined,
  to: EntryStore,
  begun: (file: StoredFile) => Promise<void>,
): Promise<StoredEntry | undefined> {
  if (item.type === "folder") return { ...commonOf(item), type: "folder" };
  if (item.type === "link") return { ...commonOf(item), type: "link", target: item.target! };
  const before = parent?.type === "file" && !parent.database ? parent : undefined;
  const unchanged = item.isKnown && before?.contentHash && isUnchanged(before, item, to.parentTimeMs);
  if (unchanged) return fileOf(item, { ...before, mtimeMs: item.mtimeMs, runs: to.known.pending(before.runs) });
  return await storeFile(item, before, to, begun);
}

/** Field by field, and not by spreading others: of 100,000 each takes half as much memory like this. */
function fileOf(
  { path, mode, uid, gid }: Captured,
  { size, contentHash, mtimeMs, inode, runs }: Pick<StoredFile, "size" | "contentHash" | "mtimeMs" | "inode" | "runs">,
): StoredFile {
  const type = "file";
  return {
    path,
    mode,
    uid,
    gid,
    mtimeMs,
    type,
    size,
    contentHash,
    inode,
    blockSize: fileBlockSize,
    database: false,
    runs,
  };
}

/** Reads a file until it stands still while it is read; after three times it is taken as it came, and named. */
async function storeFile(
  item: Captured,
  parent: FileEntry | undefined,
  to: EntryStore,
  begun: (file: StoredFile) => Promise<void>,
): Promise<StoredEntry | undefined> {
  for (let attempt = 1;; attempt++) {
    let stored: (StoredContent & Pick<RegularFile, "mtimeMs" | "inode">) & { stoodStill: boolean };
    try {
      using file = to.open(to.instant.placeOf(item));
      if (!file) {
        to.remark({ path: item.path, what: "vanished", message: "it is no file any more: left out" });
        return undefined;
      }
      const { size, mtimeMs, inode } = file;
      const content = await readFile(file, parent, {
        ...to,
        begun: (runs) => begun(fileOf(item, { size, mtimeMs, inode, runs })),
      });
      const after = file.look();
      const stoodStill = content.size === size && after.size === size && after.mtimeMs === mtimeMs;
      stored = { ...content, mtimeMs, inode, stoodStill };
    } catch (error) {
      const remark = unreadable(item, error);
      if (!remark) throw error;
      to.remark(remark);
      return undefined;
    }
    if (stored.stoodStill) {
      // Replaced between two looks of the same moment, it is another file, and whole.
      const isLater = stored.inode === item.inode && (stored.size !== item.size || stored.mtimeMs !== item.mtimeMs);
      if (isLater && isLinked(item)) to.remark(writtenLater(item));
      return fileOf(item, stored);
    }
    if (attempt < attempts) continue;
    to.remark({ path: item.path, what: "changed", message: `it changed while it was read, ${attempts} times` });
    // No inode, so that the next snapshot reads it again whatever it looks like.
    return fileOf(item, { ...stored, inode: 0 });
  }
}

/** Whether its bytes are held by a hard link of ours. */
function isLinked({ link }: Captured): boolean {
  return link !== undefined;
}

/** A link holds the file, not its bytes: what programs write into it goes on. */
function writtenLater({ path }: Captured): Remark {
  return { path, what: "in place", message: "it was written to after the moment of the snapshot, and was read later" };
}

async function readFile(
  file: RegularFile,
  parent: FileEntry | undefined,
  to: EntryStore & { begun: (runs: StoredContent["runs"]) => Promise<void> },
): Promise<StoredContent> {
  const { size } = file;
  if (size <= fileBlockSize) {
    const bytes = to.small.subarray(0, size);
    return await storeSmall(bytes.subarray(0, file.read(bytes, 0)), parent, to);
  }
  // Copied or moved it costs nothing, but that shows only when all of it has been read: done where it is likely.
  if (parent?.size !== size && await to.known.hasSize(size)) {
    const contentHash = await hashContent(contentOf(file), to);
    const runs = await to.known.find(contentHash);
    if (runs) {
      to.read(size);
      return { runs, contentHash, size };
    }
  }
  const stored = await storeBlocks(contentOf(file), parent, to);
  to.known.add(stored.contentHash, stored.size, stored.runs);
  return stored;
}

/** No more than it had when it was opened: one that grows while it is read would never end. */
function contentOf(file: RegularFile): Content {
  let from = 0;
  let isAtEnd = false;
  return {
    blockSize: fileBlockSize,
    database: false,
    read: (buffer) => {
      if (isAtEnd) return 0;
      const wanted = Math.min(buffer.length, file.size - from);
      const count = file.read(buffer.subarray(0, wanted), from);
      from += count;
      isAtEnd = count < buffer.length; // nothing follows a block that is not whole
      return count;
    },
  };
}

/** What a failure to read means for one file; undefined when it is not about this file alone. */
function unreadable(item: Captured, error: unknown): Remark | undefined {
  if (error instanceof Deno.errors.NotFound) {
    // A link of ours cannot vanish by the app's doing.
    if (isLinked(item)) throw vanishedLink(item.path);
    return { path: item.path, what: "vanished", message: "it vanished before it was read" };
  }
  const code = (error as { code?: string }).code;
  if (error instanceof Deno.errors.PermissionDenied || code === "EACCES" || code === "EPERM") {
    return { path: item.path, what: "unreadable", message: "it cannot be read: permission denied" };
  }
  if (code === "EIO" || code === "EINVAL" || code === "ESTALE") {
    return { path: item.path, what: "unreadable", message: `it cannot be read: the disk says ${code}` };
  }
  return undefined;
}

async function storeDatabase(
  item: CapturedDatabase,
  parent: Entry | undefined,
  to: EntryStore,
  begun: (file: StoredFile) => Promise<void>,
): Promise<StoredEntry> {
  const before = parent?.type === "file" && parent.database ? parent : undefined;
  const common = { ...commonOf({ ...item.scanned, path: item.path }), type: "file" as const, database: true };
  if (item.isUnchanged && before) return { ...before, ...common, runs: to.known.pending(before.runs) };
  using image = await to.imageOf(item);
  const { pageSize: blockSize, size } = image;
  const { inode } = item.scanned;
  const stored = await storeBlocks(pagesOf(image), before, {
    ...to,
    begun: (runs) => begun({ ...common, size, inode, blockSize, runs }),
  });
  return { ...common, inode, blockSize, ...stored };
}

async function storePart(
  part: PostgresPart,
  parent: Entry | undefined,
  to: EntryStore,
  begun: (file: StoredFile) => Promise<void>,
): Promise<StoredEntry> {
  const common = {
    ...{ path: part.path, mode: 0o600, uid: 0, gid: 0, mtimeMs: 0, inode: 0 },
    ...{ type: "file" as const, blockSize: 0, database: false },
  };
  const { rows, ...stored } = await storeRows(part.chunks(), parent?.type === "file" ? parent : undefined, {
    ...to,
    begun: (runs) => begun({ ...common, size: 0, runs }),
  });
  to.postgres!.stored(part, { rows, size: stored.size });
  return { ...common, ...stored };
}

function pagesOf(image: Image): Content {
  let page = 0;
  return {
    blockSize: image.pageSize,
    database: true,
    read: (buffer) => {
      const count = Math.min(Math.floor(buffer.length / image.pageSize), image.pages - page);
      image.read(page, count, buffer.subarray(0, count * image.pageSize));
      page += count;
      return count * image.pageSize;
    },
  };
}
