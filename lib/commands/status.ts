import type { Status } from "../stories/status.ts";
import { status } from "../stories/status.ts";
import { version } from "../version.ts";
import { act, type AmberContext, type CommonFlags, runOptions } from "./context.ts";

export interface StatusFlags extends CommonFlags {
  /** A duration: exit 3 when the newest good snapshot is older. */
  maxAge?: string;
}

export async function run(this: AmberContext, flags: StatusFlags): Promise<void> {
  await act(this, flags, async (setting) => {
    const gathered = await status(setting.config, runOptions(setting, version));
    const { problem, ...facts } = gathered;
    const outcome = {
      result: {
        ...facts,
        ...(problem
          ? { problem: { code: problem.code, message: problem.message, where: problem.where, hint: problem.hint } }
          : {}),
      },
      lines: lines(gathered),
    };
    if (!problem) return outcome;
    setting.reporter.outcome(outcome); // everything else first
    throw problem;
  });
}

function lines({ settings, production, database, databaseFrom, migrationsFolder, migrations }: Status): string[] {
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
    "",
    "settings",
    ...set.map((one) => `  ${one.variable.padEnd(width)}  ${one.shown}  (${one.source})`),
  ];
}
