import { AmberError } from "../errors.ts";
import { systemCode } from "../stores/file_calls.ts";

/** How a restore goes on after a failure: nothing has been touched yet, or it is decided and can be gone on with. */
export type Stage = "staging" | "decided";

const goOn = "then run the same restore again: it goes on where it was";

/** The operating system's refusal in amber's words; anything else as it is. */
export function explainFailure(error: unknown, stage: Stage): unknown {
  // What was opened without waiting comes as Deno's own, with the system's as its cause.
  const code = systemCode(error) ?? systemCode((error as { cause?: unknown } | undefined)?.cause);
  const { message = "" } = (error ?? {}) as Error;
  // Deno names the usual failures only: a file that is too large has a number and no name.
  const isSystems = code !== undefined || /\(os error \d+\)/.test(message);
  if (error instanceof AmberError || !isSystems) return error;
  const next = stage === "decided" ? goOn : "then restore again. Nothing was touched";
  const parts = { message: `Cannot restore: ${message}`, cause: error };
  if (code === "ENOSPC" || code === "EDQUOT") {
    const room = stage === "decided"
      ? `Make room on the disk, ${goOn}.`
      : "Make room on the disk, restore less (--path, --database), or elsewhere (--to FOLDER). Nothing was touched.";
    return new AmberError("DISK_FULL", {
      ...parts,
      message: `Cannot restore: the disk is full (${message})`,
      hint: room,
    });
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new AmberError("FILE_UNWRITABLE", { ...parts, hint: `Let this user write there (ls -l), ${next}.` });
  }
  if (code === "EIO") {
    return new AmberError("FILE_UNWRITABLE", { ...parts, hint: `Look into the system's log (dmesg), ${next}.` });
  }
  return new AmberError("FILE_UNWRITABLE", { ...parts, hint: `See what lies there, ${next}.` });
}
