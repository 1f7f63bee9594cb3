import { AmberError } from "../errors.ts";
import type { EngineEvent } from "../engines/engine.ts";
import { sleep } from "../engines/sleep.ts";

export interface RestoreLockOptions {
  /** `restore`: alone. `write`: together with others that write, but with no restore. */
  for: "restore" | "write";
  waitMs: number;
  stop: AbortSignal;
  report: (event: Extract<EngineEvent, { type: "waiting" }>) => void;
}

const pollMs = 20;
const tellMs = 2_000;

/**
 * A flock on `<scratch>/restore.lock`: a restore holds it alone, commands that write hold it together. The kernel frees it
 * however a process ends. The file stays: whoever removed it would have to know that nobody waits for it.
 */
export class RestoreLock implements Disposable {
  private constructor(private readonly file: Deno.FsFile) {}

  /**
   * Takes the lock; waits for a restore that runs, or when this is for a restore, for whoever writes. undefined for a
   * writer where the scratch folder does not exist: there is no restore then either, and nothing is made.
   *
   * @throws {AmberError} RESTORE_RUNNING after `waitMs`, FILE_UNWRITABLE
   */
  static async take(scratch: string, options: RestoreLockOptions): Promise<RestoreLock | undefined> {
    const file = open(scratch, options.for);
    if (!file) return undefined;
    const started = performance.now();
    let told = started;
    try {
      while (!file.tryLockSync(options.for === "restore")) {
        const now = performance.now();
        const leftMs = options.waitMs - (now - started);
        if (leftMs <= 0) throw running(scratch, options.for);
        if (now - told > tellMs) {
          told = now;
          options.report({
            type: "waiting",
            message: "waiting for another amber that restores or writes here",
            remainingSeconds: Math.ceil(leftMs / 1000),
          });
        }
        await sleep(Math.min(pollMs, leftMs), options.stop);
      }
      return new RestoreLock(file);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.file.close();
  }
}

function open(scratch: string, purpose: RestoreLockOptions["for"]): Deno.FsFile | undefined {
  const path = `${scratch}/restore.lock`;
  try {
    if (purpose === "restore") Deno.mkdirSync(scratch, { recursive: true, mode: 0o700 });
    return Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
  } catch (cause) {
    if (purpose === "write" && cause instanceof Deno.errors.NotFound) return undefined;
    // Who may not write here cannot meet a restore: that would be the same user's, or root's.
    if (purpose === "write" && isRefused(cause)) return undefined;
    throw new AmberError("FILE_UNWRITABLE", {
      message: `Cannot create the lock file "${path}": ${cause instanceof Error ? cause.message : cause}`,
      where: path,
      hint: "AMBER_SCRATCH names a folder that this user may write in.",
      cause,
    });
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied || (error as { code?: string }).code === "EROFS";
}

function running(scratch: string, purpose: RestoreLockOptions["for"]): AmberError {
  return new AmberError("RESTORE_RUNNING", {
    message: purpose === "restore"
      ? "Cannot restore now: another amber restores or writes here"
      : "Cannot write now: another amber restores here",
    where: `${scratch}/restore.lock`,
    hint: "Wait for it, or give a longer --wait.",
  });
}
