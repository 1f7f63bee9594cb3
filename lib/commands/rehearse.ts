import { formatDuration } from "../duration.ts";
import { AmberError } from "../errors.ts";
import type { MigrateOptions } from "../stories/migrate.ts";
import { rehearse } from "../stories/rehearse.ts";
import { version } from "../version.ts";
import { act, type AmberContext, type CommonFlags, runOptions } from "./context.ts";
import { migrateInWorker } from "./migrate_in_worker.ts";
import { snapshotSetting } from "./snapshot_context.ts";

export interface RehearseFlags extends CommonFlags {
  /** Copy the database from this snapshot. */
  from?: string;
  allowLate?: boolean;
}

export async function run(this: AmberContext, flags: RehearseFlags, target?: string): Promise<void> {
  await act(this, flags, async (setting) => {
    for (const [what, text] of [["a target", target], ["--from", flags.from]]) {
      if (text?.trim() !== "") continue;
      throw new AmberError("USAGE", {
        message: `Cannot rehearse with ${what} that is empty`,
        hint: "amber rehearse --help",
      });
    }
    const { store, scratch, data } = snapshotSetting(setting);
    const result = await rehearse({
      ...runOptions(setting, version),
      ...{ store, scratch, data, target, allowLate: flags.allowLate, snapshot: flags.from },
      random: (size) => crypto.getRandomValues(new Uint8Array(size)),
      ...(setting.config.database.engine === "sqlite" ? { run: inWorker } : {}),
    });
    const { migrations, from, copyMs = 0 } = result;
    const count = `${migrations.length} ${migrations.length === 1 ? "migration passes" : "migrations pass"}`;
    const source = from === "now" ? "as it is now" : `of snapshot ${from}`;
    return {
      result: { ...result },
      lines: [
        from === undefined
          ? "Nothing to do."
          : `Rehearsed: ${count} on a copy of the database ${source}, made in ${
            formatDuration(copyMs)
          } and removed again.`,
      ],
    };
  });
}

async function inWorker({ beforeRisky: _risky, beforeAny: _any, beforeCommit: _commit, ...options }: MigrateOptions) {
  return await migrateInWorker({
    ...options,
    // A safety snapshot of a copy is none: nothing else is told here.
    report: (event) => options.report(event as Parameters<MigrateOptions["report"]>[0]),
  });
}
