import { formatBytes } from "../bytes.ts";
import type { PlannedDatabase, PlannedItem, PlannedPostgres, RestorePlan } from "../capture/restore_plan.ts";
import { countText, numberText } from "./snapshot_text.ts";
import { printable } from "./table.ts";

/** Paths of one sort that are shown; more are counted: a person reads this before saying yes. */
const shownPaths = 20;

/** What a restore would do, for a person who has to say yes. */
export function restorePlanLines(plan: RestorePlan): string[] {
  const { items, databases, goes, goesCount, bytes, freeBytes } = plan;
  const files = (how: PlannedItem["how"]) => items.filter((one) => one.how === how && one.type !== "folder");
  const [fresh, replaced, same] = [files("new"), files("replaced"), files("same")];
  const paths = (sign: string, some: readonly string[], count = some.length) => [
    ...some.slice(0, shownPaths).map((path) => `    ${sign} ${printable(path)}`),
    ...(count > shownPaths ? [`    … and ${numberText(count - shownPaths)} more`] : []),
  ];
  return [
    "Plan:",
    ...(fresh.length > 0
      ? [`  comes    ${countText(fresh.length, "file")}`, ...paths("+", fresh.map(({ place }) => place))]
      : []),
    ...(replaced.length > 0
      ? [`  replaced ${countText(replaced.length, "file")}`, ...paths("M", replaced.map(({ place }) => place))]
      : []),
    ...(goesCount > 0 ? [`  goes     ${countText(goesCount, "path")}`, ...paths("-", goes)] : []),
    ...(same.length > 0 ? [`  same     ${countText(same.length, "file")}`] : []),
    ...databases.map(databaseLine),
    ...(plan.postgres ? [postgresLine(plan.postgres)] : []),
    `  ${formatBytes(bytes)} in all${freeBytes === undefined ? "" : `; ${formatBytes(freeBytes)} are free`}`,
  ];
}

function postgresLine({ database, way, tables, rows, replaces, migrations }: PlannedPostgres): string {
  const facts = [
    `${countText(tables, "table")}, ${countText(rows, "row")}`,
    migrations && `migration ${printable(migrations.last)}`,
    way === "schema"
      ? "made by the snapshot's schema.sql"
      : way === "migrations"
      ? "made by the migrations up to there"
      : replaces
      ? "replaces the rows that are there"
      : undefined,
    way === "rows" && "in one transaction: those that began before see empty tables afterwards",
  ];
  return `  database ${printable(database)}  (${facts.filter(Boolean).join("; ")})`;
}

function databaseLine(database: PlannedDatabase): string {
  const { place, path, configured, size, rows, migrations, how, way, blocked } = database;
  const facts = [
    configured ? "the configured database" : undefined,
    place === path ? undefined : `goes to ${place === "/database.db" ? "where it is configured" : printable(place)}`,
    formatBytes(size),
    countText(rows, "row"),
    migrations && `migration ${printable(migrations.last)}`,
    how === "new" ? "new" : way === "live" ? "written through SQLite, also while a server runs" : "renamed into place",
    blocked && `cannot be done while a server runs: ${blocked}`,
  ];
  return `  database ${printable(path)}  (${facts.filter(Boolean).join(", ")})`;
}
