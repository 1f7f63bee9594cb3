import { planLines } from "../output/human.ts";
import { migrate } from "../stories/migrate.ts";
import { showmigrations, type ShownMigration } from "../stories/showmigrations.ts";
import { version } from "../version.ts";
import { act, type AmberContext, type CommonFlags, runOptions } from "./context.ts";
import type { PlanFlags } from "./flags.ts";

export async function run(this: AmberContext, flags: CommonFlags & PlanFlags): Promise<void> {
  await act(this, flags, async (setting) => {
    const options = runOptions(setting, version);
    if (flags.plan || flags.dryRun) {
      const { planned = [] } = await migrate({ ...options, plan: true });
      return { result: { planned }, lines: planned.length > 0 ? planLines(planned) : ["Nothing to do."] };
    }
    const migrations = await showmigrations(options);
    return { result: { migrations }, lines: migrations.map(line) };
  });
}

const marks: Record<NonNullable<ShownMigration["mark"]>, string> = {
  changed: "changed since it was applied",
  missing: "its file is missing",
  late: "late: later ones are applied already",
  ahead: "applied by a newer version; no file here",
  conflict: "conflict: another migration is the last one too",
};

/** ` [X] 0001_initial`, as Django prints it. */
function line({ name, state, mark, done, statements, appliedAt }: ShownMigration): string {
  const box = state === "applied" ? "[X]" : state === "pending" ? "[ ]" : "[~]";
  const facts = [
    ...(appliedAt ? [appliedAt.slice(0, 19).replace("T", " ")] : []),
    ...(state === "running" ? [statements ? `half applied: ${done} of ${statements} statements` : "half applied"] : []),
    ...(state === "reverting" ? [`half undone: ${done} statements`] : []),
    ...(mark ? [marks[mark]] : []),
  ];
  return ` ${box} ${name}${facts.length > 0 ? `  (${facts.join("; ")})` : ""}`;
}
