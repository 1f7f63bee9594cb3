import { giveBackSpace, HeldToEmpty, lookAtContents } from "../engines/sqlite/empty.ts";
import { takeLockFile } from "../engines/sqlite/lock_file.ts";
import { diskCalls, type FileCalls } from "../stores/file_calls.ts";
import { HeldFolder } from "./held_folder.ts";
import type { StagedFile } from "./restore_calls.ts";

export type { Contents, HeldToEmpty } from "../engines/sqlite/empty.ts";

/**
 * Every call by which a wipe touches files and databases: each is one step, and a test hands in ones that fail, or that
 * kill the process at the k-th.
 */
export interface WipeCalls extends FileCalls {
  open(path: string, options: Deno.OpenOptions): StagedFile;
  /** A folder with all that is in it; the system follows no link there, whatever somebody puts into it meanwhile. */
  removeAll(path: string): void;
  /** A folder in the data folder that is known as ours and is held by this process. */
  makeTrash(root: string, random: (size: number) => Uint8Array): Disposable & { path: string };
  lookAtContents: typeof lookAtContents;
  /** The lock of a migration that commits in between. */
  takeLockFile: typeof takeLockFile;
  holdToEmpty: typeof HeldToEmpty.hold;
  empty(held: HeldToEmpty, ...rest: Parameters<HeldToEmpty["empty"]>): Promise<void>;
  giveBackSpace: typeof giveBackSpace;
}

export const wipeCalls: WipeCalls = {
  ...diskCalls,
  open: Deno.openSync,
  removeAll: (path) => Deno.removeSync(path, { recursive: true }),
  // Named as the folders of links that snapshots make: no snapshot takes it, and a later one removes what a kill left.
  makeTrash: (root, random) => HeldFolder.create(root, ".amber-", random),
  lookAtContents,
  takeLockFile,
  holdToEmpty: HeldToEmpty.hold,
  empty: (held, ...rest) => held.empty(...rest),
  giveBackSpace,
};
