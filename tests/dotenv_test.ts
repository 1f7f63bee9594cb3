import assert from "node:assert/strict";
import { parseEnv } from "node:util";
import { parseDotenv } from "../lib/dotenv.ts";
import { AmberError } from "../lib/errors.ts";

const parse = (text: string) => Object.fromEntries(parseDotenv(text, ".env"));

Deno.test("parseDotenv() and parseEnv agree where neither surprises", () => {
  for (
    const text of [
      "",
      "\n\n",
      "A=1\nB=2\n",
      "A=1\r\nB=2\r\n",
      "# comment\nA=1",
      "  # comment\n\n  A = 1  ",
      "A=1 # comment",
      "export A=1",
      "A=",
      "A=\nB=1",
      "A=''",
      "A=1\nA=2",
      "A=a=b",
      "A=!$HOME%\\n",
      "A=it's",
      "A=x'y\"z",
      "A='x y' # comment",
      "A='b#c'\nB=\"b#c\"\nC=`b#c`",
      "A='a\\nb'\nB=\"a\\nb\"\nC=`a\\nb`",
      "A='one\ntwo'\nB=\"one\ntwo\"\nC=`one\ntwo`\nD=1",
      "A='one\r\ntwo'\r\nB=1",
      'A="it\'s"\nB=\'"x"\'\nC=`\'"`',
      'A="a\\tb\\\\n"',
      'A="a\\"',
      "A='  x  '",
      "A=\u00a0x\u00a0",
      "A.B-c_1=2",
    ]
  ) assert.deepEqual(parse(text), { ...parseEnv(text) }, JSON.stringify(text));
});

Deno.test("parseDotenv() keeps what parseEnv loses in silence", () => {
  for (
    const [text, expected, lost] of [
      ["A=b#c", { A: "b#c" }, { A: "b" }],
      ["A=b#c # d", { A: "b#c" }, { A: "b" }],
      ["A=b##c#", { A: "b##c#" }, { A: "b" }],
      ["A=b#'c", { A: "b#'c" }, { A: "b" }],
      ["A=b#'\"`c", { A: "b#'\"`c" }, { A: "b" }],
      ["A=b#c\\n", { A: "b#c\\n" }, { A: "b" }],
      ["A=#c", { A: "#c" }, { A: "" }],
      ["A= \nB=1", { A: "", B: "1" }, { A: "B=1" }],
      ["A=\t# x\nB=1", { A: "", B: "1" }, { A: "", B: "1" }],
      ["export\tA=1", { A: "1" }, { "export\tA": "1" }],
      ["\ufeffA=1", { A: "1" }, { "\ufeffA": "1" }],
    ] as const
  ) {
    assert.deepEqual(parse(text), expected, JSON.stringify(text));
    assert.deepEqual({ ...parseEnv(text) }, lost, `parseEnv has changed: ${JSON.stringify(text)}`);
  }
});

Deno.test("parseDotenv() reads the cloud guide's file", () => {
  const url =
    "postgres://relecloud_admin:VerySecurePassword!1@demo-relecloud.postgres.database.azure.com:5432/relecloud";
  assert.deepEqual(parse(`DATABASE_URL=${url}\nDB_PASSWORD="VerySecurePassword!1"\n`), {
    DATABASE_URL: url,
    DB_PASSWORD: "VerySecurePassword!1",
  });
});

Deno.test("parseDotenv() refuses a line it cannot read, names it and does not print it", () => {
  for (
    const [text, line] of [
      ["Kq7xW2vZ", 1],
      ["A=1\n\nKq7xW2vZ\nB=1", 3],
      ["A=1\r\nKq7xW2vZ\r\n", 2],
      ["A='one\ntwo'\nKq7xW2vZ", 3],
      ["Kq7xW2vZ: 1", 1],
      ["=Kq7xW2vZ", 1],
      ["Kq7xW 2vZ=1", 1],
      ["'Kq7xW2vZ'=1", 1],
      ["export Kq7xW2vZ", 1],
      ["A='Kq7xW2vZ", 1],
      ['A="Kq7xW2vZ\nB=1', 1],
      ["A='Kq7'xW2vZ", 1],
      ['A="Kq7\\"xW2vZ"', 1],
      ["A='Kq7'#xW2vZ", 1],
      ["A=Kq7x\0W2vZ", 1],
      ["K\0q\0=\x001\0", 1],
    ] as const
  ) {
    assert.throws(() => parse(text), (error) => {
      assert.ok(error instanceof AmberError, String(error));
      assert.deepEqual([error.code, error.exitStatus, error.where], ["CONFIG_UNREADABLE", 2, `.env:${line}`], text);
      assert.doesNotMatch(`${error.message} ${error.hint}`, /Kq7|xW2|2vZ/);
      return true;
    }, JSON.stringify(text));
  }
});
