import { AmberError } from "../errors.ts";
import type { EngineEvent } from "../engines/engine.ts";
import { orNone } from "../stores/file_calls.ts";
import type { RestoreCalls } from "./restore_calls.ts";
import { type Decision, removeDecision, syncFolder } from "./restore_decision.ts";
import type { Item } from "./restore_items.ts";
import { fits, modeOf, whyBlocked } from "./restore_plan.ts";
import { removeIfThere, TargetFolder } from "./target_folder.ts";

export interface PutBackOptions {
  calls: RestoreCalls;
  /** `<scratch>/restore` */
  folder: string;
  decision: Decision;
  /** What comes, as selectItems() says it. */
  items: readonly Item[];
  /** The target folder, and the configured database's file; links resolved. */
  root: string;
  database?: string;
  isKept: (place: string, isFolder: boolean) => boolean;
  /** The Postgres database that comes as well: its commit, and what follows when nobody will ask for it any more. */
  postgres?: { commit(): Promise<void>; end(): Promise<void> };
  /** Rename also over databases that exist. */
  replace: boolean;
  waitMs: number;
  stop: AbortSignal;
  report: (event: Extract<EngineEvent, { type: "waiting" | "note" }>) => void;
  progress: (what: "putting into place" | "writing databases", done: number, total: number) => void;
}

/** What was done. */
export interface PutBackResult {
  placed: number;
  gone: number;
  bytes: number;
}

/**
 * Puts what lies staged into place, and ends the restore. Everything may be interrupted anywhere and done again: a staged
 * file that is still there is a step not done, and what is not there any more is never looked at again.
 *
 * @throws {AmberError} RESTORE_BLOCKED, DATABASE_BUSY, DISK_FULL; what the system refuses, as it is. The restore stays decided.
 */
export async function putBack(options: PutBackOptions): Promise<PutBackResult> {
  return await new PutBack(options).run();
}

class PutBack {
  readonly #target: TargetFolder;
  readonly #items: ReadonlyMap<string, Item>;
  readonly #renamed = new Set<Item>();
  #placed = 0;
  #bytes = 0;

  constructor(private readonly options: PutBackOptions) {
    const { calls, root, database, folder, isKept, decision } = options;
    this.#target = new TargetFolder({ calls, root, database, gone: `${folder}/gone`, isKept, id: decision.id });
    this.#items = new Map(options.items.map((item) => [item.path, item]));
  }

  async run(): Promise<PutBackResult> {
    const { calls, folder, decision, items } = this.options;
    this.#moveWhatGoes();
    for (const item of items) {
      if (item.type === "folder") this.#target.ensureFolder(item.place, modeOf(item, decision.asked.owners));
    }
    const live = this.#putFiles();
    this.#target.syncTouched();
    syncFolder(folder, calls);
    await this.#writeDatabases(live);
    await this.options.postgres?.commit();
    await this.#dropMarkers();
    this.#finishFolders();
    removeDecision(folder, calls);
    removeIfThere(folder, calls);
    await this.options.postgres?.end();
    return { placed: this.#placed, gone: decision.goes.length, bytes: this.#bytes };
  }

  #moveWhatGoes(): void {
    const { decision: { goes }, stop } = this.options;
    const coming = new Map(this.options.items.map((item) => [item.place, item]));
    for (const [number, place] of goes.entries()) {
      stop.throwIfAborted();
      const item = coming.get(place);
      const here = item && this.#target.look(place);
      // It was in the way, and is not any more: what came is there.
      if (here && fits(item!, { isFolder: here.isDirectory, isLink: here.isSymlink }, item!.configured)) continue;
      this.#target.moveAway(place, String(number));
    }
  }

  #staged(number: number): string {
    return `${this.options.folder}/${number}`;
  }

  /** Everything but databases that are there already, which are given back: their numbers and items. */
  #putFiles(): [number, Item][] {
    const { calls, decision: { names }, stop, progress } = this.options;
    const live: [number, Item][] = [];
    for (const [number, path] of names.entries()) {
      const item = this.#items.get(path)!;
      if (!orNone(() => calls.lstat(this.#staged(number)))) continue;
      stop.throwIfAborted();
      if (item.database && this.#isLive(item)) {
        live.push([number, item]);
        continue;
      }
      if (item.database) this.#target.removeCompanions(item.place);
      const first = item.type === "hardlink" ? this.#items.get(item.target!)!.place : undefined;
      this.#target.put(this.#staged(number), item.place, first);
      // A server may begin to write to it at once: that it is in place must not be forgotten.
      if (item.database) this.#target.syncTouched();
      this.#renamed.add(item);
      this.#count(item);
      if (number % 256 === 0) progress("putting into place", number, names.length);
    }
    progress("putting into place", names.length, names.length);
    return live;
  }

  #isLive({ place, configured }: Item): boolean {
    const { replace, calls, decision: { id } } = this.options;
    if (!this.#target.look(place)) return false;
    const path = this.#target.full(place);
    if (!orNone(() => calls.stat(path))?.isFile) return false;
    // What has been written through SQLite already may hold later commits.
    return !replace || calls.lookAtLive(path, { trusted: configured }).marker === id;
  }

  #count({ size }: Item): void {
    this.#placed++;
    this.#bytes += size;
  }

  /** Through SQLite, one after the other. The marker in each says whether that is done already. */
  async #writeDatabases(live: readonly [number, Item][]): Promise<void> {
    const { calls, stop, report, progress, folder } = this.options;
    for (const [index, [number, item]] of live.entries()) {
      stop.throwIfAborted();
      progress("writing databases", index, live.length);
      if (!await this.#writeLive(this.#staged(number), item)) {
        const message = `the database "${item.place}" is not empty any more: it is left as it is`;
        report({ type: "note", message });
        calls.remove(this.#staged(number));
        continue;
      }
      calls.remove(this.#staged(number));
      this.#count(item);
    }
    // Before a marker goes: else, after a power failure, the image would be there again and the marker not.
    syncFolder(folder, calls);
    if (live.length > 0) progress("writing databases", live.length, live.length);
  }

  /** False when only an empty one may be filled, and somebody has made tables in it since it was. */
  async #writeLive(image: string, item: Item): Promise<boolean> {
    const { calls, decision: { id, asked: { ifEmpty } }, waitMs, stop, report } = this.options;
    const path = this.#target.full(item.place);
    const look = () => calls.lookAtLive(path, { trusted: item.configured });
    const there = look();
    if (there.marker === id) return true;
    if (ifEmpty && (there.tables ?? 0) > 0) return false;
    const why = whyBlocked(there, item.blockSize);
    if (why !== undefined) throw blocked(path, why);
    calls.markImage(image, id);
    try {
      await calls.putImage(image, path, { waitMs, stop, report, onlyIfEmpty: ifEmpty });
      return true;
    } catch (error) {
      if (ifEmpty && (look().tables ?? 0) > 0) return false;
      throw error;
    }
  }

  async #dropMarkers(): Promise<void> {
    const { calls, decision: { id, names, asked }, waitMs, stop } = this.options;
    for (const path of names) {
      const item = this.#items.get(path)!;
      if (!item.database || this.#renamed.has(item) || !this.#target.look(item.place)?.isFile) continue;
      const full = this.#target.full(item.place);
      if (calls.lookAtLive(full, { trusted: item.configured }).marker !== id) continue;
      // Only where the database is the same one: the configured one of today has a mode of its own.
      if (item.place === item.path) calls.chmod(full, modeOf(item, asked.owners) & 0o777);
      await calls.dropMarker(full, id, { waitMs, stop, isWal: item.facts?.journal === "wal" });
    }
  }

  /** Times last: putting things into a folder changes them. The deepest first. */
  #finishFolders(): void {
    const { calls, items, decision: { asked: { owners } } } = this.options;
    for (const item of items.filter((one) => one.type === "folder" && !one.isAround).reverse()) {
      const here = this.#target.look(item.place);
      if (!here?.isDirectory) continue; // somebody removed it since
      const path = this.#target.full(item.place);
      if (owners && (here.uid !== item.uid || here.gid !== item.gid)) calls.chown(path, item.uid, item.gid);
      if ((here.mode! & 0o7777) !== modeOf(item, owners)) calls.chmod(path, modeOf(item, owners));
      if (here.mtime?.getTime() !== item.mtimeMs) calls.setTime(path, item.mtimeMs);
    }
  }
}

function blocked(path: string, why: string): AmberError {
  return new AmberError("RESTORE_BLOCKED", {
    message: `Cannot write the database "${path}" through SQLite: ${why}`,
    where: path,
    hint: "Stop the server, then run the same restore again with --replace: it goes on where it was.",
  });
}
