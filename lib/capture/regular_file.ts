import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { whichFile } from "./scan.ts";

/** A file that is open for reading: a regular one, no link followed, nothing waited for. */
export interface RegularFile extends Disposable {
  size: number;
  mtimeMs: number;
  /** As a scan tells it. */
  inode: number;
  /** Fills the buffer from a position, as far as the file reaches; gives how many bytes. */
  read(buffer: Uint8Array, from: number): number;
  /** As it is now. */
  look(): { size: number; mtimeMs: number; inode: number };
}

/**
 * Opens a file without ever waiting: what was a file a moment ago may be a FIFO now, and opening that would hang.
 * undefined when it is no regular file any more; a missing or forbidden one throws as Deno does.
 */
export function openRegular(path: string): RegularFile | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") throw new Deno.errors.NotFound(path, { cause: error });
    if (code === "EACCES" || code === "EPERM") throw new Deno.errors.PermissionDenied(path, { cause: error });
    if (code === "ELOOP" || code === "ENXIO" || code === "EISDIR") return undefined; // a link, a socket, a folder
    throw error;
  }
  const info = fstatSync(descriptor);
  if (!info.isFile()) {
    closeSync(descriptor);
    return undefined;
  }
  return {
    ...lookOf(info),
    look: () => lookOf(fstatSync(descriptor)),
    read: (buffer, from) => {
      let filled = 0;
      while (filled < buffer.length) {
        const count = readSync(descriptor, buffer, filled, buffer.length - filled, from + filled);
        if (count === 0) break;
        filled += count;
      }
      return filled;
    },
    [Symbol.dispose]: () => closeSync(descriptor),
  };
}

function lookOf({ size, mtimeMs, dev, ino }: Stats): ReturnType<RegularFile["look"]> {
  return { size, mtimeMs: Math.floor(mtimeMs) || 0, inode: whichFile({ dev, ino }).inode };
}
