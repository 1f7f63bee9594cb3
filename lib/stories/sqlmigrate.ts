import { readFolder } from "../migrations/folder.ts";
import { buildGraph } from "../migrations/graph.ts";
import { readHistory } from "../migrations/history.ts";
import { planSteps, resolveName, type Step } from "../migrations/plan.ts";
import { prepare, type Prepared } from "../migrations/prepare.ts";
import { survey } from "../migrations/survey.ts";
import { looking, type LookOptions } from "./check.ts";
import { compare } from "./look.ts";

/** A migration's statements as they would be sent. */
export interface ShownSql {
  name: string;
  direction: "up" | "down";
  path: string;
  /** In one transaction. */
  atomic: boolean;
  /** Empty for code. */
  statements: string[];
  code: boolean;
}

/**
 * The statements of one migration, or of all pending ones. One that is named is shown without asking the database.
 */
export async function sqlmigrate(options: LookOptions & { name?: string; backwards?: boolean }): Promise<ShownSql[]> {
  const dialect = options.database.engine;
  const folder = readFolder(options.migrations, dialect);
  const direction = options.backwards ? "down" : "up";
  if (options.name !== undefined) {
    const entries = survey(buildGraph(folder.files).ordered, [], new Map());
    const entry = entries.find((one) => one.name === resolveName(options.name!, entries))!;
    return (await prepare([{ name: entry.name, direction, migration: entry.migration }], dialect)).map(show);
  }
  return await looking(options, async (engine) => {
    const found = await compare(folder, engine && await readHistory(engine), dialect);
    const steps: Step[] = options.backwards
      ? planSteps(found.entries, { kind: "zero" })
      : planSteps(found.entries, { kind: "latest" });
    return (await prepare(steps, dialect)).map(show);
  });
}

function show(step: Prepared): ShownSql {
  return {
    name: step.name,
    direction: step.direction,
    path: step.path,
    atomic: step.atomic,
    statements: (step.script?.units ?? []).flatMap((unit) => unit.run).map((
      { text, data },
    ) => (data === undefined ? text : `${text};\n${data}\\.`)),
    code: step.code !== undefined,
  };
}
