import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import { ancestors, buildGraph, descendants, refuseConflict } from "../../lib/migrations/graph.ts";
import { file } from "./made.ts";

const depends = (names: string) => `-- migrate:depends ${names}\n-- migrate:up\nselect 1;`;

/** Files, given as "name" or "name < what it depends on", and what comes out: the order, and each one's parents. */
const orders: { name: string; files: string[]; order: string; parents?: Record<string, string>; leaves?: string }[] = [
  { name: "numbers sort as numbers", files: ["10_c", "9_b", "1_a"], order: "1_a 9_b 10_c" },
  { name: "the width of numbers does not matter", files: ["0010_c", "9_b", "00002_a"], order: "00002_a 9_b 0010_c" },
  {
    name: "each depends on all of the next smaller number",
    files: ["3_d", "1_a", "2_c", "2_b"],
    order: "1_a 2_b 2_c 3_d",
    parents: { "1_a": "", "2_b": "1_a", "2_c": "1_a", "3_d": "2_b 2_c" },
    leaves: "3_d",
  },
  {
    name: "what is named counts, and nothing else",
    files: ["1_a", "2_b < 1_a", "3_c < 1_a", "4_d < 3_c,2_b"],
    order: "1_a 2_b 3_c 4_d",
    parents: { "3_c": "1_a", "4_d": "3_c 2_b" },
    leaves: "4_d",
  },
  { name: "a dependency on a later number is kept", files: ["1_a", "2_b < 3_c", "3_c < 1_a"], order: "1_a 3_c 2_b" },
  { name: "a dependency may be written as a file name", files: ["1_a", "2_b < 1_a.sqlite.sql"], order: "1_a 2_b" },
  {
    name: "times are numbers too",
    files: ["20240102030405_b", "20240101000000_a"],
    order: "20240101000000_a 20240102030405_b",
  },
  {
    name: "numbers beyond 2^53",
    files: ["99999999999999999999_b", "9999999999999999999_a"],
    order: "9999999999999999999_a 99999999999999999999_b",
  },
  { name: "names of one number sort by code unit", files: ["1_b", "1_B", "1_a", "1_ä"], order: "1_B 1_a 1_b 1_ä" },
  { name: "two leaves", files: ["1_a", "2_b", "2_c"], order: "1_a 2_b 2_c", leaves: "2_b 2_c" },
  {
    name: "an empty list of dependencies makes a root",
    files: ["1_a", "2_b < "],
    order: "1_a 2_b",
    parents: { "2_b": "" },
    leaves: "1_a 2_b",
  },
  { name: "a merge", files: ["1_a", "2_b", "2_c", "3_m < 2_b 2_c"], order: "1_a 2_b 2_c 3_m", leaves: "3_m" },
  { name: "nothing", files: [], order: "", leaves: "" },
];

function made(specs: string[]) {
  return specs.map((spec) => {
    const [name, names] = spec.split(" < ");
    return names === undefined ? file(name!) : file(name!, depends(names));
  });
}

for (const { name, files, order, parents, leaves } of orders) {
  Deno.test(`buildGraph(): ${name}`, () => {
    for (const given of [files, [...files].reverse()]) {
      const graph = buildGraph(made(given));
      assert.equal(graph.ordered.map((one) => one.name).join(" "), order);
      for (const [child, expected] of Object.entries(parents ?? {})) {
        assert.equal(graph.ordered.find((one) => one.name === child)!.parents.join(" "), expected, child);
      }
      if (leaves !== undefined) assert.equal(graph.leaves.map((one) => one.name).join(" "), leaves);
    }
  });
}

Deno.test("code declares its dependencies in a list", () => {
  const code =
    'import x from "./y.ts";\nexport const depends: string[] = [\n  "1_a",\n  \'2_b\',\n];\nexport function up() {}';
  const { ordered } = buildGraph([file("1_a"), file("2_b"), file("2_c"), file("3_d.ts", code)]);
  assert.deepEqual(ordered.at(-1)!.parents, ["1_a", "2_b"]);
});

const refusals: { name: string; files: string[]; code: string; says: RegExp[] }[] = [
  {
    name: "a circle, as a path",
    files: ["1_a < 3_c", "2_b < 1_a", "3_c < 2_b"],
    code: "MIGRATION_CYCLE",
    says: [/"1_a" → "3_c" → "2_b" → "1_a"/, /m\/2_b\.sql/],
  },
  { name: "one that depends on itself", files: ["1_a < 1_a"], code: "MIGRATION_CYCLE", says: [/"1_a" → "1_a"/] },
  {
    name: "a circle that not everything is part of",
    files: ["1_a", "2_b < 3_c", "3_c < 2_b", "4_d < 3_c"],
    code: "MIGRATION_CYCLE",
    says: [/: "2_b" → "3_c" → "2_b"$/m],
  },
  {
    name: "a missing parent, with the one that is meant",
    files: ["1_initial", "2_b < 1_inital", "1_posts", "3_c"],
    code: "MIGRATION_PARENT_MISSING",
    says: [/"2_b" depends on "1_inital"/, /Did you mean "1_initial"/, /m\/2_b\.sql/],
  },
  {
    name: "a missing parent, by number",
    files: ["0001_initial", "2_b < 0001"],
    code: "MIGRATION_PARENT_MISSING",
    says: [/Did you mean "0001_initial"/],
  },
  {
    name: "a parent that was renumbered",
    files: ["0007_posts", "8_b < 0006_posts"],
    code: "MIGRATION_PARENT_MISSING",
    says: [/Did you mean "0007_posts"/],
  },
  {
    name: "a missing parent unlike any",
    files: ["1_a", "2_b < 7_gone"],
    code: "MIGRATION_PARENT_MISSING",
    says: [/Bring the file back/],
  },
];

for (const { name, files, code, says } of refusals) {
  Deno.test(`buildGraph() refuses ${name}`, () => {
    assert.throws(() => buildGraph(made(files)), (error) => {
      assert.ok(error instanceof AmberError, String(error));
      assert.equal(error.code, code);
      assert.equal(error.exitStatus, 4);
      for (const pattern of says) assert.match(`${error.message}\n${error.where}\n${error.hint}`, pattern);
      return true;
    });
  });
}

Deno.test("refuseConflict() names both leaves and their parents", () => {
  refuseConflict(buildGraph(made(["1_a", "2_b"])));
  refuseConflict(buildGraph([]));
  assert.throws(() => refuseConflict(buildGraph(made(["1_a", "1_b", "2_c", "2_d"]))), {
    code: "MIGRATION_CONFLICT",
    message: /2 of them are the last one: "2_c" \(after "1_a", "1_b"\) and "2_d" \(after "1_a", "1_b"\)/,
    where: "m/2_c.sql, m/2_d.sql",
    hint: /makemigrations --merge/,
  });
  assert.throws(() => refuseConflict(buildGraph(made(["1_a", "1_b"]))), { message: /"1_a" \(after nothing\)/ });
});

Deno.test("ancestors() and descendants() follow the dependencies, not the numbers", () => {
  const { ordered } = buildGraph(made(["1_a", "2_b", "2_c", "3_d < 2_b", "4_e < 2_c 3_d"]));
  assert.deepEqual([...ancestors(ordered, "3_d")].sort(), ["1_a", "2_b", "3_d"]);
  assert.deepEqual([...ancestors(ordered, "1_a")], ["1_a"]);
  assert.deepEqual([...descendants(ordered, "2_c")], ["4_e"]);
  assert.deepEqual([...descendants(ordered, "1_a")], ["2_b", "2_c", "3_d", "4_e"]);
  assert.deepEqual([...descendants(ordered, "4_e")], []);
});

Deno.test("ten thousand migrations in a row are ordered without running out of stack, in under a second", () => {
  const files = Array.from({ length: 10_000 }, (_, i) => file(`${String(i + 1).padStart(5, "0")}_x`, "select 1;"));
  const started = performance.now();
  assert.equal(buildGraph([...files].reverse()).ordered.at(-1)!.name, "10000_x");
  assert.ok(performance.now() - started < 1_000);
});
