import { formatBytes } from "../bytes.ts";
import { countText } from "../output/snapshot_text.ts";
import { listFiles } from "../stories/list_files.ts";
import { showSnapshot } from "../stories/snapshots.ts";
import { act, type AmberContext, type CommonFlags } from "./context.ts";
import { snapshotSetting } from "./snapshot_context.ts";

export async function run(this: AmberContext, flags: CommonFlags, wanted: string, path?: string): Promise<void> {
  await act(this, flags, async (setting) => {
    const { store, stop, report, database: address } = snapshotSetting(setting);
    const database = address.engine === "sqlite" ? address.path : undefined;
    const { snapshot, entries, bytes } = await listFiles({ store, wanted, path, database, stop, report });
    return {
      result: { snapshot: showSnapshot(snapshot), entries, bytes },
      lines: [`${countText(entries, "path")}, ${formatBytes(bytes)}`],
    };
  });
}
