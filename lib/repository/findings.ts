/** Something that is not as it was stored. */
export interface Finding {
  /** The object's name in the store. */
  object: string;
  /** What is wrong with it, for people. */
  what: string;
  /** Ids of the snapshots that cannot be restored completely any more, the newest first; empty: every one still can. */
  snapshots: string[];
  /** Those of them whose list of files is lost, so that nothing of them can be restored. */
  lost: string[];
  /** Of the newest of them whose list can be read: paths that cannot be restored, the first 20, and how many there are. */
  files: string[];
  /** How many paths cannot be restored. */
  fileCount: number;
}

const mostFiles = 20;

/** Collects what is wrong, one finding for each object. */
export class Findings {
  readonly #found = new Map<string, Finding>();
  /** Whose files a finding names. */
  readonly #shown = new Map<string, string>();

  /** Whatever else is wrong with the same object is left out: the first thing is enough. */
  add(object: string, what: string): void {
    if (this.#found.has(object)) return;
    this.#found.set(object, { object, what, snapshots: [], lost: [], files: [], fileCount: 0 });
  }

  has(object: string): boolean {
    return this.#found.has(object);
  }

  /** A snapshot is touched. To be called for newer snapshots first. */
  touch(object: string, id: string): void {
    const { snapshots } = this.#found.get(object)!;
    if (snapshots.at(-1) !== id) snapshots.push(id);
  }

  /** A file of a snapshot is touched. */
  touchFile(object: string, id: string, path: string): void {
    this.touch(object, id);
    const finding = this.#found.get(object)!;
    const shown = this.#shown.get(object);
    if (shown === undefined) this.#shown.set(object, id);
    else if (shown !== id) return;
    finding.fileCount++;
    if (finding.files.length < mostFiles) finding.files.push(path);
  }

  /** A snapshot's list of files is lost. */
  lose(object: string, id: string): void {
    this.touch(object, id);
    this.#found.get(object)!.lost.push(id);
  }

  /** All of them, sorted by object. */
  all(): Finding[] {
    return [...this.#found.values()].sort((a, b) => (a.object < b.object ? -1 : 1));
  }
}
