import { formatBytes } from "../bytes.ts";
import { AmberError } from "../errors.ts";
import { parseDatabaseUrl } from "../database_url.ts";
import { parseTime } from "../moment.ts";
import type { Outcome } from "../output/events.ts";
import { countText, numberText, timeText } from "../output/snapshot_text.ts";
import { restore, type RestoreOptions, type RestoreResult } from "../stories/restore.ts";
import { restoreToDatabase, type RestoreToDatabaseOptions } from "../stories/restore_to_database.ts";
import { takeSafety } from "../stories/safety_snapshot.ts";
import { discardRestore } from "../stories/unfinished_restore.ts";
import { finishWipe } from "../stories/unfinished_wipe.ts";
import { consent, consentName } from "./consent.ts";
import { act, type AmberContext, type Setting } from "./context.ts";
import { restorePlaces, snapshotSetting, wipePlaces } from "./snapshot_context.ts";
import type { RestoreFlags } from "./snapshot_flags.ts";

export async function run(this: AmberContext, flags: RestoreFlags, wanted?: string): Promise<void> {
  await act(this, flags, async (setting) => {
    refuseContradictions(flags, wanted);
    if (flags.discard) return await discard(setting, flags);
    return await restoreNow(setting, flags, wanted ?? "latest");
  });
}

async function restoreNow(setting: Setting, flags: RestoreFlags, wanted: string): Promise<Outcome> {
  const options = await optionsOf(setting, flags, wanted);
  const elsewhere = otherDatabase(setting, flags);
  if (elsewhere) return outcomeOf(await restoreToDatabase({ ...options, ...elsewhere }), setting);
  if (!options.plan) await finishWipe(wipePlaces(setting));
  return outcomeOf(await restore(options), setting);
}

/** What `amber restore latest --if-empty` does, for `amber run`. */
export function restoreIfEmpty(setting: Setting, plan = false): Promise<Outcome> {
  return restoreNow(setting, { ifEmpty: true, plan }, "latest");
}

async function optionsOf(setting: Setting, flags: RestoreFlags, wanted: string): Promise<RestoreOptions> {
  const { config, world, reporter } = setting;
  const { path: paths, files, database, to, ifEmpty, replace, owners, noSafety, schema, yes } = flags;
  const { data, scratch, cache, exclude, by, amber, now, stop, report, waitMs } = snapshotSetting(setting);
  const plan = flags.plan || flags.dryRun;
  const isOnlyDatabase = Boolean((database || flags.table !== undefined) && !files && !paths?.length);
  const elsewhere = otherDatabase(setting, flags);
  const name = elsewhere ? elsewhere.address.database : consentName(config, isOnlyDatabase ? "database" : "everything");
  if (noSafety && flags.confirm === undefined && !plan) {
    throw new AmberError("CONFIRMATION_NEEDED", {
      message: "Cannot restore without a safety snapshot: that has to be confirmed by name",
      hint: `If that is what you want: --no-safety --confirm ${name}`,
    });
  }
  return {
    ...await restorePlaces(setting),
    wanted,
    at: flags.at === undefined ? undefined : parseTime(flags.at, now()),
    selection: { paths, files, database },
    to,
    plan,
    ifEmpty,
    replace,
    owners,
    schema,
    noSafety,
    confirm: () =>
      consent(world, reporter, {
        ...{ production: config.production, what: [], ask: "Overwrite what is there?", name, yes, noSafety },
        confirm: flags.confirm,
      }),
    takeSafety: () =>
      takeSafety(
        { repository: config.repository.value, data, database: config.database, scratch, cache, exclude },
        { before: "restore", waitMs, by, amber, now, report, stop },
      ),
  };
}

/** `--to postgres://…` and `--table`: a Postgres database alone, and no files. */
function otherDatabase(
  { config }: Setting,
  { to, table, as }: RestoreFlags,
): Pick<RestoreToDatabaseOptions, "address" | "table"> | undefined {
  const isAddress = to !== undefined && /^postgres(ql)?:/i.test(to);
  if (!isAddress && table === undefined) {
    if (as === undefined) return undefined;
    throw new AmberError("USAGE", {
      message: "Cannot use --as without --table",
      hint: "--table notes --as notes_then",
    });
  }
  const address = isAddress ? parseDatabaseUrl(to, "--to") : config.database;
  if (address.engine !== "postgres" || (to !== undefined && !isAddress)) {
    throw new AmberError("USAGE", {
      message: "Cannot restore one table: that is for Postgres, and none is configured or named by --to",
      hint: "Of a SQLite database restore all of it elsewhere: --database --to FOLDER",
    });
  }
  return { address, ...(table === undefined ? {} : { table: { name: table, ...(as === undefined ? {} : { as }) } }) };
}

function refuseContradictions(flags: RestoreFlags, wanted: string | undefined): void {
  const refuse = (message: string, hint: string) => {
    throw new AmberError("USAGE", { message, hint });
  };
  if (flags.discard) {
    const others = (["at", "path", "to", "ifEmpty", "files", "database"] as const).filter((flag) => flags[flag]);
    if (wanted === undefined && others.length === 0) return;
    return refuse("Cannot discard a restore and begin one at once", "amber restore --discard stands alone.");
  }
  if (wanted === undefined && flags.at === undefined) {
    refuse("Cannot tell which snapshot to restore", "amber restore latest, or the beginning of an id: amber snapshots");
  }
  if (wanted?.trim() === "") refuse("Cannot restore a snapshot whose id is empty", "Write latest, or an id.");
  if (flags.path?.length && (flags.files || flags.database)) {
    refuse("Cannot use --path together with --files or --database", "A path says by itself what is meant.");
  }
  if (
    (flags.table !== undefined || /^postgres(ql)?:/i.test(flags.to ?? "")) &&
    (flags.files || flags.path?.length || flags.ifEmpty)
  ) {
    refuse("Cannot restore files into a database", "Restore them by themselves: --files or --path.");
  }
  if (flags.ifEmpty && (flags.to !== undefined || flags.path?.length)) {
    refuse("Cannot use --if-empty with --to or --path", "It fills the empty data folder, or the empty database.");
  }
}

async function discard(setting: Setting, flags: RestoreFlags): Promise<Outcome> {
  const { config, world, reporter } = setting;
  if (flags.plan || flags.dryRun) {
    return { result: { state: "planned" }, lines: ["Would drop the interrupted restore."] };
  }
  consent(world, reporter, {
    production: config.production,
    what: ["what is in place already stays, the rest does not come: the data are partly old and partly new"],
    ask: "Drop the interrupted restore?",
    name: consentName(config, "everything"),
    yes: flags.yes,
    confirm: flags.confirm,
  });
  const { discarded, snapshot, safety } = await discardRestore(await restorePlaces(setting));
  return {
    result: { state: discarded ? "discarded" : "nothing", snapshot, safety },
    lines: discarded
      ? [
        `Dropped the interrupted restore${
          snapshot ? ` of ${snapshot}` : ""
        }. The data may be partly old and partly new.`,
        `Restore once more: amber restore ${safety ?? snapshot ?? "latest"}`,
      ]
      : ["Nothing to do: no restore was interrupted."],
  };
}

function outcomeOf({ state, reason, snapshot, plan, safety, ...done }: RestoreResult, setting: Setting): Outcome {
  const { placed, unchanged, gone, bytes, target, notes } = done;
  const command = safety === undefined ? undefined : `amber restore ${safety}`;
  const result = {
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(snapshot ? { snapshot } : {}),
    ...(state === "planned" && plan ? { plan } : {}),
    ...(safety === undefined ? {} : { safety, command }),
    ...{ placed, unchanged, gone, bytes, target, notes },
  };
  if (state === "planned") return { result, lines: [] }; // the plan was shown
  if (state === "nothing") {
    const why = reason === "no snapshot"
      ? `there is no snapshot in "${setting.config.repository.value}" yet`
      : "there are data already";
    return { result, lines: [`Nothing to do: ${why}.`] };
  }
  const migrations = plan?.postgres?.migrations ?? plan?.databases.find(({ configured }) => configured)?.migrations;
  return {
    result,
    lines: [
      `${state === "finished" ? "Finished the restore of" : "Restored"} ${snapshot!.id} of ${
        timeText(snapshot!.time)
      } UTC: ${countText(placed, "path")} put into place, ${formatBytes(bytes)}; ${
        numberText(unchanged)
      } were right already, ${numberText(gone)} went.`,
      ...(migrations
        ? [`The database stands at migration ${migrations.last}; amber migrate brings it up to date.`]
        : []),
      ...(command === undefined ? [] : [`What was there before is in snapshot ${safety}. To put it back: ${command}`]),
    ],
  };
}
