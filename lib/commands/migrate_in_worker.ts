import { AmberError, type ErrorCode } from "../errors.ts";
import { type MigrateEvent, type MigrateOptions, type MigrateResult, usualStart } from "../stories/migrate.ts";
import type { SafetyBefore } from "../stories/safety_before_migrate.ts";
import type { SafetyEvent } from "../stories/safety_snapshot.ts";

/** Options that a worker can be sent. */
export interface PlainOptions
  extends Omit<MigrateOptions, "now" | "report" | "stop" | "beforeRisky" | "beforeAny" | "beforeCommit"> {
  /** Absent: no safety snapshot. */
  safety?: SafetyBefore;
}

/** Those of a run in a worker, which takes its safety snapshot itself: the database is locked there. */
export type WorkerOptions = PlainOptions & Pick<MigrateOptions, "now" | "stop"> & {
  report: (event: MigrateEvent | SafetyEvent) => void;
};

export type WorkerMessage =
  | { type: "event"; event: MigrateEvent | SafetyEvent }
  | { type: "result"; result: MigrateResult }
  | { type: "error"; code: ErrorCode; message: string; where?: string; hint?: string; detail?: string; stack?: string };

/** How long a worker may take to roll back after a signal. A synchronous statement hears nothing: the journal undoes it. */
const graceMs = 3_000;

/**
 * Migrates a SQLite database in a worker, because a running SQLite statement would keep this thread from hearing a
 * signal (8 s were seen). The usual start, with nothing to do, needs no worker.
 */
export async function migrateInWorker(options: WorkerOptions): Promise<MigrateResult> {
  if (await usualStart(options)) return { applied: [], unapplied: [] };
  const { now: _now, report, stop, ...plain } = options;
  const worker = new Worker(new URL("./migrate_worker.ts", import.meta.url), { type: "module" });
  try {
    return await new Promise<MigrateResult>((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<WorkerMessage>) => {
        if (data.type === "event") report(data.event);
        else if (data.type === "result") resolve(data.result);
        else reject(toError(data));
      };
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
      stop.addEventListener("abort", () => {
        worker.postMessage({ stop: (stop.reason as AmberError).code });
        setTimeout(() => reject(stop.reason), graceMs);
      }, { once: true });
      worker.postMessage({ options: plain satisfies PlainOptions });
    });
  } finally {
    worker.terminate();
  }
}

function toError(data: Extract<WorkerMessage, { type: "error" }>): Error {
  const { code, message, where, hint, detail, stack } = data;
  if (code !== "UNEXPECTED") return new AmberError(code, { message, where, hint, detail });
  return Object.assign(new Error(message), { stack });
}
