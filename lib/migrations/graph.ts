import { AmberError } from "../errors.ts";
import { compareMigrations, declaredDepends, decode, type Migration, type MigrationFile } from "./migration.ts";

/** The migrations in an order in which each comes after its parents. */
export interface Graph {
  ordered: Migration[];
  /** Migrations that no other depends on: more than one is a conflict. */
  leaves: Migration[];
}

/**
 * Orders migrations as Django does: each depends on what it names, else on all of the next smaller number; among those
 * that could come next the smallest number comes first.
 *
 * @throws {AmberError} MIGRATION_PARENT_MISSING, MIGRATION_CYCLE (with the path), MIGRATION_MALFORMED
 */
export function buildGraph(files: readonly MigrationFile[]): Graph {
  const sorted = [...files].sort(compareMigrations);
  const byName = new Map(sorted.map((file) => [file.name, file]));
  const migrations: Migration[] = [];
  let before: string[] = []; // names of the next smaller number
  let same: string[] = [];
  let number: bigint | undefined;
  for (const file of sorted) {
    if (file.number !== number) {
      before = same;
      same = [];
      number = file.number;
    }
    same.push(file.name);
    const declared = declaredDepends(decode(file), file.kind);
    migrations.push({ ...file, parents: declared?.map((name) => parentName(name, file, byName)) ?? before });
  }
  const ordered = order(migrations);
  const parents = new Set(migrations.flatMap((migration) => migration.parents));
  return { ordered, leaves: ordered.filter((migration) => !parents.has(migration.name)) };
}

/** @throws {AmberError} MIGRATION_CONFLICT when more than one migration is the last one. */
export function refuseConflict({ leaves }: Graph): void {
  if (leaves.length < 2) return;
  const lines = leaves.map((leaf) =>
    `"${leaf.name}" (after ${leaf.parents.map((name) => `"${name}"`).join(", ") || "nothing"})`
  );
  throw new AmberError("MIGRATION_CONFLICT", {
    message: `Cannot order the migrations: ${leaves.length} of them are the last one: ${lines.join(" and ")}`,
    where: leaves.map((leaf) => leaf.path).join(", "),
    hint:
      "Two branches were joined. `amber makemigrations --merge` writes a migration after all of them; or rename one to the next number.",
  });
}

/** Everything that has to be applied before `name`, and `name` itself. */
export function ancestors(ordered: readonly Migration[], name: string): Set<string> {
  const wanted = new Set([name]);
  for (const migration of [...ordered].reverse()) {
    if (wanted.has(migration.name)) { for (const parent of migration.parents) wanted.add(parent); }
  }
  return wanted;
}

/** Everything that depends on `name`, directly or not; without `name` itself. */
export function descendants(ordered: readonly Migration[], name: string): Set<string> {
  const found = new Set<string>();
  for (const migration of ordered) {
    if (migration.parents.some((parent) => parent === name || found.has(parent))) found.add(migration.name);
  }
  return found;
}

function parentName(declared: string, file: MigrationFile, byName: Map<string, MigrationFile>): string {
  const name = declared.replace(/\.(sqlite\.|postgres\.)?(sql|ts|js|mts|mjs)$/, "");
  if (byName.has(name)) return name;
  const near =
    [...byName.keys()].find((other) =>
      other.startsWith(`${name}_`) || other.replace(/^\d+_?/, "") === name.replace(/^\d+_?/, "")
    ) ?? [...byName.keys()].find((other) => other !== file.name && differByOne(other, name));
  throw new AmberError("MIGRATION_PARENT_MISSING", {
    message: `Cannot order the migrations: "${file.name}" depends on "${declared}", and there is no such migration`,
    where: file.path,
    hint: near ? `Did you mean "${near}"?` : "Bring the file back, or mend the depends line.",
  });
}

/** Whether one character put in, left out, changed, or swapped with the next one makes one name of the other. */
function differByOne(a: string, b: string): boolean {
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const [left, right] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  return Math.max(left.length, right.length) <= 1 || (left.length === 2 && left === [...right].reverse().join(""));
}

/** Depth first over the sorted list, parents first: numbers stay in order wherever dependencies allow it. */
function order(migrations: readonly Migration[]): Migration[] {
  const byName = new Map(migrations.map((migration) => [migration.name, migration]));
  const ordered: Migration[] = [];
  const state = new Map<string, "open" | "done">();
  for (const root of migrations) {
    const path: { migration: Migration; next: number }[] = [];
    const enter = (migration: Migration) => {
      state.set(migration.name, "open");
      path.push({ migration, next: 0 });
    };
    if (!state.has(root.name)) enter(root);
    while (path.length > 0) {
      const top = path.at(-1)!;
      const parent = top.migration.parents[top.next++];
      if (parent === undefined) {
        state.set(top.migration.name, "done");
        ordered.push(top.migration);
        path.pop();
      } else if (state.get(parent) === "open") {
        throw cycle(path.map((step) => step.migration), parent);
      } else if (!state.has(parent)) enter(byName.get(parent)!);
    }
  }
  return ordered;
}

function cycle(path: Migration[], back: string): AmberError {
  const from = path.findIndex((migration) => migration.name === back);
  const names = [...path.slice(from).map((migration) => migration.name), back];
  return new AmberError("MIGRATION_CYCLE", {
    message: `Cannot order the migrations: they depend on each other in a circle: ${
      names.map((name) => `"${name}"`).join(" → ")
    }`,
    where: path.at(-1)!.path,
    hint: "Take one of these dependencies out.",
  });
}
