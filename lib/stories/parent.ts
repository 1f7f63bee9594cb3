import { AmberError } from "../errors.ts";
import { packName } from "../repository/pack.ts";
import type { Repository } from "../repository/repository.ts";
import { readName, type Snapshot } from "../repository/snapshot_file.ts";
import { StartOver } from "./partial.ts";
import type { SnapshotOptions } from "./snapshot.ts";

/** What of a repository cannot be relied on: hashes of packs, names of snapshots. */
export interface Unusable {
  packs: Set<string>;
  parents: Set<string>;
}

/** Why it is done once more; undefined when that would not help. What cannot be read of the parent is noted. */
export function whyOver(error: unknown, parent: Snapshot | undefined, unusable: Unusable): string | undefined {
  if (error instanceof StartOver) return error.message;
  const isOfParent = error instanceof AmberError &&
    (error.code === "OBJECT_DAMAGED" || error.code === "OBJECT_MISSING");
  if (!isOfParent || !parent) return undefined;
  const pack = parent.packs.find(({ hash }) => packName(hash) === error.where);
  if (pack) unusable.packs.add(pack.hash);
  else unusable.parents.add(parent.name);
  return error.message;
}

/** A clock that was so far ahead was wrong: snapshots of that time come last, or the newest would stay that for years. */
const aheadMs = 48 * 3_600_000;

/** The snapshot that this one will be told apart from: the newest that can be read, of whatever kind. */
export async function newest(
  repository: Repository,
  { report, now }: SnapshotOptions,
  { packs, parents }: Unusable = { packs: new Set(), parents: new Set() },
): Promise<Snapshot | undefined> {
  const limit = now().getTime() + aheadMs;
  const isAhead = (name: string) => Date.parse(readName(name)!.time) > limit;
  const names = (await repository.names()).reverse().filter((name) => !parents.has(name));
  for (const name of [...names.filter((name) => !isAhead(name)), ...names.filter(isAhead)]) {
    try {
      const snapshot = await repository.read(name);
      const gone = new Set(snapshot.packs.filter(({ hash }) => packs.has(hash)).map(({ number }) => number));
      if (!snapshot.facts.tree.some(({ pack }) => gone.has(pack))) return snapshot;
    } catch (error) {
      if (!(error instanceof AmberError)) throw error;
      if (error.code === "REPOSITORY_NEWER") throw error;
      if (error.code === "OBJECT_DAMAGED") report({ type: "note", message: error.message });
    }
  }
  return undefined;
}
