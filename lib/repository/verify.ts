import { AmberError } from "../errors.ts";
import type { ObjectStore, StoredObject } from "../stores/store.ts";
import { readDrill } from "./drills.ts";
import { type Finding, Findings } from "./findings.ts";
import { type Folder, type ListedFile, readSnapshotFile, sortListed } from "./listed_file.ts";
import { packName } from "./pack.ts";
import type { BlockPool } from "./pool.ts";
import { Repository } from "./repository.ts";
import { isInShare, type Share } from "./share.ts";
import { idOf, type Kind, type PackRef, readName } from "./snapshot_file.ts";
import { type NamedPack, PackVerification, reasonOf } from "./verify_packs.ts";
import { TreeVerification } from "./verify_trees.ts";

export type VerifyProgress =
  | { type: "note"; message: string }
  | { type: "progress"; what: string; done: number; total?: number; unit: "bytes" | "snapshots" };

export interface VerifyOptions {
  /** Default: everything. */
  share?: Share;
  /** Which day it is, for the share; ms since 1970. */
  nowMs: number;
  stop: AbortSignal;
  report: (event: VerifyProgress) => void;
}

/** A snapshot whose file is sound. */
export interface CheckedSnapshot {
  /** The name of its file, without folder and ending. */
  name: string;
  /** The beginning of its hash. */
  id: string;
  /** 64 hex digits. */
  hash: string;
  /** ISO 8601. */
  time: string;
  /** What it was taken for. */
  kind: Kind;
}

/** What was read, and what was found. */
export interface Verification {
  /** Snapshot files that are sound; of how many the list of files was read. */
  snapshots: number;
  /** Of how many the list of files was read. */
  trees: number;
  /** Packs that they name; of how many every byte was read, and how many bytes that were. */
  packs: number;
  /** Of how many every byte was read. */
  packsRead: number;
  /** How many bytes that were. */
  bytes: number;
  /** Blocks in them, and bytes of these when opened. */
  blocks: number;
  /** Bytes of the blocks when opened. */
  rawBytes: number;
  /** Snapshot files that prune took out. */
  forgotten: number;
  /** Results of drills. */
  drills: number;
  /** Packs that no snapshot names: no damage; prune removes them. */
  unused: { packs: number; bytes: number };
  /** What is not as it was stored. */
  findings: Finding[];
  /** Ids of all snapshots that cannot be restored completely any more. */
  damaged: string[];
  /** The newest one of which nothing was found: an ordinary one, or else a safety one. */
  sound?: CheckedSnapshot;
}

/**
 * Reads what is stored again and compares it with its hashes. Changes nothing, and needs no lock: what is pruned or added
 * meanwhile is no damage. The bytes of a pack in `forgotten/` alone are not read.
 *
 * @throws {AmberError} REPOSITORY_MISSING, REPOSITORY_FOREIGN, REPOSITORY_NEWER; STORE_* when the store itself fails.
 */
export async function verifyRepository(
  store: ObjectStore,
  pool: BlockPool,
  options: VerifyOptions,
): Promise<Verification> {
  const { share, nowMs } = options;
  const findings = new Findings();
  const isMine = (hash: string) => share === undefined || isInShare(hash, share, nowMs);
  await checkHead(store, findings);
  // Snapshots before packs: all packs of a snapshot that is seen are there already.
  const { snapshots, named } = await readSnapshots(store, findings, options);
  const forgotten = await readForgotten(store, findings, options);
  const drills = await readDrillFiles(store, findings, options);

  const packs = new PackVerification(store, pool, findings, options);
  const listed = await store.list("packs/");
  await packs.verify(named, listed, isMine);
  const trees = new TreeVerification({ store, pool, findings, named });
  await trees.verify(snapshots, isMine, options);

  const all = findings.all();
  const touched = new Set(all.flatMap((finding) => finding.snapshots));
  const sound = snapshots.filter(({ id }) => !touched.has(id));
  return {
    snapshots: snapshots.length,
    trees: trees.count,
    packs: named.size,
    ...packs.counts,
    forgotten: forgotten.count,
    drills,
    unused: unusedOf(listed, new Set([...named.keys(), ...forgotten.packs])),
    findings: all,
    damaged: [...touched],
    sound: sound.find(({ kind }) => kind === "ordinary") ?? sound.find(({ kind }) => kind === "safety"),
  };
}

/** A damaged `amber.json` is a finding like others: the snapshots do not depend on it. */
async function checkHead(store: ObjectStore, findings: Findings): Promise<void> {
  try {
    await Repository.open(store);
  } catch (error) {
    if (!(error instanceof AmberError)) throw error;
    const isDamage = error.code === "OBJECT_DAMAGED" ||
      (error.code === "REPOSITORY_FOREIGN" && sortListed("snapshots", await store.list("snapshots/")).files.length > 0);
    if (!isDamage) throw error;
    findings.add("amber.json", reasonOf(error));
  }
}

/** Newest first, with the packs that they name. */
async function readSnapshots(
  store: ObjectStore,
  findings: Findings,
  { stop, report }: VerifyOptions,
): Promise<{ snapshots: CheckedSnapshot[]; named: Map<string, NamedPack> }> {
  const { files, others } = sortListed("snapshots", await store.list("snapshots/"));
  if (others[0]) {
    report({ type: "note", message: `"${others[0].name}" is no snapshot file by its name, and was not read` });
  }
  const snapshots: CheckedSnapshot[] = [];
  const named = new Map<string, NamedPack>();
  for (const file of files.reverse()) {
    stop.throwIfAborted();
    const read = await tryToRead(store, "snapshots", file, findings, report);
    if (!read) continue;
    const { name, hash, time, kind } = read;
    snapshots.push({ name, id: idOf(read), hash, time, kind });
    for (const ref of read.packs) note(named, ref, name);
  }
  snapshots.sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0));
  return { snapshots, named };
}

function note(named: Map<string, NamedPack>, ref: PackRef, snapshot: string): void {
  const known = named.get(ref.hash);
  if (known) known.namedBy.push(snapshot);
  else named.set(ref.hash, { ref, namedBy: [snapshot] });
}

/** Undefined when it is damaged, which is a finding, or gone meanwhile, which is none. */
async function tryToRead(
  store: ObjectStore,
  folder: Folder,
  file: ListedFile,
  findings: Findings,
  report: VerifyOptions["report"],
) {
  try {
    return (await readSnapshotFile(store, file.snapshot, file.name))?.snapshot;
  } catch (error) {
    if (!(error instanceof AmberError)) throw error;
    if (error.code === "REPOSITORY_NEWER") report({ type: "note", message: error.message });
    else if (error.code !== "OBJECT_DAMAGED" && error.code !== "STORE_FAILED") throw error;
    else {
      findings.add(file.name, reasonOf(error));
      if (folder === "snapshots") findings.lose(file.name, idOf(readName(file.snapshot)!));
    }
    return undefined;
  }
}

async function readForgotten(
  store: ObjectStore,
  findings: Findings,
  { stop, report }: VerifyOptions,
): Promise<{ count: number; packs: Set<string> }> {
  const packs = new Set<string>();
  let count = 0;
  for (const file of sortListed("forgotten", await store.list("forgotten/")).files) {
    stop.throwIfAborted();
    const read = await tryToRead(store, "forgotten", file, findings, report);
    for (const { hash } of read?.packs ?? []) packs.add(hash);
    if (read) count++;
  }
  return { count, packs };
}

async function readDrillFiles(store: ObjectStore, findings: Findings, { stop }: VerifyOptions): Promise<number> {
  let count = 0;
  for (const { name } of await store.list("drills/")) {
    stop.throwIfAborted();
    try {
      if (await readDrill(store, name)) count++;
    } catch (error) {
      if (!(error instanceof AmberError) || !["OBJECT_DAMAGED", "STORE_FAILED"].includes(error.code)) throw error;
      findings.add(name, reasonOf(error));
    }
  }
  return count;
}

function unusedOf(listed: readonly StoredObject[], named: ReadonlySet<string>): Verification["unused"] {
  const unused = listed.filter(({ name }) => {
    const hash = name.slice(-64);
    return /^[0-9a-f]{64}$/.test(hash) && name === packName(hash) && !named.has(hash);
  });
  return { packs: unused.length, bytes: unused.reduce((sum, { size }) => sum + size, 0) };
}
