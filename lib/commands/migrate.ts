import { AmberError } from "../errors.ts";
import type { Event, Outcome } from "../output/events.ts";
import { planLines } from "../output/human.ts";
import { migrate, type MigrateOptions, type MigrateResult } from "../stories/migrate.ts";
import { version } from "../version.ts";
import { act, type AmberContext, type CommonFlags, confirm, runOptions, type Setting } from "./context.ts";
import type { MetricsFlag, PlanFlags } from "./flags.ts";
import { migrateInWorker } from "./migrate_in_worker.ts";
import { beginWriting, reportUnfinished, safetyOf, takingSafety } from "./migrate_safety.ts";

export interface MigrateFlags extends CommonFlags, PlanFlags, MetricsFlag {
  check?: boolean;
  back?: number;
  oneTransaction?: boolean;
  allowLate?: boolean;
  snapshot?: string;
  fake?: boolean;
  fakeInitial?: boolean;
  accept?: string;
  yes?: boolean;
}

export async function run(this: AmberContext, flags: MigrateFlags, target?: string): Promise<void> {
  await act(this, flags, async (setting) => {
    refuseContradictions(flags, target);
    const options: MigrateOptions = {
      ...runOptions(setting, version),
      target,
      back: flags.back,
      plan: flags.plan || flags.dryRun,
      oneTransaction: flags.oneTransaction,
      allowLate: flags.allowLate,
    };
    if (flags.check) return await (await import("./check.ts")).checkOutcome(setting, flags.allowLate);
    if (options.plan) await reportUnfinished(setting);
    using _guard = options.plan ? undefined : await beginWriting(setting);
    if (flags.accept !== undefined) return await acceptOutcome(flags.accept, options);
    if (flags.fake) return await fakeOutcome(options, flags, setting);
    return await migrateNow(setting, options, flags.fakeInitial);
  });
}

/** Goes where the options say, with the safety snapshot that the configuration asks for. */
async function migrateNow(setting: Setting, options: MigrateOptions, fakeInitial = false): Promise<Outcome> {
  const recorded = fakeInitial ? (await (await import("../stories/record.ts")).fakeInitial(options)).recorded : [];
  for (const name of options.plan ? [] : recorded) {
    setting.reporter.event({ type: "note", message: `recorded "${name}" without running it: its tables are there` });
  }
  const safety = safetyOf(setting);
  if (options.database.engine === "sqlite" && !options.plan) {
    const report = (event: Event) => setting.reporter.event(event);
    return await migrateOutcome(await migrateInWorker({ ...options, report, safety }), setting, { recorded });
  }
  const result = await migrate({ ...options, ...takingSafety(safety, options, setting) });
  const would = safety && result.wantsSnapshot
    ? (await import("../stories/safety_before_migrate.ts")).whyNoSafety(safety, result.databaseBytes) ?? "taken"
    : undefined;
  return await migrateOutcome(result, setting, { recorded, would });
}

/** What `amber migrate` does, for `amber run`. */
export async function migrateLatest(setting: Setting, plan = false): Promise<Outcome> {
  if (plan) await reportUnfinished(setting);
  using _guard = plan ? undefined : await beginWriting(setting);
  return await migrateNow(setting, { ...runOptions(setting, version), plan });
}

/**
 * What is shown when a migration run has ended well.
 *
 * @param given.would Of the safety snapshot that the plan would want: `taken`, or why not.
 */
async function migrateOutcome(
  result: MigrateResult,
  { config: { database } }: Setting,
  { recorded = [], would }: { recorded?: readonly string[]; would?: string } = {},
): Promise<Outcome> {
  const { applied, unapplied, snapshot } = result;
  const planned = result.planned?.filter((step) => !recorded.includes(step.name));
  const done = [
    ...(recorded.length > 0 ? [`${recorded.length} recorded without running: ${recorded.join(", ")}`] : []),
    ...(applied.length > 0 ? [`${applied.length} applied`] : []),
    ...(unapplied.length > 0 ? [`${unapplied.length} undone`] : []),
  ];
  const lines = planned
    ? planned.length + recorded.length === 0 ? ["Nothing to do."] : [
      "Plan:",
      ...recorded.map((name) => `  record ${name}  without running it: its tables are there`),
      ...planLines(planned),
      ...(would === undefined ? [] : [
        would === "taken"
          ? "  before that a safety snapshot is taken, of the data folder and the database"
          : `  without a safety snapshot: ${would}`,
      ]),
    ]
    : [
      done.length === 0 ? "Nothing to do." : `Done: ${done.join(", ")}.`,
      ...(snapshot ? (await import("../stories/safety_before_migrate.ts")).wayBackOf(result, database.engine) : []),
    ];
  return {
    result: {
      ...{ applied, unapplied, recorded },
      ...(planned ? { planned } : {}),
      ...(would === undefined
        ? {}
        : { safety: would === "taken", ...(would === "taken" ? {} : { whyNoSafety: would }) }),
      ...(snapshot ? { snapshot, command: `amber restore ${snapshot}` } : {}),
    },
    lines,
  };
}

async function acceptOutcome(name: string, options: MigrateOptions): Promise<Outcome> {
  const { accept } = await import("../stories/record.ts");
  const { accepted, changed } = await accept(name, options);
  const verb = options.plan ? "Would accept" : "Accepted";
  return {
    result: { accepted, changed },
    lines: [
      changed
        ? `${verb} "${accepted}" as it is now. Nothing was run.`
        : `Nothing to do: "${accepted}" is as it was recorded.`,
    ],
  };
}

async function fakeOutcome(
  options: MigrateOptions,
  flags: MigrateFlags,
  { world, reporter }: Setting,
): Promise<Outcome> {
  const { fake } = await import("../stories/record.ts");
  const { recorded, unrecorded } = await fake(options, (names) =>
    Promise.resolve(confirm(world, reporter, {
      what: names.map((name) => `takes "${name}" out of the history; its tables stay as they are`),
      ask: `Take ${names.length} migration${names.length === 1 ? "" : "s"} out of the history?`,
      yes: flags.yes ?? false,
    })));
  const verb = options.plan ? "would be " : "";
  const lines = [
    ...recorded.map((name) => `  ${verb}recorded  ${name}`),
    ...unrecorded.map((name) => `  ${verb}taken out  ${name}`),
  ];
  return {
    result: { recorded, unrecorded },
    lines: lines.length > 0 ? [...lines, "Nothing was run."] : ["Nothing to do."],
  };
}

function refuseContradictions(flags: MigrateFlags, target: string | undefined): void {
  const refuse = (message: string, hint = "amber migrate --help") => {
    throw new AmberError("USAGE", { message, hint });
  };
  if (target?.trim() === "") {
    const hint =
      "It is usually a variable without a value. Leave it out to apply all that is pending; `zero` undoes all.";
    refuse("Cannot migrate to a target whose name is empty", hint);
  }
  if (target?.startsWith("-")) refuse(`Cannot read the command line: "${target}" is no flag`);
  if (flags.back !== undefined && target !== undefined) refuse("Cannot go to a target and --back at once");
  const modes = [
    flags.fake && "--fake",
    flags.fakeInitial && "--fake-initial",
    flags.accept !== undefined && "--accept",
    flags.check && "--check",
  ].filter(Boolean);
  if (modes.length > 1) refuse(`Cannot do ${modes.join(" and ")} at once`);
  if (modes.length > 0 && flags.back !== undefined) refuse(`Cannot use --back with ${modes[0]}`);
  const alone = [flags.accept !== undefined && "--accept", flags.check && "--check"].find(Boolean);
  if (alone && target !== undefined) refuse(`Cannot use ${alone} with a target`);
  if (flags.oneTransaction && modes.length > 0 && !flags.fakeInitial) {
    refuse(`Cannot use --one-transaction with ${modes[0]}, which runs nothing`);
  }
}
