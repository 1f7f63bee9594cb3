import { createHash } from "node:crypto";
import { AmberError } from "../errors.ts";
import type { ObjectStore, StoredObject } from "../stores/store.ts";
import type { Findings } from "./findings.ts";
import { fileOf } from "./listed_file.ts";
import { damagedPack, decodeToc, type FrameInfo, hashSize, packName, type Toc } from "./pack.ts";
import { PackContents } from "./pack_contents.ts";
import { missingPack } from "./pack_reader.ts";
import type { BlockPool } from "./pool.ts";
import type { PackRef } from "./snapshot_file.ts";
import type { VerifyOptions } from "./verify.ts";

/** A pack that snapshots name. */
export interface NamedPack {
  ref: PackRef;
  /** Names of the snapshots. */
  namedBy: string[];
  /** Absent: nothing of it was read yet, or nothing of it can be. */
  contents?: PackContents;
  isLost?: true;
}

/** Frames are read, and handed to a worker, in parts of about so many bytes; so many parts are under way. */
const partSize = 2 << 20;
const ahead = 4;

/** Looks for every pack that a snapshot names, and reads those that are wanted. */
export class PackVerification {
  readonly counts = { packsRead: 0, bytes: 0, blocks: 0, rawBytes: 0 };
  /** Parts that workers are at, the oldest first. */
  readonly #running: Promise<void>[] = [];
  #total = 0;

  constructor(
    private readonly store: ObjectStore,
    private readonly pool: BlockPool,
    private readonly findings: Findings,
    private readonly options: Pick<VerifyOptions, "stop" | "report">,
  ) {}

  async verify(
    named: ReadonlyMap<string, NamedPack>,
    listed: readonly StoredObject[],
    isMine: (hash: string) => boolean,
  ): Promise<void> {
    const sizes = new Map(listed.map(({ name, size }) => [name, size]));
    const wanted: NamedPack[] = [];
    for (const pack of named.values()) {
      this.options.stop.throwIfAborted();
      const size = sizes.get(packName(pack.ref.hash));
      const unlike = `it has ${size} bytes instead of ${pack.ref.size}`;
      if (size === undefined) await this.#lose(pack);
      else if (size < pack.ref.size) this.#spoil(pack, unlike);
      else {
        // What was added behind its end, nobody reads.
        if (size > pack.ref.size) this.findings.add(packName(pack.ref.hash), unlike);
        if (isMine(pack.ref.hash)) wanted.push(pack);
      }
    }
    this.#total = wanted.reduce((sum, { ref }) => sum + ref.size, 0);
    for (const pack of wanted) {
      this.options.stop.throwIfAborted();
      try {
        await this.#read(pack);
      } catch (error) {
        if (!isOfOneObject(error)) throw error;
        if (error.code === "OBJECT_MISSING") await this.#lose(pack);
        else this.#spoil(pack, reasonOf(error));
      }
    }
    await Promise.all(this.#running);
  }

  async #read(pack: NamedPack): Promise<void> {
    const { hash: name, size, tocSize } = pack.ref;
    const tocBytes = await this.#get(name, size - tocSize, tocSize);
    const toc = decodeToc(tocBytes, size, packName(name));
    const hash = createHash("sha256");
    const bad: FrameInfo[] = [];
    pack.contents = new PackContents(toc, bad);
    for (const frames of partsOf(toc.frames)) {
      const [first, last] = [frames[0]!, frames.at(-1)!];
      const bytes = await this.#get(name, first.from, last.from + last.size - first.from);
      hash.update(bytes);
      await this.#check(frames, toc, bytes, (frame, problem) => {
        bad.push(frame);
        this.findings.add(packName(name), problem);
      });
    }
    if (hash.update(tocBytes).digest("hex") !== name) {
      // Once its frames are known: a reason is better than none.
      await Promise.all(this.#running);
      this.findings.add(packName(name), "its bytes do not have the hash that its name says; its contents are sound");
    }
    this.counts.packsRead++;
    this.counts.blocks += toc.sizes.length;
    this.#advance(tocSize);
  }

  async #get(hash: string, from: number, size: number): Promise<Uint8Array> {
    const name = packName(hash);
    const bytes = await this.store.get(name, { from, size });
    if (bytes === undefined) throw missingPack(name);
    if (bytes.length !== size) throw damagedPack(name, "it is shorter than it was");
    return bytes;
  }

  /** Hands frames to a worker; waits when many are under way. */
  async #check(
    frames: readonly FrameInfo[],
    { sizes, hashes }: Toc,
    bytes: Uint8Array,
    note: (frame: FrameInfo, problem: string) => void,
  ): Promise<void> {
    const size = bytes.length;
    const begin = frames[0]!.from;
    const given = frames.map(({ from, size, rawSize, firstBlock, blocks }) => ({
      from: from - begin,
      size,
      rawSize,
      sizes: sizes.slice(firstBlock, firstBlock + blocks),
      hashes: hashes.slice(firstBlock * hashSize, (firstBlock + blocks) * hashSize),
    }));
    const checked = this.pool.run({ kind: "check", bytes, frames: given }).then(({ problems, failure }) => {
      if (!problems) throw new Error(failure ?? "a worker gave nothing back");
      for (const [i, problem] of problems.entries()) if (problem !== undefined) note(frames[i]!, problem);
      this.counts.rawBytes += given.reduce((sum, { rawSize }) => sum + rawSize, 0);
      this.#advance(size);
    });
    checked.catch(() => {}); // heard in its turn
    this.#running.push(checked);
    if (this.#running.length >= ahead) await this.#running.shift();
  }

  #advance(bytes: number): void {
    this.counts.bytes += bytes;
    const { bytes: done } = this.counts;
    this.options.report({ type: "progress", what: "verifying", done, total: this.#total, unit: "bytes" });
  }

  #spoil(pack: NamedPack, what: string): void {
    pack.isLost = true;
    this.findings.add(packName(pack.ref.hash), what);
  }

  /** It is not there: unless all that named it have gone meanwhile as well. */
  async #lose(pack: NamedPack): Promise<void> {
    for (const name of pack.namedBy) {
      if (await isThere(this.store, name)) return this.#spoil(pack, "it is not there");
    }
  }
}

/** Whether a snapshot is there still. */
export async function isThere(store: ObjectStore, name: string): Promise<boolean> {
  return await store.get(fileOf(name), { from: 0, size: 1 }) !== undefined;
}

/** Frames in parts that are read at once. */
function* partsOf(frames: readonly FrameInfo[]): Generator<FrameInfo[]> {
  let part: FrameInfo[] = [];
  let size = 0;
  for (const frame of frames) {
    if (part.length > 0 && size + frame.size > partSize) {
      yield part;
      part = [];
      size = 0;
    }
    part.push(frame);
    size += frame.size;
  }
  if (part.length > 0) yield part;
}

/** The store, too, may say of one object that it cannot be read: a bad sector. */
export function isOfOneObject(error: unknown): error is AmberError {
  return error instanceof AmberError && ["OBJECT_DAMAGED", "OBJECT_MISSING", "STORE_FAILED"].includes(error.code);
}

/** Why something could not be read: an error's message without its beginning, `Cannot read the pack "…": `. */
export function reasonOf({ message }: AmberError): string {
  return message.replace(/^Cannot (?:[^":]|"[^"]*")*: /, "");
}
