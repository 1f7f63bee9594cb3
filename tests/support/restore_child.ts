/**
 * Restores in a process of its own, which kills itself at a step: `restore_child.ts JSON`. Says each step on stdout, and
 * at the end how many there were.
 */
import { type App, putBack } from "./restoring.ts";
import { type Step, steppedCalls } from "./faulty_restore.ts";
import type { RestoreOptions } from "../../lib/stories/restore_types.ts";

export interface ChildTask {
  app: App;
  options: Pick<RestoreOptions, "wanted" | "replace" | "noSafety" | "ifEmpty" | "selection" | "to">;
  /** Dies before this step is made. */
  killAt?: number;
  /** Dies so many ms after a live database begins to be written. */
  killWhilePuttingMs?: number;
}

if (import.meta.main) {
  const task: ChildTask = JSON.parse(Deno.args[0]!);
  let count = 0;
  const die = () => Deno.kill(Deno.pid, "SIGKILL");
  const calls = steppedCalls(({ number, call }: Step) => {
    count = number;
    if (number === task.killAt) {
      die();
      for (;;); // the signal may take a moment, and the step must not be made
    }
    if (call === "putImage" && task.killWhilePuttingMs !== undefined) setTimeout(die, task.killWhilePuttingMs);
  });
  await putBack(task.app, { ...task.options, calls });
  console.log(`steps ${count}`);
  Deno.exit(0);
}
