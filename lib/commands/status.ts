import { formatBytes } from "../bytes.ts";
import { parseDuration } from "../duration.ts";
import type { AmberError } from "../errors.ts";
import { countText, timeText } from "../output/snapshot_text.ts";
import type { SnapshotStatus } from "../stories/snapshot_status.ts";
import { tooOld } from "../stories/snapshot_status.ts";
import type { Status } from "../stories/status.ts";
import { status } from "../stories/status.ts";
import { version } from "../version.ts";
import { act, type AmberContext, type CommonFlags, runOptions } from "./context.ts";
import { ageText } from "./snapshots.ts";

export interface StatusFlags extends CommonFlags {
  /** A duration: exit 3 when the newest good snapshot is older. */
  maxAge?: string;
}

export async function run(this: AmberContext, flags: StatusFlags): Promise<void> {
  await act(this, flags, async (setting) => {
    const maxAgeMs = flags.maxAge === undefined ? undefined : parseDuration(flags.maxAge);
    const now = setting.world.now();
    const gathered = await status(setting.config, runOptions(setting, version));
    const { problem, snapshots, ...facts } = gathered;
    const outcome = {
      result: {
        ...facts,
        ...(problem ? { problem: problemFacts(problem) } : {}),
        snapshots: {
          ...snapshots,
          ...(snapshots.newest
            ? { ageSeconds: Math.round((now.getTime() - Date.parse(snapshots.newest.time)) / 1000) }
            : {}),
          ...(snapshots.problem ? { problem: problemFacts(snapshots.problem) } : {}),
        },
      },
      lines: lines(gathered, now),
    };
    // An alarm for old snapshots asks for these alone; that the database is down is another alarm's business.
    const failure = maxAgeMs === undefined
      ? problem ?? snapshots.problem
      : snapshots.problem ?? tooOld(snapshots, maxAgeMs, now);
    if (!failure) return outcome;
    setting.reporter.outcome(outcome); // everything else first
    throw failure;
  });
}

function problemFacts({ code, message, where, hint }: AmberError) {
  return { code, message, where, hint };
}

function lines(gathered: Status, now: Date): string[] {
  const { settings, production, database, databaseFrom, migrationsFolder, migrations, problem } = gathered;
  const set = settings.filter((one) => one.shown !== "");
  const width = Math.max(...set.map((one) => one.variable.length));
  return [
    `amber ${version}${production ? "   production" : ""}`,
    "",
    `database    ${database}`,
    `            from ${databaseFrom}`,
    `migrations  ${migrationsFolder}`,
    ...(migrations
      ? [
        `            ${migrations.applied} applied, ${migrations.pending} pending${
          migrations.last ? `, last: ${migrations.last}` : ""
        }`,
        ...migrations.marked.map((one) => `            ${one.name}: ${one.mark}`),
      ]
      : []),
    ...(problem ? [`            ${problem.message}`] : []),
    ...snapshotLines(gathered.snapshots, now),
    "",
    "settings",
    ...set.map((one) => `  ${one.variable.padEnd(width)}  ${one.shown}  (${one.source})`),
  ];
}

function snapshotLines(snapshots: SnapshotStatus, now: Date): string[] {
  const { repository, repositoryFrom, count, newest, drill, isInsideData, notes, problem } = snapshots;
  const facts = [
    ...(count === undefined ? [] : [
      count === 0 ? "none yet: amber snapshot takes one" : countText(count, "snapshot"),
    ]),
    ...(newest
      ? [
        `newest good one: ${newest.id} of ${timeText(newest.time)} UTC, ${ageText(newest.time, now)} old, ${
          formatBytes(newest.bytes)
        }`,
      ]
      : count
      ? ["none of them is a good one: an ordinary one of everything, in which no drill found damage"]
      : []),
    ...(drill ? [`last drill: ${drill.ok ? "good" : "FAILED"}, ${drill.snapshot} at ${timeText(drill.time)} UTC`] : []),
    ...(isInsideData ? ["it lies inside the data folder, and lives as long as that does and no longer"] : []),
    ...notes,
    ...(problem ? [problem.message] : []),
  ];
  return [`snapshots   ${repository} (${repositoryFrom})`, ...facts.map((line) => `            ${line}`)];
}
