import { createHash } from "node:crypto";
import { ContentHash } from "../../lib/repository/content_hash.ts";
import { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import { Repository } from "../../lib/repository/repository.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";

/** What all snapshots of a repository hold, every content hashed as it is read. */
export async function contentsOf(folder: string): Promise<unknown> {
  const repository = await Repository.open(new DirectoryStore(folder));
  using pool = new BlockPool();
  const snapshots = [];
  for (const snapshot of await repository.snapshots()) {
    const reader = new SnapshotReader(repository.store, snapshot, pool);
    const entries = [];
    for await (const entry of reader.entries()) {
      const { path, type, mode } = entry;
      if (entry.type === "file" && entry.blockSize === 0) {
        const hash = createHash("sha256"); // the reader holds the blocks against contentHash
        for await (const { bytes } of reader.pieces(entry)) hash.update(bytes!);
        const { size, contentHash } = entry;
        entries.push({ path, type, mode, size, sha256: hash.digest("hex"), contentHash });
      } else if (entry.type === "file") {
        const hash = new ContentHash(entry);
        for await (const { size, bytes } of reader.pieces(entry)) hash.update(bytes ?? new Uint8Array(size));
        entries.push({ path, type, mode, size: entry.size, read: hash.digest(), contentHash: entry.contentHash });
      } else entries.push({ path, type, mode, ...("target" in entry ? { target: entry.target } : {}) });
    }
    const { hash, kind, time, parent, facts: { files, folders, bytes, databases, postgres, tags, before } } = snapshot;
    snapshots.push({ hash, kind, time, parent, files, folders, bytes, databases, postgres, tags, before, entries });
  }
  return { id: repository.id, snapshots: JSON.parse(JSON.stringify(snapshots)) };
}
