import { AmberError, type ErrorCode } from "../errors.ts";
import { migrate, type MigrateOptions } from "../stories/migrate.ts";
import type { PlainOptions, WorkerMessage } from "./migrate_in_worker.ts";

// The other end of migrate_in_worker.ts, a file of its own because import.meta.main is true in a worker as well.
const stop = new AbortController();
const scope = self as unknown as Worker; // the same two words as a worker has on its outside
const post = (message: WorkerMessage) => scope.postMessage(message);

// What a migration's code prints is no result: stdout belongs to the reporter.
console.log = console.info = console.debug = (...texts: unknown[]) => console.error(...texts);

scope.onmessage = async ({ data }: MessageEvent<{ options?: PlainOptions; stop?: ErrorCode }>) => {
  if (data.stop) {
    return stop.abort(
      new AmberError(data.stop, { message: "Stopped by a signal: what was not committed is rolled back" }),
    );
  }
  if (!data.options) return;
  const { safety, ...plain } = data.options;
  try {
    const options: MigrateOptions = {
      ...plain,
      now: () => new Date(),
      stop: stop.signal,
      report: (event) => post({ type: "event", event }),
    };
    if (safety) {
      options.beforeAny = safety.mode === "always";
      options.beforeRisky = async (_plan, held) => {
        const { takeSafetyBefore } = await import("../stories/safety_before_migrate.ts");
        return await takeSafetyBefore(safety, { ...options, report: (event) => post({ type: "event", event }) }, held);
      };
    }
    const result = await migrate(options);
    post({ type: "result", result });
  } catch (error) {
    if (error instanceof AmberError) {
      const { code, message, where, hint, detail } = error;
      post({ type: "error", code, message, where, hint, detail });
    } else {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      post({ type: "error", code: "UNEXPECTED", message, stack });
    }
  }
};
