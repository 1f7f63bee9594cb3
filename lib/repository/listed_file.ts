import { createHash } from "node:crypto";
import { AmberError } from "../errors.ts";
import type { ObjectStore, StoredObject } from "../stores/store.ts";
import { decodeSnapshot, readName, type Snapshot } from "./snapshot_file.ts";

/** Where snapshot files lie: those that exist, and those that were taken out and can be brought back for a while. */
export type Folder = "snapshots" | "forgotten";

/** A snapshot file as a listing shows it, with the snapshot's name. */
export type ListedFile = StoredObject & {
  snapshot: string;
  /** A copy of a file that was damaged already, and taken out because somebody named it: it holds nothing back. */
  wasDamaged: boolean;
};

export const fileOf = (snapshot: string) => `snapshots/${snapshot}.json`;

/**
 * A copy of a forgotten snapshot's file. Each has a name of its own: nobody makes a copy younger by writing it again, and
 * who removes an old one cannot hit a new one.
 */
export const copyOf = (snapshot: string, storeMs: number, wasDamaged = false) =>
  `forgotten/${snapshot}.${new Date(storeMs).toISOString().replace(/[-:.]/g, "")}${wasDamaged ? ".damaged" : ""}.json`;

const patterns = {
  snapshots: /^snapshots\/([^/.]+)\.json$/,
  forgotten: /^forgotten\/([^/.]+)(?:\.\d{8}T\d{9}Z)?(\.damaged)?\.json$/,
};

/**
 * The snapshot files of a listing, and what else lies there. Names that begin with a dot are left behind by file managers
 * and network file systems; they are neither.
 */
export function sortListed(
  folder: Folder,
  listed: readonly StoredObject[],
): { files: ListedFile[]; others: StoredObject[] } {
  const files: ListedFile[] = [];
  const others: StoredObject[] = [];
  for (const object of listed) {
    const [, snapshot, damaged] = patterns[folder].exec(object.name) ?? [];
    if (snapshot && readName(snapshot)) files.push({ ...object, snapshot, wasDamaged: damaged !== undefined });
    else if (!object.name.startsWith(`${folder}/.`)) others.push(object);
  }
  return { files, others };
}

/**
 * Reads a snapshot file and checks its hash; undefined when there is none.
 *
 * @param object Where it lies, in either folder.
 * @throws {AmberError} OBJECT_DAMAGED, REPOSITORY_NEWER, STORE_*
 */
export async function readSnapshotFile(
  store: ObjectStore,
  name: string,
  object: string,
): Promise<{ snapshot: Snapshot; bytes: Uint8Array } | undefined> {
  const bytes = await store.get(object);
  if (bytes === undefined) return undefined;
  if (!hasHashOfName(name, bytes)) {
    throw new AmberError("OBJECT_DAMAGED", {
      message: `Cannot read the snapshot file "${name}": its content does not have the hash that its name says`,
      where: object,
    });
  }
  return { snapshot: decodeSnapshot(name, bytes), bytes };
}

export function hasHashOfName(name: string, bytes: Uint8Array): boolean {
  return createHash("sha256").update(bytes).digest("hex") === readName(name)?.hash;
}
