/** A snapshot's contents without a repository: what stage() and checkStaged() read. */
import { createHash } from "node:crypto";
import type { Item } from "../../lib/capture/restore_items.ts";
import type { Contents } from "../../lib/capture/stage.ts";
import type { DatabaseFacts } from "../../lib/repository/snapshot_file.ts";
import { comparePaths, type FileEntry } from "../../lib/repository/tree.ts";

export const blockSize = 1 << 20;

/** Files by path. Blocks of zeros come as holes, as from a repository. */
export function memoryContents(files: Record<string, Uint8Array>): Contents {
  return {
    async *entries() {
      for (const path of Object.keys(files).sort(comparePaths)) yield { path, type: "file" } as FileEntry;
    },
    async *parts({ path }) {
      const bytes = files[path]!;
      for (let from = 0; from < bytes.length; from += blockSize) {
        const part = bytes.subarray(from, from + blockSize);
        yield { segments: [from, 0, part.length], ...(part.some((byte) => byte !== 0) ? { bytes: part } : {}) };
      }
    },
  };
}

/** What comes, as selectItems() says it of a file. */
export function fileItem(path: string, bytes: Uint8Array, more: Partial<Item> = {}): Item {
  return {
    ...{ path, place: path, content: path, type: "file", mode: 0o644, uid: 0, gid: 0, mtimeMs: 1_700_000_000_123 },
    ...{ size: bytes.length, allocated: bytes.length, contentHash: createHash("sha256").update(bytes).digest("hex") },
    ...{ database: false, blockSize, isAround: false, isShared: false, configured: false },
    ...more,
  };
}

export function databaseItem(
  path: string,
  bytes: Uint8Array,
  rows: Record<string, number>,
  more: Partial<Item> = {},
): Item {
  const facts: DatabaseFacts = {
    path,
    configured: true,
    pageSize: 4096,
    pages: bytes.length / 4096,
    journal: "wal",
    rows,
  };
  return fileItem(path, bytes, { database: true, blockSize: 4096, configured: true, facts, ...more });
}
