import { schema } from "../stories/schema.ts";
import { version } from "../version.ts";
import { act, type AmberContext, type CommonFlags, runOptions } from "./context.ts";

export type SchemaFlags = CommonFlags & { noRights?: boolean };

export async function run(this: AmberContext, flags: SchemaFlags): Promise<void> {
  await act(this, flags, async (setting) => {
    const { text, ...result } = await schema({ ...runOptions(setting, version), rights: !flags.noRights });
    for (const note of result.notes) setting.reporter.event({ type: "note", message: note });
    // A file, and not a message: where a table is called like the password, nothing is masked.
    if (!flags.json && !setting.world.json) setting.world.stdoutBytes(new TextEncoder().encode(text));
    return { result, lines: [] };
  });
}
