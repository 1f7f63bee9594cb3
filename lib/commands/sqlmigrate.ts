import { sqlmigrate } from "../stories/sqlmigrate.ts";
import { version } from "../version.ts";
import { act, type AmberContext, type CommonFlags, runOptions } from "./context.ts";

export async function run(
  this: AmberContext,
  flags: CommonFlags & { backwards?: boolean },
  name?: string,
): Promise<void> {
  await act(this, flags, async (setting) => {
    const migrations = await sqlmigrate({ ...runOptions(setting, version), name, backwards: flags.backwards });
    const lines = migrations.flatMap((one) => [
      `-- ${one.name}${one.direction === "down" ? " (backwards)" : ""}`,
      ...(one.code ? [`-- code: runs ${one.direction}() of ${one.path}`] : []),
      ...(one.atomic && !one.code ? ["BEGIN;"] : []),
      ...one.statements.map((text) => (text.endsWith("\\.") ? text : `${text};`)),
      ...(one.atomic && !one.code ? ["COMMIT;"] : []),
      "",
    ]);
    return { result: { migrations }, lines: lines.length > 0 ? lines.slice(0, -1) : ["-- nothing pending"] };
  });
}
