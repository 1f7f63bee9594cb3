import { AmberError } from "../errors.ts";
import { cat } from "../stories/cat.ts";
import { act, type AmberContext, type CommonFlags } from "./context.ts";
import { snapshotSetting } from "./snapshot_context.ts";

export async function run(this: AmberContext, flags: CommonFlags, wanted: string, path: string): Promise<void> {
  await act(this, flags, async (setting) => {
    if (flags.json) {
      throw new AmberError("USAGE", {
        message: "Cannot write a file as JSON: cat writes its bytes as they are",
        hint: "Leave out --json. amber ls --json tells size and hash.",
      });
    }
    const { store, stop, report, database: address } = snapshotSetting(setting);
    const database = address.engine === "sqlite" ? address.path : undefined;
    await cat({ store, wanted, path, database, stop, report, write: (bytes) => setting.world.stdoutBytes(bytes) });
    return { result: {}, lines: [] };
  });
}
