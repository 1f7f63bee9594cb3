import { AmberError } from "../../errors.ts";
import { statOrNone } from "../../fs.ts";
import type { OpenOptions } from "../engine.ts";
import { sleep } from "../sleep.ts";

/** A lock on a file that the kernel frees when the process ends, however it ends. */
export interface LockFile {
  release(): void;
}

/**
 * Takes `<database>.amber-lock`: for plans that commit in between, where another runner could resume beside the living
 * one. Never the database's own file: closing a descriptor of it would drop SQLite's locks.
 *
 * @throws {AmberError} LOCK_HELD after `waitMs`, FILE_UNWRITABLE
 */
export async function takeLockFile(
  path: string,
  waitMs: number,
  options: Pick<OpenOptions, "stop" | "report" | "by">,
): Promise<LockFile> {
  const started = performance.now();
  let told = started - 4_000;
  for (;;) {
    options.stop.throwIfAborted();
    const file = open(path);
    if (file.tryLockSync(true) && isStill(path, file)) {
      file.truncateSync(0);
      file.writeSync(new TextEncoder().encode(`${options.by}, pid ${Deno.pid}\n`));
      return {
        // Removed while it is still locked: whoever waits on this descriptor sees that the path has another file now.
        release: () => {
          try {
            Deno.removeSync(path);
          } catch (error) {
            if (!(error instanceof Deno.errors.NotFound) && !(error instanceof Deno.errors.PermissionDenied)) {
              throw error;
            }
          } finally {
            file.close();
          }
        },
      };
    }
    file.close();
    const elapsedMs = performance.now() - started;
    if (elapsedMs >= waitMs) {
      throw new AmberError("LOCK_HELD", {
        message: `Cannot migrate now: another amber is at work (${holder(path)})`,
        where: path,
        hint: "Wait for it, or give a longer --wait.",
      });
    }
    if (performance.now() - told > 5_000) {
      told = performance.now();
      options.report({
        type: "waiting",
        message: `waiting for another amber: ${holder(path)}`,
        remainingSeconds: Math.ceil((waitMs - elapsedMs) / 1000),
      });
    }
    await sleep(5 + Math.random() * 20, options.stop);
  }
}

/** Whether somebody holds the lock, or was killed while holding it. */
export function isThere(path: string): boolean {
  return statOrNone(path) !== undefined;
}

function open(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
  } catch (cause) {
    throw new AmberError("FILE_UNWRITABLE", {
      message: `Cannot create the lock file "${path}": ${cause instanceof Error ? cause.message : cause}`,
      where: path,
      hint: "A migration that runs outside a transaction needs a lock file beside the database.",
      cause,
    });
  }
}

function isStill(path: string, file: Deno.FsFile): boolean {
  try {
    const there = Deno.statSync(path);
    const here = file.statSync();
    return there.ino === here.ino && there.dev === here.dev;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function holder(path: string): string {
  try {
    return Deno.readTextFileSync(path).trim() || "just starting";
  } catch {
    return "it has just let go";
  }
}
