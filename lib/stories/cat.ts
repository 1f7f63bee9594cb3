import { createHash } from "node:crypto";
import { AmberError } from "../errors.ts";
import { BlockPool } from "../repository/pool.ts";
import { SnapshotReader } from "../repository/reader.ts";
import { idOf } from "../repository/snapshot_file.ts";
import { type Entry, type FileEntry, isHashedByBlocks } from "../repository/tree.ts";
import { findSnapshot, type LookInsideOptions } from "./list_files.ts";
import { cleanPath, unknownPath } from "./snapshot_paths.ts";

export interface CatOptions extends LookInsideOptions {
  path: string;
  /** Takes the file's bytes in order; false: it wants no more. */
  write: (bytes: Uint8Array) => boolean;
}

const zeros = new Uint8Array(1 << 20);

/**
 * Writes the content of one file of a snapshot, a database's image too. It reads the list of files and the frames that the
 * file is in.
 *
 * @throws {AmberError} SNAPSHOT_FILE_UNKNOWN, and what listFiles() throws; OBJECT_DAMAGED perhaps after the first bytes.
 */
export async function cat(options: CatOptions): Promise<void> {
  const path = cleanPath(options.path);
  const snapshot = await findSnapshot(options);
  using pool = new BlockPool();
  const reader = new SnapshotReader(options.store, snapshot, pool);
  const file = await findFile(reader, path, options.database);
  const hash = isHashedByBlocks(file) ? undefined : createHash("sha256"); // the reader checks those of blocks
  for await (const piece of reader.pieces(file)) {
    for (const bytes of piece.bytes ? [piece.bytes] : emptiness(piece.size)) {
      options.stop.throwIfAborted();
      hash?.update(bytes);
      if (!options.write(bytes)) return;
    }
  }
  if (!hash || hash.digest("hex") === file.contentHash) return;
  throw new AmberError("OBJECT_DAMAGED", {
    message: `Cannot vouch for "${path}": its content does not have the hash that the snapshot says`,
    where: path,
    hint: "What was written is not to be used. amber verify says what else is damaged.",
  });
}

async function findFile(reader: SnapshotReader, path: string, database?: string): Promise<FileEntry> {
  let entry = await findEntry(reader, path);
  if (entry?.type === "hardlink") entry = await findEntry(reader, entry.target);
  if (entry === undefined) throw await unknownPath(path, reader, database);
  const id = idOf(reader.snapshot);
  const refuse = (why: string, hint: string) =>
    new AmberError("SNAPSHOT_FILE_UNKNOWN", { message: `Cannot show "${path}" of snapshot ${id}: ${why}`, hint });
  if (entry.type === "folder") throw refuse("it is a folder", `amber ls ${id} ${path}`);
  if (entry.type === "link") throw refuse(`it is a link to "${entry.target}"`, `amber ls ${id}`);
  if (entry.type === "file" && entry.contentHash !== undefined) return entry;
  throw refuse("that run was stopped before it had the whole file", "amber snapshots lists the others.");
}

async function findEntry(reader: SnapshotReader, path: string): Promise<Entry | undefined> {
  for await (const entry of reader.entries()) {
    if (entry.path === path) return entry;
    if (entry.path > path) return undefined;
  }
  return undefined;
}

function* emptiness(size: number): Generator<Uint8Array> {
  for (let left = size; left > 0; left -= zeros.length) yield zeros.subarray(0, Math.min(left, zeros.length));
}
