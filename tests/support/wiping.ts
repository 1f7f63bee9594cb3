/** Wipes an app of tests/support/restoring.ts, and lets each step of that be counted, fail, or be the last. */
import { type WipeCalls, wipeCalls } from "../../lib/capture/wipe_calls.ts";
import { compilePatterns } from "../../lib/patterns.ts";
import { finishWipe } from "../../lib/stories/unfinished_wipe.ts";
import { wipe, type WipeEvent, type WipeOptions, type WipeResult } from "../../lib/stories/wipe.ts";
import type { WipePlaces } from "../../lib/stories/wipe_target.ts";
import { type App, take } from "./restoring.ts";

export function wipePlaces(app: App): WipePlaces {
  return {
    data: app.data,
    database: { engine: "sqlite", path: app.database },
    repositoryFolder: app.repository,
    scratch: app.scratch,
    leaveAlone: [`${app.scratch}/cache`],
    exclude: compilePatterns(app.exclude),
    waitMs: 500,
    now: () => new Date(),
    random: (size) => crypto.getRandomValues(new Uint8Array(size)),
    stop: new AbortController().signal,
    report: () => {},
  };
}

/** Wipes, and gives what was reported as well. */
export async function wipeApp(
  app: App,
  options: Partial<WipeOptions> = {},
): Promise<WipeResult & { events: WipeEvent[] }> {
  const events: WipeEvent[] = [];
  const result = await wipe({
    ...wipePlaces(app),
    takeSafety: async (held) => ({ id: await take(app, { kind: "safety", before: "wipe", held }), incomplete: false }),
    ...options,
    report: (event) => events.push(event),
  });
  return { ...result, events };
}

/** What the next command that writes does first. */
export async function finishApp(app: App): Promise<boolean> {
  return await finishWipe(wipePlaces(app));
}

/** Looking changes nothing: those calls are no steps. */
const looking = new Set(["lstat", "stat", "readDir", "lookAtContents"]);

/** The real calls, with `before` called before each that changes something; what it throws is what the call throws. */
export function steppedWipe(before: (number: number, call: string, path: string) => void): WipeCalls {
  let number = 0;
  return Object.fromEntries(
    Object.entries(wipeCalls).map(([name, call]) => [
      name,
      (...parts: unknown[]) => {
        if (!looking.has(name)) before(++number, name, String(parts[0]));
        return (call as (...parts: unknown[]) => unknown)(...parts);
      },
    ]),
  ) as unknown as WipeCalls;
}

export interface WipeTask {
  app: App;
  /** Dies before this step. */
  killAt?: number;
  selection?: WipeOptions["selection"];
}

// In a process of its own, which kills itself at a step: `wiping.ts JSON`. Says at the end how many steps there were.
if (import.meta.main) {
  const { app, killAt, selection }: WipeTask = JSON.parse(Deno.args[0]!);
  let count = 0;
  const calls = steppedWipe((number) => {
    count = number;
    if (number !== killAt) return;
    Deno.kill(Deno.pid, "SIGKILL");
    for (;;); // the signal may take a moment, and the step must not be made
  });
  console.log("begun");
  const { safety } = await wipeApp(app, { calls, selection });
  console.log(JSON.stringify({ steps: count, safety }));
  Deno.exit(0);
}
