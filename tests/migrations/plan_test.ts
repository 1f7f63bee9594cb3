import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import { buildGraph } from "../../lib/migrations/graph.ts";
import type { HistoryRow } from "../../lib/migrations/history_row.ts";
import { type Goal, planSteps, resolveName } from "../../lib/migrations/plan.ts";
import { type Entry, survey } from "../../lib/migrations/survey.ts";
import { file, row } from "./made.ts";

/** "1_a" has a file and is applied, "2_b?" is pending, "3_c~" half applied, "4_d<" half undone, "5_e!" has only a row. */
function entries(spec: string): Entry[] {
  const files = [];
  const rows: HistoryRow[] = [];
  for (const word of spec.split(" ").filter(Boolean)) {
    const [, name = "", sign = ""] = /^(.*?)([?~<!]?)$/.exec(word)!;
    const [bare = "", parents] = name.split("(");
    if (sign !== "!") {
      files.push(parents ? file(bare, `-- migrate:depends ${parents.slice(0, -1)}\n-- migrate:up\n`) : file(bare));
    }
    if (sign !== "?") {
      rows.push(
        row(bare, { state: sign === "~" ? "running" : sign === "<" ? "reverting" : "applied", done: 1, statements: 3 }),
      );
    }
  }
  return survey(buildGraph(files).ordered, rows, new Map());
}

const latest: Goal = { kind: "latest" };
const zero: Goal = { kind: "zero" };
const to = (name: string): Goal => ({ kind: "target", name });
const back = (count: number): Goal => ({ kind: "back", count });

const cases: { name: string; given: string; goal: Goal; steps: string }[] = [
  { name: "latest from nothing", given: "1_a? 2_b? 3_c?", goal: latest, steps: "+1_a +2_b +3_c" },
  { name: "latest with some applied", given: "1_a 2_b? 3_c?", goal: latest, steps: "+2_b +3_c" },
  { name: "latest when current", given: "1_a 2_b", goal: latest, steps: "" },
  { name: "latest with a late one", given: "1_a 2_b? 3_c", goal: latest, steps: "+2_b" },
  { name: "latest goes on with a half-applied one", given: "1_a 2_b~ 3_c?", goal: latest, steps: "+2_b +3_c" },
  {
    name: "latest ends a half-undone one, then applies it",
    given: "1_a 2_b< 3_c?",
    goal: latest,
    steps: "-2_b +2_b +3_c",
  },
  { name: "latest leaves alone what a newer version applied", given: "1_a? 2_b!", goal: latest, steps: "+1_a" },
  { name: "a target forwards", given: "1_a 2_b? 3_c? 4_d?", goal: to("3_c"), steps: "+2_b +3_c" },
  {
    name: "a target forwards takes only what it needs",
    given: "1_a? 2_b(1_a)? 3_c(1_a)? 4_d(2_b,3_c)?",
    goal: to("3_c"),
    steps: "+1_a +3_c",
  },
  { name: "a target that is applied", given: "1_a 2_b 3_c", goal: to("3_c"), steps: "" },
  { name: "a target backwards", given: "1_a 2_b 3_c 4_d?", goal: to("1_a"), steps: "-3_c -2_b" },
  {
    name: "a target backwards leaves what does not depend on it",
    given: "1_a 2_b(1_a) 3_c(1_a) 4_d(3_c)",
    goal: to("3_c"),
    steps: "-4_d",
  },
  {
    name: "a target backwards undoes what a newer version did",
    given: "1_a 2_b 3_c! 4_d!",
    goal: to("1_a"),
    steps: "-4_d -3_c -2_b",
  },
  { name: "back to the last file undoes only the newer ones", given: "1_a 2_b 3_c!", goal: to("2_b"), steps: "-3_c" },
  { name: "a row without a file as the target", given: "1_a 2_b! 3_c!", goal: to("2_b"), steps: "-3_c" },
  {
    name: "a target that is half undone is undone to its end, then applied",
    given: "1_a 2_b<",
    goal: to("2_b"),
    steps: "-2_b +2_b",
  },
  { name: "back across a half-undone one", given: "1_a 2_b<", goal: to("1_a"), steps: "-2_b" },
  { name: "zero", given: "1_a 2_b 3_c?", goal: zero, steps: "-2_b -1_a" },
  { name: "zero of nothing", given: "1_a? 2_b?", goal: zero, steps: "" },
  { name: "zero with newer rows", given: "1_a 9_b!", goal: zero, steps: "-9_b -1_a" },
  { name: "back 1", given: "1_a 2_b 3_c", goal: back(1), steps: "-3_c" },
  { name: "back 2", given: "1_a 2_b 3_c 4_d?", goal: back(2), steps: "-3_c -2_b" },
  { name: "back more than there are", given: "1_a 2_b", goal: back(9), steps: "-2_b -1_a" },
  { name: "back counts what a newer version did", given: "1_a 2_b 3_c!", goal: back(2), steps: "-3_c -2_b" },
];

for (const { name, given, goal, steps } of cases) {
  Deno.test(`planSteps(): ${name}`, () => {
    const planned = planSteps(entries(given), goal);
    assert.equal(planned.map((step) => `${step.direction === "up" ? "+" : "-"}${step.name}`).join(" "), steps);
  });
}

Deno.test("after a half-undone one is undone, it is applied as a new one", () => {
  const [down, up] = planSteps(entries("1_a 2_b<"), latest);
  assert.equal(down!.row!.state, "reverting");
  assert.equal(up!.row, undefined);
});

for (const goal of [zero, back(1), to("1_a")]) {
  Deno.test(`planSteps() refuses to go back (${goal.kind}) across a half-applied one`, () => {
    assert.throws(() => planSteps(entries("1_a 2_b~"), goal), {
      code: "MIGRATION_IRREVERSIBLE",
      message: 'Cannot go back across "2_b": it is half applied',
      hint: "Finish it first: amber migrate 2_b",
    });
  });
}

Deno.test("back 1 does not look at a half-applied one further back", () => {
  assert.deepEqual(planSteps(entries("1_a~ 2_b"), back(1)).map((step) => step.name), ["2_b"]);
});

const names = "0001_initial? 0002_posts? 0002_tags? 0010_search? 20240101000000_late? 3_x!";

const meant: [string, string][] = [
  ["0001_initial", "0001_initial"],
  ["0001", "0001_initial"],
  ["1", "0001_initial"],
  ["10", "0010_search"],
  ["0002_p", "0002_posts"],
  ["0010_", "0010_search"],
  ["2024", "20240101000000_late"],
  ["3", "3_x"],
  ["migrations/0010_search.sql", "0010_search"],
  ["0002_tags.postgres.sql", "0002_tags"],
  ["./m/0002_tags.ts", "0002_tags"],
];

for (const [wanted, name] of meant) {
  Deno.test(`resolveName(): "${wanted}" is ${name}`, () => assert.equal(resolveName(wanted, entries(names)), name));
}

const unclear: [string, string, RegExp][] = [
  ["2", "MIGRATION_AMBIGUOUS", /"0002_posts", "0002_tags" begin so/],
  ["0002_", "MIGRATION_AMBIGUOUS", /Give more of the name/],
  ["00", "MIGRATION_AMBIGUOUS", /"0001_initial", "0002_posts", "0002_tags", "0010_search"/],
  ["0099", "MIGRATION_UNKNOWN", /Cannot find a migration "0099"/],
  ["search", "MIGRATION_UNKNOWN", /Did you mean "0010_search"/],
  ["", "MIGRATION_UNKNOWN", /showmigrations/],
  ["m/", "MIGRATION_UNKNOWN", /showmigrations/],
];

for (const [wanted, code, says] of unclear) {
  Deno.test(`resolveName() refuses "${wanted}"`, () => {
    assert.throws(() => resolveName(wanted, entries(names)), (error) => {
      assert.ok(error instanceof AmberError);
      assert.equal(error.code, code);
      assert.equal(error.exitStatus, 2);
      assert.match(`${error.message}\n${error.hint}`, says);
      return true;
    });
  });
}
