/** Who is asked what before data go, and what counts as an answer. */
import assert from "node:assert/strict";
import { consent, consentName, type ConsentQuestion } from "../../lib/commands/consent.ts";
import type { World } from "../../lib/commands/context.ts";
import { Reporter } from "../../lib/output/reporter.ts";

/** Asks somebody who answers so; undefined: nobody is there. Gives what was asked. */
function ask(question: Partial<ConsentQuestion>, answer?: string | null): string | undefined {
  let asked: string | undefined;
  const world = {
    isTerminal: answer !== undefined,
    ask: (text: string) => (asked = text, answer ?? null),
    stdout: () => {},
    stderr: () => {},
  } as unknown as World;
  const reporter = new Reporter(world, { json: false, colour: false, redact: (text) => text });
  consent(world, reporter, { production: false, what: [], ask: "Remove all?", name: "data", ...question });
  return asked;
}

const refused: [why: string, question: Partial<ConsentQuestion>, answer?: string | null][] = [
  ["nobody is there", {}],
  ["no", {}, "n"],
  ["the end of the input", {}, null],
  ["another name", { confirm: "date" }],
  ["another name, although --yes", { confirm: "date", yes: true }],
  ["an empty name", { confirm: "" }],
  ["in production nobody is there", { production: true }],
  ["in production --yes alone", { production: true, yes: true }],
  ["in production yes instead of the name", { production: true }, "y"],
  ["in production another name", { production: true, confirm: "Data", yes: true }],
  ["without a safety snapshot --yes alone", { noSafety: true, yes: true }],
  ["without a safety snapshot yes on a terminal", { noSafety: true }, "y"],
];

for (const [why, question, answer] of refused) {
  Deno.test(`consent: refused: ${why}`, () => {
    assert.throws(() => ask(question, answer), { code: "CONFIRMATION_NEEDED" });
  });
}

const given: [why: string, question: Partial<ConsentQuestion>, answer: string | undefined, asked?: RegExp][] = [
  ["--yes", { yes: true }, undefined],
  ["yes on a terminal", {}, "y", /^Remove all\? \[y\/N\]$/],
  ["the name", { confirm: "data" }, undefined],
  ["in production the name", { production: true, confirm: "data" }, undefined],
  ["in production the name on a terminal", { production: true, yes: true }, "data", /type data to go on/],
  ["without a safety snapshot the name", { noSafety: true, confirm: "data" }, undefined],
];

for (const [why, question, answer, asked] of given) {
  Deno.test(`consent: given: ${why}`, () => {
    const text = ask(question, answer);
    if (asked) assert.match(text!, asked);
    else assert.equal(text, undefined);
  });
}

Deno.test("consent: an error says what to type, as a shell takes it", () => {
  assert.throws(() => ask({ production: true, yes: true, name: "my data's" }), { hint: /--confirm 'my data'\\''s'$/ });
});

Deno.test("consent: the name is the data folder's, or the database's when only that is touched", () => {
  const sqlite = { engine: "sqlite", path: "data/prod.db" } as const;
  const postgres = { engine: "postgres", database: "shop" } as Parameters<typeof consentName>[0]["database"];
  const names: [string, Parameters<typeof consentName>[0]["database"], "database" | "everything", string][] = [
    ["data", sqlite, "everything", "data"],
    ["/srv/app/data/", sqlite, "everything", "data"],
    ["data", sqlite, "database", "prod.db"],
    ["data", postgres, "database", "shop"],
    ["data", postgres, "everything", "data"],
    [".", sqlite, "everything", Deno.cwd().split("/").at(-1)!],
  ];
  for (const [data, database, only, name] of names) {
    assert.equal(consentName({ data: { value: data }, database }, only), name);
  }
});
