import { AmberError } from "../errors.ts";
import type { Outcome } from "../output/events.ts";
import { formatBytes } from "../bytes.ts";
import { countText } from "../output/snapshot_text.ts";
import { takeSafety } from "../stories/safety_snapshot.ts";
import { wipe, type WipeOptions, type WipeResult } from "../stories/wipe.ts";
import { consent, consentName } from "./consent.ts";
import { act, type AmberContext, type Setting } from "./context.ts";
import { guardWriting, reportUnfinishedRestore, snapshotSetting, wipePlaces } from "./snapshot_context.ts";
import type { WipeFlags } from "./snapshot_flags.ts";

export async function run(this: AmberContext, flags: WipeFlags): Promise<void> {
  await act(this, flags, async (setting) => {
    const plan = flags.plan || flags.dryRun;
    if (plan) reportUnfinishedRestore(setting);
    // A restore that was interrupted is finished before; from then on the wipe's own lock keeps others out.
    else (await guardWriting(setting))[Symbol.dispose]();
    return outcomeOf(await wipe(optionsOf(setting, flags, plan)), setting);
  });
}

function optionsOf(setting: Setting, flags: WipeFlags, plan: boolean | undefined): WipeOptions {
  const { config, world, reporter } = setting;
  const { files, database, noSafety, yes, schema: schemas, allSchemas } = flags;
  refuseSchemas(setting, flags);
  const given = snapshotSetting(setting);
  const { data, scratch, cache, exclude, now, stop, report, waitMs, by, amber } = given;
  const name = consentName(config, database && !files ? "database" : "everything");
  if (noSafety && flags.confirm === undefined && !plan) refuseUnnamed(name);
  return {
    ...wipePlaces(setting),
    report,
    plan,
    selection: { files, database },
    ...{ schemas, allSchemas },
    noSafety,
    confirm: () =>
      consent(world, reporter, {
        ...{ production: config.production, what: [], ask: "Remove all of this?", name, yes, noSafety },
        confirm: flags.confirm,
      }),
    takeSafety: (held) =>
      takeSafety(
        { repository: config.repository.value, data, database: given.database, scratch, cache, exclude },
        { before: "wipe", held, waitMs, by, amber, now, report, stop },
      ),
  };
}

function outcomeOf({ state, plan, safety, command }: WipeResult, { config }: Setting): Outcome {
  const { files, folders, bytes, database, postgres } = plan;
  const result = {
    state,
    plan,
    ...(safety === undefined ? {} : { safety, command, repository: config.repository.value }),
  };
  if (state === "planned") return { result, lines: [] }; // the plan was shown
  if (state === "nothing") return { result, lines: ["Nothing to do: there is nothing to remove."] };
  return {
    result,
    lines: [
      `Wiped: ${
        [
          ...(files > 0 || folders > 0
            ? [`${countText(files, "file")} and ${countText(folders, "folder")}, ${formatBytes(bytes)}`]
            : []),
          ...(database ?? postgres
            ? [`the database with ${countText((database ?? postgres)!.tables.length, "table")}`]
            : []),
        ].join("; ")
      }.`,
      ...(command === undefined ? [] : [`What was there is in snapshot ${safety}. To put it back: ${command}`]),
    ],
  };
}

function refuseSchemas({ config }: Setting, { schema, allSchemas, files, database }: WipeFlags): void {
  const flag = schema !== undefined ? "--schema" : allSchemas ? "--all-schemas" : undefined;
  if (flag === undefined) return;
  const message = config.database.engine !== "postgres"
    ? `Cannot use ${flag}: a SQLite database has no schemas`
    : schema !== undefined && allSchemas
    ? "Cannot use --schema with --all-schemas"
    : files && !database
    ? `Cannot use ${flag} with --files, which leaves the database alone`
    : undefined;
  if (message !== undefined) throw new AmberError("USAGE", { message, hint: "amber wipe --help" });
}

/** Before anything is looked at: nobody is to be asked for something that is refused afterwards. */
function refuseUnnamed(name: string): never {
  throw new AmberError("CONFIRMATION_NEEDED", {
    message: "Cannot wipe without a safety snapshot: that has to be confirmed by name",
    hint: `If that is what you want: --no-safety --confirm ${name}`,
  });
}
