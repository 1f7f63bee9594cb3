import { createHash } from "node:crypto";
import { AmberError } from "../errors.ts";
import type { ObjectStore } from "../stores/store.ts";
import type { Findings } from "./findings.ts";
import { fileOf, readSnapshotFile } from "./listed_file.ts";
import { packName } from "./pack.ts";
import { PackContents } from "./pack_contents.ts";
import type { BlockPool } from "./pool.ts";
import { SnapshotReader } from "./reader.ts";
import { idOf, type PackRef, type Run, type Snapshot } from "./snapshot_file.ts";
import { blockCount, type FileEntry } from "./tree.ts";
import { TreeShape } from "./tree_shape.ts";
import type { CheckedSnapshot, VerifyOptions } from "./verify.ts";
import { isOfOneObject, isThere, type NamedPack, reasonOf } from "./verify_packs.ts";

/** Damaged objects that a snapshot needs: for some of its files, or for the list of them. */
type Touched = Map<string, "files" | "list">;

interface Given {
  store: ObjectStore;
  pool: BlockPool;
  findings: Findings;
  named: ReadonlyMap<string, NamedPack>;
}

/** Reads the lists of files, and finds which snapshots and files are touched by what was found. */
export class TreeVerification {
  /** How many were verified. */
  count = 0;
  /** Of equal lists one is read. */
  readonly #known = new Map<string, Touched>();

  constructor(private readonly given: Given) {}

  /** @param snapshots Newest first. Those that name a damaged pack are read, wanted or not. */
  async verify(
    snapshots: readonly CheckedSnapshot[],
    isWanted: (hash: string) => boolean,
    { stop, report }: Pick<VerifyOptions, "stop" | "report">,
  ): Promise<void> {
    const { store, findings } = this.given;
    for (const [done, { name, hash }] of snapshots.entries()) {
      stop.throwIfAborted();
      report({ type: "progress", what: "reading lists of files", done, total: snapshots.length, unit: "snapshots" });
      const read = await readSnapshotFile(store, name, fileOf(name));
      if (!read) continue; // pruned meanwhile
      const isNeeded = read.snapshot.packs.some((pack) => findings.has(packName(pack.hash)));
      if (isWanted(hash) || isNeeded) await this.#verifyOne(read.snapshot, stop);
    }
  }

  async #verifyOne(snapshot: Snapshot, stop: AbortSignal): Promise<void> {
    const key = keyOf(snapshot);
    const touched = this.#known.get(key) ?? await new OneTree(this.given, snapshot).verify(stop);
    if (!touched) return;
    this.#known.set(key, touched);
    this.count++;
    for (const [object, what] of touched) {
      if (what === "list") this.given.findings.lose(object, idOf(snapshot));
      else this.given.findings.touch(object, idOf(snapshot));
    }
  }
}

/** Equal for snapshots whose list of files is the same blocks, and names the same packs. */
function keyOf({ packs, facts, kind }: Snapshot): string {
  const value = [kind === "partial", packs, facts.tree];
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}

class OneTree {
  readonly #touched: Touched = new Map();
  readonly #reader: SnapshotReader;
  /** What is in packs, by their numbers; undefined for those of which nothing can be read. */
  readonly #contents = new Map<number, PackContents | undefined>();

  constructor(private readonly given: Given, private readonly snapshot: Snapshot) {
    this.#reader = new SnapshotReader(given.store, snapshot, given.pool);
  }

  /** Undefined when the snapshot was pruned meanwhile. */
  async verify(stop: AbortSignal): Promise<Touched | undefined> {
    const shape = new TreeShape();
    try {
      for await (const entry of this.#reader.entries()) {
        stop.throwIfAborted();
        // A partial one may lack the file that a hard link leads to.
        if (this.snapshot.kind !== "partial") shape.add(entry);
        if (entry.type === "file") await this.#verifyFile(entry);
      }
    } catch (error) {
      if (!isOfOneObject(error)) throw error;
      if (error.code === "OBJECT_MISSING" && !await isThere(this.given.store, this.snapshot.name)) return undefined;
      this.#touched.set(this.#blame(error), "list");
    }
    return this.#touched;
  }

  async #verifyFile(entry: FileEntry): Promise<void> {
    const { path, size, blockSize, runs } = entry;
    for (const { pack } of runs) if (pack !== 0 && !this.#contents.has(pack)) await this.#look(pack);
    const objects = new Set<string>();
    const whole = blockCount(entry);
    let at = 0;
    for (const run of runs) {
      const end = at + run.count;
      const lastSize = end === whole ? size - (whole - 1) * blockSize : blockSize;
      const object = run.pack === 0 ? undefined : this.#problemOf(path, run, { blockSize, lastSize });
      if (object !== undefined) objects.add(object);
      at = end;
    }
    if (objects.size === 0 && !await this.#reader.isWhole(entry)) {
      objects.add(this.#accuse(`"${path}" has other blocks than were recorded`));
    }
    for (const object of objects) {
      this.#touched.set(object, "files");
      this.given.findings.touchFile(object, idOf(this.snapshot), path);
    }
  }

  /** The object to blame when these blocks cannot be read, or do not fit the file. */
  #problemOf(
    path: string,
    { count, pack, index }: Run,
    { blockSize, lastSize }: { blockSize: number; lastSize: number },
  ): string | undefined {
    const contents = this.#contents.get(pack);
    const name = packName(this.#reader.packs.pack(pack).hash);
    if (!contents) return this.given.findings.has(name) ? name : this.#file;
    if (index + count > contents.blocks) {
      return this.#accuse(`"${path}" wants block ${index + count - 1} of ${name}, which has ${contents.blocks}`);
    }
    if (blockSize === 0) return contents.hasBad(index, count) ? name : undefined;
    const full = lastSize === blockSize ? count : count - 1;
    const fits = (full === 0 || contents.haveSize(index, full, blockSize)) &&
      (full === count || contents.haveSize(index + full, 1, lastSize));
    if (!fits) return this.#accuse(`"${path}" wants blocks of ${name} whose sizes do not fit`);
    return contents.hasBad(index, count) ? name : undefined;
  }

  async #look(number: number): Promise<void> {
    const ref = this.#reader.packs.pack(number);
    const pack = this.given.named.get(ref.hash);
    if (pack && !isSame(pack.ref, ref)) {
      this.#accuse(`what it says of ${packName(ref.hash)} is not what other snapshots say`);
      this.#contents.set(number, undefined);
      return;
    }
    if (pack && !pack.contents && !pack.isLost) {
      try {
        pack.contents = new PackContents(await this.#reader.packs.toc(number));
      } catch (error) {
        if (!isOfOneObject(error) || error.code === "OBJECT_MISSING") throw error;
        pack.isLost = true;
        this.#blame(error);
      }
    }
    this.#contents.set(number, pack?.contents);
  }

  get #file(): string {
    return fileOf(this.snapshot.name);
  }

  #accuse(what: string): string {
    this.given.findings.add(this.#file, what);
    return this.#file;
  }

  /** The pack that an error is about, or else the snapshot file itself. */
  #blame(error: AmberError): string {
    const isOfPack = error.where?.startsWith("packs/");
    if (!isOfPack) return this.#accuse(`its list of files cannot be read: ${reasonOf(error)}`);
    this.given.findings.add(error.where!, reasonOf(error));
    return error.where!;
  }
}

function isSame(a: PackRef, b: PackRef): boolean {
  return a.size === b.size && a.tocSize === b.tocSize && a.blocks === b.blocks;
}
