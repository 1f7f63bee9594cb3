import { formatBytes } from "../bytes.ts";
import { formatDuration } from "../duration.ts";
import { numberText, timeText } from "../output/snapshot_text.ts";
import { tableLines } from "../output/table.ts";
import { listSnapshots, migrationOf, type ShownSnapshot, type SnapshotList } from "../stories/snapshots.ts";
import { act, type AmberContext, type CommonFlags } from "./context.ts";
import { reportUnfinishedRestore, snapshotSetting } from "./snapshot_context.ts";

export async function run(this: AmberContext, flags: CommonFlags): Promise<void> {
  await act(this, flags, async (setting) => {
    const { store, now } = snapshotSetting(setting);
    reportUnfinishedRestore(setting);
    const list = await listSnapshots(store);
    const { notes, all, ...facts } = list;
    for (const message of [...list.damaged.map((one) => one.message), ...notes]) {
      setting.reporter.event({ type: "note", message });
    }
    return { result: { repository: store.where, ...facts }, lines: lines(all, now()) };
  });
}

function lines(all: SnapshotList["all"], now: Date): string[] {
  if (all.length === 0) return ["No snapshots yet: amber snapshot takes one."];
  const heading = ["id", "time (UTC)", "age", "kind", "files", "bytes", "stored", "migration", "drilled", "tags"];
  const rows = all.map((one) =>
    "code" in one ? [one.id, timeText(one.time), ageText(one.time, now), "damaged"] : row(one, now)
  );
  return tableLines([heading, ...rows], [
    ...["left", "left", "right", "left", "right", "right", "right", "left", "left", "left"] as const,
  ]);
}

function row(one: ShownSnapshot, now: Date): string[] {
  const { id, time, kind, before, files, bytes, stored, tags, incomplete, drill } = one;
  return [
    id,
    timeText(time),
    ageText(time, now),
    `${kind}${before === undefined ? "" : ` (${before})`}${incomplete ? ", incomplete" : ""}`,
    numberText(files),
    formatBytes(bytes),
    formatBytes(stored),
    migrationOf(one)?.last ?? "",
    drill ? `${drill.ok ? "good" : "FAILED"} ${timeText(drill.time)}` : "",
    tags.join(", "),
  ];
}

/** How long ago, `in 3 h` for what a clock set wrong has put into the future. */
export function ageText(time: string, now: Date): string {
  const ms = now.getTime() - Date.parse(time);
  return ms < -1_000 ? `in ${formatDuration(-ms)}` : formatDuration(Math.max(0, ms));
}
