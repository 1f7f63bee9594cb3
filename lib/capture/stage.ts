import { AmberError } from "../errors.ts";
import type { Entry, FileEntry } from "../repository/tree.ts";
import { openInThisProcess } from "./databases.ts";
import { checkNotes, refuseOtherRows } from "./image_findings.ts";
import type { RestoreCalls } from "./restore_calls.ts";
import { syncFolder } from "./restore_decision.ts";
import type { Item } from "./restore_items.ts";
import { modeOf } from "./restore_plan.ts";
import { type ContentPart, Flushing, hashOf, writeStaged } from "./staged_file.ts";
import { removeIfThere } from "./target_folder.ts";

/** The contents of a snapshot, each byte checked: see SnapshotReader. */
export interface Contents {
  entries(): AsyncIterable<Entry>;
  parts(entry: FileEntry): AsyncIterable<ContentPart>;
}

export interface StageOptions {
  calls: RestoreCalls;
  contents: Contents;
  /** `<scratch>/restore`: made anew, 0700. */
  folder: string;
  items: readonly Item[];
  /** Paths of items that look as if they were there already: their content decides. */
  same: ReadonlySet<string>;
  /** Paths of databases that are written through SQLite: nobody else may read their images. */
  live: ReadonlySet<string>;
  /** Where a place is now, absolute. */
  full: (place: string) => string;
  owners: boolean;
  stop: AbortSignal;
  progress: (bytes: number) => void;
}

/**
 * A database of up to so many bytes has its indexes compared with its tables as well. That takes 6 s for 1 GB, longer than
 * all the rest; since each byte has been checked, what it finds was so when the snapshot was taken, and does not stop a
 * restore. A drill does it whatever the size.
 */
const fullCheckBytes = 256 << 20;

/** Files up to which each is flushed by itself. */
const fewFiles = 64;

/** What lies staged. */
export interface Staged {
  /** Number → path of the item. The file's name is its number. */
  names: string[];
  /** Paths of items that are in place as they should be. */
  unchanged: string[];
  notes: string[];
}

/**
 * Writes everything that comes into the staging folder, under numbers, and checks it: hashes, databases. Nothing of the
 * target is touched. Whoever calls removes the folder when this throws.
 *
 * @throws {AmberError} OBJECT_DAMAGED, OBJECT_MISSING; what the system refuses, as it is.
 */
export async function stage(options: StageOptions): Promise<Staged> {
  const { calls, folder } = options;
  removeIfThere(folder, calls);
  calls.mkdir(folder, { mode: 0o700 });
  calls.mkdir(`${folder}/gone`, { mode: 0o700 });
  return await new Staging(options).run();
}

class Staging {
  readonly #names: string[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #unchanged = new Map<string, string>(); // path of an item → stamp of the file in place
  readonly #notes: string[] = [];
  readonly #flushing: Flushing;
  readonly #open = openInThisProcess();
  #checks: Promise<void> = Promise.resolve();

  constructor(private readonly options: StageOptions) {
    const { calls, folder, items } = options;
    // For a few files alone not: whatever else is to be flushed on this disk would be waited for.
    this.#flushing = new Flushing(items.length > fewFiles ? calls.openFileSystemSync(folder) : undefined);
  }

  async run(): Promise<Staged> {
    try {
      const files = this.options.items.filter(({ type }) => type === "file");
      // Databases first: they are checked while the rest is written.
      await this.#writeAll(files.filter(({ database }) => database));
      await this.#writeAll(files.filter((item) => !item.database && !this.#isInPlace(item)));
      this.#makeLinks();
      await this.#checks;
      await this.#writeAll(this.#changedMeanwhile(files));
      await this.#flushing.finish();
      syncFolder(this.options.folder, this.options.calls);
      return { names: this.#names, unchanged: [...this.#unchanged.keys()], notes: this.#notes };
    } catch (error) {
      await this.#flushing.settle();
      await this.#checks.catch(() => {});
      throw error;
    } finally {
      this.#flushing[Symbol.dispose]();
    }
  }

  /** In one walk through the tree. */
  async #writeAll(items: readonly Item[]): Promise<void> {
    if (items.length === 0) return;
    const { folder, contents } = this.options;
    const options = { ...this.options, flushing: this.#flushing };
    await eachContent(contents, items, async (item, entry) => {
      const number = this.#number(item);
      const path = `${folder}/${number}`;
      await writeItem(path, item, entry, options);
      if (item.database) this.#check(path, item);
    });
  }

  #number(item: Item): number {
    const number = this.#names.push(item.path) - 1;
    this.#numbers.set(item.path, number);
    return number;
  }

  #makeLinks(): void {
    const { calls, folder, items, same } = this.options;
    for (const item of items) {
      this.options.stop.throwIfAborted();
      if (item.type === "link") {
        if (same.has(item.path)) this.#unchanged.set(item.path, "");
        else makeLink(`${folder}/${this.#number(item)}`, item, this.options);
      } else if (item.type === "hardlink") {
        calls.link(`${folder}/${this.#numbers.get(item.target!)}`, `${folder}/${this.#number(item)}`);
      }
    }
  }

  /** One after the other, beside the writing: each has 32 MB of cache. */
  #check(path: string, item: Item): void {
    const { calls } = this.options;
    const { facts } = item;
    this.#checks = this.#checks.then(async () => {
      const isQuick = item.size > fullCheckBytes;
      const found = await calls.checkImage(path, { tables: Object.keys(facts?.rows ?? {}), isQuick });
      this.#notes.push(...checkNotes(item.path, found));
      if (facts) refuseOtherRows(item.path, facts, found);
    });
    this.#checks.catch(() => {}); // heard at the end
  }

  /** Whether the file that looks the same is the same: then it is left alone. */
  #isInPlace(item: Item): boolean {
    const { same, full, calls, stop, progress } = this.options;
    if (!same.has(item.path)) return false;
    stop.throwIfAborted();
    const path = full(item.place);
    const before = this.#stamp(path);
    if (before === undefined) return false;
    let hash: string | undefined;
    try {
      hash = hashOf(path, item, calls);
    } catch {
      return false; // cannot be read: it is written anew
    }
    if (hash !== item.contentHash || this.#stamp(path) !== before) return false;
    this.#unchanged.set(item.path, before);
    progress(item.size);
    return true;
  }

  /** Those that somebody has written since they were looked at. */
  #changedMeanwhile(files: readonly Item[]): Item[] {
    const changed = files.filter(({ path, place }) =>
      this.#unchanged.has(path) && this.#stamp(this.options.full(place)) !== this.#unchanged.get(path)
    );
    for (const { path } of changed) this.#unchanged.delete(path);
    return changed;
  }

  /** Undefined for what is no file, and for what this process has open: closing it again would drop its locks. */
  #stamp(path: string): string | undefined {
    let info: Deno.FileInfo;
    try {
      info = this.options.calls.lstat(path);
    } catch {
      return undefined;
    }
    if (!info.isFile || this.#open.has(`${info.dev}:${info.ino}`)) return undefined;
    return `${info.dev} ${info.ino} ${info.size} ${info.mtime?.getTime()} ${info.ctime?.getTime()}`;
  }
}

/** Hands over each item with the entry whose content it has, in one walk through the tree. */
export async function eachContent(
  contents: Contents,
  items: readonly Item[],
  body: (item: Item, entry: FileEntry) => Promise<void>,
): Promise<void> {
  const wanted = Map.groupBy(items, ({ content }) => content);
  for await (const entry of contents.entries()) {
    for (const item of wanted.get(entry.path) ?? []) {
      if (entry.type === "file") await body(item, entry);
    }
    wanted.delete(entry.path);
    if (wanted.size === 0) return;
  }
  throw new AmberError("OBJECT_DAMAGED", {
    message: `Cannot restore "${[...wanted.keys()][0]}": the snapshot's list of files does not have it any more`,
    hint: "amber verify says what else is damaged.",
  });
}

export async function writeItem(
  path: string,
  item: Item,
  entry: FileEntry,
  options: Pick<StageOptions, "calls" | "contents" | "live" | "owners" | "stop" | "progress"> & { flushing: Flushing },
): Promise<void> {
  const { owners, live } = options;
  await writeStaged(path, options.contents.parts(entry), {
    name: item.path,
    size: item.size,
    ...(item.database ? {} : { contentHash: item.contentHash! }),
    mode: live.has(item.path) ? 0o600 : modeOf(item, owners),
    mtimeMs: item.mtimeMs,
    ...(owners && !live.has(item.path) ? { owner: { uid: item.uid, gid: item.gid } } : {}),
  }, options);
}

export function makeLink(path: string, item: Item, { calls, owners }: Pick<StageOptions, "calls" | "owners">): void {
  calls.symlink(item.target!, path);
  if (owners) calls.chown(path, item.uid, item.gid);
  calls.setLinkTime(path, item.mtimeMs);
}
