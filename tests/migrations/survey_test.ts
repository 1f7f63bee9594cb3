import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import { type Entry, notes, refuseDrift } from "../../lib/migrations/survey.ts";
import { file, row, rowFor, surveyed } from "./made.ts";

/** " [X] 1_a", as showmigrations prints it, with the mark behind. */
const boxes = (entries: Entry[]) =>
  entries.map(({ name, state, mark }) =>
    `${state === "applied" ? "X" : state === "pending" ? "." : "~"} ${name}${mark ? ` ${mark}` : ""}`
  ).join(", ");

/** `applied`: names of files that have their own row, or rows. */
const cases: { name: string; files: string[]; applied: string[]; shows: string; refused?: string; late?: boolean }[] = [
  { name: "an empty database", files: ["1_a", "2_b"], applied: [], shows: ". 1_a, . 2_b" },
  { name: "a current database", files: ["1_a", "2_b"], applied: ["1_a", "2_b"], shows: "X 1_a, X 2_b" },
  { name: "pending ones at the end", files: ["1_a", "2_b"], applied: ["1_a"], shows: "X 1_a, . 2_b" },
  {
    name: "a late one",
    files: ["1_a", "2_b", "3_c"],
    applied: ["1_a", "3_c"],
    shows: "X 1_a, . 2_b late, X 3_c",
    refused: "MIGRATION_LATE",
  },
  {
    name: "a late one before a row without file",
    files: ["1_a", "2_b"],
    applied: ["1_a", "9_newer"],
    shows: "X 1_a, . 2_b late, X 9_newer ahead",
    refused: "MIGRATION_LATE",
  },
  {
    name: "a database that is ahead",
    files: ["1_a", "2_b"],
    applied: ["1_a", "2_b", "3_newer", "4_newer"],
    shows: "X 1_a, X 2_b, X 3_newer ahead, X 4_newer ahead",
  },
  {
    name: "a pending one behind what a newer version has applied",
    files: ["1_a", "5_e"],
    applied: ["1_a", "4_newer"],
    shows: "X 1_a, X 4_newer missing, . 5_e",
    refused: "MIGRATION_MISSING",
  },
  {
    name: "a missing one",
    files: ["1_a", "3_c"],
    applied: ["1_a", "2_gone", "3_c"],
    shows: "X 1_a, X 2_gone missing, X 3_c",
    refused: "MIGRATION_MISSING",
  },
  {
    name: "a row of the same number as the last file, later by name",
    files: ["1_a", "2_b"],
    applied: ["1_a", "2_b", "2_c"],
    shows: "X 1_a, X 2_b, X 2_c ahead",
  },
  {
    name: "a row of the same number, earlier by name",
    files: ["1_a", "2_b"],
    applied: ["1_a", "2_b", "2_a"],
    shows: "X 1_a, X 2_a missing, X 2_b",
    refused: "MIGRATION_MISSING",
  },
  {
    name: "9 before 10",
    files: ["9_a", "10_b"],
    applied: ["9_a", "10_b", "11_c"],
    shows: "X 9_a, X 10_b, X 11_c ahead",
  },
];

for (const { name, files, applied, shows, refused } of cases) {
  Deno.test(`survey(): ${name}`, async () => {
    const made = files.map((one) => file(one));
    const rows = await Promise.all(applied.map(async (one) => {
      const own = made.find((candidate) => candidate.name === one);
      return own ? await rowFor(own) : row(one);
    }));
    for (const order of [rows, [...rows].reverse()]) {
      const entries = await surveyed(made, order);
      assert.equal(boxes(entries), shows);
      if (!refused) refuseDrift(entries, { allowLate: false });
      else {
        assert.throws(() => refuseDrift(entries, { allowLate: false }), (error) => {
          assert.ok(error instanceof AmberError);
          assert.equal(error.code, refused);
          assert.ok(error.where && error.hint);
          return true;
        });
      }
      if (refused === "MIGRATION_LATE") refuseDrift(entries, { allowLate: true });
    }
  });
}

const three = "create table a (x integer);\ncreate table b (x integer);\ncreate table c (x integer);\n";

const edits: { name: string; text: string; changed: number[]; says: string }[] = [
  {
    name: "the second statement",
    text: three.replace("b (x", "b (y"),
    changed: [2],
    says: "statement 2 of 3 has changed",
  },
  {
    name: "two statements",
    text: three.replaceAll(/[ac] \(x/g, (found) => found.replace("x", "z")),
    changed: [1, 3],
    says: "statement 1, 3 of 3 have changed",
  },
  { name: "one more", text: `${three}create table d (x integer);`, changed: [4], says: "statement 4 of 3 has changed" },
  {
    name: "one less",
    text: three.replace("create table c (x integer);\n", ""),
    changed: [3],
    says: "statement 3 of 3 has changed",
  },
  {
    name: "one in front",
    text: `select 1;${three}`,
    changed: [1, 2, 3, 4],
    says: "statement 1, 2, 3, 4 of 3 have changed",
  },
  { name: "none is left", text: "-- migrate:up\n", changed: [1, 2, 3], says: "statement 1, 2, 3 of 3 have changed" },
  {
    name: "many more",
    text: three + "select 1;".repeat(9),
    changed: [4, 5, 6, 7, 8, 9, 10, 11, 12],
    says: "9 of its statements have changed",
  },
];

for (const { name, text, changed, says } of edits) {
  Deno.test(`survey() tells which statements were edited: ${name}`, async () => {
    const [entry] = await surveyed([file("1_a", text)], [await rowFor(file("1_a", three))]);
    assert.equal(entry!.mark, "changed");
    assert.deepEqual(entry!.changedStatements, changed);
    assert.throws(() => refuseDrift([entry!], { allowLate: true }), {
      code: "MIGRATION_DRIFT",
      message: `Cannot plan: "1_a" was applied on 2026-11-03, and ${says} since`,
      where: "m/1_a.sql",
      hint: /migrate --accept 1_a/,
    });
  });
}

const harmless: [string, string][] = [
  ["CRLF", three.replaceAll("\n", "\r\n")],
  ["a byte-order mark", `\ufeff${three}`],
  ["comments", `-- what it is for\n/* and why */ ${three.replaceAll(";", " /* end */ ;")}`],
  ["blank lines and space at the ends", `\n\n   ${three.replaceAll("\n", "  \n\n\t\n")}`],
  ["markers and a down section", `-- migrate:up\n${three}-- migrate:down\ndrop table a;`],
  ["a missing last semicolon", three.trimEnd().slice(0, -1)],
];

for (const [name, text] of harmless) {
  Deno.test(`survey() takes no offence at ${name}`, async () => {
    const [entry] = await surveyed([file("1_a", text)], [await rowFor(file("1_a", three))]);
    assert.equal(entry!.mark, undefined);
    refuseDrift([entry!], { allowLate: false });
  });
}

Deno.test("survey() compares code by its text", async () => {
  const before = file("1_a.ts", "export function up() {}\n");
  const [same] = await surveyed([file("1_a.ts", "\ufeffexport function up() {}  \r\n\r\n")], [await rowFor(before)]);
  assert.equal(same!.mark, undefined);
  const [edited] = await surveyed([file("1_a.ts", "export function up() { }")], [await rowFor(before)]);
  assert.equal(edited!.mark, "changed");
  assert.throws(() => refuseDrift([edited!], { allowLate: false }), { message: /its code has changed since/ });
});

Deno.test("survey() sees that an applied file was renamed, and not that it came late", async () => {
  const old = await rowFor(file("2_old", three));
  const entries = await surveyed([file("1_a"), file("2_new", three)], [await rowFor(file("1_a")), old]);
  assert.throws(() => refuseDrift(entries, { allowLate: false }), {
    code: "MIGRATION_MISSING",
    message: 'Cannot plan: "2_old" was applied, and its file is now called "2_new"',
    hint: /old name back/,
  });
  // An empty file says nothing about who it is.
  const empty = await rowFor(file("2_old", "-- migrate:up"));
  const apart = await surveyed([file("1_a"), file("2_new", "-- migrate:up\n-- something else")], [
    await rowFor(file("1_a")),
    {
      ...empty,
      statements: 0,
    },
  ]);
  assert.equal(apart.find((entry) => entry.name === "2_old")!.renamedTo, undefined);
});

Deno.test("survey() does not compare what another splitter has read, and says so", async () => {
  const known = { ...await rowFor(file("1_a", three)), splitter: 7, amber: "9.9.9" };
  const entries = await surveyed([file("1_a", "create table other (x integer);")], [known]);
  assert.equal(entries[0]!.mark, undefined);
  assert.deepEqual(notes(entries), [
    '"1_a" was recorded by another version of amber (9.9.9): its statements are not compared',
  ]);
  // The same bytes are unchanged, whoever has split them: nothing to say.
  assert.deepEqual(notes(await surveyed([file("1_a", three)], [known])), []);
});

Deno.test("survey() leaves half-done rows as they are, and neither compares nor misses them", async () => {
  const entries = await surveyed([file("1_a"), file("2_b")], [
    row("1_a", { state: "reverting", done: 1 }),
    row("2_b", { state: "running" }),
    row("3_c", { state: "running" }),
  ]);
  assert.equal(boxes(entries), "~ 1_a, ~ 2_b, ~ 3_c ahead");
  refuseDrift(entries, { allowLate: false });
});

Deno.test("notes() says that the database is ahead", async () => {
  const entries = await surveyed([file("1_a")], [await rowFor(file("1_a")), row("2_b"), row("3_c")]);
  assert.deepEqual(notes(entries), ['the database is ahead: "2_b", "3_c" applied by a newer version, no file here']);
});

Deno.test("a late migration's refusal names all of them and the one that was applied before", async () => {
  const files = ["1_a", "2_b", "3_c", "4_d"].map((name) => file(name));
  const entries = await surveyed(files, [await rowFor(files[0]!), await rowFor(files[3]!)]);
  assert.throws(() => refuseDrift(entries, { allowLate: false }), {
    code: "MIGRATION_LATE",
    message: 'Cannot apply "2_b", "3_c" now: "4_d", which comes after, is applied already',
    where: "m/2_b.sql, m/3_c.sql",
    hint: /--allow-late/,
  });
});
