import { AmberError } from "../../errors.ts";
import type { CopyReply } from "./copy_worker.ts";

/**
 * Copies a database as it is at one moment into a file, while others write it. Nothing is written to it or beside it.
 *
 * @throws {AmberError} DATABASE_UNKNOWN, DATABASE_UNREADABLE, DATABASE_BUSY, DISK_FULL
 */
export async function copyLive(path: string, target: string, stop: AbortSignal): Promise<void> {
  const worker = new Worker(new URL("./copy_worker.ts", import.meta.url), { type: "module" });
  const done = Promise.withResolvers<void>();
  const onStop = () => done.reject(stop.reason);
  stop.addEventListener("abort", onStop, { once: true });
  worker.onmessage = ({ data: { code, message = "", where, hint } }: MessageEvent<CopyReply>) => {
    if (code === undefined) done.resolve();
    else done.reject(new AmberError(code, { message, where, hint }));
  };
  worker.onerror = (event) => {
    event.preventDefault();
    done.reject(new Error(event.message));
  };
  worker.postMessage({ path, target });
  try {
    await done.promise;
  } finally {
    stop.removeEventListener("abort", onStop);
    worker.terminate();
  }
}
