import { AmberError } from "../errors.ts";
import { systemCode } from "./file_calls.ts";

/** What was being done when the operating system refused. */
export interface Attempt {
  /** Verb and object: `store "amber.json"`. */
  action: string;
  /** The repository's folder. */
  root: string;
  /** The file or folder that it was about. */
  path: string;
}

/** The operating system's refusal in amber's words. What did not come from it is given back as it is. */
export function explainRefusal(error: unknown, { action, root, path }: Attempt): unknown {
  const code = systemCode(error);
  if (error instanceof AmberError || code === undefined) return error;
  const message = `Cannot ${action} in the repository "${root}": ${(error as Error).message}`;
  const parts = { message, where: path, cause: error };
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return new AmberError("STORE_FULL", {
        ...parts,
        hint: "Make room there, or set AMBER_REPOSITORY to a folder on a disk that has more.",
      });
    case "EROFS":
      return new AmberError("STORE_FORBIDDEN", {
        ...parts,
        hint: "Its file system is read-only: mount it writable, or set AMBER_REPOSITORY to another folder.",
      });
    case "EACCES":
    case "EPERM":
      return new AmberError("STORE_FORBIDDEN", {
        ...parts,
        hint: `Run amber as the user that owns the repository, or give this one the right: ls -la "${root}"`,
      });
    case "ENOTDIR":
      return new AmberError("STORE_FORBIDDEN", {
        ...parts,
        hint: `Set AMBER_REPOSITORY to a folder; a file is in its way: ls -ld "${root}"`,
      });
    case "EIO":
      return new AmberError("STORE_FAILED", {
        ...parts,
        hint: "Look for the disk's errors in the system's log (dmesg), and run the same command again.",
      });
    default:
      return new AmberError("STORE_FAILED", { ...parts, hint: `See what is there: ls -la "${root}"` });
  }
}

/** For a name that no object can have. It comes from a damaged or forged repository, or from a fault of amber's. */
export function refuseObjectName(name: string): AmberError {
  return new AmberError("STORE_FAILED", { message: `Cannot use ${JSON.stringify(name)}: no object is named so` });
}

/** For what stands where the repository's folder, or a folder in it, should be. */
export function refuseAsFolder(path: string, root: string, info: Deno.FileInfo): AmberError {
  const what = info.isSymlink ? "a link" : info.isFile ? "a file" : "something else";
  return new AmberError("STORE_FORBIDDEN", {
    message: `Cannot write into "${path}": it is ${what}, not a folder`,
    where: path,
    hint: path === root
      ? "Set AMBER_REPOSITORY to a folder."
      : "Links inside a repository are not followed: move the whole of it, and set AMBER_REPOSITORY to its new place.",
  });
}
