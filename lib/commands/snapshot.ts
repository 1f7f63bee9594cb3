import { formatBytes } from "../bytes.ts";
import { pathInside, realPath } from "../capture/inside.ts";
import { formatDuration } from "../duration.ts";
import { AmberError, exitStatuses } from "../errors.ts";
import type { Outcome } from "../output/events.ts";
import { countText } from "../output/snapshot_text.ts";
import { printable } from "../output/table.ts";
import type { KeepPolicy } from "../repository/keep_policy.ts";
import type { DatabaseFacts, Remark, Snapshot } from "../repository/snapshot_file.ts";
import { prune, type PruneResult } from "../stories/prune.ts";
import { isIncomplete, snapshot, type SnapshotPlan } from "../stories/snapshot.ts";
import { showSnapshot } from "../stories/snapshots.ts";
import { act, type AmberContext, type Setting } from "./context.ts";
import { pinged, type PingedOutcome } from "./pinged.ts";
import { keepPolicy, pruneLines } from "./prune.ts";
import { guardWriting, reportUnfinishedRestore, snapshotSetting } from "./snapshot_context.ts";
import type { SnapshotFlags } from "./snapshot_flags.ts";

export async function run(this: AmberContext, flags: SnapshotFlags): Promise<void> {
  await act(this, flags, async (setting) => {
    const policy = keepPolicy(setting.config); // a mistake in it must not show after an hour of reading
    const options = { tags: readTags(flags.tag), reread: flags.reread };
    if (flags.plan || flags.dryRun) return await planOutcome(setting, options);
    return await pinged(setting, () => take(setting, options, policy));
  });
}

/**
 * What `amber snapshot` does, for `amber run`.
 * @throws {AmberError} USAGE for a mistake in AMBER_KEEP, before anything is taken.
 */
export function snapshotTaker(config: Setting["config"]): (setting: Setting) => Promise<Outcome> {
  const policy = keepPolicy(config);
  return (setting) => pinged(setting, () => take(setting, { tags: [] }, policy));
}

interface TakeOptions {
  tags: string[];
  reread?: boolean;
}

async function take(setting: Setting, options: TakeOptions, policy: KeepPolicy | undefined): Promise<PingedOutcome> {
  const given = snapshotSetting(setting);
  using _guard = await guardWriting(setting);
  const { snapshot: taken, incomplete } = await snapshot({ ...given, ...options });
  if (!taken!.parent) sayWhere(setting);
  const outcome = takenOutcome(taken!, incomplete, setting);
  const missed = taken!.facts.remarks.filter((one) => isIncomplete([one]));
  const complaint = incomplete ? missedText(missed) : undefined;
  if (policy === undefined) return { outcome, complaint };
  const pruned = await pruneAfterwards(setting, policy, outcome);
  if ("problem" in pruned) {
    const { code, message, where, hint } = pruned.problem;
    outcome.result.prune = { error: { code, message, where, hint } };
    const text = `The snapshot is done, but old ones could not be pruned: ${message}`;
    setting.reporter.event({ type: "note", message: hint ? `${text}. ${hint}` : text });
    return { outcome, complaint: [complaint, text].filter(Boolean).join("\n") };
  }
  const { forgotten, removed } = pruned;
  outcome.result.prune = { forgotten, removed };
  outcome.lines.push(...pruneLines(pruned));
  return { outcome, complaint };
}

/**
 * AMBER_KEEP. What goes wrong here does not undo the snapshot: it is told, and the exit status stays that of the snapshot,
 * since whatever waits for it (a deployment) may go on; the next run prunes what this one did not.
 *
 * @throws What a signal aborted with, after the snapshot was reported.
 */
async function pruneAfterwards(
  setting: Setting,
  policy: KeepPolicy,
  outcome: Outcome,
): Promise<PruneResult | { problem: AmberError }> {
  const { store, stop, report } = snapshotSetting(setting);
  try {
    return await prune({ store, stop, report, policy });
  } catch (error) {
    if (stop.aborted) setting.reporter.outcome(outcome);
    if (stop.aborted || !(error instanceof AmberError)) throw error;
    return { problem: error };
  }
}

const incompleteExit = exitStatuses.SNAPSHOT_INCOMPLETE;

/** Once, with the first snapshot. */
function sayWhere({ config, reporter }: Setting): void {
  const { data, repository } = config;
  if (pathInside(realPath(data.value), realPath(repository.value)) === undefined) return;
  reporter.event({
    type: "note",
    message:
      `the repository "${repository.value}" lies inside "${data.value}": it lives as long as that folder does and ` +
      "no longer. AMBER_REPOSITORY names another place, best on another disk",
  });
}

function takenOutcome(taken: Snapshot, incomplete: boolean, { config }: Setting): Outcome {
  const { facts } = taken;
  const shown = showSnapshot(taken);
  const coversDatabase = facts.postgres !== undefined || facts.databases.some(({ configured }) => configured);
  return {
    result: {
      ...shown,
      ...(taken.parent === undefined ? {} : { parent: taken.parent }),
      repository: config.repository.value,
      remarks: facts.remarks,
      excluded: facts.excluded,
      coversDatabase,
      ...(incomplete ? { code: "SNAPSHOT_INCOMPLETE", exit: incompleteExit } : {}),
    },
    lines: [
      `Snapshot ${shown.id}: ${countText(facts.files, "file")}, ${formatBytes(facts.bytes)}; ${
        formatBytes(facts.stored)
      } stored, in ${formatDuration(facts.durationMs)}`,
      ...facts.databases.map((one) => databaseLine(one.path, one)),
      ...(facts.postgres ? [databaseLine(facts.postgres.name, facts.postgres)] : []),
      ...excludedLines(facts.excluded),
      ...(coversDatabase || config.database.engine === "postgres"
        ? []
        : [`  without a database: there is no "${config.database.path}"`]),
      ...(incomplete ? [missedText(facts.remarks.filter((one) => isIncomplete([one])))] : []),
    ],
    ...(incomplete ? { exit: incompleteExit } : {}),
  };
}

function databaseLine(name: string, { rows, migrations }: Pick<DatabaseFacts, "rows" | "migrations">): string {
  const counts = Object.values(rows);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const facts = [
    countText(counts.length, "table"),
    countText(total, "row"),
    ...(migrations ? [`migration ${printable(migrations.last)}`] : []),
  ];
  return `  ${printable(name)}  ${facts.join(", ")}`;
}

function excludedLines(excluded: Record<string, number>): string[] {
  return Object.entries(excluded).map(([pattern, count]) =>
    `  left out  ${printable(pattern)} (${countText(count, "path")})`
  );
}

function missedText(missed: readonly Remark[]): string {
  const named = missed.slice(0, 5).map(({ path, message }) => path === "" ? message : `"${printable(path)}"`);
  return `Incomplete: ${countText(missed.length, "file")} changed while being read or could not be read: ${
    named.join(", ")
  }${missed.length > 5 ? ", …" : ""}`;
}

async function planOutcome(setting: Setting, options: TakeOptions): Promise<Outcome> {
  reportUnfinishedRestore(setting);
  const given = snapshotSetting(setting);
  const { planned } = await snapshot({ ...given, ...options, plan: true });
  return { result: { planned }, lines: planLines(planned!) };
}

function planLines(
  { files, folders, bytes, changed, changedBytes, databases, excluded, parent }: SnapshotPlan,
): string[] {
  return [
    "Plan:",
    `  ${countText(files, "file")} and ${countText(folders, "folder")}, ${formatBytes(bytes)}`,
    ...databases.map((path) => `  database  ${printable(path)}`),
    ...excludedLines(excluded),
    parent === undefined
      ? "  all of it would be read and stored: there is no snapshot before"
      : `  ${countText(changed, "file")} to read (${formatBytes(changedBytes)}): the others are as in ${parent}`,
  ];
}

/** @throws {AmberError} USAGE for a tag that nobody could find again. */
function readTags(tags: readonly string[] = []): string[] {
  for (const tag of tags) {
    const why = tag.trim() === ""
      ? "it is empty"
      : /\p{Cc}/u.test(tag)
      ? "it holds a control character"
      : tag.length > 200
      ? "it is too long"
      : undefined;
    if (why) {
      throw new AmberError("USAGE", {
        message: `Cannot use the tag ${JSON.stringify(tag.slice(0, 200))}: ${why}`,
        hint: "A tag is a word: --tag before-release",
      });
    }
  }
  return [...new Set(tags)];
}
