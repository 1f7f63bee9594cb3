import type { Snapshot } from "../repository/snapshot_file.ts";
import { idOf } from "../repository/snapshot_file.ts";
import { timeText } from "../output/snapshot_text.ts";
import { diff } from "../stories/diff.ts";
import { showSnapshot } from "../stories/snapshots.ts";
import { act, type AmberContext, type CommonFlags } from "./context.ts";
import { snapshotSetting } from "./snapshot_context.ts";

export async function run(this: AmberContext, flags: CommonFlags, before: string, after = "latest"): Promise<void> {
  await act(this, flags, async (setting) => {
    const { store, stop, report } = snapshotSetting(setting);
    const found = await diff({ store, before, after, stop, report });
    const { counts } = found;
    const parts = [
      `${counts.new} new`,
      `${counts.gone} gone`,
      `${counts.changed} changed`,
      ...(counts.attributes > 0 ? [`${counts.attributes} with other attributes only (m)`] : []),
    ];
    const between = `${name(found.before)} → ${name(found.after)}`;
    return {
      result: { before: showSnapshot(found.before), after: showSnapshot(found.after), counts },
      lines: [
        found.before.hash === found.after.hash
          ? `One and the same snapshot: ${name(found.after)}.`
          : `${between}: ${parts.join(", ")}`,
      ],
    };
  });
}

function name(snapshot: Snapshot): string {
  return `${idOf(snapshot)} (${timeText(snapshot.time)})`;
}
