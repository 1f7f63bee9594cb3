import { folderToWrite } from "../migrations/carried.ts";
import { init, type InitResult } from "../stories/init.ts";
import { act, type AmberContext, type CommonFlags } from "./context.ts";
import type { PlanFlags } from "./flags.ts";

export async function run(this: AmberContext, flags: CommonFlags & PlanFlags): Promise<void> {
  await act(this, flags, ({ config }) => {
    const plan = flags.plan || flags.dryRun;
    const made = init({ migrations: folderToWrite(config.migrations.value), plan });
    return Promise.resolve({ result: { ...made }, lines: plan ? told(made, "Would write") : [...told(made), ...next] });
  });
}

function told({ written, existing }: InitResult, wrote = "Wrote"): string[] {
  return [
    ...written.map((path) => `${wrote} ${path}`),
    ...existing.map((path) => `There already, left as it is: ${path}`),
  ];
}

const next = [
  "",
  "Next:",
  "  amber migrate --plan    # what would run, on which database",
  "  amber migrate           # without any configuration that is SQLite, in local.db",
  "  amber snapshot          # the database, and the folder data/ once there is one",
  "  amber status            # where everything is, and what to set for production",
];
