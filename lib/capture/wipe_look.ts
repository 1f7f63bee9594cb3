import { orNone } from "../stores/file_calls.ts";
import type { WipeCalls } from "./wipe_calls.ts";

/** One path that goes, with all that is in it. */
export interface Going {
  /** Relative to the data folder. */
  place: string;
  /** Which file or folder it was when it was looked at: what stands there later and is another one stays. */
  device: number;
  inode: number;
}

/** A path that stays. */
export interface Kept {
  /** Relative to the data folder. */
  place: string;
  /** For people: `the repository`, `excluded by *.log`. */
  why: string;
}

/** What goes of one name in the data folder itself. */
export interface GoingEntry {
  /** Its name. */
  place: string;
  /** Everything that is neither a folder nor, of a folder, only the folder. */
  files: number;
  /** Bytes of the files. */
  bytes: number;
}

/** What is in a data folder. */
export interface FilesToWipe {
  /** In the order in which they are to go; none lies in another. */
  going: Going[];
  entries: GoingEntry[];
  kept: Kept[];
  files: number;
  folders: number;
  bytes: number;
}

export interface LookOptions {
  calls: Pick<WipeCalls, "lstat" | "readDir">;
  /** The data folder, links resolved. */
  root: string;
  /** Why a path stays, with all that is in it; undefined when it goes. */
  whyKept: (place: string, isFolder: boolean) => string | undefined;
  /** Folders on which something is mounted, absolute: they stay, and what is in them goes. */
  mounts: ReadonlySet<string>;
}

/**
 * Looks through a data folder: what goes, as few paths as possible, and what stays. Follows no link, opens no file,
 * changes nothing.
 */
export function lookAtFiles(options: LookOptions): FilesToWipe {
  const found: FilesToWipe = { going: [], entries: [], kept: [], files: 0, folders: 0, bytes: 0 };
  const info = orNone(() => options.calls.lstat(options.root));
  if (!info?.isDirectory) return found;
  found.going = new Walk(options, found).folder("", info.dev).going;
  found.going.sort((a, b) => rank(a) - rank(b));
  return found;
}

/**
 * What SQLite keeps beside a database goes first: left alone in a wipe that is killed, it would be taken for that of the
 * next database of this name.
 */
function rank({ place }: Going): number {
  return /-(wal|shm|journal)$/.test(place) ? 0 : 1;
}

class Walk {
  constructor(private readonly options: LookOptions, private readonly found: FilesToWipe) {}

  /**
   * @param device The file system that the folder is on.
   * @returns `holdsKept`: it cannot go as a whole.
   */
  folder(prefix: string, device: number): { going: Going[]; holdsKept: boolean } {
    const { calls, root, whyKept, mounts } = this.options;
    const going: Going[] = [];
    let holdsKept = false;
    for (const { name, isDirectory } of this.#namesIn(prefix)) {
      const place = prefix + name;
      const why = whyKept(place, isDirectory);
      if (why !== undefined) {
        holdsKept = true;
        this.found.kept.push({ place, why });
        continue;
      }
      const info = orNone(() => calls.lstat(`${root}/${place}`));
      if (!info) {
        // Gone meanwhile; or no UTF-8, and then only its folder can take it along.
        if (name.includes("\uFFFD") && prefix === "") {
          this.found.kept.push({ place, why: "its name is not UTF-8" });
        }
        continue;
      }
      const before = { files: this.found.files, bytes: this.found.bytes };
      const self = { place, device: info.dev, inode: info.ino ?? 0 };
      if (info.isDirectory) {
        const inside = this.folder(`${place}/`, info.dev);
        const isMount = info.dev !== device || mounts.has(`${root}/${place}`);
        if (isMount) this.found.kept.push({ place, why: "something is mounted there" });
        if (inside.holdsKept || isMount) {
          holdsKept = true;
          going.push(...inside.going);
        } else {
          this.found.folders++;
          going.push(self);
        }
      } else {
        this.found.files++;
        this.found.bytes += info.isFile ? info.size : 0;
        going.push(self);
      }
      if (prefix === "") this.#noteEntry(place, before);
    }
    return { going, holdsKept };
  }

  #noteEntry(place: string, before: { files: number; bytes: number }): void {
    const files = this.found.files - before.files;
    this.found.entries.push({ place, files, bytes: this.found.bytes - before.bytes });
  }

  /** Sorted: the same folder gives the same plan. One that is closed to us goes as a whole, if it can be moved. */
  #namesIn(prefix: string): Deno.DirEntry[] {
    try {
      const names = [...this.options.calls.readDir(`${this.options.root}/${prefix}`)];
      return names.sort((a, b) => (a.name < b.name ? -1 : 1));
    } catch (error) {
      const isExpected = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied;
      if (prefix !== "" && isExpected) return [];
      throw error;
    }
  }
}

/**
 * What of an earlier decision still goes. A decision is input: only what would go by the present rules does, and only
 * where the same file or folder still stands as then.
 */
export function stillGoing(
  decided: readonly Going[],
  { going }: FilesToWipe,
  { calls, root }: Pick<LookOptions, "calls" | "root">,
): Going[] {
  const known = new Map(decided.map((one) => [one.place, one]));
  const present = new Set(going.map(({ place }) => place));
  const isSame = ({ place, device, inode }: Going) => {
    const info = orNone(() => calls.lstat(`${root}/${place}`));
    return info?.dev === device && (info.ino ?? 0) === inode;
  };
  // A folder that was to go as a whole may hold something by now that stays.
  const byFolder = going.filter(({ place }) =>
    [place, ...foldersAbove(place)].some((one) => known.has(one) && isSame(known.get(one)!))
  );
  // And what was to go one by one may lie in a folder that holds nothing more that stays.
  const single = decided.filter((one) =>
    !present.has(one.place) && foldersAbove(one.place).some((folder) => present.has(folder)) && isSame(one)
  );
  return [...byFolder, ...single];
}

function foldersAbove(place: string): string[] {
  const parts = place.split("/");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("/"));
}

/** Folders on which something is mounted, as far as the system tells. */
export function mountPoints(): ReadonlySet<string> {
  try {
    const lines = Deno.readTextFileSync("/proc/self/mountinfo").split("\n");
    const paths = lines.map((line) => line.split(" ")[4]).filter((path) => path !== undefined);
    return new Set(
      paths.map((path) => path.replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)))),
    );
  } catch {
    return new Set(); // not Linux: other file systems are told by their device
  }
}
