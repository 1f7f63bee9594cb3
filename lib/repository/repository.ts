import { createHash } from "node:crypto";
import { AmberError } from "../errors.ts";
import type { ObjectStore } from "../stores/store.ts";
import { slackMs } from "./moment.ts";
import { sealLine, unsealLine } from "./small_file.ts";
import { decodeSnapshot, formatVersion, idOf, nameOf, readName, type Snapshot } from "./snapshot_file.ts";

/** What `amber.json` says: what one must know to read, to write and to prune here. */
interface Head {
  repository: "amber";
  format: number;
  /** 32 hex digits, from chance. */
  id: string;
  /** Features that a program must know for this; an unknown one means: a newer amber is needed. */
  reader: string[];
  writer: string[];
  pruner: string[];
}

const headName = "amber.json";

/** Where snapshots are kept: a store with `amber.json` in it. See FORMAT.md. */
export class Repository {
  private constructor(readonly store: ObjectStore, private readonly head: Head) {}

  get id(): string {
    return this.head.id;
  }

  /** @throws {AmberError} REPOSITORY_NEWER when doing that here needs to know something that this amber does not. */
  require(role: "reader" | "writer" | "pruner"): this {
    const unknown = this.head[role];
    if (unknown.length === 0) return this;
    throw newer(this.store, `to be its ${role} one must know ${unknown.slice(0, 5).join(", ").slice(0, 200)}`);
  }

  /**
   * Opens what is there.
   *
   * @throws {AmberError} REPOSITORY_MISSING when there is nothing, REPOSITORY_FOREIGN for a folder of other things,
   * REPOSITORY_NEWER.
   */
  static async open(store: ObjectStore): Promise<Repository> {
    const bytes = await store.get(headName);
    if (bytes === undefined) {
      const others = (await store.list("")).length;
      throw others === 0
        ? new AmberError("REPOSITORY_MISSING", {
          message: `Cannot find a repository in "${store.where}": there is none yet`,
          where: store.where,
          hint:
            "The first amber snapshot makes it. If there should be one: is the volume mounted, is AMBER_REPOSITORY right?",
        })
        : foreign(store, `it holds ${others} other objects and no ${headName}`);
    }
    return new Repository(store, readHead(store, bytes)).require("reader");
  }

  /** Opens a repository, or makes one where there is nothing. */
  static async openOrCreate(store: ObjectStore, random: (size: number) => Uint8Array): Promise<Repository> {
    try {
      return (await Repository.open(store)).require("writer");
    } catch (error) {
      if (!(error instanceof AmberError) || error.code !== "REPOSITORY_MISSING") throw error;
    }
    const head: Head = {
      repository: "amber",
      format: formatVersion,
      id: random(16).toHex(),
      reader: [],
      writer: [],
      pruner: [],
    };
    await store.put(headName, sealLine(head));
    return await Repository.open(store); // somebody else may have been first
  }

  /** Names of snapshot files, oldest first. */
  async names(): Promise<string[]> {
    return (await this.#files()).map(({ name }) => name);
  }

  /** When the store wrote a snapshot file, by the store's clock, ms; undefined when it is not there. */
  async storedAt(name: string): Promise<number | undefined> {
    return (await this.#files()).find((file) => file.name === name)?.timeMs;
  }

  async #files(): Promise<{ name: string; timeMs: number }[]> {
    const objects = await this.store.list("snapshots/");
    return objects.map(({ name, timeMs }) => ({ name: name.slice("snapshots/".length).replace(/\.json$/, ""), timeMs }))
      .filter(({ name }) => readName(name)).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** One snapshot, its hash checked. @throws {AmberError} OBJECT_MISSING, OBJECT_DAMAGED, REPOSITORY_NEWER */
  async read(name: string): Promise<Snapshot> {
    const path = `snapshots/${name}.json`;
    const bytes = await this.store.get(path);
    if (bytes === undefined) {
      throw new AmberError("OBJECT_MISSING", {
        message: `Cannot read the snapshot file "${name}": it is not there any more`,
        where: path,
        hint: "It may have been pruned just now: amber snapshots",
      });
    }
    const hash = createHash("sha256").update(bytes).digest("hex");
    if (hash !== readName(name)?.hash) {
      throw new AmberError("OBJECT_DAMAGED", {
        message: `Cannot read the snapshot file "${name}": its content does not have the hash that its name says`,
        where: path,
        hint: "Other snapshots can still be restored: amber snapshots. amber verify says what else is damaged.",
      });
    }
    return decodeSnapshot(name, bytes);
  }

  /**
   * All snapshots, oldest first. A clock that was ahead does not make a snapshot the newest for years: no later than its
   * file was stored, and after its parent.
   *
   * @param options.damaged Told of those that cannot be read, which are left out. Without it they are thrown.
   */
  async snapshots(options: { damaged?: (error: AmberError) => void } = {}): Promise<Snapshot[]> {
    return (await this.#ordered(options)).map(({ snapshot }) => snapshot);
  }

  async #ordered(
    { damaged }: { damaged?: (error: AmberError) => void },
  ): Promise<{ snapshot: Snapshot; ms: number }[]> {
    const found = new Map<string, { snapshot: Snapshot; storedMs: number }>();
    for (const { name, timeMs } of await this.#files()) {
      try {
        const snapshot = await this.read(name);
        found.set(snapshot.hash, { snapshot, storedMs: timeMs });
      } catch (error) {
        if (!(error instanceof AmberError) || !damaged) throw error;
        // Pruned between the listing and now: it is not there, which is no damage.
        if (error.code !== "OBJECT_MISSING") damaged(error);
      }
    }
    return inOrder(found);
  }

  /**
   * One snapshot by what a person says: `latest`, the beginning of an id, or with `at` the newest one that is not
   * younger. `latest` and `at` mean ordinary ones; only when there is none, safety ones.
   *
   * @throws {AmberError} SNAPSHOT_UNKNOWN, SNAPSHOT_AMBIGUOUS
   */
  async find(wanted: string, options: { at?: Date; damaged?: (error: AmberError) => void } = {}): Promise<Snapshot> {
    if (wanted !== "latest") return await this.read(await this.#nameOfId(wanted));
    const damaged: AmberError[] = [];
    const all = await this.#ordered({
      damaged: (error) => {
        damaged.push(error);
        options.damaged?.(error);
      },
    });
    const until = options.at;
    const inTime = all.filter(({ ms }) => until === undefined || ms <= until.getTime()).map(({ snapshot }) => snapshot);
    const found = inTime.findLast(({ kind }) => kind === "ordinary") ??
      inTime.findLast(({ kind }) => kind === "safety");
    if (found) return found;
    if (damaged[0]) throw damaged[0];
    throw new AmberError("SNAPSHOT_UNKNOWN", {
      message: until !== undefined && all.length > 0
        ? `Cannot find a snapshot from ${until.toISOString()} or before`
        : `Cannot find a snapshot in "${this.store.where}": it holds none`,
      where: this.store.where,
      hint: all.length > 0 ? "amber snapshots lists them." : "amber snapshot takes one.",
    });
  }

  async #nameOfId(wanted: string): Promise<string> {
    const id = wanted.toLowerCase();
    const known = (await this.names()).map((name) => ({ name, ...readName(name)! }));
    const found = /^[0-9a-f]+$/.test(id) ? known.filter(({ hash }) => hash.startsWith(id)) : [];
    if (found.length === 1) return found[0]!.name;
    if (found.length === 0) {
      throw new AmberError("SNAPSHOT_UNKNOWN", {
        message: `Cannot find a snapshot "${wanted}"`,
        where: this.store.where,
        hint: "Write latest, or the beginning of an id. amber snapshots lists them.",
      });
    }
    throw new AmberError("SNAPSHOT_AMBIGUOUS", {
      message: `Cannot tell which snapshot "${wanted}" is: ${found.length} ids begin like that`,
      where: this.store.where,
      hint: `Write more of it: ${found.slice(0, 5).map((one) => `${idOf(one)} (${one.time.slice(0, 16)})`).join(", ")}`,
    });
  }

  /** Writes a snapshot file: from then on the snapshot exists. Its packs must all be stored already. */
  async commit(bytes: Uint8Array, time: string): Promise<Snapshot> {
    const hash = createHash("sha256").update(bytes).digest("hex");
    const name = nameOf(time, hash);
    const snapshot = decodeSnapshot(name, bytes); // what nobody could read must not be written
    await this.store.put(`snapshots/${name}.json`, bytes);
    return snapshot;
  }

  /** Takes a snapshot file back: for a run's own partial ones, and a commit that came too late. */
  async withdraw(name: string): Promise<void> {
    await this.store.remove(`snapshots/${name}.json`);
  }
}

/** Oldest first, each with the time that it is sorted by. */
function inOrder(
  found: ReadonlyMap<string, { snapshot: Snapshot; storedMs: number }>,
): { snapshot: Snapshot; ms: number }[] {
  const times = new Map<string, number>();
  const timeOf = (hash: string): number => {
    // From a parent to its children, without recursion: a chain may be thousands long.
    const chain: string[] = [];
    for (let one: string | undefined = hash; one && found.has(one) && !times.has(one);) {
      chain.push(one);
      one = found.get(one)!.snapshot.parent;
    }
    for (const one of chain.reverse()) {
      const { snapshot: { time, parent }, storedMs } = found.get(one)!;
      const ownMs = Date.parse(time);
      const soundMs = ownMs > storedMs + slackMs ? storedMs : ownMs;
      times.set(one, Math.max(soundMs, parent && times.has(parent) ? times.get(parent)! + 1 : -Infinity));
    }
    return times.get(hash)!;
  };
  return [...found.values()].map(({ snapshot }) => ({ snapshot, ms: timeOf(snapshot.hash) })).sort((a, b) =>
    a.ms - b.ms
  );
}

function readHead(store: ObjectStore, bytes: Uint8Array): Head {
  const value = unsealLine(bytes) as Partial<Head> | undefined;
  if (value === undefined) {
    throw new AmberError("OBJECT_DAMAGED", {
      message: `Cannot open the repository in "${store.where}": ${headName} is damaged`,
      where: headName,
      hint: "Put this small file back from a copy of the repository; FORMAT.md says what is in it.",
    });
  }
  if (value.repository !== "amber") throw foreign(store, `its ${headName} is not that of a repository`);
  if (typeof value.format !== "number" || value.format > formatVersion) throw newer(store, `format ${value.format}`);
  const lists = [value.reader, value.writer, value.pruner];
  if (!lists.every((list) => Array.isArray(list) && list.every((one) => typeof one === "string"))) {
    throw foreign(store, `its ${headName} does not say what one must know`);
  }
  if (typeof value.id !== "string" || !/^[0-9a-f]{32}$/.test(value.id)) {
    throw foreign(store, `its ${headName} has no id`);
  }
  return value as Head;
}

function newer(store: ObjectStore, why: string): AmberError {
  return new AmberError("REPOSITORY_NEWER", {
    message: `Cannot use the repository in "${store.where}": a newer amber made it (${why})`,
    where: store.where,
    hint: "Use that newer amber. Nothing was changed.",
  });
}

function foreign(store: ObjectStore, why: string): AmberError {
  return new AmberError("REPOSITORY_FOREIGN", {
    message: `Cannot use "${store.where}" as a repository: ${why}`,
    where: store.where,
    hint: "Name an empty folder, or the repository, in AMBER_REPOSITORY.",
  });
}
