import { formatBytes } from "../bytes.ts";
import { exitStatuses } from "../errors.ts";
import { countText, timeText } from "../output/snapshot_text.ts";
import { printable } from "../output/table.ts";
import type { Finding } from "../repository/findings.ts";
import type { Verification } from "../repository/verify.ts";
import { verify } from "../stories/verify.ts";
import { act, type AmberContext } from "./context.ts";
import { reportUnfinishedRestore, snapshotSetting } from "./snapshot_context.ts";
import type { VerifyFlags } from "./snapshot_flags.ts";

export async function run(this: AmberContext, flags: VerifyFlags): Promise<void> {
  await act(this, flags, async (setting) => {
    const { store, now, stop, report } = snapshotSetting(setting);
    reportUnfinishedRestore(setting);
    const found = await verify({ store, share: flags.share, now, stop, report });
    const isSound = found.findings.length === 0;
    return {
      result: {
        repository: store.where,
        ...(flags.share === undefined ? {} : { share: flags.share }),
        ...found,
        ...(isSound ? {} : { code: "OBJECT_DAMAGED", exit: exitStatuses.OBJECT_DAMAGED }),
      },
      lines: isSound ? [summary(found, flags.share)] : [...complaints(found), "", summary(found, flags.share)],
      ...(isSound ? {} : { exit: exitStatuses.OBJECT_DAMAGED }),
    };
  });
}

function summary(found: Verification, share: string | undefined): string {
  const { snapshots, packs, packsRead, bytes, unused, findings } = found;
  const read = packsRead === packs ? countText(packs, "pack") : `${packsRead} of ${countText(packs, "pack")}`;
  return [
    `${findings.length === 0 ? "Verified" : `${countText(findings.length, "damaged object")}`}: `,
    `${countText(snapshots, "snapshot")}, ${read}, ${formatBytes(bytes)} read`,
    ...(share === undefined ? [] : [` (today's ${share})`]),
    ...(unused.packs === 0
      ? []
      : [`; ${countText(unused.packs, "pack")} (${formatBytes(unused.bytes)}) in no snapshot, which is no damage`]),
  ].join("");
}

function complaints({ findings, damaged, sound }: Verification): string[] {
  return [
    ...findings.flatMap(complaint),
    "",
    ...(damaged.length === 0
      ? ["Every snapshot can still be restored."]
      : [`Not complete any more: ${list(damaged, 20)}`]),
    sound
      ? `The newest one without damage: ${sound.id} (${sound.kind}, ${timeText(sound.time)})`
      : "There is no snapshot without damage.",
    ...(findings.some(({ object }) => object.startsWith("packs/"))
      ? ["Move the damaged packs out of the repository: the next amber snapshot stores again what the data still have."]
      : []),
  ];
}

function complaint({ object, what, snapshots, lost, files, fileCount }: Finding): string[] {
  return [
    `damaged  ${printable(object)}`,
    `  ${printable(what)}`,
    ...(snapshots.length === 0 ? [] : [`  in snapshots  ${list(snapshots, 10)}`]),
    ...(lost.length === 0 ? [] : [`  of which nothing can be restored  ${list(lost, 10)}`]),
    ...files.slice(0, 10).map((path) => `  file  ${printable(path)}`),
    ...(fileCount > 10 ? [`  and ${countText(fileCount - Math.min(files.length, 10), "more file")}`] : []),
  ];
}

function list(ids: readonly string[], most: number): string {
  return ids.length <= most ? ids.join(", ") : `${ids.slice(0, most).join(", ")} and ${ids.length - most} more`;
}
