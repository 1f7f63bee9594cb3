import type { Outcome } from "../output/events.ts";
import { check } from "../stories/check.ts";
import { version } from "../version.ts";
import { act, type AmberContext, type CommonFlags, runOptions, type Setting } from "./context.ts";

export async function run(this: AmberContext, flags: CommonFlags & { allowLate?: boolean }): Promise<void> {
  await act(this, flags, (setting) => checkOutcome(setting, flags.allowLate));
}

/** `check`, and `migrate --check`. */
export async function checkOutcome(setting: Setting, allowLate = false): Promise<Outcome> {
  const { applied } = await check({ ...runOptions(setting, version), allowLate });
  return {
    result: { applied },
    lines: [`Current: ${applied} migration${applied === 1 ? "" : "s"} applied, nothing pending.`],
  };
}
