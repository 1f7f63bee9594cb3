import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import { compareMigrations, declaredDepends, decode, numberOf, parseFileName } from "../../lib/migrations/migration.ts";

const names: [string, string | undefined][] = [
  ["0001_initial.sql", "0001_initial 1 sql"],
  ["1.sql", "1 1 sql"],
  ["0001-initial.sql", "0001-initial 1 sql"],
  ["20240101000000_add posts.sql", "20240101000000_add posts 20240101000000 sql"],
  ["0003_search.sqlite.sql", "0003_search 3 sql sqlite"],
  ["0003_search.postgres.sql", "0003_search 3 sql postgres"],
  ["0004_fill.ts", "0004_fill 4 code"],
  ["0004_fill.postgres.ts", "0004_fill 4 code postgres"],
  ["0004_fill.js", "0004_fill 4 code"],
  ["0004_fill.mjs", "0004_fill 4 code"],
  ["0005_v1.2_plan.sql", "0005_v1.2_plan 5 sql"],
  ["0006_größe.sql", "0006_größe 6 sql"],
  ["00000000000000000000009_x.sql", "00000000000000000000009_x 9 sql"],
  ["README.md", undefined],
  [".0001_hidden.sql", undefined],
  ["0001_types.d.ts", undefined],
  ["_helpers.ts", undefined],
  ["0001_initial.sql.bak", undefined],
  ["0001_initial.sql~", undefined],
  ["atlas.sum", undefined],
];

for (const [file, expected] of names) {
  Deno.test(`parseFileName(): ${file} is ${expected ?? "no migration"}`, () => {
    const parsed = parseFileName(file, `m/${file}`);
    const told = parsed &&
      [parsed.name, parsed.number, parsed.kind, parsed.dialect].filter((part) => part !== undefined).join(" ");
    assert.equal(told, expected);
  });
}

const refused: [string, RegExp][] = [
  ["initial.sql", /does not begin with a number.*Rename it, e\.g\. 0001_initial\.sql/s],
  ["helpers.ts", /_helpers\.ts if it is no migration/],
  ["0001_a.SQL", /0001_a\.sql/],
  ["V1__init.sql", /Flyway.*0001_init\.sql/s],
  ["V2_1__more.sql", /Flyway/],
  ["0001_a.up.sql", /both directions.*migrate:up/s],
  ["0001_a.down.sql", /both directions/],
  ["0001_a.pg.sql", /Rename it: 0001_a\.postgres\.sql/],
  ["0001_a.sqlite3.sql", /Rename it: 0001_a\.sqlite\.sql/],
  ["0001_a\nb.sql", /control character/],
];

for (const [file, says] of refused) {
  Deno.test(`parseFileName() refuses ${JSON.stringify(file)}`, () => {
    assert.throws(() => parseFileName(file, `m/${file}`), (error) => {
      assert.ok(error instanceof AmberError);
      assert.equal(error.code, "MIGRATION_NAME");
      assert.equal(error.where, `m/${file}`);
      assert.match(`${error.message}\n${error.hint}`, says);
      return true;
    });
  });
}

Deno.test("compareMigrations() sorts by number, then by code units", () => {
  const sorted = ["10_a", "9_b", "9_B", "1_z", "0009_a"].map((name) => ({ name, number: numberOf(name) })).sort(
    compareMigrations,
  );
  assert.deepEqual(sorted.map((one) => one.name), ["1_z", "0009_a", "9_B", "9_b", "10_a"]);
  assert.ok(numberOf("without") > numberOf("99999999999999999999_x"));
});

const depends: [string, "sql" | "code", string[] | undefined][] = [
  ["select 1;", "sql", undefined],
  ["-- migrate:depends 1_a\n-- migrate:up\n", "sql", ["1_a"]],
  ["\ufeff-- migrate:depends 1_a, 2_b\r\n  --  migrate:depends 3_c\r\n-- migrate:up\r\n", "sql", ["1_a", "2_b", "3_c"]],
  ["-- migrate:depends\n-- migrate:up\n", "sql", []],
  ["-- migrate:up\n-- migrate:depends 1_a\n", "sql", undefined],
  ["export const depends = [];", "code", []],
  ["export const depends = ['1_a', \"2_b\", `3_c`] as const;", "code", ["1_a", "2_b", "3_c"]],
  ["export const depends: readonly string[] = [\n  '1_a',\n];\n", "code", ["1_a"]],
  ["const depends = ['1_a'];", "code", undefined],
  ["// export const depends = ['1_a'];\nexport function up() {}", "code", undefined],
];

for (const [text, kind, expected] of depends) {
  Deno.test(`declaredDepends() of ${kind}: ${JSON.stringify(text)}`, () =>
    assert.deepEqual(declaredDepends(text, kind), expected));
}

Deno.test("decode() names the line that is not UTF-8", () => {
  const encode = (...bytes: number[]) => ({ path: "m/1_a.sql", bytes: new Uint8Array(bytes) });
  assert.equal(decode(encode(0xef, 0xbb, 0xbf, 0x61)), "\ufeffa");
  assert.throws(() => decode(encode(0x61, 10, 0x62, 10, 0xe4, 10)), {
    code: "MIGRATION_MALFORMED",
    where: "m/1_a.sql:3:1",
    hint: /iconv/,
  });
  assert.throws(() => decode(encode(0xff, 0xfe, 0x61, 0)), { message: /but UTF-16/ });
});
