import type { Remark } from "../repository/snapshot_file.ts";

/** What stands at a path, as lstat says it. */
export interface Scanned {
  /** Relative to the data folder, "/" between components. */
  path: string;
  type: "file" | "folder" | "link";
  /** Permission bits, 12 of them. */
  mode: number;
  uid: number;
  gid: number;
  mtimeMs: number;
  /** Bytes; of a file. */
  size: number;
  device: number;
  /** Tells whether it is the same file as before: equal for equal files, seldom for others. 0: unknown. */
  inode: number;
  /** Its number is larger than can be told apart: other files may have the same one. */
  isRounded?: true;
  /** How many names it has. */
  names: number;
  /** Where a link leads, as it stands there. */
  target?: string;
}

export interface ScanOptions {
  /** Whether a path is left out, with everything below it; asked for each one. */
  skip: (path: string, isFolder: boolean) => boolean;
  /** Told of what is not in the result. */
  remark: (remark: Remark) => void;
}

/** How often a folder is listed that does not stand still. */
const listings = 4;

/** Two changes of a folder less than this apart may bear the same time: kernels stamp files with a clock of 4 to 10 ms. */
const clockTickMs = 20;

/**
 * Walks a folder: every path once, a folder before what is in it, otherwise in no order. Follows no link, opens nothing.
 * What vanishes meanwhile is left out; a FIFO, socket or device, a name that is not UTF-8, and what cannot be read is told
 * to `remark`. Synchronous: 100,000 files in half a second, and nobody else's turn in between.
 */
export function scan(root: string, options: ScanOptions): Scanned[] {
  return [...scanEach(root, options)];
}

/** The same, path after path. */
export function* scanEach(root: string, options: ScanOptions, prefix = ""): Generator<Scanned> {
  for (const name of namesIn(`${root}/${prefix}`, prefix, options)) {
    const path = prefix + name;
    path.charCodeAt(0); // V8 then keeps one string of it instead of its parts: half the memory
    const info = lookAt(`${root}/${path}`, path, name, options);
    if (info === undefined || options.skip(path, info.isDirectory)) continue;
    const scanned = describe(path, `${root}/${path}`, info);
    if (scanned === undefined) {
      const kind = info.isFifo ? "a FIFO" : info.isSocket ? "a socket" : "a device";
      options.remark({ path, what: "special", message: `${kind} is no file: left out` });
      continue;
    }
    yield scanned;
    if (scanned.type === "folder") yield* scanEach(root, options, `${path}/`);
  }
}

/**
 * Each name once: two that are not UTF-8 may look the same, and some file systems show one twice when it is replaced.
 * Others (tmpfs, Btrfs) may miss one that is replaced: a folder that changes while it is listed is listed again, and what
 * any of the listings had is looked at.
 */
function namesIn(folder: string, prefix: string, { remark }: ScanOptions): Iterable<string> {
  const names = new Set<string>();
  try {
    for (let listing = 1; listing <= listings; listing++) {
      const before = Deno.lstatSync(folder).mtime?.getTime();
      for (const { name } of Deno.readDirSync(folder)) {
        if (listing === 1 && names.has(name) && name.includes("\uFFFD")) remark(strangeName(prefix + name));
        names.add(name);
      }
      const after = Deno.lstatSync(folder).mtime?.getTime() ?? 0;
      if (before === after && Date.now() - after > clockTickMs) break;
    }
  } catch (error) {
    // It was there a moment ago: it is gone, or something else took its place.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return names;
    if (prefix === "") throw error;
    remark({ path: prefix.slice(0, -1), what: "unreadable", message: `the folder cannot be read: ${textOf(error)}` });
  }
  return names;
}

function lookAt(full: string, path: string, name: string, { remark }: ScanOptions): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(full);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      // Bytes that are no UTF-8 come as U+FFFD, and that name leads nowhere.
      if (name.includes("\uFFFD")) remark(strangeName(path));
      return undefined;
    }
    remark({ path, what: "unreadable", message: `it cannot be looked at: ${textOf(error)}` });
    return undefined;
  }
}

/** One path as it is now; undefined when nothing stands there, or nothing that is kept. */
export function lookAgain(root: string, path: string): Scanned | undefined {
  try {
    return describe(path, `${root}/${path}`, Deno.lstatSync(`${root}/${path}`));
  } catch {
    return undefined; // gone, or closed to us
  }
}

/** As we keep it; undefined for what is neither file, folder nor link. */
export function describe(path: string, full: string, info: Deno.FileInfo): Scanned | undefined {
  const type = info.isSymlink ? "link" : info.isDirectory ? "folder" : info.isFile ? "file" : undefined;
  if (type === undefined) return undefined;
  let target: string | undefined;
  if (type === "link") {
    try {
      target = Deno.readLinkSync(full);
    } catch {
      return undefined; // replaced between two calls: the next snapshot has it
    }
  }
  return {
    path,
    type,
    mode: (info.mode ?? (type === "folder" ? 0o755 : 0o644)) & 0o7777,
    uid: info.uid ?? 0,
    gid: info.gid ?? 0,
    mtimeMs: info.mtime?.getTime() || 0, // some file systems keep times that no Date can hold
    size: type === "file" ? info.size : 0,
    ...whichFile(info),
    names: info.nlink ?? 1,
    ...(target === undefined ? {} : { target }),
  };
}

/**
 * Which file it is. Overlay and network file systems give numbers of up to 64 bits; from 2^53 on they come rounded, and a
 * thousand files look like one: good enough to tell that nothing has changed, not to tell that two are the same.
 */
export function whichFile(
  { dev, ino }: Pick<Deno.FileInfo, "dev" | "ino">,
): Pick<Scanned, "device" | "inode" | "isRounded"> {
  const inode = ino ?? 0;
  return Number.isSafeInteger(inode)
    ? { device: dev, inode }
    : { device: dev, inode: Math.floor(inode / 2048), isRounded: true };
}

/** What no two files share; undefined where that is not known. */
export function identityOf({ device, inode, isRounded }: ReturnType<typeof whichFile>): string | undefined {
  return inode === 0 || isRounded ? undefined : `${device}:${inode}`;
}

function strangeName(path: string): Remark {
  return { path, what: "name", message: "its name is not UTF-8: left out" };
}

function textOf(error: unknown): string {
  return error instanceof Deno.errors.PermissionDenied
    ? "permission denied"
    : error instanceof Error
    ? error.message.replace(/:.*$/s, "")
    : String(error);
}
