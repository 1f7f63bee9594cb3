import { AmberError } from "../errors.ts";
import { folderToWrite } from "../migrations/carried.ts";
import { makemigrations } from "../stories/makemigrations.ts";
import { act, type AmberContext, type CommonFlags } from "./context.ts";
import type { PlanFlags } from "./flags.ts";

export interface MakeFlags extends CommonFlags, PlanFlags {
  empty?: boolean;
  merge?: boolean;
  check?: boolean;
}

export async function run(this: AmberContext, flags: MakeFlags, name?: string): Promise<void> {
  await act(this, flags, ({ config, world }) => {
    if (flags.merge && flags.empty) {
      throw new AmberError("USAGE", {
        message: "Cannot do --merge and --empty at once",
        hint: "amber makemigrations --help",
      });
    }
    const plan = flags.plan || flags.dryRun;
    const made = makemigrations({
      migrations: folderToWrite(config.migrations.value),
      engine: config.database.engine,
      name,
      merge: flags.merge,
      check: flags.check,
      plan,
      now: world.now,
    });
    const lines = flags.check
      ? ["Sound: the files agree on the last migration."]
      : made.path === undefined
      ? ["Nothing to merge: one migration is the last one."]
      : [`${plan ? "Would write" : "Wrote"} ${made.path}${made.merged ? `, after ${made.merged.join(" and ")}` : ""}`];
    return Promise.resolve({ result: { ...made }, lines });
  });
}
