/** The schemas of `--json`: there is one for every command, they refuse what is wrong, and README says the same. */
import assert from "node:assert/strict";
import { routes } from "../../lib/commands/app.ts";
import { exitStatuses } from "../../lib/errors.ts";
import { type JsonLine, projectFolder } from "../support/command.ts";
import { follow, judge, readSchemas } from "../support/json_schema.ts";
import { eventRows, resultRows, shapeRows, sharedSchemas, tablesBelow, tableText } from "../support/schema_tables.ts";
import { families } from "./json_lines.ts";

const schemas = readSchemas();
const sorted = (names: Iterable<string>) => [...names].sort();

Deno.test("every command has a schema, and a test that runs it", () => {
  const commands = sorted(Object.keys(routes));
  assert.deepEqual(sorted(schemas.keys()).filter((name) => !sharedSchemas.includes(name)), commands);
  assert.deepEqual(sorted(Object.values(families).flatMap((family) => family.commands)), commands);
});

Deno.test("every line on the way belongs to a test that provokes it, and the codes are those of amber", () => {
  const tested = Object.values(families).flatMap<string>((family) => family.events);
  assert.deepEqual(sorted([...tested, "error"]), sorted(Object.keys(schemas.get("events")!.$defs!)));
  assert.deepEqual(follow(schemas, "types", "#/$defs/code").enum, Object.keys(exitStatuses));
});

Deno.test("every exit status belongs to a test that ends with it", () => {
  const tested = new Set(Object.values(families).flatMap<number>((family) => family.exits));
  const known = [0, ...Object.values(exitStatuses), 125, 127]; // the last two are of `run`
  assert.deepEqual(known.filter((exit) => !tested.has(exit)), []);
});

const sound: JsonLine = { type: "applied", name: "0001_a", durationMs: 3 };
const wrong: [what: string, line: JsonLine, complaint: RegExp][] = [
  ["a field that nobody knows", { ...sound, colour: "red" }, /additional properties .*colour/],
  ["a field that is missing", { type: "applied", name: "0001_a" }, /required property 'durationMs'/],
  ["text where a number should be", { ...sound, durationMs: "3" }, /\/durationMs must be integer/],
  ["a number with a fraction", { ...sound, durationMs: 3.5 }, /\/durationMs must be integer/],
  ["a type of another command", { type: "drill begins" }, /a type that it has not/],
  ["no type", { name: "0001_a" } as unknown as JsonLine, /a type that it has not/],
  ["a code that is none", { type: "error", code: "BROKEN", message: "", exit: 1 }, /\/code must be equal to one of/],
  ["half of a result", { type: "result", applied: [], unapplied: [] }, /required property 'recorded'/],
];

Deno.test("the schemas refuse a line that is wrong, and say why", async () => {
  const judged = await judge([sound, ...wrong.map(([, line]) => line)].map((line) => ({ command: "migrate", line })));
  assert.deepEqual(judged[0], { kind: "applied" });
  for (const [i, [what, , complaint]] of wrong.entries()) assert.match(judged[i + 1]!.complaint ?? "", complaint, what);
});

Deno.test("README has every type and every field of the schemas, and no other", async () => {
  const path = `${projectFolder}/README.md`;
  const readme = await Deno.readTextFile(path);
  const wanted: string[][][] = [eventRows(schemas), resultRows(schemas), shapeRows(schemas)].map((rows) =>
    rows.map((cells) => cells.map((cell) => cell ?? ""))
  );
  const heading = "## JSON output";
  if (Deno.env.get("UPDATE_GOLDEN") === "1") {
    const [before, after] = readme.split(`${heading}\n`);
    let at = 0;
    const headings = [["`type`", "fields", "meaning"], ["command", "fields of its `result`"], [
      "shape",
      "is",
      "of what",
    ]];
    const [section, ...rest] = after!.split(/^(?=## )/m);
    const tables = section!.replace(/(?:^\|.*\|\n)+/gm, () => tableText(headings[at]!, wanted[at++]!));
    return await Deno.writeTextFile(path, [before, `${heading}\n`, tables, ...rest].join(""));
  }
  assert.deepEqual(
    tablesBelow(readme, heading),
    wanted,
    "`UPDATE_GOLDEN=1 deno task test tests/e2e/json_schema_test.ts && deno fmt README.md` writes them",
  );
});
