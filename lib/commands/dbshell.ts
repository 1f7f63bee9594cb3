import { dbshell, shellCommand } from "../stories/dbshell.ts";
import { act, type AmberContext, type CommonFlags } from "./context.ts";

export async function run(this: AmberContext, flags: CommonFlags, ...args: string[]): Promise<void> {
  await act(this, flags, async ({ config }) => {
    const exit = await dbshell(shellCommand(config.database, args));
    return { result: { exit }, lines: [], exit };
  });
}
