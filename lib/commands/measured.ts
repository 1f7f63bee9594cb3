import type { Outcome } from "../output/events.ts";
import { isForeign, metricsText, type RunBytes } from "../output/metrics.ts";
import { knownError } from "../output/reporter.ts";
import { replaceText } from "../stories/metrics_file.ts";

/**
 * Does a command's work and writes how it ended into a file for Prometheus. A file that cannot be written changes nothing
 * else: it is a note. Work that was declined was no run.
 */
export async function measured(
  given: {
    file: string;
    command: string;
    now: () => Date;
    stop: AbortSignal;
    /** Work that was stopped was no run either: nobody need look at it. Default false. */
    forgetsStopped?: boolean;
    note: (message: string) => void;
  },
  work: () => Promise<Outcome>,
): Promise<Outcome> {
  const { file, command, now, stop, note } = given;
  const started = now();
  const write = (exit: number, bytes: RunBytes) => {
    const ended = now();
    const durationMs = Math.max(0, ended.getTime() - started.getTime());
    const facts = { command, ended, durationMs, exit, bytes };
    const problem = replaceText(file, (old) => isForeign(old) ? undefined : metricsText(old, facts));
    if (problem !== undefined) note(`the metrics (--metrics) could not be written to "${file}": ${problem}`);
  };
  let outcome: Outcome;
  try {
    outcome = await work();
  } catch (error) {
    const isForgotten = stop.aborted && given.forgetsStopped;
    if (!isForgotten) write(knownError(stop.aborted ? stop.reason : error).exitStatus, {});
    throw error;
  }
  if (!outcome.result.declined) write(outcome.exit ?? 0, bytesOf(command, outcome.result));
  return outcome;
}

/** What the commands' results say, by the names that metrics have for it. */
function bytesOf(command: string, result: Record<string, unknown>): RunBytes {
  const count = (value: unknown) => typeof value === "number" ? value : undefined;
  const freed = (removed: unknown) => count((removed as { bytes?: unknown } | undefined)?.bytes);
  const pruned = result.prune as { removed?: unknown } | undefined;
  if (command === "snapshot") {
    return { data: count(result.bytes), stored: count(result.stored), freed: freed(pruned?.removed) };
  }
  if (command === "verify") return { read: count(result.bytes) };
  if (command === "restore" || command === "drill") return { restored: count(result.bytes) };
  if (command === "prune") return { freed: freed(result.removed) };
  return {};
}
