import { lchownSync, lutimesSync } from "node:fs";
import { type ImageCheck, imageCheck, type ImageQuestion } from "../engines/sqlite/check_image.ts";
import { type LiveDatabase, lookAtLive } from "../engines/sqlite/look_live.ts";
import { dropMarker, type DropOptions, markImage, putImage, type PutOptions } from "../engines/sqlite/put_image.ts";
import { type FileSystemSync, openFileSystemSync } from "./file_system_sync.ts";
import { openRegular, type RegularFile } from "./regular_file.ts";
import { diskCalls, type FileCalls, type OpenFile } from "../stores/file_calls.ts";

/** A file that is being staged. */
export type StagedFile = OpenFile & Pick<Deno.FsFile, "truncateSync" | "syncData">;

/**
 * Every call by which a restore touches files and databases: each is one step, and a test hands in ones that fail, or
 * that kill the process at the k-th.
 */
export interface RestoreCalls extends FileCalls {
  open(path: string, options: Deno.OpenOptions): StagedFile;
  /** For what others may change: never waits, follows no link; undefined for what is no regular file. */
  openRegular(path: string): RegularFile | undefined;
  /** undefined where files can only be flushed one by one. */
  openFileSystemSync(folder: string): FileSystemSync | undefined;
  readLink(path: string): string;
  symlink(target: string, path: string): void;
  link(from: string, to: string): void;
  /** ms since 1970; follows a link. */
  setTime(path: string, ms: number): void;
  /** The link's own. */
  setLinkTime(path: string, ms: number): void;
  /** Follows no link. */
  chown(path: string, uid: number, gid: number): void;
  /** What stands in a staged image. */
  checkImage(path: string, question: ImageQuestion): Promise<ImageCheck>;
  /** What stands where a database is to go, looked at through SQLite. */
  lookAtLive(path: string, options: { trusted: boolean }): LiveDatabase;
  markImage(path: string, id: string): void;
  putImage(image: string, live: string, options: PutOptions): Promise<void>;
  dropMarker(path: string, id: string, options: DropOptions): Promise<void>;
}

export const restoreCalls: RestoreCalls = {
  ...diskCalls,
  open: Deno.openSync,
  openRegular,
  openFileSystemSync,
  readLink: Deno.readLinkSync,
  symlink: Deno.symlinkSync,
  link: Deno.linkSync,
  setTime: (path, ms) => Deno.utimeSync(path, new Date(ms), new Date(ms)),
  setLinkTime: (path, ms) => lutimesSync(path, ms / 1000, ms / 1000),
  chown: lchownSync,
  checkImage: imageCheck,
  lookAtLive,
  markImage,
  putImage,
  dropMarker,
};
