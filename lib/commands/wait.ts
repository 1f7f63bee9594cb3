import { AmberError } from "../errors.ts";
import { formatDuration } from "../duration.ts";
import { wait } from "../stories/wait.ts";
import { version } from "../version.ts";
import { act, type AmberContext, type CommonFlags, runOptions } from "./context.ts";

export async function run(this: AmberContext, flags: CommonFlags & { until?: string }): Promise<void> {
  await act(this, flags, async (setting) => {
    const until = flags.until ?? "answers";
    if (until !== "answers" && until !== "current") {
      throw new AmberError("USAGE", {
        message: `Cannot wait until "${until}"`,
        hint: "--until answers, or --until current",
      });
    }
    const { waitedMs } = await wait({ ...runOptions(setting, version), until });
    return {
      result: { until, waitedMs },
      lines: [`The database ${until === "current" ? "is current" : "answers"} (after ${formatDuration(waitedMs)}).`],
    };
  });
}
