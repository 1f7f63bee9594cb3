import { formatBytes } from "../bytes.ts";
import type { Config } from "../config.ts";
import { AmberError } from "../errors.ts";
import type { Outcome } from "../output/events.ts";
import { countText, timeText } from "../output/snapshot_text.ts";
import { tableLines } from "../output/table.ts";
import { describeKeep, type KeepPolicy, parseKeep } from "../repository/keep_policy.ts";
import { type JudgedSnapshot, prune, type PruneResult, undoForget } from "../stories/prune.ts";
import { act, type AmberContext, confirm, type Setting } from "./context.ts";
import { guardWriting, reportUnfinishedRestore, snapshotSetting } from "./snapshot_context.ts";
import type { PruneFlags } from "./snapshot_flags.ts";

export async function run(this: AmberContext, flags: PruneFlags): Promise<void> {
  await act(this, flags, async (setting) => {
    refuseContradictions(flags);
    const plan = flags.plan || flags.dryRun;
    const policy = flags.remove ? undefined : keepPolicy(setting.config);
    if (plan) reportUnfinishedRestore(setting);
    using _guard = plan ? undefined : await guardWriting(setting);
    return flags.undo === undefined
      ? await pruneOutcome(setting, flags, policy)
      : await undoOutcome(setting, flags.undo, plan);
  });
}

/** What AMBER_KEEP or `--keep` says; undefined when neither does. @throws {AmberError} USAGE */
export function keepPolicy({ keep }: Config): KeepPolicy | undefined {
  return keep && parseKeep(keep.value);
}

async function pruneOutcome(setting: Setting, flags: PruneFlags, policy: KeepPolicy | undefined): Promise<Outcome> {
  const { store, stop, report } = snapshotSetting(setting);
  const plan = flags.plan || flags.dryRun;
  const { keepTag: keepTags, remove, yes = false } = flags;
  const result = await prune({
    ...{ store, stop, report, policy, keepTags, remove, plan },
    confirm: (removed) =>
      confirm(setting.world, setting.reporter, {
        what: removed.map((one) => `${one.id} of ${timeText(one.time)} (${one.kind ?? "damaged"}) is taken out`),
        ask: `Take out ${countText(removed.length, "snapshot")}?`,
        yes,
      }),
  });
  const { declined = false, ...facts } = result;
  return {
    result: { ...facts, ...(policy ? { policy: describeKeep(policy) } : {}), plan: plan ?? false, declined },
    lines: declined ? ["Nothing was done."] : [
      ...(plan ? planLines(result.snapshots) : []),
      ...(policy || remove ? [] : ["No policy (AMBER_KEEP, --keep): no snapshot is forgotten."]),
      ...pruneLines(result, plan),
    ],
  };
}

/** What was done, in a line or two; also after a snapshot. */
export function pruneLines({ forgotten, removed }: PruneResult, plan = false): string[] {
  const { packs, bytes, waiting } = removed;
  const would = plan ? "Would forget" : "Forgot";
  return [
    `${would} ${countText(forgotten.length, "snapshot")}, ${plan ? "remove" : "removed"} ${countText(packs, "pack")} (${
      formatBytes(bytes)
    }).`,
    ...(waiting.packs > 0
      ? [`${countText(waiting.packs, "pack")} more (${formatBytes(waiting.bytes)}) can go in a day.`]
      : []),
    ...(forgotten.length > 0 && !plan
      ? [`For 20 hours one can be brought back: amber prune --undo ${forgotten.at(-1)}`]
      : []),
  ];
}

function planLines(snapshots: readonly JudgedSnapshot[]): string[] {
  if (snapshots.length === 0) return ["There is no snapshot."];
  const rows = snapshots.map(({ id, time, kind, tags, keep, reasons }) => [
    keep ? "keep" : "forget",
    id,
    timeText(time),
    kind ?? "damaged",
    [...reasons, ...(tags.length > 0 ? [`tags: ${tags.join(", ")}`] : [])].join("; "),
  ]);
  return ["Plan:", ...tableLines(rows, ["left", "left", "left", "left", "left"]).map((line) => `  ${line}`)];
}

async function undoOutcome(setting: Setting, id: string, plan = false): Promise<Outcome> {
  const { store } = snapshotSetting(setting);
  const { snapshot, wasThere } = await undoForget({ store, id, plan });
  const verb = plan ? "would be brought back" : "is back";
  return {
    result: { snapshot, wasThere, plan },
    lines: [
      wasThere
        ? `Nothing to do: snapshot ${snapshot.id} of ${timeText(snapshot.time)} is there.`
        : `Snapshot ${snapshot.id} of ${timeText(snapshot.time)} ${verb}.`,
    ],
  };
}

function refuseContradictions(flags: PruneFlags): void {
  const given = [
    flags.undo !== undefined && "--undo",
    flags.remove && "--remove",
    (flags.keep !== undefined && "--keep") || (flags.keepTag && "--keep-tag"),
  ].filter((one) => typeof one === "string");
  if (given.length < 2) return;
  throw new AmberError("USAGE", {
    message: `Cannot use ${given.join(" and ")} at once`,
    hint: "Run one after the other. amber prune --help",
  });
}
