import { formatBytes } from "../bytes.ts";
import type { WipePlan } from "../stories/wipe.ts";
import { countText, numberText } from "./snapshot_text.ts";
import { printable, tableLines } from "./table.ts";

/** Names of one sort that are shown; more are counted: a person reads this before saying yes. */
const shownNames = 20;

/** What a wipe would remove, for a person who has to say yes. */
export function wipePlanLines(plan: WipePlan): string[] {
  const { data, files, folders, bytes, entries, kept, database, postgres } = plan;
  if (files === 0 && folders === 0 && !database && !postgres) return ["Plan: nothing to remove.", ...keptLines(plan)];
  const gone = entries.filter((one) => !kept.some(({ place }) => place === one.place));
  const rows = gone.slice(0, shownNames).map((one) => [
    one.place,
    countText(one.files, "file"),
    formatBytes(one.bytes),
  ]);
  return [
    "Plan:",
    ...(files > 0 || folders > 0
      ? [
        `  removes ${countText(files, "file")} and ${countText(folders, "folder")} in ${printable(data)}, ${
          formatBytes(bytes)
        }`,
        ...tableLines(rows, ["left", "right", "right"]).map((line) => `    - ${line}`),
        ...moreLine(gone.length),
      ]
      : []),
    ...(database
      ? [
        `  empties the database ${printable(database.file)}: ${countText(database.tables.length, "table")}, ${
          formatBytes(database.bytes)
        }`,
        ...database.tables.slice(0, shownNames).map((name) => `    - ${printable(name)}`),
        ...moreLine(database.tables.length),
      ]
      : []),
    ...(postgres ? postgresLines(postgres) : []),
    ...keptLines(plan),
  ];
}

function postgresLines(
  { database, schemas, tables, objects, bytes, left }: NonNullable<WipePlan["postgres"]>,
): string[] {
  return [
    `  empties the database ${printable(database)}, ${countText(schemas.length, "schema")} (${
      schemas.map(printable).join(", ")
    }): ${countText(tables.length, "table")}, ${countText(objects, "object")} in all, ${formatBytes(bytes)}`,
    ...tables.slice(0, shownNames).map((name) => `    - ${printable(name)}`),
    ...moreLine(tables.length),
    ...left.map((one) =>
      `  stays   the schema ${printable(one.schema)}  (${
        countText(one.objects, "object")
      }; --schema or --all-schemas takes it too)`
    ),
    ...(left.length > 0 ? ["  stays   what belongs to no schema: large objects, publications and the like"] : []),
  ];
}

function keptLines({ kept }: WipePlan): string[] {
  const shown = kept.filter(({ place }) => !/-(wal|shm|journal)$/.test(place));
  return [
    ...shown.slice(0, shownNames).map(({ place, why }) => `  stays   ${printable(place)}  (${printable(why)})`),
    ...moreLine(shown.length),
  ];
}

function moreLine(count: number): string[] {
  return count > shownNames ? [`    … and ${numberText(count - shownNames)} more`] : [];
}
