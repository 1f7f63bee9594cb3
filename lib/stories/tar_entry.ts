import type { TarHeader } from "modern-tar";
import type { Entry } from "../repository/tree.ts";

/** The last second that a tar header has digits for. */
const lastSecond = 8 ** 11 - 1;

/**
 * A path's header in a tar. What the old format has no room for (long and non-ASCII names, milliseconds, years before
 * 1970, large sizes) goes into extended headers, which every tar of this century reads. Pure.
 *
 * @param name Its name in the tar.
 */
export function tarHeader(entry: Entry, name: string): TarHeader {
  const { mode, uid, gid, mtimeMs } = entry;
  const seconds = Math.floor(mtimeMs / 1000);
  const pax: Record<string, string> = {};
  if (mtimeMs % 1000 !== 0 || seconds < 0 || seconds > lastSecond) pax.mtime = secondsText(mtimeMs);
  if (!isPlain(name)) pax.path = name;
  const target = entry.type === "link" || entry.type === "hardlink" ? entry.target : undefined;
  if (target !== undefined && !isPlain(target)) pax.linkpath = target;
  return {
    name,
    mode,
    uid,
    gid,
    mtime: new Date(Math.min(Math.max(seconds, 0), lastSecond) * 1000),
    size: entry.type === "file" ? entry.size : 0,
    type: ({ file: "file", folder: "directory", link: "symlink", hardlink: "link" } as const)[entry.type],
    ...(target === undefined ? {} : { linkname: target }),
    ...(Object.keys(pax).length > 0 ? { pax } : {}),
  };
}

/** `1700000000.123`, `-0.5` */
function secondsText(ms: number): string {
  const [whole, rest] = [Math.floor(Math.abs(ms) / 1000), Math.abs(ms) % 1000];
  return `${ms < 0 ? "-" : ""}${whole}${rest === 0 ? "" : `.${String(rest).padStart(3, "0")}`}`;
}

/** Whether every tar takes it as it stands, whatever its locale. */
function isPlain(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
