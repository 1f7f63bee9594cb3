import { formatBytes } from "../bytes.ts";
import { formatDuration } from "../duration.ts";
import { exitStatuses } from "../errors.ts";
import { countText, timeText } from "../output/snapshot_text.ts";
import { printable } from "../output/table.ts";
import { drill, type DrillResult } from "../stories/drill.ts";
import { act, type AmberContext } from "./context.ts";
import { reportUnfinishedRestore, snapshotSetting } from "./snapshot_context.ts";
import type { DrillFlags } from "./snapshot_flags.ts";

export async function run(this: AmberContext, flags: DrillFlags): Promise<void> {
  await act(this, flags, async (setting) => {
    const { store, scratch, database, by, amber, now, stop, report } = snapshotSetting(setting);
    reportUnfinishedRestore(setting);
    const found = await drill({ store, scratch, database, by, amber, now, stop, report });
    const failed = { code: "DRILL_FAILED", exit: exitStatuses.DRILL_FAILED };
    return {
      result: { repository: store.where, ...found, ...(found.ok ? {} : failed) },
      lines: lines(found),
      ...(found.ok ? {} : { exit: failed.exit }),
    };
  });
}

function lines({ id, taken, ok, problems, notes, files, bytes, databases, rows, durationMs }: DrillResult): string[] {
  const restored = `${countText(files, "file")}, ${formatBytes(bytes)}, ${countText(databases, "database")}, ${
    countText(rows, "row")
  }`;
  return [
    ...notes.map((text) => `note     ${printable(text)}`),
    ...problems.map((text) => `wrong    ${printable(text)}`),
    ok
      ? `Drilled: snapshot ${id} (${timeText(taken)}) can be restored: ${restored}, in ${formatDuration(durationMs)}`
      : `DRILL FAILED: snapshot ${id} (${
        timeText(taken)
      }) cannot be restored as it was taken; restored were ${restored}`,
    ...(ok ? [] : ["amber verify says what is damaged, and which snapshot is the newest without damage."]),
  ];
}
