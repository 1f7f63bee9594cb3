import type { Outcome } from "../output/events.ts";
import { isForeign, metricsText, type RunBytes } from "../output/metrics.ts";
import { knownError } from "../output/reporter.ts";

/** More than this amber never wrote. */
const mostBytes = 1 << 20;

/**
 * Does a command's work and writes how it ended into a file for Prometheus. A file that cannot be written changes nothing
 * else: it is a note. Work that was declined was no run.
 */
export async function measured(
  given: { file: string; command: string; now: () => Date; stop: AbortSignal; note: (message: string) => void },
  work: () => Promise<Outcome>,
): Promise<Outcome> {
  const { file, command, now, stop, note } = given;
  const started = now();
  const write = (exit: number, bytes: RunBytes) => {
    const ended = now();
    const durationMs = Math.max(0, ended.getTime() - started.getTime());
    const problem = putMetrics(file, (old) => metricsText(old, { command, ended, durationMs, exit, bytes }));
    if (problem !== undefined) note(`the metrics (--metrics) could not be written to "${file}": ${problem}`);
  };
  let outcome: Outcome;
  try {
    outcome = await work();
  } catch (error) {
    write(knownError(stop.aborted ? stop.reason : error).exitStatus, {});
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

/** Replaces the file at once: whoever reads it finds the old or the new one. Says what went wrong. */
function putMetrics(file: string, change: (old: string) => string): string | undefined {
  let beside: string | undefined;
  try {
    const found = readOld(file);
    if (found === undefined) return "there is something else in its place";
    // The collector reads what ends in .prom, and this does not.
    const name = found.path.replace(/[^/]*$/, (name) => `.${name}.${crypto.randomUUID().slice(0, 8)}`);
    Deno.writeTextFileSync(name, change(found.old), { createNew: true });
    beside = name;
    Deno.chmodSync(name, 0o644); // whatever the umask is: another user's collector reads it
    Deno.renameSync(name, found.path);
    beside = undefined;
    return undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "there is no such folder";
    if (error instanceof Deno.errors.PermissionDenied) return "this user may not write there";
    // Whatever else it is, the work itself is done.
    return error instanceof Error ? error.message : String(error);
  } finally {
    if (beside !== undefined) Deno.removeSync(beside);
  }
}

/** Undefined when another text than amber's would be lost, or it is no ordinary file. */
function readOld(file: string): { path: string; old: string } | undefined {
  let path: string;
  try {
    path = Deno.realPathSync(file); // a link stays one
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { path: file, old: "" };
  }
  const { isFile, size } = Deno.statSync(path);
  if (!isFile || size > mostBytes) return undefined;
  const old = Deno.readTextFileSync(path);
  return isForeign(old) ? undefined : { path, old };
}
