import { folderOf } from "../fs.ts";
import { orNone, systemCode } from "../stores/file_calls.ts";
import { syncFolder } from "./restore_decision.ts";
import type { WipeCalls } from "./wipe_calls.ts";
import type { Going, Kept } from "./wipe_look.ts";

export interface WipeFilesOptions {
  calls: WipeCalls;
  /** The data folder, links resolved. */
  root: string;
  going: readonly Going[];
  random: (size: number) => Uint8Array;
}

/** Why something cannot be moved, but perhaps be removed where it is: another file system, a mount point, no permission. */
const immovable = new Set(["EXDEV", "EBUSY", "EACCES", "EPERM", "EROFS", "ENOTEMPTY", "EINVAL"]);

/**
 * Removes what goes. Everything is moved first into one folder of ours, so that a kill leaves no half of a folder, and
 * what the app makes anew is not taken for the old. May be done again after a kill: what is gone is gone, and what
 * stands in its place since then stays.
 *
 * @returns What could not be removed, and why.
 */
export function wipeFiles({ calls, root, going, random }: WipeFilesOptions): Kept[] {
  const left: Kept[] = [];
  const touched = new Set<string>([root]);
  const trash = calls.makeTrash(root, random);
  try {
    for (const [number, { place, device, inode }] of going.entries()) {
      const path = `${root}/${place}`;
      const info = lookInside(root, place, calls);
      if (!info || info.dev !== device || (info.ino ?? 0) !== inode) continue;
      touched.add(folderOf(path));
      try {
        calls.rename(path, `${trash.path}/${number}`);
      } catch (error) {
        if (!immovable.has(systemCode(error) ?? "")) throw error;
        removeHere(path, place, info, { calls, left });
      }
    }
    for (const folder of touched) syncFolder(folder, calls);
    for (const { name } of [...calls.readDir(trash.path)]) {
      if (name !== "lock") removeWhole(`${trash.path}/${name}`, calls);
    }
  } finally {
    trash[Symbol.dispose]();
  }
  return left;
}

/** What lies at a place, links not followed; undefined when nothing does, or one of its folders is a link or none. */
function lookInside(root: string, place: string, calls: WipeCalls): Deno.FileInfo | undefined {
  for (let cut = place.indexOf("/"); cut > 0; cut = place.indexOf("/", cut + 1)) {
    if (!orNone(() => calls.lstat(`${root}/${place.slice(0, cut)}`))?.isDirectory) return undefined;
  }
  return orNone(() => calls.lstat(`${root}/${place}`));
}

/** Where it stands: on another file system, or in a folder that may not be moved. A mount point itself stays. */
function removeHere(
  path: string,
  place: string,
  info: Deno.FileInfo,
  { calls, left }: { calls: WipeCalls; left: Kept[] },
): void {
  try {
    if (info.isDirectory) {
      open(path, info, calls);
      for (const { name } of [...calls.readDir(path)]) {
        const inside = orNone(() => calls.lstat(`${path}/${name}`));
        if (inside) removeHere(`${path}/${name}`, `${place}/${name}`, inside, { calls, left });
      }
    }
    orNone(() => calls.remove(path));
  } catch (error) {
    const code = systemCode(error) ?? "";
    if (!immovable.has(code)) throw error;
    // Something in it was named already, or is mounted there.
    if (code === "ENOTEMPTY" || code === "EBUSY") return;
    left.push({ place, why: error instanceof Error ? error.message : String(error) });
  }
}

/** The system's own way is safe from links that appear meanwhile; it knows no way into a folder that is closed to its owner. */
function removeWhole(path: string, calls: WipeCalls): void {
  try {
    orNone(() => calls.removeAll(path));
  } catch (error) {
    if (systemCode(error) !== "EACCES") throw error;
    openAll(path, calls);
    orNone(() => calls.removeAll(path));
  }
}

function openAll(path: string, calls: WipeCalls): void {
  const info = orNone(() => calls.lstat(path));
  if (!info?.isDirectory) return;
  open(path, info, calls);
  for (const { name } of [...calls.readDir(path)]) openAll(`${path}/${name}`, calls);
}

function open(path: string, { mode }: Deno.FileInfo, calls: WipeCalls): void {
  if (((mode ?? 0o700) & 0o700) !== 0o700) calls.chmod(path, 0o700);
}
