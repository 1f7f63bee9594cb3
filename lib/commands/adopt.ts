import { AmberError } from "../errors.ts";
import { adoptDbmate } from "../stories/adopt.ts";
import { version } from "../version.ts";
import { act, type AmberContext, type CommonFlags, runOptions } from "./context.ts";
import type { PlanFlags } from "./flags.ts";

export async function run(this: AmberContext, flags: CommonFlags & PlanFlags, tool: string): Promise<void> {
  await act(this, flags, async (setting) => {
    if (tool !== "dbmate") {
      throw new AmberError("USAGE", {
        message: `Cannot adopt the history of "${tool}": amber knows dbmate's`,
        hint: "Record what is applied without running it: amber migrate --fake NAME (the last one applied)",
      });
    }
    const plan = flags.plan || flags.dryRun;
    const { adopted, unknown, pending } = await adoptDbmate({ ...runOptions(setting, version), plan });
    return {
      result: { adopted, unknown, pending },
      lines: [
        ...adopted.map((name) => `  ${plan ? "would adopt" : "adopted"}  ${name}`),
        ...unknown.map((one) => `  left out  ${one}: there is no file for it`),
        `${adopted.length} ${
          plan ? "would be taken" : "taken"
        } over from dbmate, ${pending.length} pending. Nothing was run.`,
        ...(pending.length > 0 ? ["Next: amber migrate"] : []),
      ],
    };
  });
}
